"""The width of text on a terminal: what is padded, cut and folded by it stands in its column."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plait.cli.widths import cut_text, fitting, letters, padded, width_of

TEXTS = st.text(st.sampled_from("ab 漢字한e\u0301\u0308👍🏽ñ\uff21"), max_size=40)


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("abc", 3),
        ("漢字", 4),
        ("한국", 4),
        ("\uff21", 2),
        ("e\u0301", 1),
        ("é", 1),
        ("👍", 2),
        ("👍🏽", 2),
    ],
)
def test_a_width_is_that_on_a_terminal(text: str, width: int):
    assert width_of(text) == width
    assert width_of(padded(text, 9)) == 9


@given(TEXTS, st.integers(2, 30))
@example("aa\N{COMBINING ACUTE ACCENT}", 2)
def test_a_part_that_fits_is_as_long_as_can_be_and_cuts_no_letter(text: str, room: int):
    end = fitting(text, room)
    assert width_of(text[:end]) <= room
    whole = [letter for letter, _ in letters(text)]
    assert any("".join(whole[:count]) == text[:end] for count in range(len(whole) + 1))
    count = next(n for n in range(len(whole) + 1) if "".join(whole[:n]) == text[:end])
    assert end == len(text) or width_of("".join(whole[: count + 1])) > room


@given(TEXTS, st.integers(1, 30))
@example("漢字", 2)
def test_a_text_that_is_cut_fits(text: str, most: int):
    cut = cut_text(text, most)
    assert width_of(cut) <= most
    assert (cut == text) == (width_of(text) <= most)


@given(TEXTS, st.integers(1, 30))
def test_pieces_make_up_the_whole(text: str, room: int):
    start, pieces = 0, []
    while start < len(text):
        end = fitting(text, room, start)
        assert end > start
        pieces.append(text[start:end])
        start = end
    assert "".join(pieces) == text


def test_letters_are_whole_with_their_widths():
    assert [*letters("ae\u0301漢")] == [("a", 1), ("e\u0301", 1), ("漢", 2)]
