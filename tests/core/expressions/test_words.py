"""The values of numbers, quoted names, JSON values and texts."""

from __future__ import annotations

from typing import Any

from plait.core.expressions.nodes import Embedded, Index, Key, Source, Text
from plait.core.expressions.syntax import parse

from ..tables import table
from .refusals import assert_refused


@table(
    ("text", "character", "message", "right"),
    [
        ("[?x == `foo`]", 8, "is not a JSON value", "[?x == 'foo']"),
        ("[?x == `$ITEM`]", 8, "$ITEM is not a reference between `", "[?x == $ITEM]"),
        ('[?x == "$OUTPUT[a].b"]', 8, "$OUTPUT[a] is not a reference", "[?x == $OUTPUT[a].b]"),
        ("1" * 401, 1, "the number has too many digits", None),
        ("1e999", 1, "the number is too large", None),
        ("a[1.5]", 3, "1.5 is not an index", None),
        ('"\\x"', 1, "is not a JSON string", None),
        ('a == "\\ud800"', 6, "is not a JSON string", None),
        ("""'$OUTPUT[a]["\\x"]'""", 13, "is not a JSON string", None),
        ("""'$OUTPUT[a]["\\ud800"]'""", 13, "is not a JSON string", None),
        ("'${OUTPUT[a].x || 1}'", 2, "no brace closes the reference", None),
    ],
)
def test_a_word_without_a_value_is_refused(
    text: str, character: int, message: str, right: str | None
) -> None:
    assert_refused(text, character, message, right)


@table(
    ("text", "value"),
    [("-1.5e1", -15.0), ("12", 12), ("`[1, null]`", [1, None]), ("'it\\'s'", "it's")],
)
def test_a_literal_has_its_value(text: str, value: Any) -> None:
    assert getattr(parse(text), "value") == value  # noqa: B009  # any literal


def test_references_in_a_text_are_parsed_with_their_places() -> None:
    text = parse("""'a $OUTPUT[b].c[0] ${ITEM["d e"]}$$OUTPUT[x]'""")
    assert isinstance(text, Text)
    before, first, between, second, after = text.parts
    assert (before, between, after) == ("a ", " ", "$OUTPUT[x]")
    assert isinstance(first, Embedded)
    assert isinstance(second, Embedded)
    assert (first.key, first.start, first.end) == (Key(Source.OUTPUT, "b"), 3, 18)
    assert [step.index if isinstance(step, Index) else step.name for step in first.steps] == [
        "c",
        0,
    ]
    assert second.key == Key(Source.ITEM)
