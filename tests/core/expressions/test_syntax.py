"""Texts that are expressions, and texts that are not: the place, the reason, the fix."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import jmespath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.core.expressions.evaluation import Operand, expression
from plait.core.expressions.problems import InvalidExpression, fixed
from plait.core.expressions.reading import read
from plait.core.expressions.shapes import ANY
from plait.core.expressions.syntax import Key, Path, Source, parse, walk
from plait.errors import ExpressionFailed, ReferenceFailed

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


@pytest.mark.parametrize("text", INVALID)
def test_what_jmespath_refuses_is_refused_with_a_place(text: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011  # the library's errors have no common base
        jmespath.search(text, {})
    with pytest.raises(InvalidExpression, match="at character"):
        expression(text)


@pytest.mark.parametrize(
    ("text", "character", "message", "right"),
    [
        ("n = 1", 3, "= is not an operator", "n == 1"),
        ("a and b", 3, "and is not an operator", "a && b"),
        ("a or b", 3, "or is not an operator", "a || b"),
        ("not a", 1, "not is not an operator", "! a"),
        ("page + 1", 6, "+ is not an operator", None),
        ("content-type", 8, "- is not an operator", None),
        ("{'a': b}", 2, "a key has double quotes or none", '{"a": b}'),
        ("items[?a == 'x", 13, "never closed", None),
        ("items[?a", 9, "ends too early", None),
        ("", 1, "the expression is empty", None),
        ("leng(@)", 1, "unknown function leng", None),
        ("lenght(@)", 1, "unknown function lenght", "length(@)"),
        ("count(@)", 1, "unknown function count", "length(@)"),
        ("to_json(@)", 1, "unknown function to_json", "to_string(@)"),
        ("items(@)", 1, "unknown function items", None),
        ("a | split(@)", 5, "split(text, text) does not take 1 arguments", None),
        ("sort_by(@, n)", 12, "wants & before this argument", None),
        ("length(&a)", 8, "wants no & before this argument", None),
        ("a.[0]", 2, "no full stop stands before an index", "a[0]"),
        ("[?x == `foo`]", 8, "is not a JSON value", "[?x == 'foo']"),
        ("[?x == `$ITEM`]", 8, "$ITEM is not a reference between `", "[?x == $ITEM]"),
        ('[?x == "$OUTPUT[a].b"]', 8, "$OUTPUT[a] is not a reference", "[?x == $OUTPUT[a].b]"),
        (
            "${OUTPUT[a].x} == 1",
            1,
            "a reference in an expression has no braces",
            "$OUTPUT[a].x == 1",
        ),
        ("$OUTPT[a]", 1, "$ is not needed before a name", None),
        ("$.items[].n", 1, "$. is not needed before a name", "items[].n"),
        ("$a.ok", 1, "$ is not needed before a name", "a.ok"),
        ("$[0]", 1, "$ starts no reference here", None),
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
    with pytest.raises(InvalidExpression) as refused:
        expression(text)
    finding = refused.value.finding
    assert (finding.start + 1, message in finding.message) == (character, True), finding
    if right is not None:
        assert fixed(text, [finding]) == right
        expression(right)
    elif not text.startswith("$O"):
        assert finding.edit is None


def test_of_an_unknown_function_the_nearest_are_named() -> None:
    with pytest.raises(InvalidExpression) as refused:
        expression("items(@)")
    assert refused.value.hint == "Did you mean keys(object) or values(object)?"
    with pytest.raises(InvalidExpression) as refused:
        expression("xyzzy(@)")
    assert str(refused.value.hint).startswith("Functions: abs, avg")


def test_a_number_after_item_is_an_index() -> None:
    assert expression("$ITEM[1]").evaluate(None, {Key(Source.ITEM): Operand(["a", "b"])}) == "b"


def test_nodes_have_their_places_and_are_walked_in_the_order_of_the_text() -> None:
    tree = parse("a.b[?c == 'x'].d")
    places = [(type(node).__name__, node.start) for node in walk(tree)]
    assert ("Field", 0) in places
    assert ("Compare", 5) in places
    assert isinstance(parse("a.b.c.d"), Path)
    assert len(list(walk(parse("a.b.c.d")))) == 5


@pytest.mark.parametrize(("key", "text"), [(Key(Source.OUTPUT, "a"), "$OUTPUT[a]")])
def test_the_start_of_a_reference_is_shown_as_it_is_written(key: Key, text: str) -> None:
    assert str(key) == text


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
