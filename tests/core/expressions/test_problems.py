"""Findings, and the text with their edits."""

from __future__ import annotations

from plait.core.expressions.problems import Edit, Finding, InvalidExpression, fixed

from ..tables import table


@table(
    ("edits", "expected"),
    [
        ([], "a.b == c"),
        ([Edit(0, 1, "x")], "x.b == c"),
        ([Edit(7, 8, "'c'"), Edit(0, 1, "x")], "x.b == 'c'"),
        ([Edit(0, 3, "x"), Edit(2, 3, "y")], "x == c"),
        ([Edit(0, 1, "x"), Edit(0, 1, "x")], "x.b == c"),
    ],
)
def test_edits_that_do_not_overlap_are_made_together(edits: list[Edit], expected: str) -> None:
    assert fixed("a.b == c", [Finding(0, 1, "wrong", edit) for edit in edits]) == expected


def test_an_invalid_expression_names_the_character() -> None:
    error = InvalidExpression(Finding(4, 6, "this is wrong", hint="Write that."))
    assert (error.message, error.hint) == ("this is wrong (at character 5)", "Write that.")
