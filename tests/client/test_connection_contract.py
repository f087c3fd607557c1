"""What a connection promises, held over every transport and both protocol eras, against servers on the official SDK."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from plait.client.connection import Connection
from plait.client.transports import Patience
from plait.config import ServerSettings
from plait.core.catalog import ServerState, Tool
from plait.core.output import read_output
from plait.core.ports import OnProgress, ToolCall
from plait.errors import ConnectionLost, ProtocolError, ServerUnavailable, ToolError

SCRIPT = str(Path(__file__).with_name("sdk_server.py"))
WAYS = [
    ("stdio", "auto", "2026-07-28"),
    ("stdio", "legacy", "2025-11-25"),
    ("http", "auto", "2026-07-28"),
    ("http", "legacy", "2025-11-25"),
    ("sse", "auto", "2026-07-28"),
    ("sse", "legacy", "2025-11-25"),
]
SOON = 15.0
QUICK = Patience(first_backoff_s=0.1, longest_backoff_s=0.5, refresh_pause_s=0.02)


class SdkServer:
    """A process of ours that serves over HTTP."""

    def __init__(self, transport: str, journal: Path) -> None:
        self._transport = transport
        self._journal = journal
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        port = str(urlsplit(self.url).port or 0)
        command = [sys.executable, SCRIPT, self._transport, str(self._journal), "--port", port]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


class Shared:
    """One server for each transport over HTTP, for the tests that change nothing about it."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self._servers: dict[str, SdkServer] = {}

    def server(self, transport: str) -> SdkServer:
        if transport not in self._servers:
            self._servers[transport] = SdkServer(transport, self.journal)
            self._servers[transport].start()
        return self._servers[transport]

    def end(self) -> None:
        for server in self._servers.values():
            server.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    servers = Shared(tmp_path_factory.mktemp("shared") / "journal")
    yield servers
    servers.end()


@dataclass
class Way:
    transport: str
    protocol: Any
    version: str
    journal: Path
    server: SdkServer | None
    """None for a process that the connection starts itself."""

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        connection = Connection("contract", self._settings(), patience=QUICK)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            with anyio.fail_after(SOON):
                await connection.settled()
            assert connection.info.error is None
            yield connection
            tasks.cancel_scope.cancel()

    def _settings(self) -> ServerSettings:
        if self.server is None:
            args = (SCRIPT, "stdio", str(self.journal))
            return ServerSettings(command=sys.executable, args=args, protocol=self.protocol)
        transport: Any = self.transport
        return ServerSettings(url=self.server.url, transport=transport, protocol=self.protocol)

    async def restart(self, connection: Connection) -> None:
        if self.server is None:
            assert connection.info.pid is not None
            os.kill(connection.info.pid, signal.SIGKILL)  # its own connection starts it again
        else:
            self.server.end()
            await anyio.to_thread.run_sync(self.server.start)

    async def noted(self, event: str) -> None:
        with anyio.fail_after(SOON):
            while not self.journal.exists() or json.dumps(event) not in self.journal.read_text():
                await anyio.sleep(0.02)


@pytest.fixture(params=WAYS, ids=lambda way: f"{way[0]}-{way[1]}")
def way(request: pytest.FixtureRequest, tmp_path: Path, shared: Shared) -> Way:
    transport, protocol, version = request.param
    if transport == "stdio":
        return Way(transport, protocol, version, tmp_path / "journal", None)
    return Way(transport, protocol, version, shared.journal, shared.server(transport))


@pytest.fixture
def own_way(way: Way, tmp_path: Path) -> Iterator[Way]:
    """For tests that change their server."""
    if way.server is None:
        yield way
        return
    server = SdkServer(way.transport, tmp_path / "journal")
    server.start()
    yield replace(way, server=server, journal=tmp_path / "journal")
    server.end()


async def call(connection: Connection, name: str, on_progress: OnProgress | None = None, **arguments: Any) -> Any:
    tool = next((tool for tool in connection.tools if tool.name == name), Tool("contract", name))
    with anyio.fail_after(SOON):
        return read_output(await connection.call(ToolCall(tool, arguments, on_progress)), tool, 10**6).value


async def test_tools_are_listed_and_called_with_exact_values(way: Way):
    async with way.connected() as connection:
        assert connection.info.protocol == way.version
        assert [tool.name for tool in connection.tools] == ["ask", "echo", "fail", "grow", "hang", "steps"]
        value = await call(connection, "echo", text="ä€🙂\u2028", number=2**60)
    assert value == {"text": "ä€🙂\u2028", "number": 2**60}


async def test_many_calls_share_one_connection_and_none_gets_anothers_answer(way: Way):
    async with way.connected() as connection:
        answers: dict[int, Any] = {}

        async def ask(number: int) -> None:
            answers[number] = await call(connection, "echo", text="x", number=number)

        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(ask, number)
    assert {number: value["number"] for number, value in answers.items()} == {number: number for number in range(40)}


async def test_progress_is_passed_on(way: Way):
    heard: list[tuple[float, float | None, str | None]] = []
    async with way.connected() as connection:
        await call(connection, "steps", lambda *step: heard.append(step))
        with anyio.fail_after(SOON):
            while len(heard) < 5:
                await anyio.sleep(0.01)
    assert heard == [(done, 5, f"step {done}") for done in range(1, 6)]


async def test_a_cancelled_call_ends_at_the_server(way: Way):
    async with way.connected() as connection:
        async with anyio.create_task_group() as tasks:
            tag = f"{way.transport}-{way.protocol}"
            tasks.start_soon(partial(call, connection, "hang", tag=tag))
            await way.noted(f"{tag} started")
            tasks.cancel_scope.cancel()
        await way.noted(f"{tag} cancelled")
        assert (await call(connection, "echo", text="x"))["text"] == "x"


async def test_a_failed_tool_is_no_failed_connection(way: Way):
    async with way.connected() as connection:
        with pytest.raises(ToolError, match="Error executing tool fail"):
            await call(connection, "fail")
        assert connection.state is ServerState.READY


async def test_leaving_ends_everything(way: Way):
    async with way.connected() as connection:
        left = connection
    assert left.info.state is ServerState.STOPPED


async def test_a_list_that_changed_is_read_again(own_way: Way):
    async with own_way.connected() as connection:
        assert await call(connection, "grow") == {"result": "done"}
        with anyio.fail_after(SOON):
            while "grown" not in [tool.name for tool in connection.tools]:
                await anyio.sleep(0.01)
        assert await call(connection, "grown") == {"result": "new"}


async def test_a_server_that_asks_the_person_is_told_that_it_cannot(way: Way):
    async with way.connected() as connection:
        with pytest.raises((ToolError, ProtocolError), match=r"not supported|no back-channel|input"):
            await call(connection, "ask")
        assert (await call(connection, "echo", text="x"))["text"] == "x"


async def test_a_server_that_goes_fails_its_calls_and_is_connected_to_again(own_way: Way):
    async with own_way.connected() as connection:
        restarted = anyio.Event()

        async def restart() -> None:
            await own_way.noted("call started")
            await own_way.restart(connection)
            restarted.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(restart)
            with pytest.raises(ConnectionLost):
                await call(connection, "hang", tag="call")
            await restarted.wait()
        with anyio.fail_after(SOON):
            while True:  # as long as it starts, each call says that it was not sent
                try:
                    assert (await call(connection, "echo", text="again"))["text"] == "again"
                    break
                except ServerUnavailable:
                    await anyio.sleep(0.05)
        assert connection.info.protocol == own_way.version
