"""Descriptors as lines to read and a place to write: pipes, sockets and terminals without threads, files too."""

from __future__ import annotations

import asyncio
import os
import selectors
import stat
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol, Self

import anyio
import anyio.lowlevel
import mcp_types as types

from .messages import Unreadable

MOST_UNSENT_BYTES = 64 * 1024
"""What is gathered in one turn of the loop before it is written."""


class Lines(Protocol):
    async def next(self) -> bytes | None:
        """The next line, or None at the end. Raises `Unreadable` for a line above the limit."""

    def close(self) -> None: ...


class Sink(Protocol):
    @property
    def is_lost(self) -> bool:
        """Whether nobody reads any more."""

    async def write(self, data: bytes) -> None:
        """Raises `BrokenResourceError` once nobody reads any more."""

    async def aclose(self) -> None:
        """Close, and wait until what was written has been sent."""

    def abort(self) -> None: ...


async def open_lines(fd: int, limit: int) -> Lines:
    """The lines that come from *fd*, at most *limit* bytes each; *fd* is closed with them."""
    return await _PipeLines(fd, limit).open() if _can_be_waited_for(fd) else _FileLines(fd, limit)


async def open_sink(fd: int, on_lost: Callable[[], None]) -> Sink:
    """What writes to *fd*, and closes it. *on_lost* is called when nobody reads any more."""
    return await _PipeSink(fd, on_lost).open() if _can_be_waited_for(fd) else _FileSink(fd)


def _too_long(limit: int) -> Unreadable:
    return Unreadable(types.INVALID_REQUEST, f"The message has more than {limit:,} bytes.", None)


class _PipeLines:
    """Lines from what can be waited for: a pipe, a socket, a terminal."""

    def __init__(self, fd: int, limit: int) -> None:
        self._fd = fd
        self._limit = limit
        self._reader = asyncio.StreamReader(limit=limit)
        self._transport: asyncio.ReadTransport | None = None

    async def open(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), os.fdopen(self._fd, "rb", 0)
        )
        return self

    async def next(self) -> bytes | None:
        is_too_long = False
        while True:
            try:
                line = await self._reader.readuntil(b"\n")
            except asyncio.IncompleteReadError as end:
                line = end.partial
            except asyncio.LimitOverrunError as overrun:
                is_too_long = True
                await self._reader.readexactly(overrun.consumed)
                continue
            if is_too_long:
                raise _too_long(self._limit)
            return line or None

    def close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            os.set_blocking(self._fd, True)  # others may share the file that it leads to
            self._transport.close()


class _FileLines:
    """Lines from a file: it never makes anybody wait."""

    def __init__(self, fd: int, limit: int) -> None:
        self._file: BinaryIO = os.fdopen(fd, "rb")
        self._limit = limit

    async def next(self) -> bytes | None:
        await anyio.lowlevel.checkpoint()
        if self._file.closed:
            return None
        line = self._file.readline(self._limit + 1)
        if len(line) <= self._limit:
            return line or None
        while line and not line.endswith(b"\n"):
            line = self._file.readline(2**20)
        raise _too_long(self._limit)

    def close(self) -> None:
        self._file.close()


class _PipeSink(asyncio.BaseProtocol):
    """Writes to what can make us wait."""

    def __init__(self, fd: int, on_lost: Callable[[], None]) -> None:
        self._fd = fd
        self._on_lost = on_lost
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._lost = asyncio.Event()
        self._transport: asyncio.WriteTransport | None = None
        self._unsent = bytearray()

    async def open(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_write_pipe(lambda: self, os.fdopen(self._fd, "wb", 0))
        return self

    @property
    def is_lost(self) -> bool:
        return self._lost.is_set()

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
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send)
        self._unsent += data
        if len(self._unsent) > MOST_UNSENT_BYTES:
            self._send()
        await self._has_room.wait()

    def _send(self) -> None:
        """What was written in one turn of the loop goes out together: a call to the system costs as much as a call."""
        if self._unsent and self._transport is not None and not self._transport.is_closing():
            self._transport.write(bytes(self._unsent))
        self._unsent.clear()

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

    is_lost = False

    def __init__(self, fd: int) -> None:
        self._file: Any = os.fdopen(fd, "wb", 0)

    async def write(self, data: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise anyio.BrokenResourceError from error

    async def aclose(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._file.close()


def _can_be_waited_for(fd: int) -> bool:
    """Not for files, nor for devices such as /dev/null."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return False
    with selectors.DefaultSelector() as selector:
        try:
            selector.register(fd, selectors.EVENT_READ)
        except OSError:
            return False
    return True
