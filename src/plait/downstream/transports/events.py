"""Server-sent events: parsed from a stream of bytes, with a limit on each (the WHATWG HTML
standard, 9.2.6), and read as messages that are strict JSON."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

import mcp_types as types
from mcp_types import jsonrpc_message_adapter

from ...core.values.strict import RESULT_DEPTH, NotStrict, loads
from ..mcp_sdk import SessionMessage
from .faults import Fault, made_error, unreadable
from .lines import HEAD_BYTES, MARK, answered_id, names_a_method

log = logging.getLogger(__name__)

LEAST_LINE_BYTES = 64
"""The size that each line of an event counts at least."""
MESSAGE_DEPTH = RESULT_DEPTH + 2
"""The depth of a message that holds the deepest result. Deeper ones would fail in the SDK, which
writes a part of them to the log."""

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `id` and `retry` as they were written, None if they were not."""

    kind: str
    data: bytes
    id: bytes | None = None
    retry: bytes | None = None
    is_too_long: bool = False
    """Whether it exceeds the limit; then `data` is only its beginning."""

    @property
    def may_hold_message(self) -> bool:
        return self.kind == "message" and (bool(self.data) or self.is_too_long)


class Events:
    """Give it bytes as they arrive. An event above *max_bytes* is yielded as soon as it exceeds
    them, and its rest is skipped."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._line = bytearray()
        self._size = 0
        self._data: list[bytes] = []
        self._kind = ""
        self._id: bytes | None = None
        self._retry: bytes | None = None
        self._is_skipping = False
        self._has_begun = False
        self._after_return = False
        """Whether the last byte was a carriage return, so that a line feed now belongs to it."""

    def read(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that *chunk* completes, and the one that it makes too long."""
        if self._after_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_return = False
        if chunk:
            self._after_return = chunk.endswith(b"\r")
        *ends, rest = _LINE_END.split(chunk)
        for end in ends:
            yield from self._grow(end)
            line, self._line = bytes(self._line), bytearray()
            yield from self._end(line)
        yield from self._grow(rest)

    def _grow(self, part: bytes) -> Iterator[Event]:
        """Add *part* to the current line; yield the event if that makes it too long."""
        if not self._is_skipping:
            self._line += part
        elif not self._line:
            self._line += part[:1]  # enough to tell a blank line from others
        if self._size + len(self._line) > self._max_bytes:
            data = [*self._data, bytes(self._line[:HEAD_BYTES]).removeprefix(b"data:").lstrip()]
            event = Event(self._kind or "message", b"\n".join(data)[:HEAD_BYTES], is_too_long=True)
            self._clear()
            self._is_skipping, self._line = True, bytearray(b"-")
            yield event

    def _end(self, line: bytes) -> Iterator[Event]:
        """Take a whole *line*; a blank one ends the event, which is yielded."""
        if not self._has_begun:
            self._has_begun, line = True, line.removeprefix(MARK)
        if line:
            if not self._is_skipping:
                self._field(line)
            return
        is_there = self._data or self._kind or self._id is not None or self._retry is not None
        if is_there and not self._is_skipping:
            data = b"\n".join(self._data).removeprefix(MARK)
            yield Event(self._kind or "message", data, self._id, self._retry)
        self._is_skipping = False
        self._clear()

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._size += max(len(line), LEAST_LINE_BYTES)
                self._data.append(value)
            case b"event":
                self._kind = value[:200].decode("utf-8", "replace")
            case b"id" if b"\0" not in value:
                self._id = value[:1_000]
            case b"retry" if value.isdigit():
                self._retry = value[:9]

    def _clear(self) -> None:
        self._kind, self._data, self._size = "", [], 0
        self._id = self._retry = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The reason why an event holds no message. `id` is that of the request that it answers, None
    if unknown; `is_answer` says whether it may be an answer."""

    error: types.ErrorData
    id: int | None
    is_answer: bool


def read_event(event: Event, max_bytes: int) -> types.JSONRPCMessage | Unreadable:
    """Read the message that *event* holds."""
    if event.is_too_long:
        complaint = f"an event of its answers exceeded {max_bytes:,} bytes"
        return _unreadable(event.data, made_error(Fault.TOO_LARGE, complaint))
    return read_message(event.data)


def read_message(data: bytes) -> types.JSONRPCMessage | Unreadable:
    """Read the bytes of one message."""
    try:
        return jsonrpc_message_adapter.validate_python(loads(data, MESSAGE_DEPTH), by_name=False)
    except ValueError as error:  # NotStrict, or pydantic's
        reason = str(error) if isinstance(error, NotStrict) else "it is not a JSON-RPC message"
        return _unreadable(data, unreadable(reason, error))


def delivered(found: types.JSONRPCMessage | Unreadable) -> SessionMessage | None:
    """Make of what was read the message to deliver: instead of an answer that cannot be read, the
    error for its request; None for anything else that cannot be read, which is logged."""
    match found:
        case Unreadable(error=error, id=int(id)):
            return SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=id, error=error))
        case Unreadable(error=error):
            log.debug("server.unreadable", extra={"error": error.message})
            return None
    return SessionMessage(found)


def _unreadable(data: bytes, error: types.ErrorData) -> Unreadable:
    id = answered_id(data, data)
    return Unreadable(error, id, is_answer=id is not None or not names_a_method(data))
