"""Comparisons whose result is certain before anything runs."""

from __future__ import annotations

from dataclasses import replace

from plait.core.expressions.shapes import ANY, list_of, object_of, of

from ..tables import table
from .issues import ISSUE, LEARNED, assert_found, read_select, read_when, said

CERTAIN: list[tuple[str, int, str, str | None]] = [
    # expression, character, a part of the message, the right expression (None: no certain fix)
    ("items[?state == 'opened']", 8, "is never true", None),
    ("items[?state == 'closd']", 8, "is never true", "items[?state == 'closed']"),
    ("items[?state != 'opened']", 8, "is always true", None),
    ("items[?number == '3']", 8, "an integer == '3' is never true", "items[?number == 3]"),
    ("items[?number > '3']", 8, "is never true", "items[?number > 3]"),
    ("items[?title == 5]", 8, "is never true", "items[?title == '5']"),
    ("items[?labels > 2]", 8, "a list > 2 is never true", None),
    ("items[?labels == 'bug']", 8, "never true", "items[?contains(labels, 'bug')]"),
    ("items[?'bug' != labels]", 8, "always true", "items[?!contains(labels, 'bug')]"),
    ("items[?1 < number < 9]", 8, "never true", "items[?1 < number && number < 9]"),
    ("items[?(1 < number) < 9]", 8, "never true", None),
    ("(total > 1) == 1", 1, "never true", "(total > 1) == true"),
    ("items[?(number > 1) == 'False'].title", 8, "never", "items[?(number > 1) == false].title"),
    ("items[?labels == []].title", 18, "[] goes over a list", "items[?labels == `[]`].title"),
    ("items[?!number > 3]", 8, "never true", "items[?!(number > 3)]"),
    ("items[?!state == 'open']", 8, "never true", "items[?!(state == 'open')]"),
    ("items[?contains(state, 'x')]", 8, "contains(one of 'open', 'closed', 'x') is never", None),
    (
        "items[?contains(state, 'closd')]",
        8,
        "contains(one of 'open', 'closed', 'closd') is never true",
        "items[?contains(state, 'closed')]",
    ),
    ("items[?starts_with(state, 'p')]", 8, "is never true", None),
    ("items[?ends_with(state, 'clos')]", 8, "is never true", None),
    (
        "items[?contains(title, 5)]",
        8,
        "contains(a text, 5) is never",
        "items[?contains(title, '5')]",
    ),
    ("contains(items[].number, '3')", 1, "is never true", "contains(items[].number, 3)"),
    ("contains(items[].state, 'opne')", 1, "is never true", "contains(items[].state, 'open')"),
    ("contains(items[].state, 'other')", 1, "contains(a list, 'other') is never true", None),
    ("items[?contains(['shut', 'gone'], state)]", 8, "is never true", None),
    ("contains(items, 'x')", 1, "is never true", None),
    ("contains(keys(@), 'totl')", 1, "is never true", "contains(keys(@), 'total')"),
    ("type(total) == 'text'", 1, "is never true", None),
    ("$STATUS[f] == 'failure'", 1, "is never true", "$STATUS[f] == 'failed'"),
    ("'Error' != $STATUS[f]", 1, "is always true", "'failed' != $STATUS[f]"),
    ("$STATUS[f] == 'succeeded'", 1, "is never true", "$STATUS[f] == 'success'"),
    ("$STATUS[f] == 'canceled'", 1, "is never true", "$STATUS[f] == 'cancelled'"),
    ("$STATUS[f] == 'maybe'", 1, "is never true", None),
    ("items == 'x'", 1, "is never true", None),
]


@table(("text", "character", "message", "right"), CERTAIN)
def test_a_comparison_with_a_certain_result_is_found(
    text: str, character: int, message: str, right: str | None
) -> None:
    assert_found(text, read_select(text), character, message, right)
    if right:
        assert said(read_select(right)) == []


def test_a_condition_is_compared_likewise() -> None:
    assert_found("check.n == '5'", read_when("check.n == '5'"), 1, "is never true", "check.n == 5")


@table(
    ("text", "right"),
    [
        ("'$OUTPUT[any].n' > 2", "$OUTPUT[any].n > 2"),
        ("2 <= '$OUTPUT[any].n'", "2 <= $OUTPUT[any].n"),
        ("'$OUTPUT[any].n' == true", "$OUTPUT[any].n == true"),
        ("'$OUTPUT[any].n' > '2'", "$OUTPUT[any].n > 2"),
        ("'n$OUTPUT[any].n' == 2", "'n$OUTPUT[any].n' == '2'"),
    ],
)
def test_a_reference_in_quotes_is_compared_as_the_value_that_it_is(text: str, right: str) -> None:
    assert_found(text, read_select(text), 1, "", right)


@table(
    ("text", "right"),
    [
        ("items[?title == 'a'].extra[0] == 1", "(items[?title == 'a'].extra | [0]) == 1"),
        ("(items[*].extra[-1]) > 1", "(items[*].extra | [-1]) > 1"),
        ("1 == items[].extra[0]", "1 == (items[].extra | [0])"),
        ("items[?title == 'a'].labels[0] == 'x'", "contains(items[?title == 'a'].labels[0], 'x')"),
    ],
)
def test_an_index_behind_the_values_of_a_list_means_the_first_of_them_unless_they_are_lists(
    text: str, right: str
) -> None:
    unknown = object_of({"items": list_of(object_of({**ISSUE, "extra": ANY}))})
    assert_found(text, read_select(text, unknown), 1, "never true", right)


@table(
    "text",
    [
        "items[?contains(state, 'o')]",
        "items[?starts_with(state, 'op') || ends_with(state, 'ed')]",
        "contains(items[].state, 'closed')",
        "items[?contains(['open', 'gone'], state)]",
        "items[?contains(title, state)]",
        "contains([total, 'x'], 'y') || contains(items[].title, 'y')",
        "contains($OUTPUT[any].list, 5)",
        "contains(keys(@), 'total')",
        "type(next) == 'number'",
        "items[?!labels == true]",
        "items[].labels[] | contains(@, 'bug')",
    ],
)
def test_a_search_that_may_find_something_is_right(text: str) -> None:
    assert said(read_select(text)) == []


def test_a_search_in_a_learned_shape_gives_a_note() -> None:
    [finding] = read_select("items[?contains(state, 'x')]", LEARNED).findings
    assert (finding.is_note, finding.start) == (True, 7)


def test_the_nearest_of_the_values_is_named_where_it_is_not_certain() -> None:
    assert "Did you mean 'open'?" in read_select("items[?state == 'opened']").findings[0].hint
    assert read_select("items[?state == 'zork']").findings[0].hint == ""
    many = object_of({"code": replace(of("text"), options=tuple("abcdefgh"))})
    assert "Its values: a, b, c" in read_select("code == 'zork'", many).findings[0].hint
