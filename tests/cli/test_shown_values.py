"""Values as lines: exact, bounded, and nothing but values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.cli.shown_values import (
    MOST_CHARS,
    Origin,
    chunks,
    foreign,
    value_lines,
    value_text,
    words,
)
from plait.cli.widths import cut_text, width_of
from plait.core.values.printable import printable
from plait.core.values.strict import Json

from ..core.strategies import json_values
from .records import shown


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("text", ['"text"']),
        ("", ['""']),
        ("one line\n", [r'"one line\n"']),
        (12, ["12"]),
        ("12", ['"12"']),
        (None, ["null"]),
        ({}, ["{}"]),
        ({"a": [1, "x"]}, ['{"a": [1, "x"]}']),
        ("\x1b[1m\u202e", [r'"\u001b[1m\u202e"']),
        ("a\n\tb", ["2 lines, 4 characters, no line break at", "the end", "│ a", "│     b"]),
        (Origin("← a → b"), ["← a → b"]),
        ({"key": "value " * 6}, ["{", '  "key": "value value value value value', 'value "', "}"]),
    ],
)
def test_a_value_is_shown_exactly(value: Json, lines: list[str]):
    assert shown(value_lines(value, 40, is_whole=False)) == lines


@given(json_values(), st.integers(16, 100))
def test_a_whole_value_can_be_read_back_and_every_line_fits(value: Json, room: int):
    lines = [*value_lines(value, room, is_whole=True)]
    texts = ["".join(str(getattr(piece, "text", piece)) for piece in line) for line in lines]
    assert all(width_of(text) <= room for text in texts)
    assert all(printable(text) == text for text in texts)
    if not isinstance(value, str):
        written = json.dumps(value, ensure_ascii=False)
        assert "".join("".join(texts).split()) == "".join(printable(written).split())


def test_what_is_left_out_is_counted():
    assert value_text("x" * 1_000, 5) == '"xxxx… (1,000 characters)'
    assert value_text([1] * 100, 5) == "[1, 1… (300 characters)"
    assert value_text("x" * 1_000, None) == json.dumps("x" * 1_000)
    [*_, last] = shown(value_lines("line\n" * 20, 40, is_whole=False))
    assert last == "… 12 more lines"
    [_, first, _] = shown(value_lines("y" * 900 + "\nz", 400, is_whole=False))
    assert first == f"│ {'y' * MOST_CHARS}… (900 characters)"


@given(st.text(max_size=200), st.integers(2, 50))
def test_pieces_are_the_whole_text(text: str, room: int):
    assert "".join(chunks(text, room)) == text
    assert all(width_of(part) <= room for part in chunks(text, room))
    assert "".join("".join(words(text, room)).split()) == "".join(text.split())
    assert width_of(cut_text(text, room)) <= room


def test_a_foreign_name_is_safe_and_bounded():
    assert foreign("a\nb", None) == r"a\nb"
    assert foreign("n" * 50, 10) == "nnnnnnnnnn… (50 characters)"
