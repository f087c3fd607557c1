"""Projections over what has no elements, and what is applied to each element by mistake."""

from __future__ import annotations

from ..tables import table
from .issues import assert_found, read_select, said

CERTAIN: list[tuple[str, int, str, str | None]] = [
    # expression, character, a part of the message, the right expression (None: no certain fix)
    ("total[]", 6, "an integer is not a list", None),
    ("items[?number][0]", 15, "[0] is applied to each element", "items[?number] | [0]"),
    ("'x' == items[?number][0].title", 22, "each", "'x' == (items[?number] | [0].title)"),
    ("items[][0].title", 8, "applied to each element", "items[] | [0].title"),
    ("items[?number][:2].title", 15, "[:2] is applied to each", "items[?number] | [:2].title"),
    ("items[?number][?title]", 15, "applied to each", "items[?number && title]"),
    ("items[:2][0].title", 10, "applied to each element", "items[:2] | [0].title"),
    ("items[:2][?number].title", 10, "applied to each", "items[:2] | [?number].title"),
    ("items[].{n: number}[?n]", 20, "is not a list", None),
]


@table(("text", "character", "message", "right"), CERTAIN)
def test_a_projection_that_cannot_be_meant_is_found(
    text: str, character: int, message: str, right: str | None
) -> None:
    assert_found(text, read_select(text), character, message, right)
    if right:
        assert said(read_select(right)) == []
