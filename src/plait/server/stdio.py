"""The upstream pipe: messages on standard input and output, one a line, without threads.

The two descriptors are made private first: a stray `print`, ours or a library's, goes to standard error and never
onto the wire. Reading can be cancelled at any moment, and stopped: a stop looks like the client's end of file.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import mcp_types as types
from anyio.abc import TaskGroup
from mcp.server import Server

from ..core.strict import JsonObject, encode
from .descriptors import Lines, Sink, open_lines, open_sink
from .era_lock import PIPE, EraLock
from .messages import Incoming, Unreadable, read_message
from .peer import Peer

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 16 * 2**20
FLUSH_S = 1.0
"""How long what was written has to reach a client that is slow to read, at the end."""
TURN = 32
"""After so many messages that came at once, others have a turn."""
GRACE_S = 0.5
"""How long what the client asked before it closed its end may still take to be answered."""


class Pipe:
    """Both directions of one connection. *on_written* is told of each message that was written."""

    def __init__(self, lines: Lines, sink: Sink, grace_s: float) -> None:
        self.on_written: Callable[[], None] = lambda: None
        self._lines = lines
        self._sink = sink
        self._grace_s = grace_s
        self._stopped = False

    def stop(self) -> None:
        """Read no more: the server sees the end of its input."""
        self._stopped = True
        self._lines.close()

    async def serve(self, server: Server[Any]) -> None:
        """Answer the client by *server*, until it closes its end or `stop` is called. What it asked before it closed
        its end is still answered, if that does not take long."""
        peer = Peer(self._send)
        async with server.lifespan(server) as lifespan:
            era = EraLock(server, lifespan, peer)
            try:
                async with anyio.create_task_group() as tasks:
                    await self._read(peer, era, tasks)
                    peer.close()
                    tasks.cancel_scope.cancel()
            finally:
                await era.aclose()

    async def _read(self, peer: Peer, era: EraLock, tasks: TaskGroup) -> None:
        count = 0
        while (message := await self._next()) is not None:
            await peer.take(message, era, tasks, PIPE)
            if (count := count + 1) % TURN == 0:
                await anyio.lowlevel.checkpoint()
        if not self._stopped and not self._sink.is_lost:
            with anyio.move_on_after(self._grace_s):
                await peer.none_open()

    async def _next(self) -> Incoming | None:
        """The next message. What is none is answered with an error at once."""
        while True:
            try:
                line = await self._lines.next()
                if self._stopped or line is None:
                    return None
                if line.strip():
                    return read_message(line)
            except Unreadable as unreadable:
                with suppress(anyio.BrokenResourceError):
                    await self._sink.write(unreadable.as_json() + b"\n")

    async def _send(self, message: JsonObject, related: types.RequestId | None) -> None:
        await self._sink.write(_written(message) + b"\n")
        self.on_written()


def _written(message: JsonObject) -> bytes:
    try:
        return encode(message)
    except (ValueError, TypeError):
        log.exception("message.unwritable")
        error: JsonObject = {"code": types.INTERNAL_ERROR, "message": "The answer could not be written as JSON."}
        return encode({"jsonrpc": "2.0", "id": message.get("id"), "error": error})


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
