"""What a server writes to its stdout: cut into lines, read as messages.

A line that cannot be read is passed over and counted, unless it is the answer to a request: then it ends that one, at
once and with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import mcp_types as types
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from ..core.strict import NotStrict, decode
from .faults import Fault, made_error

HEAD_BYTES, TAIL_BYTES = 64 * 1024, 64
"""What is looked at of a line that cannot be read, for the id of its request."""


class LineTooLong(ValueError):
    """The line that is coming in is above the limit. What follows it cannot be made sense of."""


class Lines:
    """Give it bytes as they come, and the ids of requests as they are sent."""

    def __init__(self, max_bytes: int) -> None:
        self.junk = 0
        """How many lines were no message, and nobody's answer."""
        self.why_junk = ""
        self._max_bytes = max_bytes
        self._asked: set[types.RequestId] = set()
        self._line = bytearray()

    def asked(self, id: types.RequestId) -> None:
        """A request of this id waits for its answer."""
        self._asked.add(id)

    def forget(self, id: object) -> None:
        """Nobody waits for that answer any more."""
        if isinstance(id, int | str):
            self._asked.discard(id)

    def read(self, data: bytes) -> Iterator[SessionMessage]:
        """The messages that *data* completes. Raises `LineTooLong`, after the error for the request it answers."""
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
        id: types.RequestId | None = None
        try:
            value = decode(line)
            id = _id_in(value)
            message = jsonrpc_message_adapter.validate_python(value, by_name=False)
        except ValueError as error:  # NotStrict, or pydantic's
            reason = str(error) if isinstance(error, NotStrict) else "it is no JSON-RPC answer"
            return self._unreadable(_id_of(line, line) if id is None else id, reason)
        self.forget(id)
        return message

    def _unreadable(self, id: types.RequestId | None, reason: str) -> types.JSONRPCError | None:
        """The answer to the request that the line was meant for, where that can be told."""
        if id is None or id not in self._asked:
            self.junk += 1
            self.why_junk = reason
            return None
        return self._failed(id, Fault.UNREADABLE, f"the server's answer cannot be read: {reason}")

    def _failed(self, id: types.RequestId, fault: Fault, message: str) -> types.JSONRPCError:
        self._asked.discard(id)
        return types.JSONRPCError(jsonrpc="2.0", id=id, error=made_error(fault, message))

    def _refused(self, line: bytes | bytearray) -> Iterator[SessionMessage]:
        complaint = f"a line of its answers is longer than {self._max_bytes:,} bytes"
        id = _id_of(line, b"")
        self._line = bytearray()
        if id is not None and id in self._asked:
            yield SessionMessage(self._failed(id, Fault.TOO_LARGE, complaint))
        raise LineTooLong(complaint)


def _id_in(value: object) -> types.RequestId | None:
    """The id that *value* answers, if it is an answer."""
    if not isinstance(value, dict) or "method" in value:
        return None
    id = value.get("id")
    if isinstance(id, str) and id.isdecimal() and id.isascii() and len(id) <= 15:
        return int(id)  # some servers answer 7 with "7"
    return id if isinstance(id, int | str) and not isinstance(id, bool) else None


_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)
_COLON_AFTER = re.compile(rb"\s*:")
_NUMBER_AFTER = re.compile(rb"\s*:\s*(\d{1,15})\b")
_ID_AT_THE_END = re.compile(rb'"id"\s*:\s*(\d{1,15})\s*\}\s*\Z')


def _id_of(line: bytes | bytearray, end: bytes) -> int | None:
    """The id that *line*, whose *end* may be known, answers: found on its outermost level, without reading it."""
    depth, id = 0, None
    for token in _TOKEN.finditer(line, 0, HEAD_BYTES):
        match bytes(token[0]):
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
            case b'"method"' if depth == 1 and _COLON_AFTER.match(line, token.end()):
                return None
            case b'"id"' if depth == 1 and (number := _NUMBER_AFTER.match(line, token.end())):
                id = int(number[1])
    if id is None and (number := _ID_AT_THE_END.search(end[-TAIL_BYTES:])):
        id = int(number[1])
    return id
