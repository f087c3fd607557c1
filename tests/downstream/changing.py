"""One server whose state is in a folder (`changing_server.py`), as tests see it from outside."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio

from plait.config import ServerSettings
from plait.core.tools.catalog import ServerInfo, Tool
from plait.core.tools.server_notices import ServerNotice
from plait.core.values.strict import Json
from plait.downstream.pool import Pool
from plait.downstream.timings import ConnectTimings
from plait.stores.listing_cache import ListingCache

from ..fakes import a_call
from .pools import ignore, open_pool

SERVER = str(Path(__file__).with_name("changing_server.py"))
QUICK = ConnectTimings(
    first_backoff_s=0.05, longest_backoff_s=0.2, grace_s=0.2, refresh_pause_s=0.01
)
SOON = 20.0


def described(name: str, description: str = "It does something.", **members: Any) -> dict[str, Any]:
    return {"name": name, "description": description, "inputSchema": {"type": "object"}, **members}


class ChangingServer:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.put([described("wait"), described("change"), described("look")])

    def put(self, tools: list[Any], **state: Any) -> None:
        """What it is from its next start, or its next list, on."""
        (self.folder / "state.json").write_text(json.dumps({"tools": tools, **state}))

    def close(self) -> None:
        (self.folder / "closed").touch()

    def open(self) -> None:
        (self.folder / "closed").unlink(missing_ok=True)

    def answer_wait(self) -> None:
        (self.folder / "open").touch()

    @property
    def asked(self) -> list[str]:
        journal = self.folder / "journal"
        return journal.read_text().split() if journal.exists() else []

    def settings(self, **settings: Any) -> ServerSettings:
        made = {"protocol": "legacy", "startup_timeout_s": 15, **settings}
        return ServerSettings(command=sys.executable, args=(SERVER, str(self.folder)), **made)


def pool_of(
    state_folder: Path | None = None,
    first: anyio.Event | None = None,
    notify: Callable[[ServerNotice], None] = ignore,
    **servers: ServerSettings,
) -> AbstractAsyncContextManager[Pool]:
    listings = ListingCache(state_folder)
    return open_pool(servers, QUICK, listings, first=first, notify=notify)


async def until(is_so: Callable[[], object]) -> None:
    with anyio.fail_after(SOON):
        while not is_so():
            await anyio.sleep(0.005)


async def settled(pool: Pool, *names: str) -> None:
    with anyio.fail_after(SOON):
        await pool.settled(names or None)


async def call(pool: Pool, name: str, server: str = "s") -> dict[str, Json]:
    with anyio.fail_after(SOON):
        result = await pool(a_call(Tool(server, name), {}))
    content = result["structuredContent"]
    assert isinstance(content, dict)
    return content


def info(pool: Pool, server: str = "s") -> ServerInfo:
    return pool.catalog().servers[server]
