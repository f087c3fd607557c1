"""Shapes: what they say of members, and how they are united."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from plait.core.expressions import shapes
from plait.core.expressions.shapes import (
    ANY,
    MAX_LEVELS,
    MAX_OPTIONS,
    MAX_UNITED,
    Shape,
    There,
    either,
    list_of,
    not_null,
    object_of,
    of,
    of_value,
    or_null,
)

from ..steps import steps
from ..tables import table

CLOSED = object_of({"a": of("text")})
OPEN = Shape(frozenset({"object"}), {"a": of("text")})


@table(
    ("shape", "name", "expected"),
    [
        (CLOSED, "a", There.YES),
        (CLOSED, "b", There.NO),
        (or_null(CLOSED), "b", There.NO),
        (OPEN, "b", There.DOUBTFUL),
        (ANY, "b", There.UNKNOWN),
        (of("object"), "b", There.UNKNOWN),
        (of("text"), "b", There.NO),
        (Shape(frozenset({"object"}), {"a": ANY}, of_members=ANY), "b", There.UNKNOWN),
    ],
)
def test_a_shape_says_whether_there_is_a_member(shape: Shape, name: str, expected: There) -> None:
    assert shape.has(name) is expected


def test_a_member_of_something_that_may_be_null_may_be_null() -> None:
    assert CLOSED.member("a") == of("text")
    assert or_null(CLOSED).member("a") == of("text", "null")
    assert not_null(or_null(CLOSED)) == CLOSED
    assert OPEN.member("b") == ANY


def test_the_union_of_shapes_holds_for_a_value_of_any_of_them() -> None:
    both = either(object_of({"a": of("text"), "b": ANY}), object_of({"a": of("integer")}))
    assert both.is_closed
    assert both.member("a").kinds == {"text", "integer"}
    assert "null" in both.member("b").kinds
    assert either(of("text"), list_of(of("text"))).elements == of("text")
    assert either() == of("null")
    assert either(of_value("a"), of_value("b")).options == ("a", "b")
    assert either(of_value("a"), of("text")).options is None


@table(
    ("value", "text"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1.5, "1.5"),
        ([], "a list"),
        ({"a": 1}, "an object"),
    ],
)
def test_a_shape_is_shown_in_words(value: object, text: str) -> None:
    assert str(of_value(value)) == text
    assert str(ANY) == "any value"
    assert str(Shape(frozenset({"text"}), options=("a", "b"))) == "one of 'a', 'b'"
    assert str(of("integer", "number", "null")) == "null or a number"


@table(
    ("values",),
    [
        (lambda count: list(range(count)),),
        (lambda count: [{f"m{number}": number} for number in range(count)],),
        (lambda count: [{f"m{number}": 1 for number in range(count)}, *[{}] * count],),
    ],
)
def test_uniting_many_shapes_takes_steps_for_each_alone(
    values: Callable[[int], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes, "MAX_OPTIONS", 1_000)
    monkeypatch.setattr(shapes, "MAX_UNITED", 1_000)
    few, many = (steps(partial(of_value, values(count))) for count in (25, 50))
    assert many < 3 * few


def test_uniting_shapes_that_share_their_parts_takes_steps_for_each_part_alone() -> None:
    one, other = of("text"), of("integer")
    for _ in range(10):
        one, other = (object_of({"a": shape, "b": shape}) for shape in (one, other))
    assert steps(partial(either, one, other)) < 1_000


def test_a_shape_has_a_bounded_number_of_levels() -> None:
    shape = of("text")
    for _ in range(3 * MAX_LEVELS):
        shape = list_of(object_of({"a": shape}))
        assert shape.levels <= MAX_LEVELS + 1


def test_values_like_a_known_one_have_its_kinds_and_members_and_any_texts() -> None:
    shape = of_value({"a": ["x", 1], "b": None}, is_exact=False)
    assert shape.is_closed
    assert shape.member("a").elements == of("text", "integer")
    assert shape.member("b") == of("null")
    assert of_value("x", is_exact=False) == of("text")


@table(
    ("value", "kind"),
    [
        ([*range(2 * MAX_OPTIONS)], "integer"),
        ([{f"k{number}": number} for number in range(MAX_UNITED + 1)], "object"),
        ([[{f"k{number}": number}] for number in range(MAX_UNITED + 1)], "list"),
    ],
)
def test_the_shape_of_a_long_list_of_unlike_values_is_small(value: list[Any], kind: str) -> None:
    element = of_value(value).elements
    assert element.kinds == {kind}
    inner = element.elements if kind == "list" else element
    assert inner.options is None
    assert not inner.members
    assert kind == "integer" or inner.has("k1") is There.UNKNOWN


def test_a_shape_names_what_it_can_hold() -> None:
    assert len(of_value([*range(MAX_OPTIONS)]).elements.options or ()) == MAX_OPTIONS
    named = [{f"k{number}": 1} for number in range(MAX_UNITED)]
    assert of_value(named).elements.has("x") is There.NO
