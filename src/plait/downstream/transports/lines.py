"""What a server writes to its stdout: cut into lines, read as messages.

A line that cannot be read is passed over and counted, unless it is the answer to a request: then it
ends that one, at once and with the reason.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

import mcp_types as types
from mcp_types import jsonrpc_message_adapter

from ...core.ports import OnProgress
from ...core.values.strict import Json, JsonObject, NotStrict, decode
from ..mcp_sdk import SessionMessage
from .faults import Fault, made_error

HEAD_BYTES, TAIL_BYTES = 64 * 1024, 64
"""What is looked at of a line that cannot be read, for the id of its request."""


Answer: TypeAlias = "JsonObject | types.ErrorData"

OnNotice: TypeAlias = Callable[[str, JsonObject], None]
"""Told a notification: its method and its params. It must not block or raise."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """Who asked a request and gets its answer, and its progress, straight from the line."""

    answer: asyncio.Future[Answer]
    on_progress: OnProgress | None = None

    def take(self, answer: Answer) -> None:
        if not self.answer.done():  # it may have been cancelled
            self.answer.set_result(answer)

    def is_told(self, told: JsonObject) -> bool:
        """Whether *told*, the parameters of a notification, was progress; then it has been passed
        on."""
        if not is_number(told.get("progress")):
            return False
        if self.on_progress is not None:
            self.on_progress(told)
        return True


class LineTooLong(ValueError):
    """The line that is coming in is above the limit. What follows it cannot be made sense of."""


class Lines:
    """Give it bytes as they come, and the ids of requests as they are sent."""

    def __init__(self, max_bytes: int) -> None:
        self.junk = 0
        """How many lines were no message, and nobody's answer."""
        self.why_junk = ""
        self.on_notice: OnNotice | None = None
        """Told all notifications but those about a request, which are left in the messages."""
        self._max_bytes = max_bytes
        self._asked: dict[types.RequestId, Waiter | None] = {}
        self._line = bytearray()

    def asked(self, id: types.RequestId, waiter: Waiter | None = None) -> None:
        """A request of this id waits for its answer: *waiter* does, or whoever reads the
        messages."""
        self._asked[id] = waiter

    def forget(self, id: object) -> None:
        """Nobody waits for that answer any more."""
        if isinstance(id, int | str):
            self._asked.pop(id, None)

    def end(self, error: types.ErrorData) -> None:
        """No answer comes any more: *error* is that of every waiter."""
        for id, waiter in list(self._asked.items()):
            if waiter is not None:
                self.forget(id)
                waiter.take(error)

    def read(self, data: bytes) -> Iterator[SessionMessage]:
        """The messages that *data* completes. Raises `LineTooLong`, after the error for the request
        it answers."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            if self._line:
                self._line += line
                line = bytes(self._line)
                self._line = bytearray()
            if len(line) > self._max_bytes:
                yield from self._refused(line)
            if line and not line.isspace() and (message := self._message(line)) is not None:
                yield SessionMessage(message)
        self._line += rest
        if len(self._line) > self._max_bytes:
            yield from self._refused(self._line)

    def _message(self, line: bytes) -> types.JSONRPCMessage | None:
        """The message that *line* is, unless it is none or a waiter has taken it."""
        id: types.RequestId | None = None
        try:
            value = decode(line)
            id = _id_in(value)
            if self._is_taken(id, value):
                return None
            message = jsonrpc_message_adapter.validate_python(value, by_name=False)
        except ValueError as error:  # NotStrict, or pydantic's
            reason = str(error) if isinstance(error, NotStrict) else "it is not a JSON-RPC answer"
            return self._unreadable(answered_id(line, line) if id is None else id, reason)
        return self._answered(id, message)

    def _is_taken(self, id: types.RequestId | None, value: Json) -> bool:
        """Whether *value* was the result or the progress of a request that somebody waits for
        here."""
        if not isinstance(value, dict):
            return False
        if id is not None and value.keys() == _ANSWER:
            result = value["result"]
            return (
                isinstance(result, dict)
                and value["jsonrpc"] == "2.0"
                and self._is_answered(id, result)
            )
        match value:
            case {"method": "notifications/progress", "params": dict(told)}:
                token = told.get("progressToken")
                waiter = self._asked.get(token) if isinstance(token, int) else None
                return waiter is not None and waiter.is_told(told)
            case {"jsonrpc": "2.0", "method": str(method), **more} if "id" not in more:
                return self._is_noticed(method, more.get("params"))
        return False

    def _is_noticed(self, method: str, params: object) -> bool:
        """Whether a notification has been told to who wants to know."""
        if self.on_notice is None or method == "notifications/cancelled":
            return False
        self.on_notice(method, params if isinstance(params, dict) else {})
        return True

    def _is_answered(self, id: types.RequestId, answer: Answer) -> bool:
        """Whether somebody waits here for the answer to the request of this id: then it is
        there."""
        if (waiter := self._asked.pop(id, None)) is None:
            return False
        waiter.take(answer)
        return True

    def _answered(
        self, id: types.RequestId | None, message: types.JSONRPCMessage
    ) -> types.JSONRPCMessage | None:
        """*message*, unless it answers a request that somebody waits for here."""
        match message:
            case types.JSONRPCResponse(result=answer) | types.JSONRPCError(error=answer) if (
                id is not None
            ):
                return None if self._is_answered(id, answer) else message
        return message

    def _unreadable(self, id: types.RequestId | None, reason: str) -> types.JSONRPCMessage | None:
        """The answer to the request that the line was meant for, where that can be told."""
        if id is None or id not in self._asked:
            self.junk += 1
            self.why_junk = reason
            return None
        return self._failed(id, Fault.UNREADABLE, f"the server's answer cannot be read: {reason}")

    def _failed(
        self, id: types.RequestId, fault: Fault, message: str
    ) -> types.JSONRPCMessage | None:
        error = made_error(fault, message)
        return self._answered(id, types.JSONRPCError(jsonrpc="2.0", id=id, error=error))

    def _refused(self, line: bytes | bytearray) -> Iterator[SessionMessage]:
        complaint = f"a line of its answers is longer than {self._max_bytes:,} bytes"
        id = answered_id(line, b"")
        self._line = bytearray()
        if (
            id is not None
            and id in self._asked
            and (message := self._failed(id, Fault.TOO_LARGE, complaint))
        ):
            yield SessionMessage(message)
        raise LineTooLong(complaint)


def is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _id_in(value: object) -> types.RequestId | None:
    """The id that *value* answers, if it is an answer."""
    if not isinstance(value, dict) or "method" in value:
        return None
    id = value.get("id")
    if isinstance(id, str) and id.isdecimal() and id.isascii() and len(id) <= 15:
        return int(id)  # some servers answer 7 with "7"
    return id if isinstance(id, int | str) and not isinstance(id, bool) else None


_ANSWER = {"jsonrpc", "id", "result"}
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)
_COLON_AFTER = re.compile(rb"\s*:")
_NUMBER_AFTER = re.compile(rb"\s*:\s*(\d{1,15})\b")
_ID_AT_THE_END = re.compile(rb'"id"\s*:\s*(\d{1,15})\s*\}\s*\Z')


def answered_id(line: bytes | bytearray, end: bytes) -> int | None:
    """The id that *line*, whose *end* may be known, answers: found on its outermost level, without
    reading it."""
    id: int | None = None
    for token, at in _outermost(line):
        if token == b'"method"' and _COLON_AFTER.match(line, at):
            return None
        if token == b'"id"' and (number := _NUMBER_AFTER.match(line, at)):
            id = int(number[1])
    if id is None and (number := _ID_AT_THE_END.search(end[-TAIL_BYTES:])):
        id = int(number[1])
    return id


def names_a_method(line: bytes) -> bool:
    """Whether *line*, which cannot be read, is a request or a notification rather than an
    answer."""
    return any(
        token == b'"method"' and _COLON_AFTER.match(line, at) for token, at in _outermost(line)
    )


def _outermost(line: bytes | bytearray) -> Iterator[tuple[bytes, int]]:
    """The texts on the outermost level of the object that *line* begins with, and where each
    ends."""
    depth = 0
    for token in _TOKEN.finditer(line, 0, HEAD_BYTES):
        match bytes(token[0]):
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
            case text if depth == 1:
                yield text, token.end()
