"""Calls of functions that do not exist, or are called otherwise."""

from __future__ import annotations

import pytest

from plait.core.expressions.evaluation import expression
from plait.core.expressions.problems import InvalidExpression

from ..tables import table
from .refusals import assert_refused


@table(
    ("text", "character", "message", "right"),
    [
        ("leng(@)", 1, "unknown function leng", None),
        ("lenght(@)", 1, "unknown function lenght", "length(@)"),
        ("count(@)", 1, "unknown function count", "length(@)"),
        ("to_json(@)", 1, "unknown function to_json", "to_string(@)"),
        ("items(@)", 1, "unknown function items", None),
        ("a | split(@)", 5, "split(text, text) does not take 1 arguments", None),
        ("sort_by(@, n)", 12, "wants & before this argument", "sort_by(@, &n)"),
        ("sort_by(@, 'n')", 12, "wants & before this argument", "sort_by(@, &n)"),
        ("sort_by(@, length(n))", 12, "wants & before this argument", None),
        ("length(&a)", 8, "wants no & before this argument", "length(a)"),
    ],
)
def test_a_call_that_cannot_be_made_is_refused(
    text: str, character: int, message: str, right: str | None
) -> None:
    assert_refused(text, character, message, right)


def test_of_an_unknown_function_the_nearest_are_named() -> None:
    with pytest.raises(InvalidExpression) as refused:
        expression("items(@)")
    assert refused.value.hint == "Did you mean keys(object) or values(object)?"
    with pytest.raises(InvalidExpression) as refused:
        expression("xyzzy(@)")
    assert str(refused.value.hint).startswith("Functions: abs, avg")
