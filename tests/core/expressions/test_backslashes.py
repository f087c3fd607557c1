"""Backslashes: in texts they stay, in regular expressions they are signs."""

from __future__ import annotations

from plait.core.expressions.backslashes import is_like_pattern
from plait.core.expressions.problems import fixed

from ..tables import table
from .issues import read_select, said


@table(
    ("text", "character", "message", "right"),
    [
        (
            "items[?title == 'a\\n']",
            19,
            "\\n in a text is a backslash and",
            "items[?title == 'a\n']",
        ),
        ("split(items[0].title, '\\t')", 24, "\\t in a text", "split(items[0].title, '\t')"),
        (
            "items[?matches(title, '^\\\\d')]",
            25,
            "two backslashes",
            "items[?matches(title, '^\\d')]",
        ),
        (
            "replace(items[0].sha, '(a)b', '$1-$1')",
            32,
            "$1 is a text",
            "replace(items[0].sha, '(a)b', '\\1-\\1')",
        ),
        ("find(items[0].sha, '\\\\w\\\\.')", 21, "two backslashes", "find(items[0].sha, '\\w\\.')"),
    ],
)
def test_a_backslash_too_few_or_too_many_is_a_note_with_its_fix(
    text: str, character: int, message: str, right: str
) -> None:
    reading = read_select(text)
    [(at, is_note, found)] = said(reading)
    assert (at, is_note, message in found) == (character, True, True), found
    assert fixed(text, reading.findings) == right


@table(
    "text",
    [
        "items[?matches(title, '\\n')]",
        "find_all(items[0].title, 'a\\tb\\d')",
        "replace(items[0].title, '\\n', ' ')",
        "replace(items[0].title, 'a', '$1')",
        "items[?matches(title, 'a\\\\z')]",
    ],
)
def test_backslashes_in_a_regular_expression_are_right(text: str) -> None:
    assert said(read_select(text)) == []


def test_names_of_fields_are_not_like_regular_expressions() -> None:
    assert not any(map(is_like_pattern, ("title", "content-type", "x y", "@id")))
    assert all(map(is_like_pattern, ("^a", "a$", "\\d", "[a]", "(a)", "a|b", "a*")))
