"""Bytes of an event stream become events, each within its bound, and events become messages."""

from __future__ import annotations

import json
import time
from typing import Any

import mcp_types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.values.strict import MAX_VALUES
from plait.downstream.transports.events import (
    LEAST_LINE_BYTES,
    Event,
    Events,
    Unreadable,
    delivered,
    read_event,
    read_message,
)
from plait.downstream.transports.faults import Fault

LIMIT = 10_000
TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


def read(stream: bytes, limit: int = LIMIT) -> list[Event]:
    return list(Events(limit).read(stream))


@given(st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), max_size=5), st.data())
def test_any_chunks_and_any_line_ends_give_the_same_events(
    written: list[tuple[str, list[str]]], data: st.DataObject
):
    stream = b""
    for kind, lines in written:
        fields = [f"event: {kind}", *(f"data: {line}" for line in lines), ""]
        stream += b"".join(
            field.encode() + data.draw(st.sampled_from([b"\n", b"\r\n"])) for field in fields
        )
    events, found = Events(LIMIT), list[Event]()
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += events.read(stream[:size])
        stream = stream[size:]
    assert [(event.kind, event.data.decode()) for event in found] == [
        (kind or "message", "\n".join(lines)) for kind, lines in written
    ]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [Event("message", b"a")]),
        (b"data:a\r\rdata:  b\r\r", [Event("message", b"a"), Event("message", b" b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event("message", b"a")]),
        (b"data: \xef\xbb\xbf{}\n\n", [Event("message", b"{}")]),
        (b": ping\n\n\n\ndata\n\n", [Event("message", b"")]),
        (b"id: 7\nretry: 10\ndata:\n\n", [Event("message", b"", b"7", b"10")]),
        (b"id: 7\0\nretry: soon\nwhat: 1\n\n", []),
        (b"event: endpoint\ndata: /x\n\n", [Event("endpoint", b"/x")]),
        (b"data: never ended", []),
    ],
)
def test_a_stream_is_read_as_the_standard_says(stream: bytes, events: list[Event]):
    assert read(stream) == events


def test_an_event_that_is_too_long_is_reported_at_once_and_the_next_is_read():
    events = Events(LIMIT)
    begun = b'data: {"id":7,"result":"' + b"x" * LIMIT
    (told,) = events.read(begun)
    assert told.is_too_long
    assert list(events.read(b"x" * 5 * LIMIT + b"\ndata: more\n")) == []
    assert list(events.read(b"\ndata: next\n\n")) == [Event("message", b"next")]
    answer: Any = read_event(told, LIMIT)
    assert (answer.id, answer.error.data["plait.fault"]["fault"]) == (7, "too_large")


def test_many_short_lines_are_too_long_as_well():
    (told,) = read(b"data:\n" * (LIMIT // LEAST_LINE_BYTES + 2))
    assert told.is_too_long


def test_a_stream_without_end_is_read_in_time_and_memory_that_do_not_grow():
    events, began = Events(2**20), time.process_time()
    for _ in range(2_000):
        list(events.read(b"x" * 10_000))
    assert time.process_time() - began < 2
    assert len(events._line) <= 2**20


ANSWER: dict[str, Any] = {"jsonrpc": "2.0", "id": 7, "result": {"x": 2**70}}


def test_a_message_is_read_with_exact_values():
    message = read_event(Event("message", json.dumps(ANSWER).encode()), LIMIT)
    assert isinstance(message, types.JSONRPCResponse)
    assert message.result == ANSWER["result"]


@pytest.mark.parametrize(
    ("data", "id", "is_answer"),
    [
        (b'{"jsonrpc":"2.0","id":7,"result":{"x":NaN}}', 7, True),
        (b'{"jsonrpc":"2.0","id":7,"result":{"x":1,"x":2}}', 7, True),
        (b'{"jsonrpc":"2.0","result":{"x":"\xff"},"id":7}', 7, True),
        (b'{"jsonrpc":"2.0","id":7,"result":[]}', 7, True),
        (b'{"jsonrpc":"2.0","method":"notifications/message","params":{"x":NaN}}', None, False),
        (b'{"jsonrpc":"2.0","id":7,"method":"roots/list","params":{"x":1,"x":2}}', None, False),
        (b'{"result":{"method":"x"}', None, True),
        (b"hello", None, True),
    ],
)
def test_an_event_that_is_not_strict_json_is_unreadable(
    data: bytes, id: int | None, is_answer: bool
):
    found = read_event(Event("message", data), LIMIT)
    assert isinstance(found, Unreadable)
    assert (found.id, found.is_answer) == (id, is_answer)


def test_the_bytes_of_one_message_are_read_without_an_event():
    message = read_message(json.dumps(ANSWER).encode())
    assert message == read_event(Event("message", json.dumps(ANSWER).encode()), LIMIT)
    assert isinstance(read_message(b"{"), Unreadable)


def test_a_message_of_too_many_values_is_too_large():
    bomb = b"{}," * MAX_VALUES + b"{}"
    found = read_message(b'{"jsonrpc":"2.0","id":7,"result":{"x":[' + bomb + b"]}}")
    assert isinstance(found, Unreadable)
    assert found.id == 7
    assert found.error.data["plait.fault"]["fault"] == Fault.TOO_LARGE


def test_an_answer_that_cannot_be_read_is_delivered_as_an_error_for_its_request():
    readable = delivered(read_message(json.dumps(ANSWER).encode()))
    assert readable is not None
    assert readable.message == read_message(json.dumps(ANSWER).encode())
    broken = delivered(read_message(b'{"jsonrpc":"2.0","id":7,"result":{"x":NaN}}'))
    assert broken is not None
    assert isinstance(broken.message, types.JSONRPCError)
    assert broken.message.id == 7
    assert delivered(read_message(b"hello")) is None
