"""The pipe to the client: JSON-RPC lines over stdin and stdout, read and written without threads.

Unlike a reader in a thread it can be cancelled while it waits, so a signal ends the server at once
and cleanly. While it serves, file descriptor 0 is the null device and 1 is stderr: a stray print
cannot break the protocol.
"""

from __future__ import annotations

import os
import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage  # `Server.run` reads these: public, but for its place
from mcp_types import jsonrpc_message_adapter

READ_BYTES = 64 * 1024
MAX_LINE_BYTES = 64 * 2**20

Incoming = MemoryObjectSendStream[SessionMessage | Exception]
Streams = tuple[
    MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]
]


class LineTooLong(Exception):
    """The client sent a line over `MAX_LINE_BYTES`; the start of the next message is unknown."""


@asynccontextmanager
async def stdio_streams() -> AsyncIterator[Streams]:
    """Yield the two streams that `mcp.server.Server.run` serves, over this process's stdin and
    stdout."""
    wire_in, wire_out = _claimed()
    send_in, receive_in = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    send_out, receive_out = anyio.create_memory_object_stream[SessionMessage](0)
    async with anyio.create_task_group() as group, receive_in, send_out:
        group.start_soon(_read, wire_in, send_in)
        group.start_soon(_write, wire_out, receive_out)
        yield receive_in, send_out


def _claimed() -> tuple[int, int]:
    """Move the pipe away from descriptors 0 and 1; return the new ones, which children do not
    inherit."""
    wire = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return wire


async def _read(wire: int, messages: Incoming) -> None:
    async with messages:
        async for line in _lines(wire):
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError as error:
                await messages.send(error)
            else:
                await messages.send(SessionMessage(message))


async def _lines(wire: int) -> AsyncIterator[bytes]:
    rest = bytearray()
    while chunk := await _chunk(wire):
        rest += chunk
        if len(rest) > MAX_LINE_BYTES:
            raise LineTooLong(f"a message of more than {MAX_LINE_BYTES} bytes")
        if b"\n" in chunk:
            *lines, rest = rest.split(b"\n")
            for line in lines:
                yield bytes(line)


async def _chunk(wire: int) -> bytes:
    try:
        await anyio.wait_readable(wire)
    except PermissionError:
        # A regular file on stdin: it cannot be waited for, and need not be.
        await anyio.lowlevel.checkpoint()
    return os.read(wire, READ_BYTES)


async def _write(wire: int, messages: MemoryObjectReceiveStream[SessionMessage]) -> None:
    async with messages:
        async for message in messages:
            line = (
                message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
            )
            await _write_all(wire, line)


async def _write_all(wire: int, data: bytes) -> None:
    """Write in pieces of `PIPE_BUF` bytes, which a writable pipe takes without blocking."""
    rest = memoryview(data)
    while rest:
        try:
            await anyio.wait_writable(wire)
        except PermissionError:
            await anyio.lowlevel.checkpoint()
        rest = rest[os.write(wire, rest[: select.PIPE_BUF]) :]
