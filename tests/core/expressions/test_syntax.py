"""Texts that are expressions, and texts that are not: the place, the reason, the fix."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import jmespath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.core.expressions.evaluation import expression
from plait.core.expressions.frame import Operand
from plait.core.expressions.nodes import Key, Source
from plait.core.expressions.problems import InvalidExpression, fixed
from plait.core.expressions.reading import read
from plait.core.expressions.shapes import ANY
from plait.errors import ExpressionFailed, ReferenceFailed

from ..tables import table
from .refusals import assert_refused

INVALID = [
    ".",
    ",",
    ":",
    "]",
    "[",
    "}",
    "{",
    ")",
    "(",
    "!",
    "&",
    "=",
    "&&",
    "||",
    "==",
    "foo.",
    ".foo",
    "foo..bar",
    "foo[",
    "foo]",
    "foo[.]",
    "foo[abc]",
    "foo[abc",
    "foo.[abc",
    "foo.{",
    "foo.{a",
    "foo.{a:b",
    "foo.{a:b,",
    "foo.{:b}",
    "{a}",
    "{a:}",
    "{}",
    "[a,]",
    "f(a,,b)",
    "length(",
    "length()",
    "length(a,b)",
    "nope(@)",
    "foo.*bar",
    "*foo",
    "**",
    "foo[*]bar",
    "foo[**]",
    "foo[?a==b",
    "foo[?==b]",
    "foo[?a==]",
    "foo[?a==b]]",
    "`bad",
    '`{"a":}`',
    '"bad',
    "'bad",
    "foo[1:2:3:4]",
    "foo[1.5]",
    'a"b"',
    "sort_by(@,name)",
    "@.&a",
    "foo(&a)",
    "#x",
    "foo[?a=b]",
    "a.b(",
    '"quoted"(a)',
    "a||",
    "a&&",
    "a|",
    "|a",
]  # a list of words


@table("text", INVALID)
def test_what_jmespath_refuses_is_refused_with_a_place(text: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011  # the library's errors have no common base
        jmespath.search(text, {})
    with pytest.raises(InvalidExpression, match="at character"):
        expression(text)


@table(
    ("text", "character", "message", "right"),
    [
        ("a and b", 3, "and is not an operator", "a && b"),
        ("a or b", 3, "or is not an operator", "a || b"),
        ("not a", 1, "not is not an operator", "!a"),
        ("{'a': b}", 2, "a key has double quotes or none", '{"a": b}'),
        ("items[?a", 9, "ends too early", None),
        ("", 1, "the expression is empty", None),
        ("a.[0]", 2, "no full stop stands before an index", "a[0]"),
        ("a[::0]", 2, "a slice cannot have the step 0", None),
        ("&a", 1, "& stands before an argument of a function", None),
        ("(" * 200 + "a" + ")" * 200, 101, "nested more than 100 levels", None),
        ("a" + ".b" * 600, 1_001, "a path has at most 500 steps", None),
        ("x" * 10_001, 1, "at most 10,000 characters", None),
    ],
)
def test_a_refusal_says_where_and_what_would_be_right(
    text: str, character: int, message: str, right: str | None
) -> None:
    assert_refused(text, character, message, right)


def test_a_number_after_item_is_an_index() -> None:
    assert expression("$ITEM[1]").evaluate(None, {Key(Source.ITEM): Operand(["a", "b"])}) == "b"


WORDS = [
    "a",
    "b",
    ".",
    "..",
    "*",
    "[",
    "]",
    "[]",
    "[?",
    "(",
    ")",
    "{",
    "}",
    ":",
    ",",
    "|",
    "||",
    "&&",
    "!",
    "==",
    "!=",
    "<",
    ">=",
    "@",
    "&",
    "1",
    "-2",
    "0.5",
    "'x'",
    "'y",
    "$ITEM.z'",
    '"q"',
    "`1`",
    "`{`",
    "$ITEM",
    "$OUTPUT[a]",
    "$",
    "${ITEM}",
    "$OUTPUT[",
    "=",
    "and",
    "or",
    "not",
    "true",
    "null",
    "length",
    "sort_by",
    "lines",
    "'(",
    "'",
    "\\",
    "é",
]
SOUPS = st.lists(st.sampled_from(WORDS), max_size=14).map("".join) | st.lists(
    st.sampled_from(WORDS), max_size=10
).map(" ".join)
BOUND: dict[Key, Any] = {
    Key(Source.ITEM): {"z": "v"},
    Key(Source.OUTPUT, "a"): [1, {"b": None}],
}


@settings(deadline=None)
@given(SOUPS)
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        made = expression(text)
    except InvalidExpression as refused:
        finding = refused.finding
        assert 0 <= finding.start <= finding.end <= len(text)
        assert finding.edit is None or fixed(text, [finding]) != text
        return
    read(made, ANY, dict.fromkeys(BOUND, ANY))
    bound = {key: Operand(value) for key, value in BOUND.items()}
    with suppress(ExpressionFailed, ReferenceFailed):
        made.evaluate({"a": [{"b": "x"}], "b": 1}, bound)


@table(("text", "meant"), [("Math.round(x)", "round(x)"), ("Object.keys(a.b)", "keys(a.b)")])
def test_a_function_has_no_name_of_a_library_before_it(text: str, meant: str) -> None:
    with pytest.raises(InvalidExpression) as refused:
        expression(text)
    assert fixed(text, [refused.value.finding]) == meant
    expression(meant)
    expression("Math.PI")
    expression("a.Math.round(x)")
