"""Reading lines from descriptors and writing to them: pipes, sockets and terminals without threads,
and files."""

from __future__ import annotations

import asyncio
import os
import selectors
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, BinaryIO, Protocol, Self, TypeAlias

import anyio
import anyio.lowlevel
import mcp_types as types

from .messages import Unreadable

MOST_UNSENT_BYTES = 64 * 1024
"""Most bytes that are gathered in one turn of the event loop before they are written."""


Take: TypeAlias = "Callable[[bytes | Unreadable], None]"
"""Takes a line, stripped of surrounding spaces, or the reason why one was passed over."""


class Lines(Protocol):
    async def run(self, take: Take) -> None:
        """Give *take* every line as it comes, until the end."""

    def pause(self) -> None:
        """Give no more lines until `resume`."""

    def resume(self) -> None: ...

    def close(self) -> None:
        """Give no more lines, and close the descriptor."""


class Sink(Protocol):
    @property
    def fault(self) -> OSError | None:
        """The reason why nothing more can be written; None where the reader is gone."""
        ...

    async def wait_lost(self) -> None:
        """Wait until nothing more can be written."""

    async def write(self, data: bytes) -> None:
        """Write *data*. Raises `BrokenResourceError` if nothing more can be written."""

    async def aclose(self) -> None:
        """Close, and wait until everything written has been sent."""

    def abort(self) -> None: ...


async def open_lines(fd: int, limit: int) -> Lines:
    """Open the lines of *fd*, at most *limit* bytes each; *fd* is closed with them."""
    return await _PipeLines(fd, limit).open() if _is_pollable(fd) else _FileLines(fd, limit)


async def open_sink(fd: int, on_lost: Callable[[], None]) -> Sink:
    """Open a sink that writes to *fd* and closes it. *on_lost* is called if its reader is gone,
    or its disk full."""
    return await _PipeSink(fd, on_lost).open() if _is_pollable(fd) else _FileSink(fd, on_lost)


@asynccontextmanager
async def open_both(in_fd: int, out_fd: int, limit: int) -> AsyncIterator[tuple[Lines, Sink]]:
    """Open the lines of *in_fd*, at most *limit* bytes each, and a sink that writes to *out_fd*.
    When that can write no more, the lines are closed. The caller closes both."""
    lines = await open_lines(in_fd, limit)
    yield lines, await open_sink(out_fd, lines.close)


def too_long(limit: int, id: types.RequestId | None = None) -> Unreadable:
    return Unreadable(types.INVALID_REQUEST, f"The message has more than {limit:,} bytes.", id)


class _PipeLines(asyncio.Protocol):
    """Lines of a descriptor that can be polled: a pipe, a socket, a terminal."""

    def __init__(self, fd: int, limit: int) -> None:
        self._fd = fd
        self._limit = limit
        self._take: Take = lambda line: None
        self._data = bytearray()
        self._searched = 0
        """Number of bytes at the start of `_data` that hold no line break."""
        self._is_passing_over = False
        """Whether the next bytes belong to a line above the limit."""
        self._is_paused = True
        self._has_ended = False
        self._done = asyncio.Event()
        self._transport: asyncio.ReadTransport | None = None

    async def open(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(
            lambda: self, os.fdopen(self._fd, "rb", 0)
        )
        return self

    async def run(self, take: Take) -> None:
        self._take = take
        self.resume()
        await self._done.wait()

    def pause(self) -> None:
        self._is_paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        self._is_paused = False
        if self._transport is not None:
            self._transport.resume_reading()
        self._read()

    def close(self) -> None:
        self._done.set()
        if self._transport is not None and not self._transport.is_closing():
            os.set_blocking(self._fd, True)  # other processes may share the open file
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._data += data
        self._read()

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_ended = True
        self._read()

    def _read(self) -> None:
        """Give all complete lines, and at the end of the input the last one too."""
        while not self._is_paused and not self._done.is_set():
            end = self._data.find(b"\n", self._searched)
            if end < 0:
                break
            self._give(end)
            del self._data[: end + 1]
        if self._is_paused or self._done.is_set():
            return
        if len(self._data) > self._limit:
            self._is_passing_over = True
            self._data.clear()
        self._searched = len(self._data)
        if self._has_ended:
            self._give(len(self._data))
            self._done.set()

    def _give(self, end: int) -> None:
        is_too_long = self._is_passing_over or end > self._limit
        self._is_passing_over, self._searched = False, 0
        if is_too_long:
            self._take(too_long(self._limit))
        elif line := bytes(self._data[:end]).strip():
            self._take(line)


class _FileLines:
    """Lines of a file, which is always ready."""

    def __init__(self, fd: int, limit: int) -> None:
        self._file: BinaryIO = os.fdopen(fd, "rb")
        self._limit = limit
        self._resumed = asyncio.Event()
        self._resumed.set()

    async def run(self, take: Take) -> None:
        while not self._file.closed and (line := self._next()):
            if isinstance(line, Unreadable) or (line := line.strip()):
                take(line)
            await asyncio.sleep(0)
            await self._resumed.wait()

    def _next(self) -> bytes | Unreadable:
        line = self._file.readline(self._limit + 1)
        if len(line) <= self._limit:
            return line
        while line and not line.endswith(b"\n"):
            line = self._file.readline(2**20)
        return too_long(self._limit)

    def pause(self) -> None:
        self._resumed.clear()

    def resume(self) -> None:
        self._resumed.set()

    def close(self) -> None:
        self._file.close()


class _PipeSink(asyncio.BaseProtocol):
    """Writes to a descriptor that can be polled."""

    fault = None

    def __init__(self, fd: int, on_lost: Callable[[], None]) -> None:
        self._fd = fd
        self._on_lost = on_lost
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._lost = asyncio.Event()
        self._transport: asyncio.WriteTransport | None = None
        self._unsent = bytearray()
        self._has_sent = False

    async def open(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_write_pipe(
            lambda: self, os.fdopen(self._fd, "wb", 0)
        )
        return self

    async def wait_lost(self) -> None:
        await self._lost.wait()

    def pause_writing(self) -> None:
        self._has_room.clear()

    def resume_writing(self) -> None:
        self._has_room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set()
        self._has_room.set()
        self._on_lost()

    async def write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise anyio.BrokenResourceError
        if self._has_sent:
            self._unsent += data
            if len(self._unsent) > MOST_UNSENT_BYTES:
                self._send()
        else:
            self._has_sent = True
            asyncio.get_running_loop().call_soon(self._send)
            self._transport.write(data)
        await self._has_room.wait()

    def _send(self) -> None:
        """Send together what was written in one turn of the event loop: a system call costs as
        much as a relayed call."""
        if self._unsent and self._transport is not None and not self._transport.is_closing():
            self._transport.write(bytes(self._unsent))
        self._unsent.clear()
        self._has_sent = False

    async def aclose(self) -> None:
        if self._transport is not None:
            self._send()
            self._transport.close()
            await self._lost.wait()

    def abort(self) -> None:
        if self._transport is not None and not self._lost.is_set():
            self._transport.abort()


class _FileSink:
    """Writes to a file."""

    def __init__(self, fd: int, on_lost: Callable[[], None]) -> None:
        self._file: Any = os.fdopen(fd, "wb", 0)
        self._on_lost = on_lost
        self._lost = anyio.Event()
        self.fault: OSError | None = None

    async def wait_lost(self) -> None:
        await self._lost.wait()

    async def write(self, data: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            self.fault = self.fault or error
            self._lost.set()
            self._on_lost()
            raise anyio.BrokenResourceError from error

    async def aclose(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._file.close()


def _is_pollable(fd: int) -> bool:
    """Return whether *fd* can be polled; files and devices such as /dev/null cannot."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return False
    with selectors.DefaultSelector() as selector:
        try:
            selector.register(fd, selectors.EVENT_READ)
        except OSError:
            return False
    return True
