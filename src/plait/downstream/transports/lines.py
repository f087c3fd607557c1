"""The stdout of a server: cut into lines, and read as messages.

Most answers never become a message: whoever sent the request waits with a `Waiter`, and `Lines`
gives the answer to it straight from the parsed line. The rest (requests and notifications of the
server, answers to the handshake) goes to the SDK's dispatcher.

An unreadable line is skipped and counted, unless it is the answer to an open request. Then that
request fails, at once and with the reason.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

import mcp_types as types
from mcp_types import jsonrpc_message_adapter

from ...core.ports import OnProgress
from ...core.values.strict import Json, JsonObject, NotStrict, decode
from ..mcp_sdk import SessionMessage
from .faults import Fault, made_error, unreadable

MARK = b"\xef\xbb\xbf"
"""The byte order mark, which some servers write before their JSON."""
HEAD_BYTES, TAIL_BYTES = 64 * 1024, 64
"""Bytes at the beginning and the end of an unreadable line that are searched for a request id."""


Answer: TypeAlias = "JsonObject | types.ErrorData"

OnNotification: TypeAlias = Callable[[str, JsonObject], None]
"""Takes a notification: its method and its params. It must not block or raise."""


@dataclass(frozen=True, slots=True)
class Waiter:
    """The sender of an open request, who gets its answer and progress straight from the line."""

    answer: asyncio.Future[Answer]
    on_progress: OnProgress | None = None

    def resolve(self, answer: Answer) -> None:
        if not self.answer.done():  # it may have been cancelled
            self.answer.set_result(answer)


class LineTooLong(ValueError):
    """The incoming line exceeds the limit. Nothing that follows it can be understood."""


class Lines:
    """Give it bytes as they arrive, and the ids of requests as they are sent."""

    def __init__(self, max_bytes: int) -> None:
        self.heard = 0
        """Number of times that anything came."""
        self.unasked_s = 0.0
        """Seconds that were spent on lines that answered no open request."""
        self.invalid_lines = 0
        """Number of lines that were neither a message nor the answer to an open request."""
        self.why_invalid = ""
        self.on_notification: OnNotification | None = None
        """Takes every notification except cancellations, which stay in the messages, and progress
        that a waiter has taken."""
        self._max_bytes = max_bytes
        self._open: dict[types.RequestId, Waiter | None] = {}
        self._line = bytearray()

    def expect(self, id: types.RequestId, waiter: Waiter | None = None) -> None:
        """Expect the answer to the request *id*, for *waiter* or whoever reads the messages."""
        self._open[id] = waiter

    def forget(self, id: object) -> None:
        """Expect that answer no longer."""
        if isinstance(id, int | str):
            self._open.pop(id, None)

    def end(self, error: types.ErrorData) -> None:
        """Answer all waiters with *error*: the server will not."""
        for id, waiter in list(self._open.items()):
            if waiter is not None:
                self.forget(id)
                waiter.resolve(error)

    def read(self, data: bytes) -> Iterator[SessionMessage]:
        """Yield the messages that *data* completes. Raises `LineTooLong`, after the error for the
        request that the line answers."""
        self.heard += 1
        *lines, rest = data.split(b"\n")
        for line in lines:
            if self._line:
                self._line += line
                line = bytes(self._line)
                self._line = bytearray()
            if len(line) > self._max_bytes:
                yield from self._refuse(line)
            if not line or line.isspace():
                continue
            began, waiting = time.perf_counter(), len(self._open)
            message = self._read_line(line)
            if len(self._open) == waiting:
                self.unasked_s += time.perf_counter() - began
            if message is not None:
                yield SessionMessage(message)
        self._line += rest
        if len(self._line) > self._max_bytes:
            yield from self._refuse(self._line)

    def _read_line(self, line: bytes) -> types.JSONRPCMessage | None:
        """Parse *line*; None if it is invalid, or a waiter or `on_notification` has taken it."""
        id: types.RequestId | None = None
        try:
            value = decode(line.removeprefix(MARK))
            if isinstance(value, list) and (failed := self._fail_batch(value)) is not None:
                return next(filter(None, failed), None)
            if isinstance(value, dict):
                id = _id_of_answer(value)
                if (
                    self._take_result(id, value)
                    if id is not None
                    else self._take_notification(value)
                ):
                    return None
            message = jsonrpc_message_adapter.validate_python(value, by_name=False)
        except ValueError as error:  # NotStrict, or pydantic's
            reason = str(error) if isinstance(error, NotStrict) else "it is not a JSON-RPC answer"
            id = answered_id(line, line) if id is None else id
            if id is not None and id in self._open:
                return self._fail(id, unreadable(reason, error))
            self.invalid_lines += 1
            self.why_invalid = reason
            return None
        match message:
            case types.JSONRPCResponse(result=answer) | types.JSONRPCError(error=answer) if (
                id is not None and self._resolve(id, answer)
            ):
                return None
        return message

    def _fail_batch(self, batch: list[Json]) -> list[types.JSONRPCError | None] | None:
        """Fail the open requests that *batch* answers; None if it answers none. At most one of them
        is not of a waiter: the handshake sends one at a time."""
        ids = [id for part in batch if isinstance(part, dict) and (id := _id_of_answer(part))]
        error = made_error(
            Fault.UNREADABLE, "the server answered with a batch, which MCP does not have"
        )
        return [self._fail(id, error) for id in ids if id in self._open] or None

    def _take_result(self, id: types.RequestId, value: JsonObject) -> bool:
        """Give the result that *value* holds to its waiter; False if it has none, or *value* is not
        a plain result."""
        if value.keys() != _RESULT or value["jsonrpc"] != "2.0":
            return False
        result = value["result"]
        return isinstance(result, dict) and self._resolve(id, result)

    def _take_notification(self, value: JsonObject) -> bool:
        """Give a notification to the waiter whose progress it reports, or to `on_notification`;
        False if *value* is another message or neither takes it."""
        method, params = value.get("method"), value.get("params")
        if not isinstance(method, str):
            return False
        if method == "notifications/progress" and isinstance(params, dict):
            token = params.get("progressToken")
            waiter = self._open.get(token) if isinstance(token, int) else None
            if waiter is None or not is_number(params.get("progress")):
                return False
            if waiter.on_progress is not None:
                waiter.on_progress(params)
            return True
        if (
            self.on_notification is None
            or method == "notifications/cancelled"
            or "id" in value
            or value.get("jsonrpc") != "2.0"
        ):
            return False
        self.on_notification(method, params if isinstance(params, dict) else {})
        return True

    def _resolve(self, id: types.RequestId, answer: Answer) -> bool:
        """Give *answer* to the waiter for the request *id*; False if it has none."""
        if (waiter := self._open.pop(id, None)) is None:
            return False
        waiter.resolve(answer)
        return True

    def _fail(self, id: types.RequestId, error: types.ErrorData) -> types.JSONRPCError | None:
        """Answer the request *id* with *error*; None if its waiter has taken that."""
        if self._resolve(id, error):
            return None
        return types.JSONRPCError(jsonrpc="2.0", id=id, error=error)

    def _refuse(self, line: bytes | bytearray) -> Iterator[SessionMessage]:
        complaint = f"a line of its answers is longer than {self._max_bytes:,} bytes"
        id = answered_id(line, b"")
        self._line = bytearray()
        if (
            id is not None
            and id in self._open
            and (message := self._fail(id, made_error(Fault.TOO_LARGE, complaint)))
        ):
            yield SessionMessage(message)
        raise LineTooLong(complaint)


def is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _id_of_answer(value: JsonObject) -> types.RequestId | None:
    """The id of the request that *value* answers; None if it is not an answer."""
    if "method" in value:
        return None
    id = value.get("id")
    if isinstance(id, str) and id.isdecimal() and id.isascii() and len(id) <= 15:
        return int(id)  # some servers answer 7 with "7"
    return id if isinstance(id, int | str) and not isinstance(id, bool) else None


_RESULT = {"jsonrpc", "id", "result"}
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)
_COLON_AFTER = re.compile(rb"\s*:")
_NUMBER_AFTER = re.compile(rb"\s*:\s*(\d{1,15})\b")
_ID_AT_THE_END = re.compile(rb'"id"\s*:\s*(\d{1,15})\s*\}\s*\Z')


def answered_id(line: bytes | bytearray, end: bytes) -> int | None:
    """Find the id of the request that *line* answers on its outermost level, without parsing it.
    *end* is the end of the line, empty if unknown."""
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
    """Whether the unreadable *line* is a request or a notification rather than an answer."""
    return any(
        token == b'"method"' and _COLON_AFTER.match(line, at) for token, at in _outermost(line)
    )


def _outermost(line: bytes | bytearray) -> Iterator[tuple[bytes, int]]:
    """Yield the strings on the outermost level of the object that *line* begins with, and the
    position after each."""
    depth = 0
    for token in _TOKEN.finditer(line, 0, HEAD_BYTES):
        match bytes(token[0]):
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
            case text if depth == 1:
                yield text, token.end()
