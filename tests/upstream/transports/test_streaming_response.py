"""One response: a body or a stream, kept open, ended and slowed down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

import anyio
import mcp_types as types
import pytest

from plait.core.values.strict import JsonObject
from plait.upstream.transports.streaming_response import StreamingResponse, refuse

NOTICE: JsonObject = {"method": "notifications/x"}
RESULT: JsonObject = {"id": 1, "result": {}}
FAILED: JsonObject = {"id": 1, "error": {"code": types.METHOD_NOT_FOUND, "message": "x"}}
UNKNOWN: JsonObject = {"id": 1, "error": {"code": "odd", "message": "x"}}
JSON, EVENTS = b"application/json", b"text/event-stream"


class Sent:
    def __init__(self) -> None:
        self.events: list[Any] = []

    async def __call__(self, event: Any) -> None:
        self.events.append(event)

    @property
    def status(self) -> int:
        return int(self.events[0]["status"])

    @property
    def media_type(self) -> bytes:
        media_type: bytes = dict(self.events[0]["headers"])[b"content-type"]
        return media_type

    @property
    def body(self) -> bytes:
        return b"".join(event.get("body", b"") for event in self.events)


@pytest.mark.parametrize(
    ("answer", "statuses", "status", "media_type"),
    [
        (RESULT, False, 200, JSON),
        (RESULT, True, 200, JSON),
        (FAILED, False, 200, EVENTS),
        (FAILED, True, 404, JSON),
        (UNKNOWN, True, 200, JSON),
    ],
)
async def test_an_answer_that_comes_alone_is_a_body_except_an_error_in_a_session(
    answer: JsonObject, statuses: bool, status: int, media_type: bytes
):
    response, sent = StreamingResponse([(b"x", b"y")], statuses=statuses), Sent()
    await response.put(answer, is_last=True)
    await response.run(sent)
    assert (sent.status, sent.media_type) == (status, media_type)
    assert (b"x", b"y") in sent.events[0]["headers"]
    data = sent.body.removeprefix(b"event: message\r\ndata: ")
    assert json.loads(data) == answer


async def test_messages_before_the_answer_make_it_a_stream_in_their_order():
    response, sent = StreamingResponse(statuses=True), Sent()
    for message in (NOTICE, RESULT):
        await response.put(message, is_last=message is RESULT)
    await response.run(sent)
    lines = sent.body.split(b"\r\n")
    data = [json.loads(line.removeprefix(b"data: ")) for line in lines if line[:5] == b"data:"]
    assert (sent.status, sent.media_type, data) == (200, EVENTS, [NOTICE, RESULT])
    assert [event.get("more_body") for event in sent.events] == [None, True, False]


async def test_nothing_can_be_put_after_the_last_message():
    response, sent = StreamingResponse(), Sent()
    await response.put(RESULT, is_last=True)
    await response.run(sent)
    with pytest.raises(anyio.ClosedResourceError):
        await response.put(NOTICE)


async def test_a_stream_that_is_closed_ends_without_the_waiting_messages():
    response, sent = StreamingResponse(), Sent()
    await response.put(NOTICE)
    response.close()
    await response.run_stream(sent)
    assert (sent.status, sent.media_type, sent.body) == (200, EVENTS, b"")
    assert sent.events[-1]["more_body"] is False


async def test_a_refusal_is_an_error_with_the_id_of_its_request():
    sent = Sent()
    await refuse(sent, 400, -32600, "no", 7, {"x": 1}, [(b"x", b"y")])
    assert (sent.status, sent.media_type) == (400, JSON)
    assert (b"x", b"y") in sent.events[0]["headers"]
    assert json.loads(sent.body) == {
        "jsonrpc": "2.0",
        "id": 7,
        "error": {"code": -32600, "message": "no", "data": {"x": 1}},
    }


@pytest.mark.virtual_time
async def test_a_silent_stream_gets_comments_and_ends_with_the_answer():
    responding, sent = StreamingResponse(begins_s=1), Sent()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(responding.run, sent)
        await anyio.sleep(40)
        assert sent.body == b": ping\r\n\r\n" * 3  # after 1, 16 and 31 s
        await responding.put({"id": 1, "result": {}}, is_last=True)
    assert sent.body.endswith(b'event: message\r\ndata: {"id":1,"result":{}}\r\n\r\n')
    assert not sent.events[-1]["more_body"]


@pytest.mark.virtual_time
async def test_a_sender_waits_for_a_client_that_does_not_read_until_it_is_gone():
    responding = StreamingResponse()
    put: list[int] = []

    async def talk() -> None:
        for number in range(1_000):
            await responding.put({"method": "x"})
            put.append(number)

    async with asyncio.TaskGroup() as tasks:
        talking = tasks.create_task(_caught(talk()))
        await anyio.sleep(1)
        assert len(put) < 100
        responding.close()
    assert isinstance(talking.result(), anyio.ClosedResourceError)


async def _caught(awaitable: Awaitable[None]) -> Exception | None:
    try:
        await awaitable
    except Exception as error:
        return error
    return None
