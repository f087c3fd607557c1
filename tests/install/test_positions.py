"""Edits at positions, and items in brackets."""

from __future__ import annotations

import pytest

from plait.install.positions import (
    Edit,
    edited,
    indent_at,
    indent_unit,
    line_end_of,
    line_start,
    line_stop,
    next_line,
    whole_lines,
)


def test_edits_are_made_where_they_say_in_their_order():
    edits = [Edit(3, 3, b"x"), Edit(0, 1), Edit(3, 3, b"y"), Edit(4, 5, b"E")]
    assert edited(b"abcde", edits) == b"bcxydE"


@pytest.mark.parametrize(
    ("data", "end"), [(b"a\r\nb\r\nc\n", b"\r\n"), (b"a\nb\r\nc\n", b"\n"), (b"", b"\n")]
)
def test_the_line_end_is_that_of_most_lines(data: bytes, end: bytes):
    assert line_end_of(data) == end


def test_lines_are_found_around_a_position():
    data = b"ab\r\n  cd\r\nef"
    assert [line_start(data, 6), line_stop(data, 6), next_line(data, 6)] == [4, 8, 10]
    assert [line_start(data, 11), line_stop(data, 11), next_line(data, 11)] == [10, 12, 12]
    assert line_stop(b"\r\n\r\n", 2) == 2
    assert indent_at(data, 7) == b"  "


@pytest.mark.parametrize(
    ("data", "unit"),
    [(b"{\n\t\t1", b"\t"), (b"{\n    1", b"    "), (b"{}", b"  "), (b"a\n\n b", b" ")],
)
def test_the_unit_of_indentation_is_the_first_one(data: bytes, unit: bytes):
    assert indent_unit(data) == unit


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (b"a\n  XX  \nb", b"a\nb"),
        (b"a\n  XX", b"a\n"),
        (b"a XX\nb", b"a\nb"),
        (b"{ XX b }", b"{ b }"),
        (b"\tXX // c\n", b"\t// c\n"),
    ],
)
def test_a_line_goes_whole_if_nothing_else_is_on_it(data: bytes, left: bytes):
    start = data.index(b"XX")
    assert edited(data, [whole_lines(data, start, start + 2)]) == left
