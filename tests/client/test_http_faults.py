"""What HTTP can do wrong costs the request it happens to; the connection and the other calls go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from plait.client.connection import Connection
from plait.config import ServerSettings
from plait.core.catalog import Tool
from plait.core.ports import ToolCall
from plait.core.strict import JsonObject
from plait.errors import CallError, ConnectionLost, InvalidOutput, OutputTooLarge, ProtocolError, ServerUnavailable

from .faulty_http import FaultyHttp, faulty_http

SOON = 10.0


@asynccontextmanager
async def connected(**settings: Any) -> AsyncIterator[tuple[FaultyHttp, Connection]]:
    async with faulty_http() as served:
        made = ServerSettings(url=served.url, startup_timeout_s=5, **settings)
        connection = Connection("web", made, max_message_bytes=1_000_000)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            with anyio.fail_after(SOON):
                await connection.settled()
            assert connection.info.error is None
            yield served, connection
            tasks.cancel_scope.cancel()


async def call(connection: Connection, name: str, **arguments: Any) -> JsonObject:
    with anyio.fail_after(SOON):
        return await connection.call(ToolCall(Tool("web", name), arguments))


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("reset", ConnectionLost, "Error"),
        ("reset_in_body", ConnectionLost, "broke off"),
        ("truncated", ConnectionLost, "broke off"),
        ("bad_chunk", ConnectionLost, "broke off"),
        ("many_headers", ConnectionLost, "Error"),
        ("stream_breaks", ConnectionLost, "broke off"),
        ("packed", ConnectionLost, "packed"),
        ("bomb", ConnectionLost, "packed"),
        ("too_large", OutputTooLarge, "longer than 1,000,000 bytes"),
        ("unauthorized", ProtocolError, "HTTP 401"),
        ("busy", ServerUnavailable, "HTTP 503"),
        ("rpc_error", ProtocolError, "no luck"),
        ("not_json", InvalidOutput, "cannot be read"),
    ],
)
async def test_a_fault_fails_its_own_call_and_no_other(fault: str, kind: type[CallError], said: str):
    async with connected() as (served, connection):
        beside: list[JsonObject] = []

        async def sibling() -> None:
            beside.append(await call(connection, "echo", x=1))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sibling)
            with pytest.raises(kind, match=said):
                await call(connection, fault)
        assert beside[0]["structuredContent"] == {"x": 1}
        assert (await call(connection, "echo", x=2))["structuredContent"] == {"x": 2}
        assert served.sessions == 1


async def test_a_busy_server_says_when_to_come_again():
    async with connected() as (_, connection):
        with pytest.raises(ServerUnavailable) as busy:
            await call(connection, "busy")
        assert "7 s" in str(busy.value.hint)


async def test_a_lost_session_is_opened_again_and_the_call_sent_once_more():
    async with connected() as (served, connection):
        await call(connection, "lose_session")
        assert (await call(connection, "echo", x=1))["structuredContent"] == {"x": 1}
        assert served.sessions == 2
        assert served.calls == ["lose_session", "echo"]


async def test_calls_that_follow_each_other_use_one_connection():
    async with connected() as (served, connection):
        await call(connection, "stream")
        before = served.connections
        for _ in range(10):
            await call(connection, "stream")
            await call(connection, "echo")
        assert served.connections == before


async def test_a_cancelled_call_is_cancelled_at_the_server():
    async with connected() as (served, connection):
        with anyio.move_on_after(0.3):
            await connection.call(ToolCall(Tool("web", "hang"), {}))
        with anyio.fail_after(SOON):
            while not served.cancelled:
                await anyio.sleep(0.01)
        assert (await call(connection, "echo", x=1))["structuredContent"] == {"x": 1}


async def test_a_server_that_is_not_there_is_told():
    connection = Connection("gone", ServerSettings(url="http://127.0.0.1:9/mcp", startup_timeout_s=5))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        with anyio.fail_after(SOON):
            await connection.settled()
        assert "ConnectError" in str(connection.info.error)
        with pytest.raises(ServerUnavailable, match="gone cannot be reached"):
            await connection.call(ToolCall(Tool("gone", "x"), {}))
        tasks.cancel_scope.cancel()
