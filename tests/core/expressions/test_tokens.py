"""The tokens of a text, and characters that are none."""

from __future__ import annotations

import pytest

from plait.core.expressions.problems import InvalidExpression
from plait.core.expressions.tokens import tokenize

from ..tables import table
from .refusals import assert_refused


def test_a_sign_between_values_leads_to_the_functions_that_calculate() -> None:
    for text in ("n + 1", "n % 2", "n -m"):
        with pytest.raises(InvalidExpression) as refused:
            tokenize(text)
        assert str(refused.value.hint).startswith("Write add(a, b), subtract(a, b)")


@table(
    ("text", "character", "message", "right"),
    [
        ("n = 1", 3, "= is not an operator", "n == 1"),
        ("page + 1", 6, "+ is not an operator", "add(page, 1)"),
        ("content-type", 8, "- is not an operator", None),
        ("items[?a == 'x", 13, "never closed", None),
        (
            "${OUTPUT[a].x} == 1",
            1,
            "a reference in an expression has no braces",
            "$OUTPUT[a].x == 1",
        ),
        ("$.items[].n", 1, "$. is not needed before a name", "items[].n"),
        ("$a.ok", 1, "$ is not needed before a name", "a.ok"),
        ("$[0]", 1, "$ is not needed here", "[0]"),
        ("a.$b", 3, "$ is not needed before a name", "a.b"),
        ("$ 1", 1, "$ starts no reference here", None),
    ],
)
def test_what_is_no_token_is_refused(
    text: str, character: int, message: str, right: str | None
) -> None:
    assert_refused(text, character, message, right)


@table(
    ("text", "kinds"),
    [
        ("a.0.1", ["name", ".", "number", ".", "number", "end"]),
        ("a[?b]", ["name", "filter", "name", "]", "end"]),
        ("$OUTPUT[a.b-c].d", ["reference", ".", "name", "end"]),
        ("-1 <= 2.5e3", ["number", "<=", "number", "end"]),
        ("""'it\\'s' || "a" || `"b"`""", ["text", "||", "quoted", "||", "json", "end"]),
        ("a[] | b", ["name", "flatten", "|", "name", "end"]),
    ],
)
def test_a_token_has_a_kind_and_its_place(text: str, kinds: list[str]) -> None:
    tokens = tokenize(text)
    assert [token.kind for token in tokens] == kinds
    assert all(text[token.start : token.end] == token.text for token in tokens)
