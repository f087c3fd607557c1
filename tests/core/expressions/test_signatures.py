"""Signatures: how they are written, and how many arguments they take."""

from __future__ import annotations

from typing import Any

from plait.core.expressions.signatures import ANY, NUMBER, Function, kind_of, with_article

from ..tables import table


def test_a_signature_shows_what_may_be_left_out_or_repeated() -> None:
    assert Function(max, (NUMBER, NUMBER), "number").signature == "(number, number)"
    assert Function(max, (NUMBER, NUMBER), "number", optional=1).signature == "(number[, number])"
    assert Function(max, (ANY,), "any", repeats=True).signature == "(any, …)"


@table(
    ("function", "counts"),
    [
        (Function(max, (NUMBER, NUMBER), "number"), {2}),
        (Function(max, (NUMBER, NUMBER), "number", optional=1), {1, 2}),
        (Function(max, (ANY,), "any", repeats=True), {1, 2, 3}),
    ],
)
def test_a_function_takes_as_many_arguments_as_it_says(
    function: Function, counts: set[int]
) -> None:
    assert {count for count in range(4) if function.takes(count)} == counts
    assert function.wanted(5) == function.wants[-1]


def test_kinds_have_our_words() -> None:
    values: list[Any] = [None, True, 1, 1.5, "a", [], {}]
    assert [kind_of(value) for value in values] == [
        "null", "boolean", "number", "number", "text", "list", "object",
    ]  # fmt: skip
    assert [with_article(value) for value in values[::3]] == ["null", "a number", "an object"]
