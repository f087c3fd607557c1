"""The table of functions: nulls, unlike types, and where a failure stands."""

from __future__ import annotations

from typing import Any

from plait.core.expressions.evaluation import expression
from plait.core.expressions.functions import FUNCTIONS
from plait.core.expressions.signatures import ANY, EXPRESSION, TYPES

from ..tables import table
from .given import START, assert_fails, assert_gives


@table("name", FUNCTIONS)
def test_a_null_where_a_function_wants_something_else_makes_its_result_null(name: str) -> None:
    """In JMESPath, it is an error."""
    function = FUNCTIONS[name]
    kinds = {"text": "'a'", "regex": "'a'", "number": "1", "object": "`{}`"}
    for missing, kind in enumerate(function.wants):
        if kind in (ANY, EXPRESSION):
            continue
        arguments = [
            "&x" if wanted == EXPRESSION else kinds.get(wanted, "`[]`") for wanted in function.wants
        ]
        arguments[missing] = "missing"
        text = f"{name}({', '.join(arguments)})"
        assert expression(text).evaluate({}, start=START) is None, text


@table("name", FUNCTIONS)
def test_a_value_of_another_type_is_an_error_that_names_the_function(name: str) -> None:
    function = FUNCTIONS[name]
    for number, kind in enumerate(function.wants):
        if kind not in TYPES:
            continue
        arguments = ["&x" if wanted == EXPRESSION else "missing" for wanted in function.wants]
        arguments[: number + 1] = ["a"] * (number + 1)
        if EXPRESSION not in function.wants[: number + 1]:
            assert_fails(f"{name}({', '.join(arguments)})", {"a": True}, f"{name}() wants ")


@table(
    ("text", "value", "found"),
    [
        ("contains(@, [1])", [[1]], False),
        ("contains(@, `[1]`)", [[1]], True),
        ("contains(@, true)", [1], False),
        ("length(@)", "é😀", 2),
        ("not_null(a, b)", {"b": 1}, 1),
        ("reverse(@)", "abc", "cba"),
        ("type(@)", True, "boolean"),
    ],
)
def test_a_function_of_several_kinds_gives(text: str, value: Any, found: Any) -> None:
    assert_gives(text, value, found)


@table(
    ("text", "value", "message"),
    [
        ("lines(@)", [1], "lines() wants a text, not a list (at character 1)"),
        ("a | lines(b)", {"a": {"b": 5}}, "lines() wants a text, not a number (at character 5)"),
        ("keys(@)", "x", "keys() wants an object, not a text (at character 1)"),
        ("length(@)", 7, "length() wants a text, a list or an object, not a number"),
        ("add(@, 1)", {}, "add() wants a number, not an object"),
        ("matches('a', @)", True, "matches() wants a text, not a boolean"),
    ],
)
def test_a_failure_says_what_and_where_in_our_words(text: str, value: Any, message: str) -> None:
    assert_fails(text, value, message)


def test_the_functions_stand_in_the_order_of_their_names() -> None:
    assert [*FUNCTIONS] == sorted(FUNCTIONS)
