"""Lines and bytes pass through in their order, however they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.door.buffers import SHOWN_BYTES, LineCutter, Outbox
from plait.door.frames import MESSAGE, TOO_LONG

LINES = st.lists(st.binary(min_size=1, max_size=30).filter(lambda line: b"\n" not in line))


def cut(pieces: list[bytes], max_bytes: int = 1000) -> list[tuple[bytes, bytes]]:
    cutter = LineCutter(max_bytes)
    return [found for piece in [*pieces, b""] for found in cutter.feed(piece)]


def split(stream: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in [*sizes, len(stream)]:
        pieces.append(stream[:size])
        stream = stream[size:]
    return [piece for piece in pieces if piece]


@given(LINES, st.lists(st.integers(1, 40)), st.integers(1, 40))
def test_a_line_is_whole_or_too_long_however_the_stream_is_cut(
    lines: list[bytes], sizes: list[int], max_bytes: int
):
    expected = [
        (TOO_LONG, line) if len(line) > max_bytes else (MESSAGE, line.strip())
        for line in lines
        if len(line) > max_bytes or line.strip()
    ]
    found = cut(split(b"\n".join(lines), sizes), max_bytes)
    assert [kind for kind, _ in found] == [kind for kind, _ in expected]
    for (kind, text), (_, line) in zip(found, expected, strict=True):
        assert text == line if kind == MESSAGE else line.startswith(text)


def test_empty_lines_and_spaces_at_the_ends_are_left_out():
    assert cut([b"\n \r\n", b' {"a": 1} \r\n\n']) == [(MESSAGE, b'{"a": 1}')]


def test_the_last_line_needs_no_end():
    assert cut([b"one\ntw", b"o"]) == [(MESSAGE, b"one"), (MESSAGE, b"two")]


def test_of_a_line_above_the_limit_the_beginning_is_passed_on_once():
    pieces = [b"x" * 6000, b"y" * 6000, b"z\n", b"next\n"]
    assert cut(pieces, 10_000) == [(TOO_LONG, b"x" * SHOWN_BYTES), (MESSAGE, b"next")]


@given(st.lists(st.binary(max_size=100)), st.lists(st.integers(0, 20)), st.integers(1, 50))
def test_bytes_are_written_in_their_order_however_many_are_taken(
    parts: list[bytes], taken: list[int], most: int
):
    box, written, chunks = Outbox(), b"", iter(taken)
    box.add(*(part for part in parts if part))
    while box.size:
        front = bytes(box.first(most))
        assert 1 <= len(front) <= most
        count = min(next(chunks, most), len(front))
        written += front[:count]
        box.remove(count)
    assert written == b"".join(parts)


def test_a_large_part_is_not_copied():
    box, large = Outbox(), b"x" * 100_000
    box.add(large, b"small")
    front = box.first(4096)
    assert isinstance(front, memoryview)
    assert front.obj is large


def test_what_is_cleared_is_not_written():
    box = Outbox()
    box.add(b"one", b"two")
    box.clear()
    assert box.size == 0
    with pytest.raises(IndexError):
        box.first(1)
