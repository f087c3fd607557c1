"""The upstream pipe: messages on standard input and output, one a line, without threads.

The two descriptors are made private first: a stray `print`, ours or a library's, goes to standard
error and never onto the wire. Reading can be cancelled at any moment, and stopped; the server takes
a stop for the client's end of file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server

from ...core.values.strict import JsonObject
from .conversation import GRACE_S, Conversation, Drain, conversing
from .descriptors import Lines, Sink, open_both
from .messages import Unreadable, as_message, read_json, written

MAX_LINE_BYTES = 16 * 2**20
FLUSH_S = 1.0
"""Time at the end for a slow client to read what was written."""


class Pipe:
    """Both directions of one connection. `on_written` is called after each message."""

    def __init__(self, lines: Lines, sink: Sink, grace_s: float) -> None:
        self.on_written: Callable[[], None] = lambda: None
        self._lines = lines
        self._sink = sink
        self._grace_s = grace_s
        self._stopped = False

    @property
    def fault(self) -> OSError | None:
        """The reason why nothing more can be written; None where the client is gone."""
        return self._sink.fault

    def stop(self) -> None:
        """Stop reading: the server sees the end of its input."""
        self._stopped = True
        self._lines.close()

    async def serve(self, server: Server[Any], drain: Drain) -> None:
        """Let *server* answer the client, until the client closes its end or `stop` is called.
        Requests before the end are still answered: calls as long as *drain* waits, others within
        the grace period."""
        async with conversing(server, self._send, self._lines) as conversation:
            await self._lines.run(partial(self._take, conversation))
            if not self._stopped:
                await conversation.finish(drain, self._grace_s, self._sink.wait_lost)

    def _take(self, conversation: Conversation, line: bytes | Unreadable) -> None:
        """Take in one line. If it is not a message, an error answers it."""
        if self._stopped:
            return
        try:
            if isinstance(line, Unreadable):
                raise line
            conversation.take(as_message(read_json(line)))
        except Unreadable as unreadable:
            conversation.tasks.create_task(self._refuse(unreadable))

    async def _refuse(self, unreadable: Unreadable) -> None:
        with suppress(anyio.BrokenResourceError):
            await self._sink.write(unreadable.as_json() + b"\n")

    async def _send(self, message: JsonObject, related: types.RequestId | None) -> None:
        await self._sink.write(written(message) + b"\n")
        self.on_written()


@asynccontextmanager
async def open_pipe(
    in_fd: int,
    out_fd: int,
    *,
    max_line_bytes: int = MAX_LINE_BYTES,
    grace_s: float = GRACE_S,
) -> AsyncIterator[Pipe]:
    """Open the connection over two descriptors: pipes, sockets, terminals or files. They are closed
    at the end."""
    async with open_both(in_fd, out_fd, max_line_bytes) as (lines, sink):
        try:
            yield Pipe(lines, sink, grace_s)
        finally:
            lines.close()
            with anyio.move_on_after(FLUSH_S, shield=True):
                await sink.aclose()
            sink.abort()


@contextmanager
def private_stdio() -> Iterator[tuple[int, int]]:
    """Take standard input and output as private descriptors. Until the process ends, standard input
    is empty for all other code, and standard output leads to standard error."""
    sys.stdout.flush()
    in_fd, out_fd = _private(0, os.O_RDONLY), _private(1, os.O_WRONLY)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    yield in_fd, out_fd


def _private(fd: int, flags: int) -> int:
    """Return a descriptor of our own for *fd*. A terminal is opened again: made non-blocking, it
    would be non-blocking for everyone."""
    if os.isatty(fd):
        return os.open(os.ttyname(fd), flags | os.O_NOCTTY)
    return os.dup(fd)
