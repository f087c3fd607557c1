"""A session is looked after while it is open. Lists that change and unused servers are tested with
the connection, over every transport."""

from __future__ import annotations

from typing import Any

import anyio
import mcp_types as types
import pytest

from plait.core.tools.server_notices import ServerChanged, ServerNotice
from plait.downstream.connection import Connection
from plait.errors import ConnectionLost

from .scripted import TIMINGS, ScriptedServer, about, given_up, look, owned, script


@pytest.mark.virtual_time
async def test_a_server_that_answers_neither_calls_nor_a_ping_is_started_again():
    server, notices = ScriptedServer(script()), list[ServerNotice]()
    server.script["tools/call"] = None
    async with owned(server, observe=notices.append) as connection:
        for _ in range(3):
            await given_up(connection, 2)
        server.script |= script()
        await anyio.sleep(TIMINGS.ping_s + 0.1)
        assert await look(connection) == {"content": []}
        assert server.starts == [0, about(6 + TIMINGS.ping_s)]
    assert "ping" in [method for method, _ in server.received]
    lost = [one for one in notices if isinstance(one, ServerChanged) and one.retry_in_s is not None]
    assert [one.info.error for one in lost] == ["it answered neither calls nor a ping"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("answer", [{}, types.ErrorData(code=-32601, message="unknown method")])
async def test_a_server_that_answers_a_ping_somehow_is_not_started_again(answer: Any):
    server = ScriptedServer({**script(), "tools/call": None, "ping": answer})
    async with owned(server) as connection:
        for _ in range(9):
            await given_up(connection, 2)
        await anyio.sleep(100)
        assert [method for method, _ in server.received].count("ping") == 2
    assert server.starts == [0]


@pytest.mark.virtual_time
async def test_calls_that_are_given_up_together_or_at_once_do_not_count_as_calls_in_a_row():
    server = ScriptedServer({**script(), "tools/call": None})
    async with owned(server) as connection:
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(given_up, connection, 2)
        for _ in range(5):
            await given_up(connection, 0.5)
        await anyio.sleep(100)
    assert "ping" not in [method for method, _ in server.received]


@pytest.mark.virtual_time
async def test_a_call_that_was_sent_during_the_silence_does_not_prolong_it():
    server = ScriptedServer({**script(), "tools/call": None})
    async with owned(server) as connection, anyio.create_task_group() as tasks:
        for _ in range(2):
            await given_up(connection, 2)
        tasks.start_soon(look_in_vain, connection)
        await given_up(connection, 2)
        await anyio.sleep(TIMINGS.ping_s + 1)
        assert len(server.starts) == 2
        tasks.cancel_scope.cancel()


async def look_in_vain(connection: Connection) -> None:
    with pytest.raises(ConnectionLost, match="s went away during the call"):
        await look(connection)


@pytest.mark.virtual_time
async def test_a_server_may_be_silent_for_longer_while_it_works_on_an_earlier_call():
    server = ScriptedServer({**script(), "tools/call": None})
    async with owned(server) as connection, anyio.create_task_group() as tasks:
        tasks.start_soon(given_up, connection, 3_600)
        await anyio.sleep(1)
        for _ in range(3):
            await given_up(connection, 2)
        await anyio.sleep(TIMINGS.busy_ping_s - 1)
        assert server.starts == [0]
        await server.send(method="notifications/message", params={"level": "info", "data": 1})
        await anyio.sleep(100)
        assert server.starts == [0]
        tasks.cancel_scope.cancel()
