"""Changes to values, and when two values are the same."""

from __future__ import annotations

from typing import Any

import pytest

from plait.install.changes import (
    Change,
    Drop,
    Extend,
    Impossible,
    Put,
    Retract,
    are_same,
    changed,
    without_empty,
)


@pytest.mark.parametrize(
    ("values", "change", "expected"),
    [
        ({}, Put(("a", "b"), "c", 1), {"a": {"b": {"c": 1}}}),
        ({"a": {"c": 1, "d": 2}}, Put(("a",), "c", 3), {"a": {"d": 2, "c": 3}}),
        ({"a": None}, Put(("a",), "c", 1), {"a": {"c": 1}}),
        ({"a": {"c": 1}}, Drop(("a",), "c"), {"a": {}}),
        ({}, Put(("l",), "p", {"name": "p"}, True), {"l": [{"name": "p"}]}),
        (
            {"l": [{"name": "p", "x": 1}, 2]},
            Put(("l",), "p", {"name": "p"}, True),
            {"l": [2, {"name": "p"}]},
        ),
        ({"l": [{"name": "p"}, {"name": "q"}]}, Drop(("l",), "p", True), {"l": [{"name": "q"}]}),
        ({"l": ["a"]}, Extend(("l",), ("a", "b")), {"l": ["a", "b"]}),
        ({}, Extend(("x", "l"), ("a",)), {"x": {"l": ["a"]}}),
        ({"l": ["a", "b"]}, Retract(("l",), ("a", "z")), {"l": ["b"]}),
    ],
)
def test_a_change_is_made_of_values(values: Any, change: Change, expected: Any):
    before = repr(values)
    made = changed(values, [change])
    assert made == expected
    assert [*made] == [*expected]
    assert repr(values) == before


@pytest.mark.parametrize(
    ("values", "change"),
    [
        ({"a": 1}, Put(("a",), "b", 1)),
        ({"a": {}}, Drop(("a",), "b")),
        ({"l": {}}, Put(("l",), "p", {"name": "p"}, True)),
        ({"l": 1}, Extend(("l",), (1,))),
    ],
)
def test_a_change_that_values_do_not_allow_is_refused(values: Any, change: Change):
    with pytest.raises(Impossible):
        changed(values, [change])


NAN = float("nan")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 1.0}, False),
        ({"a": 1}, {"a": True}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ([NAN], [float("nan")], True),
        (NAN, 1.0, False),
    ],
)
def test_values_are_the_same_only_in_kind_too(one: Any, other: Any, same: bool):
    assert are_same(one, other) is same


def test_what_a_format_cannot_call_empty_is_missing():
    values = {"a": {"b": {}}, "c": {}, "d": {"e": 1, "f": []}, "g": None}
    places = [("a", "b", "x"), ("d", "f"), ("g", "h")]
    assert without_empty(values, places) == {"c": {}, "d": {"e": 1}}
