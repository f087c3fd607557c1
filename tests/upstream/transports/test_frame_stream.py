"""Frames over a socket: in order, held back, and known to be in the hands of the system."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest

from plait.door.frames import END, MESSAGE, frame
from plait.upstream.transports.frame_stream import Frame, FrameStream


@asynccontextmanager
async def streaming() -> AsyncIterator[tuple[socket.socket, FrameStream, list[str]]]:
    """The other end, the stream, and what it called."""
    called: list[str] = []
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    ours.setblocking(False)
    stream = FrameStream(lambda: called.append("made"), lambda: called.append("room"))
    loop = asyncio.get_running_loop()
    await loop.create_unix_connection(lambda: stream, sock=theirs)
    with anyio.fail_after(10):
        yield ours, stream, called
    stream.abort()
    ours.close()
    await stream.wait_lost()


async def test_it_knows_the_other_end():
    async with streaming() as (_, stream, called):
        assert (stream.process, stream.user) == (os.getpid(), os.geteuid())
        assert called == ["made"]


async def test_frames_come_one_by_one_and_then_as_they_come():
    async with streaming() as (ours, stream, _):
        ours.send(frame(MESSAGE, b"1", 1) + frame(MESSAGE, b"2", 2) + frame(MESSAGE, b"3", 3))
        assert await stream.next() == Frame(MESSAGE, 1, b"1")
        taken: list[int] = []

        def take(each: Frame) -> None:
            taken.append(each.number)
            if each.kind == END:
                stream.end()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.run, take)
            ours.send(frame(END, number=4))
        assert taken == [2, 3, 4]


async def test_a_rest_holds_frames_back_for_its_time():
    async with streaming() as (ours, stream, _):
        taken: list[float] = []

        def take(each: Frame) -> None:
            taken.append(anyio.current_time())
            stream.rest(0.05)
            stream.rest(10)  # it rests already
            if each.kind == END:
                stream.end()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.run, take)
            ours.send(frame(MESSAGE, number=1) + frame(MESSAGE, number=2) + frame(END))
        assert len(taken) == 3
        assert all(later - one >= 0.045 for one, later in pairwise(taken))


async def test_a_pause_holds_frames_back():
    async with streaming() as (ours, stream, _):
        taken: list[int] = []

        def take(each: Frame) -> None:
            taken.append(each.number)
            stream.pause()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.run, take)
            ours.send(frame(MESSAGE, number=1) + frame(MESSAGE, number=2))
            while not taken:
                await anyio.lowlevel.checkpoint()
            assert taken == [1]
            stream.resume()
            assert taken == [1, 2]
            stream.end()


async def test_the_end_of_the_other_side_ends_it():
    async with streaming() as (ours, stream, _):
        ours.close()
        assert await stream.next() is None
        assert not stream.is_open
        stream.put(MESSAGE, b"nobody reads this")  # and it does no harm
        with pytest.raises(anyio.BrokenResourceError):
            await stream.flushed()


async def test_frames_of_one_turn_go_out_together_and_in_order():
    async with streaming() as (ours, stream, _):
        stream.put(MESSAGE, b"a", 1)
        stream.put(MESSAGE, b"b", 2)
        with pytest.raises(BlockingIOError):
            ours.recv(100)
        await stream.flushed()
        assert ours.recv(100) == frame(MESSAGE, b"a", 1) + frame(MESSAGE, b"b", 2)


async def test_flushed_waits_until_the_system_has_everything():
    loop = asyncio.get_running_loop()
    async with streaming() as (ours, stream, called):
        stream.put(MESSAGE, b"x" * 3_000_000)
        async with anyio.create_task_group() as tasks:
            flushing = anyio.Event()

            async def flush() -> None:
                await stream.flushed()
                flushing.set()

            tasks.start_soon(flush)
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            assert not flushing.is_set()
            assert stream.is_crowded
            called.clear()
            received = 0
            while received < 3_000_000:
                received += len(await loop.sock_recv(ours, 2**20))
            await flushing.wait()
        assert stream.waiting_bytes == 0
        assert "room" in called


async def test_closing_sends_what_was_put():
    loop = asyncio.get_running_loop()
    async with streaming() as (ours, stream, _):
        stream.put(MESSAGE, b"last")
        stream.close()
        assert await loop.sock_recv(ours, 100) == frame(MESSAGE, b"last")
        assert await loop.sock_recv(ours, 100) == b""
