"""Expressions in references: where they begin and end, and when they are text."""

from __future__ import annotations

import pytest

from plait.core.expressions.problems import InvalidExpression
from plait.core.language.pipes import is_text, pipe_end, pipe_start, read_pipe

from ..steps import steps
from ..tables import table


@table(
    ("text", "start"),
    [
        ("| x", 2),
        ("|x", 1),
        ("  |  x", 5),
        ("[?x]", 0),
        ("[:2]", 0),
        ("[-1:]", 0),
        ("[1:2]", 0),
        ("|| x", None),
        ("[0]", None),
        ("x", None),
        ("", None),
        ("[*]", None),
        ('["a"]', None),
    ],
)
def test_a_pipe_starts_with_its_sign_a_filter_or_a_slice(text: str, start: int | None) -> None:
    assert pipe_start(text, 0) == start


@table(
    ("text", "expression"),
    [
        ("x} y", "x"),
        ("x ?? 1", "x "),
        ("x", "x"),
        ("{a: {b: c}}}", "{a: {b: c}}"),
        ("[?a ?? b] ?? 1", "[?a ?? b] "),
        ("'}' ?? 1", "'}' "),
        (r"'\'}'}", r"'\'}'"),
        ('"}"."??"}', '"}"."??"'),
        ('`{"a": "}"}`}', '`{"a": "}"}`'),
        ("x)}", "x)"),
    ],
)
def test_it_ends_outside_of_quotes_and_brackets(text: str, expression: str) -> None:
    assert text[: pipe_end(text, 0)] == expression


@table("text", ["'" * 4_001, "\\'" * 4_000, "'" + "\\'" * 4_000, "[" * 8_000, '`"' * 4_000])
def test_its_end_is_found_in_few_steps(text: str) -> None:
    assert steps(lambda: pipe_end(text, 0)) < 100 + 8 * len(text)


def test_what_is_wrong_is_placed_in_the_whole_text() -> None:
    with pytest.raises(InvalidExpression) as refused:
        read_pipe("${OUTPUT[a] | lenght(@)}", 14)
    finding = refused.value.finding
    assert (finding.start, finding.edit and finding.edit.start) == (14, 14)


@table(
    ("text", "expected"),
    [
        ("docs", True),
        ('"docs"', False),
        ("'x'", True),
        ("$OUTPUT[a].x", True),
        ("[0]", False),
        ("length(@)", False),
        ("@", False),
        ("a.b", False),
        ("`1`", True),
    ],
)
def test_a_word_and_what_does_not_use_the_value_are_text(text: str, expected: bool) -> None:
    pipe, _ = read_pipe(text, 0)
    assert is_text(pipe) is expected


@table(
    ("text", "expected"),
    [
        ("[?x == $ITEM.y]", False),
        ("x", False),
        ("[$INDEX, $OUTPUT[a]]", True),
        ("age_days(@)", True),
    ],
)
def test_it_says_whether_it_needs_more_than_the_item(text: str, expected: bool) -> None:
    assert read_pipe(text, 0)[0].needs_the_run is expected
