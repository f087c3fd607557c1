"""The upstream pipe: messages on standard input and output, one a line, without threads.

The two descriptors are made private first: a stray `print`, ours or a library's, goes to standard error and never
onto the wire. Reading can be cancelled at any moment, and stopped: a stop looks like the client's end of file.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Self

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage

from .descriptors import Lines, Sink, open_lines, open_sink
from .messages import Unreadable, read_message

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 16 * 2**20
FLUSH_S = 1.0
"""How long what was written has to reach a client that is slow to read, at the end."""
GRACE_S = 0.5
"""How long what the client asked before it closed its end may still take to be answered."""


class Pipe:
    """Both directions of one connection. `incoming` and `outgoing` are the streams that the SDK's server runs over."""

    def __init__(self, lines: Lines, sink: Sink, grace_s: float) -> None:
        unanswered = _Unanswered()
        self.incoming = _Incoming(lines, sink, unanswered, grace_s)
        self.outgoing = _Outgoing(sink, unanswered)

    def stop(self) -> None:
        """Read no more: the server sees the end of its input."""
        self.incoming.stop()


@asynccontextmanager
async def open_pipe(
    in_fd: int, out_fd: int, *, max_line_bytes: int = MAX_LINE_BYTES, grace_s: float = GRACE_S
) -> AsyncIterator[Pipe]:
    """The connection over two descriptors: pipes, sockets, terminals or files. They are closed at the end."""
    lines = await open_lines(in_fd, max_line_bytes)
    sink = await open_sink(out_fd, lines.close)
    try:
        yield Pipe(lines, sink, grace_s)
    finally:
        lines.close()
        with anyio.move_on_after(FLUSH_S, shield=True):
            await sink.aclose()
        sink.abort()


@contextmanager
def private_stdio() -> Iterator[tuple[int, int]]:
    """Standard input and output as private descriptors. Until the process ends, what reads standard input finds it
    empty, and what prints to standard output prints to standard error."""
    sys.stdout.flush()
    in_fd, out_fd = _private(0, os.O_RDONLY), _private(1, os.O_WRONLY)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    yield in_fd, out_fd


def _private(fd: int, flags: int) -> int:
    """A descriptor of our own for *fd*. A terminal is opened anew: made non-blocking, it would be so for all."""
    if os.isatty(fd):
        return os.open(os.ttyname(fd), flags | os.O_NOCTTY)
    return os.dup(fd)


class _Unanswered:
    """The requests that were read and not answered yet."""

    def __init__(self) -> None:
        self._ids: set[types.RequestId] = set()
        self._changed = anyio.Event()

    def note_read(self, message: types.JSONRPCMessage) -> None:
        if isinstance(message, types.JSONRPCRequest):
            self._ids.add(message.id)
        elif isinstance(message, types.JSONRPCNotification) and message.method == "notifications/cancelled":
            self._forget((message.params or {}).get("requestId"))

    def note_written(self, message: types.JSONRPCMessage) -> None:
        if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
            self._forget(message.id)

    async def none(self) -> None:
        while self._ids:
            self._changed = anyio.Event()
            await self._changed.wait()

    def _forget(self, id: object) -> None:
        self._ids = {other for other in self._ids if other != id}
        self._changed.set()


class _Incoming:
    """Messages from the client. What is none is answered with an error at once."""

    last_context = None

    def __init__(self, lines: Lines, sink: Sink, unanswered: _Unanswered, grace_s: float) -> None:
        self._lines = lines
        self._sink = sink
        self._unanswered = unanswered
        self._grace_s = grace_s
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        self._lines.close()

    async def receive(self) -> SessionMessage | Exception:
        while True:
            try:
                line = await self._lines.next()
                if self._stopped or line is None:
                    break
                if line.strip():
                    return self._read(line)
            except Unreadable as unreadable:
                await self._sink.write(unreadable.as_json() + b"\n")
        if not self._stopped and not self._sink.is_lost:
            with anyio.move_on_after(self._grace_s):
                await self._unanswered.none()
        self._stopped = True
        raise anyio.EndOfStream

    def _read(self, line: bytes) -> SessionMessage:
        message = read_message(line)
        self._unanswered.note_read(message)
        return SessionMessage(message)

    async def aclose(self) -> None:
        self.stop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


class _Outgoing:
    """Messages to the client."""

    def __init__(self, sink: Sink, unanswered: _Unanswered) -> None:
        self._sink = sink
        self._unanswered = unanswered
        self.on_written: Callable[[], None] = lambda: None

    async def send(self, item: SessionMessage) -> None:
        await self._sink.write(_written(item.message) + b"\n")
        self._unanswered.note_written(item.message)
        self.on_written()

    async def aclose(self) -> None:
        """The pipe closes its descriptors itself, when what was written has been sent."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass


def _written(message: types.JSONRPCMessage) -> bytes:
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True).encode()
    except ValueError:
        log.exception("message.unwritable")
        error = types.ErrorData(code=types.INTERNAL_ERROR, message="The answer could not be written as JSON.")
        id = getattr(message, "id", None)
        return types.JSONRPCError(jsonrpc="2.0", id=id, error=error).model_dump_json(exclude_unset=True).encode()
