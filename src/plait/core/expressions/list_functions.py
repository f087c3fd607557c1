"""The functions of lists and objects.

Nulls in a list are left out by `min` and `max`, and go last in `sort` and `sort_by`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from .budget import Budget, to_text
from .signatures import (
    ANY,
    EXPRESSION,
    LIST,
    OBJECT,
    ORDERED,
    Function,
    KeyOf,
    Unfit,
    kind_of,
    with_article,
)


def _ordered(items: list[Any], keys: list[Any]) -> list[tuple[Any, Any]]:
    """Return each item with its key, except those whose key is null."""
    pairs = [(key, item) for key, item in zip(keys, items, strict=True) if key is not None]
    kinds = {kind_of(key) for key, _ in pairs}
    if kinds - {"number"} and kinds - {"text"}:
        raise Unfit(f"wants only numbers or only texts, not {' and '.join(sorted(kinds))}")
    return pairs


def _sorted(budget: Budget, items: list[Any], keys: list[Any]) -> Any:
    budget.make(len(items))
    budget.spend(len(items) * len(items).bit_length())
    pairs = sorted(_ordered(items, keys), key=lambda pair: pair[0])
    without_key = [item for key, item in zip(keys, items, strict=True) if key is None]
    return [item for _, item in pairs] + without_key


def _sort(budget: Budget, items: list[Any]) -> Any:
    return _sorted(budget, items, items)


def _sort_by(budget: Budget, items: list[Any], key: KeyOf) -> Any:
    return _sorted(budget, items, [key(item) for item in items])


def _best(choose: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def by(budget: Budget, items: list[Any], key: KeyOf) -> Any:
        pairs = _ordered(items, [key(item) for item in items])
        return choose(pairs, key=lambda pair: pair[0])[1] if pairs else None

    def plain(budget: Budget, items: list[Any]) -> Any:
        budget.spend(len(items))
        return by(budget, items, lambda item: item)

    return plain, by


_max, _max_by = _best(max)
_min, _min_by = _best(min)


def _map(budget: Budget, key: KeyOf, items: list[Any]) -> Any:
    budget.make(len(items))
    return [key(item) for item in items]


def _unique(budget: Budget, items: list[Any]) -> Any:
    return _unique_by(budget, items, lambda item: item)


def _unique_by(budget: Budget, items: list[Any], key: KeyOf) -> Any:
    budget.make(2 * len(items))
    first: dict[Hashable, Any] = {}
    for item in items:
        first.setdefault(_hashable(key(item), budget), item)
    return [*first.values()]


def _hashable(value: Any, budget: Budget) -> Hashable:
    """Return what is equal for equal values and for no others: 1 and 1.0 are, 1 and true are
    not."""
    if not isinstance(value, list | dict):
        return (type(value) is bool, value)
    flat: list[Hashable] = []
    stack: list[Any] = [value]
    while stack:
        value = stack.pop()
        if type(value) is list:
            budget.make(1 + len(value))
            flat.append(("list", len(value)))
            stack.extend(reversed(value))
        elif type(value) is dict:
            budget.make(1 + 2 * len(value))
            budget.spend(len(value) * len(value).bit_length())
            names = tuple(sorted(value))
            flat.append(("object", names))
            stack.extend(value[name] for name in reversed(names))
        else:
            flat.append((type(value) is bool, value))
    return tuple(flat)


def _group_by(budget: Budget, items: list[Any], key: KeyOf) -> Any:
    budget.make(2 * len(items))
    groups: dict[str, list[Any]] = {}
    for item in items:
        name = to_text(key(item), budget)
        if (group := groups.get(name)) is None:
            budget.make_text(len(name))
            group = groups[name] = []
        group.append(item)
    return groups


def _count_by(budget: Budget, items: list[Any], key: KeyOf) -> Any:
    return {name: len(group) for name, group in _group_by(budget, items, key).items()}


def _entries(budget: Budget, value: dict[str, Any]) -> Any:
    budget.make(3 * len(value))
    return [{"key": name, "value": item} for name, item in value.items()]


def _from_entries(budget: Budget, items: list[Any]) -> Any:
    budget.make(2 * len(items))
    made = {}
    for item in items:
        if type(item) is not dict or "key" not in item:
            found = "an object without a key" if type(item) is dict else with_article(item)
            raise Unfit(f"wants a list of {{key, value}}; the list holds {found}")
        name = to_text(item["key"], budget)
        budget.make_text(len(name))
        made[name] = item.get("value")
    return made


def _merge(budget: Budget, *objects: dict[str, Any]) -> Any:
    made: dict[str, Any] = {}
    for value in objects:
        budget.make(len(value))
        made.update(value)
    return made


def _keys(budget: Budget, value: dict[str, Any]) -> Any:
    budget.make(len(value))
    return list(value)


def _values(budget: Budget, value: dict[str, Any]) -> Any:
    budget.make(len(value))
    return list(value.values())


LIST_FUNCTIONS: dict[str, Function] = {
    "count_by": Function(_count_by, (LIST, EXPRESSION), "object of counts"),
    "entries": Function(_entries, (OBJECT,), "list of entries"),
    "from_entries": Function(_from_entries, (LIST,), "object of entries"),
    "group_by": Function(_group_by, (LIST, EXPRESSION), "object of lists"),
    "keys": Function(_keys, (OBJECT,), "list of texts"),
    "map": Function(_map, (EXPRESSION, LIST), "list of mapped"),
    "max": Function(_max, (ORDERED,), "element or null"),
    "max_by": Function(_max_by, (LIST, EXPRESSION), "element or null"),
    "merge": Function(_merge, (OBJECT,), "merged", repeats=True),
    "min": Function(_min, (ORDERED,), "element or null"),
    "min_by": Function(_min_by, (LIST, EXPRESSION), "element or null"),
    "sort": Function(_sort, (ORDERED,), "same"),
    "sort_by": Function(_sort_by, (LIST, EXPRESSION), "same"),
    "to_array": Function(
        lambda _, value: value if type(value) is list else [value], (ANY,), "list"
    ),
    "unique": Function(_unique, (LIST,), "same"),
    "unique_by": Function(_unique_by, (LIST, EXPRESSION), "same"),
    "values": Function(_values, (OBJECT,), "list of members"),
}
