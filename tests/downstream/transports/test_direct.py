"""Requests to a process that go around the SDK's dispatcher."""

from __future__ import annotations

import json
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import MCPError

from plait.core.ports import NO_CLIENT, OnProgress
from plait.core.values.strict import JsonObject
from plait.downstream.server_requests.origin import RequestOrigin
from plait.downstream.transports.direct import FIRST_ID, Direct
from plait.downstream.transports.faults import Unsent
from plait.downstream.transports.lines import Lines


class Pipe:
    """The pipes of a process: what is written to it, and `says` for what it writes."""

    def __init__(self) -> None:
        self.lines = Lines(10_000)
        self.written: list[Any] = []
        self.is_blocked = False
        self.is_open = True

    async def write(self, data: bytes) -> None:
        if not self.is_open:
            raise anyio.BrokenResourceError
        assert data.endswith(b"\n")
        self.written.append(json.loads(data))

    def exit_reason(self) -> str:
        return "it ended with exit code 3"

    def says(self, **message: Any) -> None:
        line = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        assert list(self.lines.read(line)) == []  # nothing is left for the dispatcher


class Session:
    """Requests to a process, with their answers and failures in the order in which they came."""

    def __init__(self) -> None:
        self.pipe = Pipe()
        self.notified: list[tuple[str, JsonObject]] = []
        self.answers: list[Any] = []
        process: Any = self.pipe
        self.origin = RequestOrigin(NO_CLIENT)
        self.direct = Direct(process, lambda *notice: self.notified.append(notice))

    async def request(self, params: Any = None, on_progress: OnProgress | None = None) -> None:
        try:
            self.answers.append(
                await self.direct.request("tools/call", params or {}, on_progress, self.origin)
            )
        except (MCPError, Unsent) as error:
            self.answers.append(error)

    def id(self, number: int = 0) -> int:
        """The id of one of the requests that were written."""
        return int(self.pipe.written[number]["id"])


async def test_a_request_is_one_line_and_its_answer_is_returned_as_it_came():
    session = Session()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.request, {"name": "ä\u2028"})
        await anyio.wait_all_tasks_blocked()
        session.pipe.says(id=session.id(), result={"x-odd": [1, None, 1.5]})
    assert session.answers == [{"x-odd": [1, None, 1.5]}]
    assert session.pipe.written == [
        {"jsonrpc": "2.0", "id": FIRST_ID, "method": "tools/call", "params": {"name": "ä\u2028"}}
    ]


async def test_answers_in_another_order_each_reach_their_own_request():
    session = Session()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(session.request)
        await anyio.wait_all_tasks_blocked()
        for number in (2, 0, 1):
            session.pipe.says(id=session.id(number), result={"n": number})
            await anyio.wait_all_tasks_blocked()
    assert session.answers == [{"n": 2}, {"n": 0}, {"n": 1}]


async def test_an_error_of_the_server_is_raised_as_it_came():
    session = Session()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.request)
        await anyio.wait_all_tasks_blocked()
        error = {"code": -32042, "message": "no luck", "data": [1]}
        session.pipe.says(id=session.id(), error=error)
    (failure,) = session.answers
    assert failure.error == types.ErrorData(code=-32042, message="no luck", data=[1])


async def test_a_request_that_could_not_be_written_was_not_sent_and_says_how_the_server_ended():
    session = Session()
    session.pipe.is_open = False
    await session.request()
    (failure,) = session.answers
    assert isinstance(failure, Unsent)
    assert failure.message == "it ended with exit code 3"


async def test_the_end_of_the_connection_fails_all_open_requests():
    session = Session()
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(session.request)
        await anyio.wait_all_tasks_blocked()
        session.direct.end()
    assert [error.error.code for error in session.answers] == [types.CONNECTION_CLOSED] * 2


async def test_a_cancelled_request_is_cancelled_at_the_server_and_its_late_answer_is_dropped():
    session = Session()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.request)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    cancellation = session.pipe.written[1]
    assert cancellation["method"] == "notifications/cancelled"
    assert cancellation["params"]["requestId"] == session.id()
    late = b'{"jsonrpc":"2.0","id":%d,"result":7}\n' % session.id()
    assert list(session.pipe.lines.read(late)) == []
    assert (session.answers, session.pipe.lines.invalid_lines) == ([], 1)


@pytest.mark.parametrize("member", ["is_blocked", "is_open"])
async def test_a_cancelled_caller_does_not_wait_for_a_server_that_takes_nothing(member: str):
    session = Session()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.request)
        await anyio.wait_all_tasks_blocked()
        setattr(session.pipe, member, member == "is_blocked")
        tasks.cancel_scope.cancel()
    assert len(session.pipe.written) == 1
    assert session.answers == []  # it was cancelled, and nothing else


async def test_progress_is_asked_for_only_if_it_is_wanted_and_arrives_before_the_answer():
    session, seen = Session(), list[Any]()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.request, {"_meta": {"mine": 1}}, seen.append)
        tasks.start_soon(session.request, {"_meta": {"mine": 2}})
        await anyio.wait_all_tasks_blocked()
        token = session.id()
        metas = [request["params"]["_meta"] for request in session.pipe.written]
        assert metas == [{"mine": 1, "progressToken": token}, {"mine": 2}]
        for step in (1, 2):
            params = {"progressToken": token, "progress": step}
            session.pipe.says(method="notifications/progress", params=params)
        session.pipe.says(id=token, result={})
        assert [params["progress"] for params in seen] == [1, 2]
        session.pipe.says(id=session.id(1), result={})


async def test_notifications_are_passed_on_in_order():
    session = Session()
    for number in range(3):
        session.pipe.says(method="notifications/message", params={"n": number})
    session.pipe.says(method="notifications/tools/list_changed")
    assert session.notified == [
        *(("notifications/message", {"n": number}) for number in range(3)),
        ("notifications/tools/list_changed", {}),
    ]
