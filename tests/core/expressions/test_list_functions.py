"""The functions of lists and objects: what is equal, orders, keys as texts."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.core.expressions.budget import Budget, equal
from plait.core.expressions.evaluation import expression

from ...profiles import CHARACTERS
from ..tables import table
from .given import assert_fails, assert_gives

PEOPLE: list[Any] = [{"n": 1, "who": "ken"}, {"n": 2}, {"n": 3, "who": "ada"}]
MIXED: list[Any] = [1, 1.0, True, "1", [1], [1.0], [True], {"a": 1, "b": 2}, {"b": 2, "a": 1}]


@table(
    ("text", "value", "found"),
    [
        ("max(@)", ["a", None, "b"], "b"),
        ("min(@)", [None], None),
        ("sort(@)", ["b", None, "a"], ["a", "b", None]),
        ("sort(@)", [2, None, 1], [1, 2, None]),
        ("sort_by(@, &n)[].k", [{"k": 1}, {"k": 2, "n": 1}], [2, 1]),
        ("max_by(@, &n).k", [{"k": 1}, {"k": 2, "n": 1}], 2),
        ("merge(a, b)", {"a": {"x": 1}, "b": {"x": 2}}, {"x": 2}),
        ("unique(@)", MIXED, [1, True, "1", [1], [True], {"a": 1, "b": 2}]),
        ("unique(@)", [[], {}, [[]], [{}], None, None], [[], {}, [[]], [{}], None]),
        ("unique(@)", [[1, [2]], [1, 2], [[1], 2]], [[1, [2]], [1, 2], [[1], 2]]),
        ("unique(@)", [{"a": 1}, {"b": 1}, {"a": 1}], [{"a": 1}, {"b": 1}]),
        ("unique_by(@, &who)[].n", [*PEOPLE, {"n": 4, "who": "ken"}], [1, 2, 3]),
        (
            "group_by(@, &who)",
            PEOPLE,
            {"ken": [PEOPLE[0]], "null": [PEOPLE[1]], "ada": [PEOPLE[2]]},
        ),
        ("keys(group_by(@, &who))", PEOPLE, ["ken", "null", "ada"]),
        (
            "group_by(@, &n)",
            [{"n": True}, {"n": [1]}],
            {"true": [{"n": True}], "[1]": [{"n": [1]}]},
        ),
        ("count_by(@, &who)", [*PEOPLE, PEOPLE[0]], {"ken": 2, "null": 1, "ada": 1}),
        ("count_by(@, &@)", [], {}),
        (
            "entries(@)",
            {"b": 1, "a": None},
            [{"key": "b", "value": 1}, {"key": "a", "value": None}],
        ),
        ("from_entries(@)", [{"key": "a", "value": 1}, {"key": 2}], {"a": 1, "2": None}),
        ("from_entries(@)", [{"key": "a", "value": 1}, {"key": "a", "value": 2}], {"a": 2}),
        ("from_entries(entries(@)[?value > 1])", {"a": 1, "b": 2}, {"b": 2}),
    ],
)
def test_a_function_of_lists_or_objects_gives(text: str, value: Any, found: Any) -> None:
    assert_gives(text, value, found)


@table(
    ("text", "value", "message"),
    [
        ("sort(@)", [1, "a"], "sort() wants only numbers or only texts, not number and text"),
        ("sort_by(@, &n)", [{"n": 1}, {"n": []}], "sort_by() wants only numbers or only texts"),
        ("from_entries(@)", [1], "from_entries() wants a list of {key, value}; the list holds a n"),
        (
            "from_entries(@)",
            [{"k": 1}],
            "from_entries() wants a list of {key, value}; the list hol",
        ),
    ],
)
def test_elements_that_do_not_fit_are_an_error(text: str, value: Any, message: str) -> None:
    assert_fails(text, value, message)


_VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.0, "", "1", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=6,
)
_LISTS = st.lists(_VALUES, max_size=8)


def _same(one: Any, other: Any) -> bool:
    return equal(one, other, Budget(lambda: 0))


@settings(deadline=None)
@given(_LISTS)
def test_unique_keeps_the_first_of_what_is_equal_and_is_idempotent(items: list[Any]) -> None:
    found: Any = expression("unique(@)").evaluate(items)
    want: list[Any] = []
    for item in items:
        if not any(_same(item, kept) for kept in want):
            want.append(item)
    assert _same(found, want)
    assert all(any(item is kept for item in items) for kept in found if isinstance(kept, dict))
    assert expression("unique(@)").evaluate(found) == found


@settings(deadline=None)
@given(_LISTS)
def test_group_by_puts_each_item_into_one_group_in_their_order(items: list[Any]) -> None:
    value: Any = [{"k": item, "n": number} for number, item in enumerate(items)]
    groups: Any = expression("group_by(@, &k)").evaluate(value)
    parted = [item for group in groups.values() for item in group]
    assert sorted(item["n"] for item in parted) == [*range(len(items))]
    for key, group in groups.items():
        numbers = [item["n"] for item in group]
        assert numbers == sorted(numbers)
        assert all(expression("to_string(k)").evaluate(item) == key for item in group)
    assert [*groups] == [*dict.fromkeys(expression("to_string(k)").evaluate(v) for v in value)]
    counts = expression("count_by(@, &k)").evaluate(value)
    assert counts == {key: len(group) for key, group in groups.items()}


@settings(deadline=None)
@given(st.dictionaries(st.text(CHARACTERS, max_size=3), _VALUES, max_size=4))
def test_from_entries_undoes_entries(value: dict[str, Any]) -> None:
    found: Any = expression("from_entries(entries(@))").evaluate(value)
    assert found == value
    assert [*found] == [*value]
