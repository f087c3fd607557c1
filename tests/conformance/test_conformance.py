"""The official conformance suite, all of its scenarios, in both protocol eras."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

from ..warm import warm
from .suite import HERE, run_suite

ROOT = HERE.parent.parent
PLAIT = [sys.executable, "-m", "plait"]
SERVED = re.compile(r"http://127\.0\.0\.1:\d+/mcp")


Target: TypeAlias = Callable[[Path], AbstractAsyncContextManager[str]]
"""What the suite talks to: a server that runs as long as it is entered, and gives its URL. Logs go
to the folder."""


@asynccontextmanager
async def direct(folder: Path) -> AsyncIterator[str]:
    """The fixture server itself; its log goes to the folder."""
    with (folder / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *warm("-m", "tests.conformance.everything", "http"),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            url = (await process.stdout.readline()).decode().strip()
        assert url, (folder / "server.log").read_text()
        yield url
    finally:
        await ended(process)


async def ended(process: asyncio.subprocess.Process) -> None:
    """Terminates a process, and kills it when it is not gone within 10 s."""
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


@asynccontextmanager
async def through_gateway(folder: Path, protocol: str) -> AsyncIterator[str]:
    """The fixture server behind `plait serve`, which is spoken to over HTTP, and speaks *protocol*
    to it."""
    async with (
        direct(folder) as url,
        over_http(folder, written(folder / "servers.toml", protocol, url=url)) as served_at,
    ):
        yield served_at


@asynccontextmanager
async def through_door(folder: Path, protocol: str) -> AsyncIterator[str]:
    """The same behind a door to a shared gateway. The suite only speaks HTTP: so in front of the
    door is one more gateway, which speaks *protocol* to it."""
    with tempfile.TemporaryDirectory(prefix="pc", dir="/tmp") as state:  # short, for a socket
        shared = [f"PLAIT_STATE_DIR={state}", "PLAIT_ISOLATED=0", *PLAIT]
        try:
            async with direct(folder) as url:
                behind = written(folder / "behind.toml", protocol, url=url)
                door = [*shared, "serve", "--config", str(behind)]
                front = written(
                    folder / "servers.toml", protocol, command="/usr/bin/env", args=door
                )
                async with over_http(folder, front) as served_at:
                    yield served_at
        finally:
            stop = await asyncio.create_subprocess_exec(
                "/usr/bin/env", *shared, "stop", stdout=asyncio.subprocess.PIPE
            )
            said, _ = await stop.communicate()
            assert b"has ended" in said


def written(file: Path, protocol: str, **server: object) -> Path:
    """The settings of a gateway that has the tools of one *server* under their own names, and
    speaks *protocol* to it."""
    keys = {**server, "protocol": protocol, "prefix": False}
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    text = '[gateway]\nexpose = "tools"\n[servers.everything]\n'
    file.write_text("\n".join([text, *lines]))
    return file


@asynccontextmanager
async def over_http(folder: Path, settings: Path) -> AsyncIterator[str]:
    """`plait serve --http` with these *settings*."""
    process = await asyncio.create_subprocess_exec(
        *PLAIT, "serve", "--config", str(settings), "--http", "0", cwd=ROOT,
        env={**os.environ, "PLAIT_STATE_DIR": str(folder / "state")},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    served_at: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    log = asyncio.create_task(kept(process.stderr, folder / "gateway.log", served_at))
    try:
        yield await asyncio.wait_for(served_at, 30)
    finally:
        await ended(process)
        await log


async def kept(stream: asyncio.StreamReader, file: Path, served_at: asyncio.Future[str]) -> None:
    """Writes the log that comes on *stream* into *file*, and finds the URL in it that the gateway
    serves."""
    with file.open("wb", buffering=0) as log:
        while line := await stream.readline():
            log.write(line)
            if (found := SERVED.search(line.decode())) is not None and not served_at.done():
                served_at.set_result(found[0])


TARGETS: Mapping[str, Target] = {
    "direct": direct,
    "gateway before the handshake era": partial(through_gateway, protocol="legacy"),
    "gateway before 2026-07-28": partial(through_gateway, protocol="modern"),
    "door of the handshake era": partial(through_door, protocol="legacy"),
    "door of 2026-07-28": partial(through_door, protocol="modern"),
}

# What is expected of a target in a revision of the protocol: the scenarios that may fail, and how
# many checks pass: the suite skips what a server does not announce, and then ends well with fewer.
EXPECTED = [
    ("direct", "2025-11-25", "expected-direct.yml", 84),
    ("direct", "2026-07-28", "expected-direct.yml", 152),
    ("door of the handshake era", "2025-11-25", "expected-gateway.yml", 80),
    ("gateway before the handshake era", "2026-07-28", "expected-handshake.yml", 146),
    ("gateway before 2026-07-28", "2025-11-25", "expected-gateway.yml", 80),
    ("door of 2026-07-28", "2026-07-28", "expected-gateway.yml", 152),
]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("target", "revision", "expected", "passes"), EXPECTED)
async def test_every_scenario_of_the_official_suite_passes(
    target: str, revision: str, expected: str, passes: int, tmp_path: Path
):
    async with TARGETS[target](tmp_path) as url:
        report = await run_suite(url, revision, HERE / expected, tmp_path / "checks")
    assert report.status == 0, "\n".join([*report.rest, report.said[-600:]])
    assert report.passed == passes, "\n".join(report.rest)
