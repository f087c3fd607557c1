"""The table of functions: nulls, unlike types, and where a failure stands."""

from __future__ import annotations

from typing import Any

from plait.core.expressions.budget import size
from plait.core.expressions.evaluation import expression
from plait.core.expressions.frame import Frame
from plait.core.expressions.functions import FUNCTIONS, call
from plait.core.expressions.signatures import ANY, EXPRESSION, TYPES
from plait.core.values.strict import dumps

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


_NUMBERS: list[Any] = [*range(1_000)]
_OBJECT: Any = {f"k{n}": n for n in range(1_000)}
_TEXT = "ab " * 20_000


@table(
    ("name", "arguments"),
    [
        ("lines", ["a\n" * 1_000]),
        ("split", ["a " * 1_000, " "]),
        ("join", [" ", ["a" * 64] * 1_000]),
        ("lower", [_TEXT]),
        ("upper", [_TEXT]),
        ("trim", [_TEXT]),
        ("reverse", [_TEXT]),
        ("reverse", [_NUMBERS]),
        ("find", [_TEXT, "(?s).*"]),
        ("find_all", ["ab " * 1_000, "[^ ]+"]),
        ("replace", ["a" * 1_000, "a", "b" * 640]),
        ("replace", ["a" * 640, ".*", "\\0" * 100]),
        ("from_json", [dumps(_NUMBERS)]),
        ("from_json", [dumps(_TEXT)]),
        ("unique", [_NUMBERS]),
        ("unique_by", [_NUMBERS, str]),
        ("group_by", [_NUMBERS, str]),
        ("count_by", [_NUMBERS, str]),
        ("group_by", [["a" * 64_000], str]),
        ("from_entries", [[{"key": "a" * 64_000}]]),
        ("sort", [_NUMBERS]),
        ("sort_by", [_NUMBERS, str]),
        ("map", [str, _NUMBERS]),
        ("entries", [_OBJECT]),
        ("from_entries", [[{"key": f"{n}"} for n in range(1_000)]]),
        ("merge", [_OBJECT, {"a": 1}]),
        ("keys", [_OBJECT]),
        ("values", [_OBJECT]),
    ],
)
def test_a_function_pays_for_all_that_it_makes(name: str, arguments: list[Any]) -> None:
    frame = Frame(None, {})
    made = call(name, frame, arguments, 0)
    units = size([made]) if isinstance(made, str) else size([made]) - 1
    assert units >= 900
    paid = frame.budget.allowed - frame.budget.made
    is_enough = paid >= 0.5 * units  # not all of it is new
    assert is_enough, (paid, units)


def test_the_functions_stand_in_the_order_of_their_names() -> None:
    assert [*FUNCTIONS] == sorted(FUNCTIONS)
