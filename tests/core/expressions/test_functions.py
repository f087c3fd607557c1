"""The functions: nulls, unlike types, and where a failure stands."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.expressions.evaluation import expression
from plait.core.expressions.functions import ANY, EXPRESSION, FUNCTIONS, OTHER_WORDS
from plait.errors import ExpressionFailed

from ..tables import table


@table("name", FUNCTIONS)
def test_a_null_where_a_function_wants_something_else_makes_its_result_null(name: str) -> None:
    function = FUNCTIONS[name]
    if ANY in function.wants:
        return
    arguments = ["&x" if wanted == EXPRESSION else "missing" for wanted in function.wants]
    assert expression(f"{name}({', '.join(arguments)})").evaluate({}) is None


@table(
    ("text", "value", "found"),
    [
        ("lines(@)", "a\n\n b\r\n", ["a", " b"]),
        ("lines(@)", "", []),
        ("lines(c)[?starts_with(@, '[F]')]", {"c": "[D] a\n[F] b"}, ["[F] b"]),
        ("split(@, ', ')", "a, b", ["a", "b"]),
        ("split(@, '')", "ab", ["a", "b"]),
        ("split(name, '/')[-1]", {"name": "x/y"}, "y"),
        ("sum(@)", [1, None, 2.5], 3.5),
        ("avg(@)", [1, None, 3], 2),
        ("avg(@)", [None], None),
        ("max(@)", ["a", None, "b"], "b"),
        ("min(@)", [None], None),
        ("sort(@)", ["b", None, "a"], ["a", "b", None]),
        ("sort_by(@, &n)[].k", [{"k": 1}, {"k": 2, "n": 1}], [2, 1]),
        ("max_by(@, &n).k", [{"k": 1}, {"k": 2, "n": 1}], 2),
        ("join(', ', @)", ["a", None, 1, True], "a, 1, true"),
        ("contains(@, [1])", [[1]], False),
        ("to_number(' 007 ')", None, 7),
        ("to_number('-1.5e1')", None, -15.0),
        ("to_number('1_000')", None, None),
        ("to_number(@)", True, None),
        ("to_string(@)", {"a": None}, '{"a":null}'),
        ("merge(a, b)", {"a": {"x": 1}, "b": {"x": 2}}, {"x": 2}),
        ("type(@)", True, "boolean"),
    ],
)
def test_a_function_gives(text: str, value: Any, found: Any) -> None:
    assert expression(text).evaluate(value) == found


@table(
    ("text", "value", "message"),
    [
        ("lines(@)", [1], "lines() wants a text, not a list (at character 1)"),
        ("a | lines(b)", {"a": {"b": 5}}, "lines() wants a text, not a number (at character 5)"),
        ("keys(@)", "x", "keys() wants an object, not a text (at character 1)"),
        ("length(@)", 7, "length() wants a text, a list or an object, not a number"),
        ("sum(@)", [1, "a"], "sum() wants numbers; the list holds a text (at character 1)"),
        ("sort(@)", [1, "a"], "sort() wants only numbers or only texts, not number and text"),
        ("sort_by(@, &n)", [{"n": 1}, {"n": []}], "sort_by() wants only numbers or only texts"),
        ("join('', @)", [[1]], "join() wants texts, numbers or booleans; the list holds a list"),
        ("sum(@)", [1e308, 1e308], "sum() gives too large a number"),
        ("sum(@)", [10**1200] * 20, None),
        ("sum(@)", [10**1300], "sum() gives too large a number"),
    ],
)
def test_a_failure_says_what_and_where_in_our_words(
    text: str, value: Any, message: str | None
) -> None:
    if message is None:
        assert expression(text).evaluate(value) == sum(value)
        return
    with pytest.raises(ExpressionFailed) as failed:
        expression(text).evaluate(value)
    assert failed.value.message.startswith(message)


def test_words_of_other_languages_lead_to_functions_that_exist() -> None:
    assert {name for names in OTHER_WORDS.values() for name in names} <= FUNCTIONS.keys()
    assert not OTHER_WORDS.keys() & FUNCTIONS.keys()
