"""A server in memory that answers each method as its script says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.shared.memory import create_client_server_memory_streams
from mcp_types import jsonrpc_message_adapter

from plait.config import ServerSettings
from plait.core.tools.catalog import Tool
from plait.core.values.strict import JsonObject
from plait.downstream.connection import Connection
from plait.downstream.mcp_sdk import SessionMessage
from plait.downstream.timings import ConnectTimings
from plait.downstream.transports.transport import Transport

from ..fakes import FakeCaller, a_call


class ScriptedServer:
    """Its script gives for each method a result, an error, or None for no answer. A `Transport` to
    itself, which can be opened again after its end."""

    pid = None

    def __init__(self, script: dict[str, Any]) -> None:
        self.script = script
        self.is_open = False
        self.starts: list[float] = []
        """When it was started, each time."""
        self.received: list[tuple[str, Any]] = []
        """Method and params of all requests and notifications."""
        self.headers: list[Any] = []
        self.answers: list[Any] = []
        """Answers to what it has asked itself."""
        self.opens = True
        """Whether the way to it opens, or takes for ever."""
        self.reads = True
        """Whether it reads what is sent to it."""
        self._write: Any = None
        self._end = anyio.Event()

    def open(self, *_: object) -> Transport:
        """An `OpenTransport`."""
        return self

    def exit_reason(self) -> str:
        return "it was cut off"

    def delay_reason(self) -> str:
        return "it did not answer"

    def cut(self) -> None:
        """End the connection."""
        self._end.set()

    async def send(self, **message: Any) -> None:
        """Send a message of its own, and let it be read."""
        whole = {"jsonrpc": "2.0", **message}
        await self._write.send(SessionMessage(jsonrpc_message_adapter.validate_python(whole)))
        await anyio.wait_all_tasks_blocked()

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[tuple[Any, Any]]:
        self.starts.append(anyio.current_time())
        if not self.opens:
            await anyio.sleep_forever()
        self._end = anyio.Event()
        async with (
            create_client_server_memory_streams() as (ours, theirs),
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(self._serve, *theirs)
            self.is_open = True
            yield ours
            tasks.cancel_scope.cancel()

    async def _serve(self, read: Any, write: Any) -> None:
        self._write = write
        async with read, write, anyio.create_task_group() as tasks:
            tasks.start_soon(self._answer_all, read, write)
            await self._end.wait()
            self.is_open = False
            tasks.cancel_scope.cancel()

    async def _answer_all(self, read: Any, write: Any) -> None:
        async for item in read:
            message: Any = item.message
            if isinstance(message, types.JSONRPCResponse):
                self.answers.append(message.result)
                continue
            if isinstance(message, types.JSONRPCError):
                self.answers.append(message.error)
                continue
            self.received.append((message.method, message.params))
            if not self.reads:
                await anyio.sleep_forever()
            self.headers.append(getattr(item.metadata, "headers", None))
            answer = self.script.get(message.method)
            if isinstance(message, types.JSONRPCNotification) or answer is None:
                continue
            if isinstance(answer, types.ErrorData):
                error = types.JSONRPCError(jsonrpc="2.0", id=message.id, error=answer)
                await write.send(SessionMessage(error))
            else:
                result = types.JSONRPCResponse(jsonrpc="2.0", id=message.id, result=answer)
                await write.send(SessionMessage(result))


def script(**answers: Any) -> dict[str, Any]:
    """That of a server of the handshake era with one tool, with other *answers* to calls of tools
    (`call`), to `tools/list` (`tools`) and to `initialize` (`greet`)."""
    greeting: JsonObject = {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {"listChanged": True}},
        "serverInfo": {"name": "scripted", "version": "1"},
    }
    return {
        "initialize": answers.get("greet", greeting),
        "tools/list": answers.get(
            "tools", {"tools": [{"name": "look", "inputSchema": {"type": "object"}}]}
        ),
        "tools/call": answers.get("call", {"content": []}),
    }


SETTINGS = ServerSettings(command="x", protocol="legacy", startup_timeout_s=20)
TIMINGS = ConnectTimings(call_wait_s=10, soon_s=2, first_backoff_s=1, longest_backoff_s=60)
NOT_NOW = types.ErrorData(code=types.INTERNAL_ERROR, message="not now")


@asynccontextmanager
async def owned(server: ScriptedServer, **options: Any) -> AsyncIterator[Connection]:
    """A connection that is run, whether it reaches its server or not."""
    made = {"settings": SETTINGS, "timings": TIMINGS, "open_transport": server.open, **options}
    connection = Connection("s", **made)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        await anyio.wait_all_tasks_blocked()
        yield connection
        tasks.cancel_scope.cancel()


async def look(connection: Connection, caller: FakeCaller | None = None) -> Any:
    return await connection.call(a_call(Tool("s", "look"), {}, caller or FakeCaller()))


def about(seconds: float) -> Any:
    return pytest.approx(seconds, rel=0.2)


async def given_up(connection: Connection, seconds: float = 1) -> None:
    with anyio.move_on_after(seconds) as scope:
        await look(connection)
    assert scope.cancelled_caught
