"""The arguments that functions want, and the shapes of their results."""

from __future__ import annotations

import pytest

from plait.core.expressions.problems import fixed
from plait.core.expressions.shapes import ANY

from ..tables import table
from .issues import assert_found, read_select, said

HINTS = [
    ("add(items[0].title, 'x')", "join('', [a, b]) joins texts."),
    ("multiply(items[0].title, 2)", "to_number(text) reads a number."),
    ("trim(total)", "to_string(number) makes a text of a number."),
    ("unique(items[0].title)", "lines(text) makes a list of a text."),
]
CERTAIN: list[tuple[str, int, str, str | None]] = [
    ("join(items[].title, ', ')", 1, "another order", "join(', ', items[].title)"),
    ("contains('x', items[].title)", 1, "another order", "contains(items[].title, 'x')"),
    # expression, character, a part of the message, the right expression (None: no certain fix)
    ("lines(items)", 7, "lines() wants a text, and this is a list", None),
    ("sum(total)", 5, "sum() wants a list, and this is an integer", None),
    ("add(items[0].title, 1)", 5, "add() wants a number, and this is null or a text", None),
    ("lower(total)", 7, "lower() wants a text, and this is an integer", None),
    ("matches(items, 'x')", 9, "matches() wants a text, and this is a list", None),
    ("group_by(total, &a)", 10, "group_by() wants a list, and this is an integer", None),
    ("entries(items)", 9, "entries() wants an object, and this is a list", None),
    (
        "age_days(items[0].number)",
        10,
        "age_days() wants a text, and this is null or an integer",
        None,
    ),
    ("items[?lower(state) == 'OPEN']", 8, "never gives 'OPEN'", "items[?lower(state) == 'open']"),
    ("items[?lower(title) == 'Open']", 8, "never gives 'Open'", "items[?lower(title) == 'open']"),
    ("items[?upper(title) != 'x']", 8, "never gives 'x'", "items[?upper(title) != 'X']"),
    ("items[?find(title, 'x') == 1]", 8, "is never true", "items[?find(title, 'x') == '1']"),
    ("items[?count_by(labels, &@).bug == 'x']", 8, "is never true", None),
    ("group_by(items, &state).open.nam", 30, "a list has no field nam", None),
    ("entries(items[0])[].name", 21, "unknown field name", None),
    ("contains(total, 'x')", 10, "contains() wants a text or a list", None),
]


@pytest.mark.parametrize(
    ("text", "character", "message", "right"), CERTAIN, ids=[case[0] for case in CERTAIN]
)
def test_an_argument_of_a_wrong_kind_is_found(
    text: str, character: int, message: str, right: str | None
) -> None:
    assert_found(text, read_select(text), character, message, right)
    if right:
        assert said(read_select(right)) == []


def test_a_list_that_is_not_known_is_joined_by_the_text() -> None:
    assert_found("join(tags, ', ')", read_select("join(tags, ', ')", ANY), 1, "another order",
                 "join(', ', tags)")  # fmt: skip


@table(
    ("text", "right"),
    [
        ("matches('^a', items[0].title)", "matches(items[0].title, '^a')"),
        ("split(', ', items[0].title)", "split(items[0].title, ', ')"),
        ("replace('a', items[0].title, 'b')", "replace(items[0].title, 'a', 'b')"),
    ],
)
def test_a_literal_that_is_searched_for_something_else_is_likely_a_mistake(
    text: str, right: str
) -> None:
    reading = read_select(text)
    assert said(reading) == [
        (1, True, f"the arguments of {text[: text.index('(')]}() have another order")
    ]
    assert fixed(text, reading.findings) == right
    assert said(read_select(right)) == []


@pytest.mark.parametrize(("text", "hint"), HINTS, ids=[case[0] for case in HINTS])
def test_a_hint_names_the_function_that_makes_what_is_wanted(text: str, hint: str) -> None:
    assert read_select(text).findings[0].hint == hint


@table(
    ("text", "shape"),
    [
        ("add(total, 1)", "an integer"),
        ("add(total, 1.5)", "a number"),
        ("add(next, 1)", "null or an integer"),
        ("divide(total, 2)", "a number"),
        ("divide(2, total)", "null or a number"),
        ("round(divide(total, 3))", "an integer"),
        ("round(divide(total, 3), 1)", "a number"),
        ("round(total, 1)", "an integer"),
        ("round(divide(total, 3), -1)", "an integer"),
        ("lower(items[0].state)", "one of 'open', 'closed'"),
        ("upper(items[0].state)", "one of 'OPEN', 'CLOSED'"),
        ("trim(items[0].title)", "null or a text"),
        ("find(items[0].title, 'a')", "null or a text"),
        ("find_all(items[0].title, 'a')[0]", "null or a text"),
        ("matches(items[0].title, 'a')", "null or a boolean"),
        ("age_days(items[0].title)", "null or an integer"),
        ("from_json(items[0].title)", "any value"),
        ("unique(items)[0].number", "null or an integer"),
        ("group_by(items, &state)", "an object"),
        ("group_by(items, &state).x", "null or a list"),
        ("group_by(items, &state).x[0].title", "null or a text"),
        ("count_by(items, &state).x", "null or an integer"),
        ("entries(count_by(items, &state))[0].key", "null or a text"),
        ("entries(count_by(items, &state))[0].value", "null or an integer"),
        ("from_entries(items[].{key: title, value: number})", "an object"),
        ("from_entries(items[].{key: title, value: number}).a", "null or an integer"),
        ("from_entries(items).a", "any value"),
        ("from_entries($OUTPUT[any]).a", "any value"),
    ],
)
def test_the_shape_of_a_result_is_known(text: str, shape: str) -> None:
    assert said(read_select(text)) == []
    assert str(read_select(text).shape) == shape
