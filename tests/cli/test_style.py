"""Pieces of lines: durations, numbers and values, for a person to read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.cli.style import Look, Styled, fold, one_line, pretty
from plait.cli.widths import width_of
from plait.core.values.strict import Json

from ..core.strategies import json_values
from ..profiles import CHARACTERS


@given(st.text(CHARACTERS), st.integers(1, 30))
def test_one_line_is_one_line_and_says_where_it_was_cut(text: str, most: int):
    line = one_line(text, most)
    assert line.splitlines() in ([line], [])
    assert width_of(line) <= most
    whole = " ".join(text.split())
    assert line == whole or (line[-1] == "…" and whole.startswith(line[:-1]))


def test_what_fits_stays_on_one_line():
    value: Json = {"a": [1, 2], "long": ["x" * 20, "y" * 20], "empty": {}}
    lines = list(pretty(value, 30))
    assert lines == [
        "{",
        '  "a": [1, 2],',
        '  "long": [',
        f'    "{"x" * 20}",',
        f'    "{"y" * 20}"',
        "  ],",
        '  "empty": {}',
        "}",
    ]
    assert json.loads("\n".join(lines)) == value


@given(json_values().filter(lambda value: not isinstance(value, str)), st.integers(1, 80))
def test_a_value_stays_the_same_however_it_is_broken_into_lines(value: Json, width: int):
    assert json.loads("\n".join(pretty(value, width))) == value
    assert len(list(pretty(value, 10**6))) == 1


@pytest.mark.parametrize(
    ("text", "lines"), [("two\nlines\n", ["two", "lines"]), ("", [""]), ('"$x"', ['"$x"'])]
)
def test_text_is_shown_as_it_is(text: str, lines: list[str]):
    assert list(pretty(text, 3)) == lines


@given(st.text(alphabet=" ab", max_size=60), st.integers(4, 30))
def test_folding_loses_no_character_but_blanks(text: str, width: int):
    lines = ["".join(map(str, line)) for line in fold((text,), width)]
    assert all(len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_a_line_is_folded_between_words_and_keeps_its_styles():
    line = ("  ", Styled("bold word", Look.BOLD), " and plain words")
    assert list(fold(line, 14)) == [
        ("  ", Styled("bold word", Look.BOLD)),
        ("    and plain",),
        ("    words",),
    ]
    assert list(fold(("x" * 25,), 10)) == [("x" * 10,), ("  " + "x" * 8,), ("  " + "x" * 7,)]
