"""Loading of everything that the gateway may ever need: an upgrade replaces the files of a process
that runs on for weeks, and what it loaded after that would not fit the rest."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import anyio

from .. import __path__ as plait_path

log = logging.getLogger(__name__)

FIRST_S = 1.0
"""Time for the first clients, before anything is loaded in advance."""
PAUSE_S = 0.005
"""Time between two modules, for the clients."""
NOT_SERVED = (
    "plait.cli",
    "plait.__main__",
    "plait.doctor",
    "plait.install",
    "plait.workspace.__main__",
)
"""Programs of their own, which start anew."""
COMMANDS = ("plait.cli.calling", "plait.cli.looking", "plait.cli.running")
"""The commands of a person that are carried out here."""
OF_OTHERS = (
    "anyio._backends._asyncio",
    "dotenv.parser",
    "encodings.idna",
    "httpx2",
    "mcp.client.sse",
    "mcp.client.streamable_http",
    "structlog.dev",
    "structlog.processors",
    "structlog.stdlib",
    "uvicorn.lifespan.on",
    "yaml",
)
"""Modules of libraries that are imported when they are first used."""


def names() -> Iterator[str]:
    """Yield the modules to load."""
    for found in walk_packages(plait_path, "plait."):
        if not found.name.startswith(NOT_SERVED) and not found.name.endswith(".__main__"):
            yield found.name
    yield from (*COMMANDS, *OF_OTHERS)


async def load_everything() -> None:
    """Import all modules and read all files of ours, one by one between the work for clients."""
    await anyio.sleep(FIRST_S)
    for name in names():
        import_module(name)
        await anyio.sleep(PAUSE_S)
    from ..upstream.resources import guide

    guide()
    log.debug("loaded")
