"""What a connection promises, held over every transport and both protocol eras, against servers on the official SDK."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from plait.client.connection import Connection
from plait.config import ServerSettings
from plait.core.catalog import ServerState, Tool
from plait.core.output import read_output
from plait.core.ports import OnProgress, ToolCall
from plait.errors import ConnectionLost, ToolError

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


@dataclass
class Way:
    transport: str
    protocol: Any
    version: str
    journal: Path

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        async with self._settings() as settings:
            connection = Connection("contract", settings)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(connection.run)
                with anyio.fail_after(SOON):
                    await connection.settled()
                assert connection.info.error is None
                yield connection
                tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def _settings(self) -> AsyncIterator[ServerSettings]:
        command = [sys.executable, SCRIPT, self.transport, str(self.journal)]
        if self.transport == "stdio":
            yield ServerSettings(command=command[0], args=tuple(command[1:]), protocol=self.protocol)
            return
        async with await anyio.open_process(command, stdout=subprocess.PIPE, stderr=None) as process:
            assert process.stdout is not None
            url = (await process.stdout.receive()).decode().strip()
            transport: Any = self.transport
            try:
                yield ServerSettings(url=url, transport=transport, protocol=self.protocol)
            finally:
                process.terminate()

    async def noted(self, event: str) -> None:
        with anyio.fail_after(SOON):
            while not self.journal.exists() or json.dumps(event) not in self.journal.read_text():
                await anyio.sleep(0.02)


@pytest.fixture(params=WAYS, ids=lambda way: f"{way[0]}-{way[1]}")
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Way:
    transport, protocol, version = request.param
    return Way(transport, protocol, version, tmp_path / "journal")


async def call(connection: Connection, name: str, on_progress: OnProgress | None = None, **arguments: Any) -> Any:
    tool = next((tool for tool in connection.tools if tool.name == name), Tool("contract", name))
    with anyio.fail_after(SOON):
        return read_output(await connection.call(ToolCall(tool, arguments, on_progress)), tool, 10**6).value


async def test_tools_are_listed_and_called_with_exact_values(way: Way):
    async with way.connected() as connection:
        assert connection.info.protocol == way.version
        assert [tool.name for tool in connection.tools] == ["echo", "fail", "hang", "steps"]
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
            tasks.start_soon(call, connection, "hang")
            await way.noted("hang started")
            tasks.cancel_scope.cancel()
        await way.noted("hang cancelled")
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


async def test_a_server_that_goes_fails_its_calls_and_is_connected_to_again(tmp_path: Path):
    way = Way("stdio", "auto", "2026-07-28", tmp_path / "journal")
    async with way.connected() as connection:
        pid = connection.info.pid
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_kill_once_noted, way, pid)
            with pytest.raises(ConnectionLost, match="SIGKILL"):
                await call(connection, "hang")
        assert (await call(connection, "echo", text="again"))["text"] == "again"
        assert connection.info.pid != pid


async def _kill_once_noted(way: Way, pid: int | None) -> None:
    await way.noted("hang started")
    assert pid is not None
    await anyio.run_process(["kill", "-KILL", str(pid)])
