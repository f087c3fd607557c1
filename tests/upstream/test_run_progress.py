"""Progress of a run: rising values, not too often, and never a reason to wait."""

from __future__ import annotations

import itertools
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.shared.message import SessionMessage

from plait.core.scheduling.notices import Finished, Notice
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.server import build_server

from ..fakes import FakeServers
from .conftest import Connect, in_memory, sleep

pytestmark = pytest.mark.virtual_time


async def test_progress_rises_with_every_message_and_is_sent_every_five_seconds(connect: Connect):
    heard: list[tuple[float, float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append((anyio.current_time(), progress, total, message))

    tasks = [sleep("a", 1), sleep("b", 2), sleep("c", 20, depends_on=["b"])]
    async with connect() as client:
        await client.call_tool("execute_dag", {"tasks": tasks}, progress_callback=note)
    times, values, totals, messages = zip(*heard, strict=True)
    assert all(later > earlier for earlier, later in itertools.pairwise(values))
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= 5.2
    assert set(totals) == {3}
    assert values[-1] == 3
    assert "1/3 done; running b" in messages
    assert values[0] >= 0


async def test_progress_comes_at_most_ten_times_a_second(connect: Connect, servers: FakeServers):
    heard: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(anyio.current_time())

    async with connect() as client:
        tasks = [sleep(f"t{n}", 0.01 * n) for n in range(100)]
        await client.call_tool("execute_dag", {"tasks": tasks}, progress_callback=note)
    assert heard[-1] - heard[0] > 0.5
    assert len(heard) <= (heard[-1] - heard[0]) * 10 + 3


async def test_a_client_that_does_not_read_its_progress_delays_no_run(servers: FakeServers):
    ended: list[str] = []

    def note(notice: Notice) -> None:
        if isinstance(notice, Finished):
            ended.append(notice.status)

    async with (
        Gateway(servers, servers, InMemoryRuns(), observers=[note]) as gateway,
        in_memory(build_server(gateway)) as (read, write),
    ):

        async def send(method: str, params: dict[str, Any], id: int | None = None) -> None:
            members = {"jsonrpc": "2.0", "method": method, "params": params} | (
                {"id": id} if id else {}
            )
            await write.send(SessionMessage(types.jsonrpc_message_adapter.validate_python(members)))

        info = {"name": "test", "version": "1"}
        await send(
            "initialize",
            {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info},
            1,
        )
        await read.receive()
        await send("notifications/initialized", {})
        tasks = [sleep("a", 1), sleep("b", 1, depends_on=["a"]), sleep("c", 1, depends_on=["b"])]
        call = {"name": "execute_dag", "arguments": {"tasks": tasks}, "_meta": {"progressToken": 7}}
        await send("tools/call", call, 2)
        await anyio.sleep(10)
        assert len(servers.calls) == 3
        assert ended == ["success"]
        heard = [(await read.receive()).message for _ in range(2)]
    assert isinstance(heard[0], types.JSONRPCNotification)
    assert isinstance(heard[1], types.JSONRPCResponse)
