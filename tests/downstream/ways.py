"""A server of ours over each transport and in each era: the same promises are held on all six
ways."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from plait.config import ServerSettings
from plait.core.ports import NO_CLIENT, Ask, Downstream, RelayRequest
from plait.core.values.strict import JsonObject
from plait.downstream.pool import Pool
from plait.downstream.timings import ConnectTimings

from ..fakes import FakeCaller
from ..warm import warm
from .pools import open_pool

SCRIPT = str(Path(__file__).with_name("raw_server.py"))
WAYS = [
    (transport, protocol)
    for transport in ("stdio", "http", "sse")
    for protocol in ("legacy", "modern")
]
SOON = 15.0
QUICK = ConnectTimings(first_backoff_s=0.1, longest_backoff_s=0.5, refresh_pause_s=0.02)
VERSIONS = {"legacy": "2025-11-25", "modern": "2026-07-28"}


@dataclass(frozen=True, slots=True)
class Way:
    """How the server is reached."""

    transport: str
    protocol: Any
    journal: Path
    url: str | None = None
    """None for a process that the pool starts itself."""
    flags: tuple[str, ...] = ()

    @property
    def is_modern(self) -> bool:
        return bool(self.protocol == "modern")

    @property
    def settings(self) -> ServerSettings:
        if self.url is None:
            command, *args = warm(SCRIPT, "stdio", str(self.journal), *self.flags)
            return ServerSettings(command=command, args=tuple(args), protocol=self.protocol)
        transport: Any = self.transport
        return ServerSettings(url=self.url, transport=transport, protocol=self.protocol)

    @asynccontextmanager
    async def reached(self) -> AsyncIterator[Reached]:
        async with open_pool({"raw": self.settings}, QUICK) as pool:
            with anyio.fail_after(SOON):
                await pool.settled()
            assert pool.catalog().servers["raw"].error is None
            yield Reached(pool, pool)

    async def noted(self, event: object) -> None:
        """Wait until the server has written *event* down."""
        with anyio.fail_after(SOON):
            while (
                not self.journal.exists()
                or json.dumps(event) not in self.journal.read_text().splitlines()
            ):
                await anyio.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Reached:
    pool: Pool
    downstream: Downstream

    async def request(
        self, method: str, params: JsonObject | None = None, **of_the_client: Any
    ) -> JsonObject:
        with anyio.fail_after(SOON):
            return await self.downstream.request(
                RelayRequest("raw", method, params or {}, **of_the_client)
            )

    async def call(self, name: str, ask: Ask | None = None, **arguments: Any) -> JsonObject:
        return await self.request(
            "tools/call",
            {"name": name, "arguments": arguments},
            caller=FakeCaller(ask, client=ask) if ask else NO_CLIENT,
        )


@contextmanager
def served(transport: str, journal: Path, *flags: str) -> Iterator[str]:
    """The URL of a server of ours over HTTP, for as long as the block takes."""
    process = subprocess.Popen(
        warm(SCRIPT, transport, str(journal), *flags), stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
    finally:
        process.kill()
        process.communicate()


async def until(is_so: Any) -> None:
    with anyio.fail_after(SOON):
        while not is_so():
            await anyio.sleep(0.01)
