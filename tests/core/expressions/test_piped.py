"""Expressions behind a bar."""

from __future__ import annotations

import pytest

from plait.core.expressions.evaluation import expression
from plait.core.expressions.piped import value_place
from plait.core.expressions.problems import InvalidExpression, fixed
from plait.core.expressions.reading import read
from plait.core.expressions.shapes import ANY
from plait.core.language.references import BadReference, parse

from ..tables import table


def right(text: str) -> str:
    with pytest.raises(InvalidExpression) as refused:
        expression(text)
    return fixed(text, [refused.value.finding])


@table(
    ("text", "meant"),
    [
        ("a | round(2)", "a | round(@, 2)"),
        ("a | round(2) | abs(@)", "a | round(@, 2) | abs(@)"),
        ("a | not_null('x')", "a | not_null(@, 'x')"),
        ("a | merge(`{}`)[0].b", "a | merge(@, `{}`)[0].b"),
        ("a | default('x')", "a | not_null(@, 'x')"),
        ("a | zork('x')", "a | zork('x')"),
        ("a | to_number('7')", "a | to_number('7')"),  # what was meant is not clear
    ],
)
def test_a_function_behind_a_bar_reads_the_value_before_it(text: str, meant: str) -> None:
    assert right(text) == meant
    if text != meant:
        expression(meant)


@table(
    "text",
    [
        *("a | not_null(@, 'x')", "a | not_null(b, 'x')", "a | round(b, 2)", "a | b"),
        *("not_null(a, 'x')", "round(2)", "a | 'x'", "a | [?round(2) == n]", "a | {n: round(2)}"),
    ],
)
def test_other_expressions_are_as_they_were(text: str) -> None:
    expression(text)


@table(
    ("text", "meant"),
    [
        ("a | length", "a | length(@)"),
        ("a | trim(@) | upper", "a | trim(@) | upper(@)"),
        ("a | length > 2", "a | length(@) > 2"),
        ('a | "length"', None),
        ("a.length | b", None),
        ("a | values[0]", None),
        ("a | join", None),
    ],
)
def test_a_function_that_is_named_behind_a_bar_is_called(text: str, meant: str | None) -> None:
    findings = read(expression(text), ANY, {}, "t").findings
    assert [fixed(text, [one]) for one in findings] == ([] if meant is None else [meant])


@table("pipe", ["round(2)", "not_null('x')", "length"])
def test_that_goes_for_the_expression_of_a_reference_too(pipe: str) -> None:
    with pytest.raises((InvalidExpression, BadReference)):
        parse(f"${{OUTPUT[a].x | {pipe}}}")


def test_the_value_is_the_first_argument_of_most_functions() -> None:
    assert (value_place("round", 1), value_place("join", 1), value_place("map", 1)) == (0, 1, 1)
