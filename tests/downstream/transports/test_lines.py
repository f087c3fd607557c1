"""Bytes from a pipe become messages; what cannot be read ends the request it answers and no
other."""

from __future__ import annotations

import asyncio
import codecs
import json
import time
from collections.abc import Iterable
from typing import Any

import mcp_types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.message import SessionMessage

from plait.core.values.strict import MAX_VALUES
from plait.downstream.transports.faults import Fault
from plait.downstream.transports.lines import HEAD_BYTES, Lines, LineTooLong, Waiter

from ...profiles import CHARACTERS

LIMIT = 200_000


def reader(*asked: int) -> Lines:
    lines = Lines(LIMIT)
    for id in asked:
        lines.expect(id)
    return lines


def answer(id: int, **result: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": id, "result": result}).encode() + b"\n"


def faults(items: Iterable[SessionMessage]) -> list[tuple[Any, str]]:
    """The ids that were ended, and why."""
    messages = [item.message for item in items]
    return [
        (message.id, message.error.data["plait.fault"]["fault"])
        for message in messages
        if isinstance(message, types.JSONRPCError)
    ]


@given(
    st.lists(st.dictionaries(st.text(CHARACTERS), st.integers() | st.text(CHARACTERS)), max_size=5),
    st.data(),
)
def test_any_chunks_give_the_same_messages(results: list[dict[str, Any]], data: st.DataObject):
    stream = b"".join(answer(id, value=result) for id, result in enumerate(results))
    lines = reader(*range(len(results)))
    found: list[Any] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += lines.read(stream[:size])
        stream = stream[size:]
    assert [item.message.result["value"] for item in found] == results


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":7,"result":{"x":"\xff"}}',
        b'{"jsonrpc":"2.0","result":{"items":[{"id":3},{"id":4}],"x":"\xff"},"id":7}',
        b'{"id" : 7, "jsonrpc":"2.0","result":{"text":"\\"id\\":3} {","x":NaN}}',
        b'{"jsonrpc":"2.0","id":7,"result":{"x":1e999}}',
        b'{"jsonrpc":"2.0","id":7,"result":{"x":%s}}' % (b"9" * 5_000),
        b'{"jsonrpc":"2.0","id":7,"result":%s1%s}' % (b'{"a":' * 2_000, b"}" * 2_000),
        b'{"jsonrpc":"2.0","id":7,"result":{"a":1,"a":2}}',
        b'{"jsonrpc":"2.0","id":7,"result":{"x":"cut off',
        b'{"jsonrpc":"2.0","id":7,"result":[1,2]}',
        b'{"jsonrpc":"2.0","id":"7","result":null}',
        b'{"jsonrpc":"2.0","id":7,"error":{"code":"E","message":"no number"}}',
        b'{"jsonrpc":"2.0","result":{"x":"%s","y":"\xff"},"id":7}' % (b"x" * HEAD_BYTES),
    ],
)
def test_an_unreadable_answer_fails_its_request(line: bytes):
    assert faults(reader(3, 4, 7).read(line + b"\n")) == [(7, Fault.UNREADABLE)]


@pytest.mark.parametrize(
    "line",
    [
        b"debug: starting",
        b"{}",
        b"[]",
        b"null",
        b'[{"jsonrpc":"2.0","id":99,"result":{}}]',
        b'{"jsonrpc":"2.0","id":3,"method":"sampling/createMessage","params":{"x":"\xff"}}',
        b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"id":3,"x":"\xff"}}',
        b'{"jsonrpc":"2.0","id":99,"result":[]}',
        b'{"jsonrpc":"2.0","result":{"id":3},"x":"\xff"}',
        b'{"jsonrpc":"2.0","id":true,"result":[]}',
    ],
)
def test_an_unreadable_line_that_answers_no_request_is_counted_and_skipped(line: bytes):
    lines = reader(1, 3)
    assert faults(lines.read(line + b"\n" + answer(1))) == []
    assert lines.invalid_lines == 1
    assert faults(lines.read(b'{"jsonrpc":"2.0","id":3,"result":7}\n')) == [(3, Fault.UNREADABLE)]


async def test_a_batch_fails_the_requests_that_it_answers_at_once():
    lines = reader(3)
    waiters = [Waiter(asyncio.get_running_loop().create_future()) for _ in range(2)]
    for id, waiter in zip((7, 8), waiters, strict=True):
        lines.expect(id, waiter)
    parts = b",".join(b'{"jsonrpc":"2.0","id":%d,"result":{}}' % id for id in (7, 3, 8, 99))
    assert faults(lines.read(b"[5,%s]\n" % parts)) == [(3, Fault.UNREADABLE)]
    for waiter in waiters:
        error: Any = waiter.answer.result()
        assert error.message == "the server answered with a batch, which MCP does not have"
    assert lines.invalid_lines == 0


def test_a_request_fails_once_and_an_answered_or_cancelled_one_never():
    lines = reader(1, 2, 3)
    list(lines.read(answer(1)))
    lines.forget(2)
    broken = b"".join(b'{"jsonrpc":"2.0","id":%d,"result":0}\n' % id for id in (1, 2, 3, 3))
    assert faults(lines.read(broken)) == [(3, Fault.UNREADABLE)]


async def test_a_waiter_gets_its_answer_straight_from_the_line():
    lines = Lines(LIMIT)
    waiters = [Waiter(asyncio.get_running_loop().create_future()) for _ in range(5)]
    for id, waiter in enumerate(waiters):
        lines.expect(id, waiter)
    failed = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"no luck"}}\n'
    broken = b'{"jsonrpc":"2.0","id":2,"result":[1]}\n'
    both = b'{"jsonrpc":"2.0","id":3,"result":{},"error":{"code":-32043,"message":"which?"}}\n'
    [late] = lines.read(answer(0, x=1) + failed + broken + both + answer(0, x=2))
    assert isinstance(late.message, types.JSONRPCResponse)
    lines.end(types.ErrorData(code=types.CONNECTION_CLOSED, message="gone"))
    assert waiters[0].answer.result() == {"x": 1}
    errors = [waiter.answer.result() for waiter in waiters[1:]]
    assert [error.code for error in errors if isinstance(error, types.ErrorData)] == [
        -32042,
        -32003,
        -32043,
        -32000,
    ]


@pytest.mark.parametrize(
    ("params", "is_told"),
    [
        ({"progress": 1}, True),
        ({"progress": 1.0, "x-odd": [None], "_meta": {"a": 1}}, True),
        ({"progress": -0.5, "total": 2, "message": "half"}, True),
        ({"progress": 1, "total": True, "message": 5}, True),
        ({"progress": 10**400}, True),
        ({"progress": True}, False),
        ({"progress": "1"}, False),
        ({"progress": 1, "progressToken": 8}, False),
        ({"progress": 1, "progressToken": [7]}, False),
    ],
)
async def test_progress_goes_as_it_came_to_the_waiter_that_wants_it(
    params: dict[str, Any], is_told: bool
):
    heard: list[Any] = []
    lines = Lines(LIMIT)
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    lines.expect(7, Waiter(future, heard.append))
    told = {"progressToken": 7, **params}
    message = {"jsonrpc": "2.0", "method": "notifications/progress", "params": told}
    passed_on = list(lines.read(json.dumps(message).encode() + b"\n"))
    assert repr(heard) == repr([told] if is_told else [])
    assert bool(passed_on) != bool(heard)


def test_numbers_stay_exact():
    [item] = reader(1).read(answer(1, big=2**64, huge=10**40, small=0.1))
    assert isinstance(item.message, types.JSONRPCResponse)
    assert item.message.result == {"big": 2**64, "huge": 10**40, "small": 0.1}
    assert isinstance(item.message.result["big"], int)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_above_the_limit_ends_its_request_and_the_stream(end: bytes):
    found: list[SessionMessage] = []
    messages = reader(7).read(
        answer(1) + b'{"jsonrpc":"2.0","id":7,"result":{"x":"' + b"x" * LIMIT + end
    )
    with pytest.raises(LineTooLong, match="longer than 200,000 bytes"):
        found.extend(messages)
    assert faults(found) == [(7, Fault.TOO_LARGE)]


def test_a_long_line_in_many_pieces_takes_time_in_proportion_to_its_bytes():
    lines = Lines(2**30)
    line = answer(1, x="x" * 32_000_000)
    began = time.process_time()
    for start in range(0, len(line), 4_096):
        found = list(lines.read(line[start : start + 4_096]))
    assert len(found) == 1
    assert (
        time.process_time() - began < 4
    )  # it takes 0.2 s; joining the pieces one by one would take 20


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything(data: bytes):
    for item in reader(0, 1).read(data + b"\n"):
        assert isinstance(item, SessionMessage)


def test_an_answer_of_too_many_values_fails_its_request_alone():
    bomb = b"{}," * MAX_VALUES + b"{}"
    lines = Lines(10 * MAX_VALUES)
    lines.expect(7)
    lines.expect(8)
    data = b'{"jsonrpc":"2.0","id":7,"result":{"x":[' + bomb + b"]}}\n" + answer(8)
    [refused, read] = lines.read(data)
    assert faults([refused]) == [(7, Fault.TOO_LARGE)]
    assert "it holds more than 250,000 values" in str(refused.message)
    assert isinstance(read.message, types.JSONRPCResponse)


def test_a_byte_order_mark_before_an_answer_changes_nothing():
    lines = reader(7)
    (message,) = lines.read(codecs.BOM_UTF8 + answer(7, x=1))
    assert isinstance(message.message, types.JSONRPCResponse)
    assert message.message.result == {"x": 1}
    assert lines.invalid_lines == 0
