"""The lines of a client behind a door: one frame settles each, and reports say which may be sent
again."""

from __future__ import annotations

import json
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from plait.door import frames
from plait.upstream.transports.frame_stream import FrameStream
from plait.waiting import UNNOTICED_S

from .door_end import MAX_BYTES, door, doors
from .talking import ENVELOPE, HANDSHAKE

WRITE, READ = {"name": "write"}, {"name": "read_file"}


def line(method: str, id: int | None = None, **params: Any) -> bytes:
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(message if id is None else {**message, "id": id}).encode()


async def test_a_call_that_may_change_something_is_taken_before_it_begins():
    async with door() as end:
        await end.handshake()
        await end.request(3, "tools/call", WRITE)
        assert await end.until(frames.TAKEN, 3) == b"3\0write"
        end.house.talk.blocked.set()
        assert "result" in await end.answer(3)


async def test_requests_without_effects_are_safe_unless_their_answer_says_so():
    async with door() as end:
        await end.handshake()
        await end.request(3, "tools/list")
        assert "result" in await end.answer(3)
        await end.request(4, "tools/call", READ)
        dry = {"name": "execute_dag", "arguments": {"dry_run": True}}
        await end.request(5, "tools/call", dry)
        for number in (4, 5):
            assert await end.until(frames.SAFE, number) == str(number).encode()
        assert (frames.SAFE, 3) not in {(kind, number) for kind, number, _ in end.frames}


async def test_no_more_requests_are_begun_than_one_client_may_have_open(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("plait.upstream.transports.door_session.MOST_BEGUN", 2)
    async with door() as end:
        await end.handshake()
        for number in (3, 4, 5):
            await end.request(number, "tools/call", WRITE)
        for number in (3, 4):
            await end.until(frames.TAKEN, number)
        await end.line(6, method="notifications/progress", params={"progressToken": 1})
        await end.until(frames.DONE, 6)
        assert (frames.TAKEN, 5) not in {(kind, number) for kind, number, _ in end.frames}
        end.house.talk.blocked.set()
        for number in (3, 4, 5):
            assert "result" in await end.answer(number)


async def test_notifications_and_replies_are_done():
    async with door() as end:
        await end.handshake()
        await end.line(3, method="notifications/progress", params={"progressToken": 1})
        await end.until(frames.DONE, 3)
        await end.line(4, id="not asked", result={})
        assert await end.until(frames.SETTLED) == b'"not asked"'
        await end.until(frames.DONE, 4)


async def test_a_cancelled_request_is_done_and_not_answered():
    async with door() as end:
        await end.handshake()
        await end.request(3, "tools/call", WRITE)
        await end.until(frames.TAKEN, 3)
        await end.line(4, method="notifications/cancelled", params={"requestId": 3})
        await end.until(frames.DONE, 3)
        await end.put(frames.END)
        assert not [each for each in await end.end() if each[0] == frames.MESSAGE]


async def test_what_makes_the_session_is_kept():
    async with door() as end:
        await end.hello()
        await end.request(1, "initialize", HANDSHAKE)
        assert await end.until(frames.KEEP, 1) == b"initialize\x002025-11-25"
        await end.line(2, method="notifications/initialized")
        assert await end.until(frames.KEEP, 2) == b"initialized\0"


async def test_two_requests_of_one_id_are_each_answered_under_their_number():
    async with door() as end:
        await end.handshake()
        for number in (3, 4):
            await end.line(number, id=7, method="tools/list", params={})
        assert [(await end.answer(number))["id"] for number in (3, 4)] == [7, 7]


async def test_lines_that_cannot_be_read_are_refused_under_their_numbers():
    async with door() as end:
        await end.handshake()
        await end.put(frames.MESSAGE, b"{", 3)
        await end.put(frames.TOO_LONG, b'{"jsonrpc":"2.0","id":44,"method":"tools/call",', 4)
        await end.put(frames.MESSAGE, b'{"id":55,"x":"' + b"x" * MAX_BYTES, 5)
        assert (await end.answer(3))["error"]["code"] == -32700
        for number, id in ((4, 44), (5, 55)):
            refused = await end.answer(number)
            assert (refused["id"], refused["error"]["code"]) == (id, -32600)
            assert "100,000 bytes" in refused["error"]["message"]


async def test_questions_name_the_gateway_and_are_settled_by_the_answer():
    async with door() as end:
        await end.handshake()
        session = end.link._session
        assert session is not None
        answers = []

        async def ask() -> None:
            answers.append(await session.conversation.session.send_raw_request("roots/list", {}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            assert await end.until(frames.ASKED) == b'"g1-1"'
            assert (await end.answer(0))["id"] == "g1-1"
            await end.line(3, id="g1-1", result={"roots": []})
            assert await end.until(frames.SETTLED) == b'"g1-1"'
        assert answers == [{"roots": []}]


async def test_a_question_that_is_withdrawn_is_settled():
    async with door() as end:
        await end.handshake()
        session = end.link._session
        assert session is not None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.conversation.session.send_raw_request, "roots/list", {})
            await end.until(frames.ASKED)
            tasks.cancel_scope.cancel()
        assert await end.until(frames.SETTLED) == b'"g1-1"'


async def test_a_session_goes_on_at_another_gateway_and_learns_that_lists_may_have_changed():
    async with door() as end:
        await end.hello()
        opening = line("initialize", 1, **HANDSHAKE)
        await end.put(frames.REPLAY, b"initialize\x002025-11-25\0" + opening, 1)
        await end.put(frames.REPLAY, b"initialized\0\0" + line("notifications/initialized"), 2)
        await end.request(3, "tools/list")
        assert "result" in await end.answer(3)
        assert end.link.client.name == "test"
        await end.put(frames.END)
        assert not [each for each in await end.end() if each[1] in {1, 2}]


async def test_a_gateway_that_announces_changes_announces_them_all_after_a_replay():
    async with door() as end:
        end.house.talk.announces = True
        await end.hello()
        opening = line("initialize", 1, **HANDSHAKE)
        await end.put(frames.REPLAY, b"initialize\x002025-11-25\0" + opening, 1)
        await end.put(frames.REPLAY, b"initialized\0\0" + line("notifications/initialized"), 2)
        assert (await end.answer(0))["method"] == "notifications/tools/list_changed"


async def test_a_session_of_another_protocol_version_does_not_go_on():
    async with door() as end:
        await end.hello()
        opening = line("initialize", 1, **HANDSHAKE)
        await end.put(frames.REPLAY, b"initialize\x002024-11-05\0" + opening, 1)
        code, _, text = (await end.until(frames.REFUSED)).partition(b"\0")
        assert code == b"protocol"
        assert b"2025-11-25" in text
        await end.end()


@pytest.mark.parametrize("is_modern", [False, True])
async def test_a_lost_call_is_answered_as_interrupted(is_modern: bool):
    async with door() as end:
        await end.hello()
        if not is_modern:
            opening = line("initialize", 1, **HANDSHAKE)
            await end.put(frames.REPLAY, b"initialize\x002025-11-25\0" + opening, 1)
        await end.put(frames.LOST, b'"seven"\0github__create_issue', 7)
        answer = await end.answer(7)
        if is_modern:
            await end.request(8, "tools/list", {"_meta": ENVELOPE})
            assert "result" in await end.answer(8)
    assert answer["id"] == "seven"
    assert answer["result"]["isError"]
    assert answer["result"]["structuredContent"]["sent"] == "unknown"
    assert ("resultType" in answer["result"]) is is_modern


async def test_nothing_is_begun_for_a_client_that_does_not_read_but_it_may_cancel():
    async with doors() as (house, connect):
        end = await connect()
        await end.handshake()
        await end.request(3, "tools/call", WRITE)
        await end.until(frames.TAKEN, 3)
        filler = b"x" * 3_000_000
        end.link.stream.put(frames.MESSAGE, filler)
        await end.request(4, "tools/call", WRITE)
        await end.request(5, "tools/call", WRITE)
        await end.line(6, method="notifications/cancelled", params={"requestId": 4})
        await end.line(7, method="notifications/custom")
        while "notifications/custom" not in house.talk.noticed:
            await anyio.lowlevel.checkpoint()
        assert house.talk.calls == 1
        assert await end.until(frames.MESSAGE) == filler
        await end.until(frames.DONE, 4)
        await end.until(frames.TAKEN, 5)


async def test_requests_that_wait_for_a_slow_client_are_answered_before_its_end():
    async with doors() as (_, connect):
        end = await connect()
        await end.handshake()
        end.link.stream.put(frames.MESSAGE, b"x" * 3_000_000)
        await end.request(3, "tools/list")
        await end.put(frames.END)
        assert "result" in await end.answer(3)


@pytest.mark.parametrize("text", [line("notifications/progress", progressToken=1), b"[[["])
async def test_a_client_that_sends_much_that_is_no_request_is_read_with_rests(
    text: bytes, monkeypatch: pytest.MonkeyPatch
):
    rests: list[float] = []
    monkeypatch.setattr(FrameStream, "rest", lambda stream, seconds: rests.append(seconds))
    monkeypatch.setattr("plait.upstream.transports.door_session.HANDLING_S", 0.001)
    async with door() as end:
        await end.handshake()
        rests.clear()
        for number in range(3, 40):
            await end.request(number, "tools/list")
            assert "result" in await end.answer(number)
        assert rests == []
        for number in range(40, 50):
            await end.put(frames.MESSAGE, text, number)
        await end.request(50, "tools/list")
        assert "result" in await end.answer(50)
    assert len(rests) >= 3
    assert all(seconds > UNNOTICED_S for seconds in rests)
