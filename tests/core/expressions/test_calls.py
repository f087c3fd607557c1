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
        ("items(@)", 1, "unknown function items", "entries(@)"),
        ("groupBy(@, &a)", 1, "unknown function groupBy", "group_by(@, &a)"),
        ("toLowerCase(a)", 1, "unknown function toLowerCase", "lower(a)"),
        ("lowercase(a)", 1, "unknown function lowercase", "lower(a)"),
        ("sub(a, 'b', 'c')", 1, "unknown function sub", None),
        ("a | split(@)", 5, "split(text, text) does not take 1 arguments", None),
        ("round(1, 2, 3)", 1, "round(number[, number]) does not take 3 arguments", None),
        ("add(a)", 1, "add(number, number) does not take 1 arguments", None),
        ("group_by(@, a)", 13, "wants & before this argument", "group_by(@, &a)"),
        ("matches(a, '(')", 12, "matches() wants a regex: missing ): (", None),
        ("matches(a, '[a')", 12, "matches() wants a regex: missing ]: [a", None),
        ("matches(a, 'b\\Z')", 12, "the end of the text is \\z", "matches(a, 'b\\z')"),
        ("find(a, '(?=b)')", 9, "look-around is not supported", None),
        ("replace(a, '(b)', '\\2')", 19, "replace() has no group for \\2", None),
        ("[?matches(a, '*')]", 14, "no argument for repetition operator: *", None),
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
        expression("sub(@, 'a')")
    hint = "Did you mean replace(text, regex, text) or subtract(number, number)?"
    assert refused.value.hint == hint
    with pytest.raises(InvalidExpression) as refused:
        expression("now()")
    assert (
        refused.value.hint == "age_days(text) counts the days from a date to the start of the run."
    )
    with pytest.raises(InvalidExpression) as refused:
        expression("xyzzy(@)")
    assert str(refused.value.hint).startswith("Functions: abs, add, age_days, avg")
