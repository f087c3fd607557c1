"""The ways on which what a port and a connection promise is held: in memory, over pipes, HTTP and
SSE, in both eras.

The server is `sdk_server.py` on each of them. For what a port promises there is one way more: the
fake that other tests are built upon, with tools of the same names.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import anyio
from mcp.shared.memory import create_client_server_memory_streams

from plait.config import ServerSettings
from plait.core.ports import CallTool, OnProgress, Servers
from plait.core.tools.catalog import Catalog, Tool
from plait.core.tools.output import read_output
from plait.core.values.strict import JsonObject
from plait.downstream.connection import Connection
from plait.downstream.timings import ConnectTimings
from plait.downstream.transports.transport import Transport

from ..fakes import FakeCaller, FakeServers, a_call, tool
from ..warm import warm
from .sdk_server import build, fail, hanging, note

SCRIPT = str(Path(__file__).with_name("sdk_server.py"))
TRANSPORTS = ("memory", "stdio", "http", "sse")
VERSIONS = {"auto": "2026-07-28", "legacy": "2025-11-25"}
WAYS = [(transport, protocol) for transport in TRANSPORTS for protocol in VERSIONS]
SOON = 15.0
QUICK = ConnectTimings(first_backoff_s=0.1, longest_backoff_s=0.5, refresh_pause_s=0.02)


@dataclass(frozen=True, slots=True)
class Journal:
    """What a server has noted down."""

    path: Path

    def events(self) -> list[str]:
        return (
            [json.loads(line) for line in self.path.read_text().splitlines()]
            if self.path.exists()
            else []
        )

    async def noted(self, event: str) -> None:
        with anyio.fail_after(SOON):
            while event not in self.events():
                await anyio.sleep(0.02)

    def pid(self) -> int:
        """Of the process that started last."""
        return int(
            [event for event in self.events() if event.startswith("pid ")][-1].removeprefix("pid ")
        )


class HttpServer:
    """A process of ours that serves over HTTP."""

    def __init__(self, transport: str, journal: Journal) -> None:
        self.journal = journal
        self._transport = transport
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        port = str(urlsplit(self.url).port or 0)
        command = warm(SCRIPT, self._transport, str(self.journal.path), "--port", port)
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


class Shared:
    """One server for each transport over HTTP, for the tests that change nothing about it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: dict[str, HttpServer] = {}

    def server(self, transport: str) -> HttpServer:
        if transport not in self._servers:
            self._servers[transport] = HttpServer(transport, Journal(self._folder / transport))
            self._servers[transport].start()
        return self._servers[transport]

    def end(self) -> None:
        for server in self._servers.values():
            server.end()


class MemoryServer:
    """A server in this process. Each connection to it has streams of its own, which `cut`
    closes."""

    def __init__(self, journal: Journal) -> None:
        self.server = build(journal.path)
        self.cut: Callable[[], None] = lambda: None
        self.is_serving = False

    def open(self, *_: object) -> Transport:
        """An `OpenTransport`."""
        return MemoryTransport(self)


class MemoryTransport:
    pid = None

    def __init__(self, server: MemoryServer) -> None:
        self.is_open = False
        self._server = server

    def exit_reason(self) -> str:
        return "its end of the streams was closed"

    def delay_reason(self) -> str:
        return "it did not answer"

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[tuple[Any, Any]]:
        async with (
            create_client_server_memory_streams() as (ours, theirs),
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(self._serve, *theirs)
            self.is_open = True
            yield ours
            tasks.cancel_scope.cancel()

    async def _serve(self, read: Any, write: Any) -> None:
        server = self._server.server._lowlevel_server
        self._server.is_serving = True
        try:
            async with read, write:
                with anyio.CancelScope() as scope:
                    self._server.cut = scope.cancel
                    await server.run(read, write, server.create_initialization_options())
        finally:
            self.is_open = self._server.is_serving = False


@dataclass(frozen=True, slots=True)
class Way:
    """A connection to a server, over one transport and in one era."""

    transport: str
    protocol: Any
    journal: Journal
    http: HttpServer | None = None
    memory: MemoryServer | None = None

    @property
    def version(self) -> str:
        return VERSIONS[self.protocol]

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        connection = self._connection(timings=QUICK)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            with anyio.fail_after(SOON):
                await connection.wait_settled()
            assert connection.info.error is None
            yield connection
            tasks.cancel_scope.cancel()

    def _connection(self, **options: Any) -> Connection:
        if self.memory is not None:
            options["open_transport"] = self.memory.open
        return Connection("contract", self._settings(), **options)

    def _settings(self) -> ServerSettings:
        """On a slow machine, too, a probe that is not answered yet is no sign of an old server."""
        protocol: dict[str, Any] = {"protocol": self.protocol, "probe_timeout_s": SOON}
        if self.http is None:
            command, *args = warm(SCRIPT, "stdio", str(self.journal.path))
            return ServerSettings(command=command, args=tuple(args), **protocol)
        transport: Any = self.transport
        return ServerSettings(url=self.http.url, transport=transport, **protocol)

    @property
    def is_served(self) -> bool:
        """Whether the server is there: its process, or in memory its end of the streams."""
        if self.memory is not None:
            return self.memory.is_serving
        try:
            os.kill(self.journal.pid(), 0)
        except ProcessLookupError:
            return False
        return True

    async def restart(self) -> None:
        """End the server, or in memory the connection to it; where the connection does not start it
        again, do."""
        if self.memory is not None:
            self.memory.cut()
        elif self.http is not None:
            self.http.end()
            await anyio.to_thread.run_sync(self.http.start)
        else:
            os.kill(self.journal.pid(), signal.SIGKILL)

    @asynccontextmanager
    async def reached(self) -> AsyncIterator[Reached]:
        async with self.connected() as connection:
            yield Reached(connection.call, One(connection), self.journal)


def way_of(transport: str, protocol: str, folder: Path, shared: Shared) -> Way:
    """A way to a server which tests may not change where it is shared."""
    journal = Journal(folder / "journal")
    if transport in {"http", "sse"}:
        server = shared.server(transport)
        return Way(transport, protocol, server.journal, http=server)
    return Way(
        transport,
        protocol,
        journal,
        memory=MemoryServer(journal) if transport == "memory" else None,
    )


@contextmanager
def own(way: Way, folder: Path) -> Iterator[Way]:
    """*way* to a server that is nobody else's."""
    if way.http is None:
        yield way
        return
    server = HttpServer(way.transport, Journal(folder / "journal"))
    server.start()
    yield replace(way, http=server, journal=server.journal)
    server.end()


# What a port promises.


@dataclass(frozen=True, slots=True)
class Reached:
    """Tools that can be called, those of `sdk_server.py` or of the fake."""

    call_tool: CallTool
    servers: Servers
    journal: Journal

    def tool(self, name: str) -> Tool:
        return self.servers.catalog().tools.get(f"contract:{name}") or Tool("contract", name)

    async def result(
        self, name: str, on_progress: OnProgress | None = None, **arguments: Any
    ) -> JsonObject:
        with anyio.fail_after(SOON):
            return await self.call_tool(
                a_call(self.tool(name), arguments, FakeCaller(on_progress=on_progress))
            )

    async def call(self, name: str, on_progress: OnProgress | None = None, **arguments: Any) -> Any:
        return read_output(
            await self.result(name, on_progress, **arguments), self.tool(name), 10**6
        ).value


class Port(Protocol):
    """A way to tools, whatever is behind it."""

    @property
    def journal(self) -> Journal: ...

    def reached(self) -> Any: ...


class One:
    """The `Servers` of one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def catalog(self) -> Catalog:
        return Catalog(self._connection.tools, [self._connection.info])

    async def settled(self, names: Iterable[str] | None = None) -> None:
        await self._connection.wait_settled()


@dataclass(frozen=True, slots=True)
class Fake:
    """The way to the fake."""

    journal: Journal

    @asynccontextmanager
    async def reached(self) -> AsyncIterator[Reached]:
        servers = FakeServers()
        text, number = {"type": "string"}, {"type": "integer"}
        servers.add(tool("contract:echo", {"text": text, "number": number}, ["text"]), echo)
        servers.add(
            tool("contract:hang", {"tag": text}, ["tag"]), hanging(partial(note, self.journal.path))
        )
        servers.add(tool("contract:steps", {}), steps)
        servers.add(tool("contract:fail", {}), fail)
        await servers.settled()
        yield Reached(servers, servers, self.journal)


def echo(text: str, number: int = 0) -> JsonObject:
    return {"text": text, "number": number}


def steps(on_progress: OnProgress | None) -> JsonObject:
    for done in range(1, 6):
        if on_progress is not None:
            on_progress({"progress": done, "total": 5, "message": f"step {done}"})
    return {"result": "done"}
