"""The arguments that functions want, and the shapes of their results."""

from __future__ import annotations

import pytest

from .issues import assert_found, read_select, said

CERTAIN: list[tuple[str, int, str, str | None]] = [
    ("join(items[].title, ', ')", 1, "another order", "join(', ', items[].title)"),
    ("contains('x', items[].title)", 1, "another order", "contains(items[].title, 'x')"),
    # expression, character, a part of the message, the right expression (None: no certain fix)
    ("lines(items)", 7, "lines() wants a text, and this is a list", None),
    ("sum(total)", 5, "sum() wants a list, and this is an integer", None),
    ("contains(total, 'x')", 10, "contains() wants a text or a list", None),
]


@pytest.mark.parametrize(
    ("text", "character", "message", "right"), CERTAIN, ids=[case[0] for case in CERTAIN]
)
def test_an_argument_of_a_wrong_kind_is_found(
    text: str, character: int, message: str, right: str | None
) -> None:
    assert_found(text, read_select(text), character, message, right)
    if right:
        assert said(read_select(right)) == []
