"""The upstream pipe: messages on standard input and output, one a line, without threads.

The two descriptors are made private first: a stray `print`, ours or a library's, goes to standard
error and never onto the wire. Reading can be cancelled at any moment, and stopped: a stop looks
like the client's end of file.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

import anyio
import mcp_types as types
from mcp.server import Server

from ...core.values.strict import JsonObject
from .descriptors import Lines, Sink, open_both
from .era_lock import PIPE, EraLock
from .messages import Request, Unreadable, read_message, written
from .raw_session import RawSession

MAX_LINE_BYTES = 16 * 2**20
FLUSH_S = 1.0
"""How long what was written has to reach a client that is slow to read, at the end."""
GRACE_S = 0.5
"""How long what the client asked before it closed its end may still take to be answered, calls
apart."""

Drain: TypeAlias = Callable[[], Awaitable[None]]
"""Waits until the calls that are open have been answered, for as long as they have to end."""


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

    async def serve(self, server: Server[Any], drain: Drain) -> None:
        """Answer the client by *server*, until it closes its end or `stop` is called. What it asked
        before it closed its end is still answered, if that does not take long; its calls have as
        long as *drain* gives them, as long as it reads."""
        peer = RawSession(self._send)
        async with server.lifespan(server) as lifespan:
            era = EraLock(server, lifespan, peer)
            try:
                async with asyncio.TaskGroup() as tasks:
                    await self._lines.run(partial(self._take, peer, era, tasks))
                    if not self._stopped:
                        await self._finish(peer, drain)
                    peer.close()
            finally:
                await era.aclose()

    async def _finish(self, peer: RawSession, drain: Drain) -> None:
        """The client has closed its end. That may be all of it, or it may still read."""
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await self._sink.lost()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            with anyio.move_on_after(self._grace_s) as grace:
                await peer.none_open()
            if grace.cancelled_caught:
                await drain()
            tasks.cancel_scope.cancel()

    def _take(
        self, peer: RawSession, era: EraLock, tasks: asyncio.TaskGroup, line: bytes | Unreadable
    ) -> None:
        """Deal with one line. What is not a message is answered with an error at once. While the
        handshake is answered, nothing else is read."""
        if self._stopped:
            return
        try:
            if isinstance(line, Unreadable):
                raise line
            message = read_message(line)
        except Unreadable as unreadable:
            tasks.create_task(self._refuse(unreadable))
            return
        answering = peer.take(message, era, tasks, PIPE)
        if (
            answering is not None
            and isinstance(message, Request)
            and message.method == "initialize"
        ):
            self._lines.pause()
            answering.add_done_callback(lambda _: self._lines.resume())

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
    """The connection over two descriptors: pipes, sockets, terminals or files. They are closed at
    the end."""
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
    """Standard input and output as private descriptors. Until the process ends, what reads standard
    input finds it empty, and what prints to standard output prints to standard error."""
    sys.stdout.flush()
    in_fd, out_fd = _private(0, os.O_RDONLY), _private(1, os.O_WRONLY)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    yield in_fd, out_fd


def _private(fd: int, flags: int) -> int:
    """A descriptor of our own for *fd*. A terminal is opened anew: made non-blocking, it would be
    so for all."""
    if os.isatty(fd):
        return os.open(os.ttyname(fd), flags | os.O_NOCTTY)
    return os.dup(fd)
