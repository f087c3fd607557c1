"""The upstream pipe over the SDK's own transport: for platforms whose event loop cannot wait for any pipe.

Threads wait in its stead, and are left behind where they still wait at the end. The SDK is given nothing to read but
what has been found to be a strict message within bounds, so that what is promised of the pipe holds here too.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import mcp_types as types
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from .descriptors import Lines, Sink, Take, too_long
from .messages import Unreadable, read_message

READ_BYTES = 64 * 1024


@asynccontextmanager
async def open_sdk_stdio(in_fd: int, out_fd: int, limit: int) -> AsyncIterator[tuple[Lines, Sink]]:
    """As `descriptors.open_both`. A descriptor that a thread still waits for at the end stays open."""
    source, target = _Input(in_fd, limit), _Output(out_fd)
    streams: Any = stdio_server(source, target)  # type: ignore[arg-type]  # it iterates the one, writes to the other
    try:
        async with streams as (read, write), read, write:
            lines = _SdkLines(read, source)
            target.on_lost = lines.close
            yield lines, _SdkSink(write, target)
    finally:
        source.release()
        target.release()


class _Waiting:
    """A descriptor that a thread waits for, one at a time; the waiting can be given up."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._is_given_up = False
        self._is_waited_for = False
        self._waited: asyncio.Future[bytes] | None = None

    async def wait_for(self, io: Callable[[], bytes]) -> bytes:
        """What *io* gives; nothing once it is given up. Raises `OSError`."""
        if self._is_given_up:
            return b""
        waited: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waited, self._is_waited_for = waited, True
        # a worker of the event loop's would keep the process from ending as long as it waits
        threading.Thread(target=self._wait, args=(io, waited), daemon=True).start()
        return await waited

    def give_up(self) -> None:
        self._is_given_up = True
        if self._waited is not None and not self._waited.done():
            self._waited.set_result(b"")

    def release(self) -> None:
        """Close the descriptor, unless a thread still waits for it: its number could go to another file."""
        if not self._is_waited_for:
            os.close(self.fd)

    def _wait(self, io: Callable[[], bytes], waited: asyncio.Future[bytes]) -> None:
        try:
            given: bytes | OSError = io()
        except OSError as error:
            given = error
        self._is_waited_for = False
        with suppress(RuntimeError):  # the loop is closed
            waited.get_loop().call_soon_threadsafe(_tell, waited, given)


class _Input(_Waiting):
    """Lines as the SDK's transport reads them: those that are messages. *take* is told of the others."""

    def __init__(self, fd: int, limit: int) -> None:
        super().__init__(fd)
        self.take: Take = lambda line: None
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[str]:
        async for line in self._lines():
            if line and self._is_message(line):
                yield line.decode()

    async def _lines(self) -> AsyncIterator[bytes]:
        """Lines without spaces around them; of one that is too long the first bytes, more than the limit."""
        data = bytearray()
        while chunk := await self.wait_for(lambda: os.read(self.fd, READ_BYTES)):
            *lines, rest = chunk.split(b"\n")
            for line in lines:
                yield bytes(data + line).strip()
                data.clear()
            data += rest
            del data[self._limit + 1 :]
        yield bytes(data).strip()

    def _is_message(self, line: bytes) -> bool:
        try:
            if len(line) > self._limit:
                raise too_long(self._limit)
            read_message(line)
        except Unreadable as unreadable:
            self.take(unreadable)
            return False
        return True


class _Output(_Waiting):
    """What the SDK's transport writes to, text by text. *on_lost* is called when nobody reads any more."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.on_lost: Callable[[], None] = lambda: None
        self.lost = anyio.Event()
        self._unwritten = 0
        self._written = anyio.Event()

    def expect(self) -> None:
        """The SDK's transport has been given one more message."""
        self._unwritten += 1

    async def write(self, text: str) -> None:
        try:
            await self.wait_for(lambda: self._write(text.encode()))
        except OSError:
            self.lost.set()
            self.on_lost()

    async def flush(self) -> None:
        """Called after each message."""
        self._unwritten -= 1
        self._written.set()

    async def written(self) -> None:
        """Wait until all that was expected has been written."""
        while self._unwritten > 0 and not self.lost.is_set():
            self._written = anyio.Event()
            await self._written.wait()

    def _write(self, data: bytes) -> bytes:
        while data:
            data = data[os.write(self.fd, data) :]
        return data


class _SdkLines:
    """`Lines` of the SDK's transport."""

    def __init__(self, read: Any, source: _Input) -> None:
        self._read = read
        self._source = source
        self._resumed = anyio.Event()
        self._resumed.set()
        self._is_closed = False

    async def run(self, take: Take) -> None:
        self._source.take = take
        async for item in self._read:
            await self._resumed.wait()
            if self._is_closed:
                return
            take(_line(item))

    def pause(self) -> None:
        self._resumed = anyio.Event()

    def resume(self) -> None:
        self._resumed.set()

    def close(self) -> None:
        self._is_closed = True
        self._resumed.set()
        self._source.give_up()


class _SdkSink:
    """A `Sink` into the SDK's transport."""

    def __init__(self, write: Any, target: _Output) -> None:
        self._write = write
        self._target = target

    async def lost(self) -> None:
        await self._target.lost.wait()

    async def write(self, data: bytes) -> None:
        if self._target.lost.is_set():
            raise anyio.BrokenResourceError
        try:
            await self._write.send(SessionMessage(jsonrpc_message_adapter.validate_json(data, by_name=False)))
        except anyio.ClosedResourceError:
            raise anyio.BrokenResourceError from None
        self._target.expect()

    async def aclose(self) -> None:
        await self._write.aclose()
        await self._target.written()

    def abort(self) -> None:
        self._target.give_up()


def _line(item: SessionMessage | Exception) -> bytes | Unreadable:
    if isinstance(item, Exception):
        return Unreadable(types.INVALID_REQUEST, "This is no JSON-RPC message.", None)
    return item.message.model_dump_json(by_alias=True, exclude_unset=True).encode()


def _tell(waited: asyncio.Future[bytes], given: bytes | OSError) -> None:
    if waited.done():
        return
    if isinstance(given, OSError):
        waited.set_exception(given)
    else:
        waited.set_result(given)
