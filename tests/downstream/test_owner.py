"""One attempt to connect after another: when each begins, how it ends, and what is kept from it. In
memory, on virtual time."""

from __future__ import annotations

import anyio
import mcp_types as types
import pytest

from plait.core.ports import RelayRequest
from plait.core.tools.catalog import ServerState
from plait.core.tools.server_notices import ServerChanged, ServerNotice
from plait.downstream.transports.faults import Fault, made_error
from plait.errors import RpcError
from plait.redaction import Secrets

from .scripted import NOT_NOW, TIMINGS, ScriptedServer, about, given_up, look, owned, script


@pytest.mark.virtual_time
async def test_a_server_that_cannot_be_reached_is_tried_again_after_growing_pauses():
    server, notices = ScriptedServer(script(greet=NOT_NOW)), list[ServerNotice]()
    async with owned(server, observe=notices.append) as connection:
        await anyio.sleep(20)
        assert connection.error == "it answered with an error: not now"
        pauses = [
            late - early for early, late in zip(server.starts, server.starts[1:], strict=False)
        ]
        assert pauses == [about(1), about(2), about(4), about(8)][: len(pauses)]
        assert len(pauses) >= 3
        changes = [one for one in notices if isinstance(one, ServerChanged) and one.retry_in_s]
        assert [one.is_repeated for one in changes] == [False] + [True] * (len(changes) - 1)
        server.script |= script()
        await anyio.sleep(75)  # a process that failed five times is started once a minute
        assert connection.info.state is ServerState.READY
        assert connection.info.error is None


@pytest.mark.virtual_time
async def test_a_server_that_asks_for_a_pause_is_left_alone_for_that_long():
    busy = made_error(Fault.STATUS, "HTTP 503", status=503, retry_after="40")
    server = ScriptedServer(script(greet=busy))
    async with owned(server):
        await anyio.sleep(60)
        assert [late - server.starts[0] for late in server.starts] == [0, about(40)]


@pytest.mark.virtual_time
async def test_a_server_that_does_not_answer_is_given_up_after_its_time_to_start():
    async with owned(ScriptedServer(script(greet=None))) as connection:
        await connection.wait_settled()
        assert anyio.current_time() == about(20)
        assert connection.error == "it did not answer within 20 s"


@pytest.mark.virtual_time
async def test_a_transport_that_does_not_open_is_given_up_after_the_time_to_start():
    server = ScriptedServer(script())
    server.opens = False
    async with owned(server) as connection:
        await connection.wait_settled()
        assert anyio.current_time() == about(20)
        assert connection.error == "it did not answer within 20 s"
        await anyio.sleep(60)
        first, second, third = server.starts[:3]
        assert (second - first, third - second) == (about(20 + 1), about(20 + 2))


@pytest.mark.virtual_time
async def test_a_server_that_lasted_is_connected_again_at_once():
    server = ScriptedServer(script())
    async with owned(server) as connection:
        await anyio.sleep(TIMINGS.healthy_s)
        server.cut()
        await anyio.wait_all_tasks_blocked()
        assert server.starts == [0, about(TIMINGS.healthy_s)]
        assert connection.state is ServerState.READY


@pytest.mark.virtual_time
async def test_a_server_that_answered_a_call_is_connected_again_at_once():
    server = ScriptedServer(script())
    async with owned(server) as connection:
        for _ in range(5):
            assert await look(connection) == {"content": []}
            server.cut()
            await anyio.wait_all_tasks_blocked()
            assert connection.state is ServerState.READY
        assert anyio.current_time() < 2
    assert len(server.starts) == 6


@pytest.mark.virtual_time
async def test_pauses_grow_between_the_starts_of_a_server_that_answers_no_call():
    server = ScriptedServer(script())
    async with owned(server):
        for pause in (1, 2, 4):
            before = anyio.current_time()
            server.cut()
            await anyio.sleep(pause * 1.3)
            assert server.starts[-1] - before == about(pause)


@pytest.mark.virtual_time
async def test_a_session_that_is_found_lost_by_a_request_of_ours_is_opened_again():
    server = ScriptedServer(script())
    async with owned(server) as connection:
        await look(connection)
        server.script["tools/list"] = made_error(Fault.SESSION_LOST, "HTTP 404", status=404)
        await server.send(method="notifications/tools/list_changed")
        await anyio.sleep(1)
        server.script |= script()
        await anyio.sleep(5)
        assert len(server.starts) > 1
        assert connection.state is ServerState.READY


@pytest.mark.virtual_time
async def test_a_new_session_is_opened_while_a_forgotten_one_waits_for_its_answers():
    server = ScriptedServer(script())
    async with owned(server) as connection, anyio.create_task_group() as tasks:
        await look(connection)
        server.script["tools/call"] = None
        tasks.start_soon(given_up, connection, 100)
        await anyio.wait_all_tasks_blocked()
        server.script["prompts/get"] = made_error(Fault.SESSION_LOST, "HTTP 410", status=410)
        with pytest.raises(RpcError):
            await connection.request(RelayRequest("s", "prompts/get"))
        server.script |= script()
        assert await look(connection) == {"content": []}
        assert anyio.current_time() < TIMINGS.drain_s
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_the_reason_of_a_failed_attempt_holds_no_secret():
    refused = types.ErrorData(code=-1, message="bad key s3cret-key")
    server = ScriptedServer(script(greet=refused))
    async with owned(server, secrets=Secrets(["s3cret-key"])) as connection:
        assert connection.error is not None
        assert "bad key" in connection.error
        assert "s3cret" not in connection.error
