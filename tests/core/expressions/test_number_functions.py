"""The functions of numbers: whole numbers stay whole, halves, and numbers that are too large."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.core.expressions.evaluation import expression

from ..tables import table
from .given import assert_fails, assert_gives


@table(
    ("text", "value", "found"),
    [
        ("add(n, 1)", {"n": 2}, 3),
        ("add(n, 0.5)", {"n": 2}, 2.5),
        ("add(@, 1)", 9007199254740993, 9007199254740994),
        ("subtract(1, 3)", None, -2),
        ("subtract(1, 0.5)", None, 0.5),
        ("multiply(3, 4)", None, 12),
        ("multiply(2, 1.5)", None, 3.0),
        ("divide(6, 3)", None, 2),
        ("divide(-6, 3)", None, -2),
        ("divide(7, 2)", None, 3.5),
        ("divide(6.0, 3)", None, 2.0),
        ("divide(1, 0)", None, None),
        ("divide(1, 0.0)", None, None),
        ("divide(@, 7)", 7 * 10**40, 10**40),
        ("round(2.5)", None, 3),
        ("round(-2.5)", None, -3),
        ("round(0.5)", None, 1),
        ("round(2.4)", None, 2),
        ("round(2.345, 2)", None, 2.35),
        ("round(1.005, 2)", None, 1.01),
        ("round(-1.25, 1)", None, -1.3),
        ("round(7)", None, 7),
        ("round(7, 2)", None, 7),
        ("round(1250, -2)", None, 1300),
        ("round(-1250, -2)", None, -1300),
        ("round(1249.9, -2)", None, 1200),
        ("round(1e300)", None, int(1e300)),
        ("round(1e300, 3)", None, 1e300),
        ("round(@, -3)", 10**60 + 500, 10**60 + 1000),
        ("round(4503599627370495.5)", None, 4503599627370496),
        ("round(4503599627370495.5, 15)", None, 4503599627370495.5),
        ("sum(@)", [1, None, 2.5], 3.5),
        ("sum(@)", [], 0),
        ("avg(@)", [1, None, 3], 2),
        ("avg(@)", [1, 2], 1.5),
        ("avg(@)", [None], None),
        ("abs(@)", -1, 1),
        ("floor(-1.5)", None, -2),
        ("ceil(-1.5)", None, -1),
        ("to_number(' 007 ')", None, 7),
        ("to_number('-1.5e1')", None, -15.0),
        ("to_number('1_000')", None, None),
        ("to_number('1e999')", None, None),
        ("to_number(@)", True, None),
        ("sum(@)", [10**1200] * 20, 20 * 10**1200),
    ],
)
def test_a_function_of_numbers_gives(text: str, value: Any, found: Any) -> None:
    assert_gives(text, value, found)


@table(
    ("text", "value", "message"),
    [
        ("sum(@)", [1, "a"], "sum() wants numbers; the list holds a text (at character 1)"),
        ("sum(@)", [1, True], "sum() wants numbers; the list holds a boolean"),
        ("sum(@)", [1e308, 1e308], "sum() gives too large a number"),
        ("sum(@)", [10**1300], "sum() gives too large a number"),
        ("avg(@)", [10**400, 3], "avg() gives too large a number"),
        ("multiply(@, @)", 10**1000, "multiply() gives too large a number"),
        ("add(@, @)", 1.7e308, "add() gives too large a number"),
        ("add(@, 0.5)", 10**400, "add() gives too large a number"),
        ("divide(@, 3)", 10**400, "divide() gives too large a number"),
        ("add('1', 2)", None, "add() wants a number, not a text"),
        ("round(1.5, 0.5)", None, "round() wants a whole number of digits from -15 to 15"),
        ("round(1.5, 16)", None, "round() wants a whole number of digits from -15 to 15"),
    ],
)
def test_a_number_that_is_none_or_too_large_is_an_error(
    text: str, value: Any, message: str
) -> None:
    assert_fails(text, value, message)


@given(st.floats(-1e12, 1e12), st.integers(-6, 3))
def test_round_is_that_of_people_to_a_decimal(number: float, digits: int) -> None:
    step = Decimal(1).scaleb(-digits)
    want = (Decimal(repr(number)) / step).quantize(Decimal(1), ROUND_HALF_UP) * step
    assert expression(f"round(@, {digits})").evaluate(number) == float(want)


@given(st.integers(), st.integers().filter(bool))
def test_what_divides_without_a_rest_stays_whole(one: int, other: int) -> None:
    value: Any = {"p": one * other, "b": other}
    found = expression("divide(p, b)").evaluate(value)
    assert (found, type(found)) == (one, int)
