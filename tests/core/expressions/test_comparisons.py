"""Comparisons whose result is certain before anything runs."""

from __future__ import annotations

import pytest

from .issues import assert_found, read_select, read_when, said

CERTAIN: list[tuple[str, int, str, str | None]] = [
    # expression, character, a part of the message, the right expression (None: no certain fix)
    ("items[?state == 'opened']", 8, "is never true", None),
    ("items[?state == 'closd']", 8, "is never true", "items[?state == 'closed']"),
    ("items[?state != 'opened']", 8, "is always true", None),
    ("items[?number == '3']", 8, "an integer == one of '3' is never true", "items[?number == 3]"),
    ("items[?number > '3']", 8, "is never true", "items[?number > 3]"),
    ("items[?title == 5]", 8, "is never true", "items[?title == '5']"),
    ("items[?labels > 2]", 8, "a list > one of 2 is never true", None),
    ("items == 'x'", 1, "is never true", None),
]


@pytest.mark.parametrize(
    ("text", "character", "message", "right"), CERTAIN, ids=[case[0] for case in CERTAIN]
)
def test_a_comparison_with_a_certain_result_is_found(
    text: str, character: int, message: str, right: str | None
) -> None:
    assert_found(text, read_select(text), character, message, right)
    if right:
        assert said(read_select(right)) == []


def test_a_condition_is_compared_likewise() -> None:
    assert_found("check.n == '5'", read_when("check.n == '5'"), 1, "is never true", "check.n == 5")
