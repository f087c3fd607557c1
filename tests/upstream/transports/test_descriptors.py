"""Lines read from descriptors, the same however their bytes arrive, and bytes written to them."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.upstream.transports.descriptors import (
    Lines,
    Take,
    _PipeLines,
    open_both,
    open_lines,
    open_sink,
)
from plait.upstream.transports.messages import Unreadable

LIMIT = 8
TEXTS = st.lists(st.sampled_from([b"a", b"bb", b" ", b"\r", b"\n", b"\n", b"c" * 9, b"\xff"])).map(
    b"".join
)


def expected(text: bytes) -> list[bytes | None]:
    """Return the expected lines of *text*, None for one above the limit."""
    *lines, last = text.split(b"\n")
    told = [None if len(line) > LIMIT else line.strip() for line in [*lines, last]]
    return [line for line in told if line != b""]


def kept(into: list[bytes | None]) -> Take:
    return lambda line: into.append(None if isinstance(line, Unreadable) else line)


@given(TEXTS, st.data())
def test_lines_are_the_same_for_any_chunks_and_pauses(text: bytes, data: st.DataObject):
    told: list[bytes | None] = []
    lines = _PipeLines(-1, LIMIT)
    lines._take = kept(told)
    lines.resume()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        if data.draw(st.booleans()):
            lines.pause()
        lines.data_received(text[start:end])
        if data.draw(st.booleans()):
            lines.resume()
    lines.connection_lost(None)
    lines.resume()
    assert told == expected(text)
    assert len(lines._data) <= LIMIT


@pytest.fixture(params=["pipe", "file"])
async def lines(request: pytest.FixtureRequest, tmp_path: Path) -> Lines:
    """Three lines, of a pipe and of a file."""
    if request.param == "file":
        (tmp_path / "in").write_bytes(b"1\n2\n3")
        return await open_lines(os.open(tmp_path / "in", os.O_RDONLY), LIMIT)
    reading, writing = os.pipe()
    os.write(writing, b"1\n2\n3")
    os.close(writing)
    return await open_lines(reading, LIMIT)


async def test_every_line_is_given_and_then_run_ends(lines: Lines):
    told: list[bytes | None] = []
    with anyio.fail_after(5):
        await lines.run(kept(told))
    lines.close()
    assert told == [b"1", b"2", b"3"]


async def test_no_line_is_given_while_paused(lines: Lines):
    told: list[Any] = []
    paused = asyncio.Event()

    def take(line: bytes | Unreadable) -> None:
        told.append(line)
        if line == b"2":
            lines.pause()
            paused.set()

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(lines.run(take))
        with anyio.fail_after(5):
            await paused.wait()
            await anyio.wait_all_tasks_blocked()
            assert told == [b"1", b"2"]
            assert not running.done()
            lines.resume()
            await running
    lines.close()
    assert told == [b"1", b"2", b"3"]


async def test_no_line_is_given_after_close(lines: Lines):
    told: list[Any] = []

    def take(line: bytes | Unreadable) -> None:
        told.append(line)
        lines.close()

    with anyio.fail_after(5):
        await lines.run(take)
    assert told == [b"1"]


async def test_messages_written_in_one_turn_arrive_in_order_even_when_closed_at_once():
    reading, writing = os.pipe()
    sink = await open_sink(writing, lambda: None)
    told: list[bytes | None] = []
    lines = await open_lines(reading, 2**20)
    parts = [b"%d" % number * 50 + b"\n" for number in range(3_000)]

    async def write() -> None:
        for part in parts:
            await sink.write(part)
        await sink.aclose()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        with anyio.fail_after(5):
            await lines.run(kept(told))
    lines.close()
    assert told == [part.strip() for part in parts]


async def test_a_sink_whose_reader_is_gone_reports_it_and_takes_no_more():
    reading, writing = os.pipe()
    lost = asyncio.Event()
    sink = await open_sink(writing, lost.set)
    os.close(reading)
    with anyio.fail_after(5):
        await sink.wait_lost()
    assert lost.is_set()
    with pytest.raises(anyio.BrokenResourceError):
        await sink.write(b"1\n")
    await sink.aclose()


async def test_a_writer_waits_for_a_reader_that_is_slow():
    reading, writing = os.pipe()
    sink = await open_sink(writing, lambda: None)
    data = b"x" * 2**20
    async with asyncio.TaskGroup() as tasks:
        written = tasks.create_task(sink.write(data))
        await anyio.wait_all_tasks_blocked()
        assert not written.done()
        told: list[bytes | None] = []
        lines = await open_lines(reading, 2 * 2**20)
        ended = tasks.create_task(lines.run(kept(told)))
        with anyio.fail_after(5):
            await written
            await sink.aclose()
            await ended
    lines.close()
    assert told == [data]


async def test_a_file_takes_what_is_written_to_it(tmp_path: Path):
    path = tmp_path / "out"
    sink = await open_sink(os.open(path, os.O_WRONLY | os.O_CREAT), lambda: None)
    await sink.write(b"1\n")
    await sink.write(b"2\n")
    await sink.aclose()
    assert path.read_bytes() == b"1\n2\n"


async def test_input_ends_when_its_output_can_take_no_more_and_the_reason_is_kept():
    in_fd, client_in = os.pipe()
    async with open_both(in_fd, os.open("/dev/full", os.O_WRONLY), LIMIT) as (lines, sink):
        with pytest.raises(anyio.BrokenResourceError):
            await sink.write(b"1\n")
        with anyio.fail_after(5):
            await sink.wait_lost()
            await lines.run(kept([]))
    await sink.aclose()
    os.close(client_in)
    assert sink.fault is not None
    assert sink.fault.errno == errno.ENOSPC


async def test_input_ends_when_the_reader_of_its_output_is_gone():
    (in_fd, client_in), (client_out, out_fd) = os.pipe(), os.pipe()
    async with open_both(in_fd, out_fd, LIMIT) as (lines, sink):
        os.close(client_out)
        with anyio.fail_after(5):
            await lines.run(kept([]))
    await sink.aclose()
    os.close(client_in)
