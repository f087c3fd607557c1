"""Changes to the values of a file, as data, and what the values are with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Steps: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Put:
    """Put a member into the object at a place, in the place of one of that name. Objects that are
    missing on the way are made."""

    at: Steps
    key: str
    value: Any
    in_list: bool = False
    """Whether the place is a list of objects that have their name in `name`."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Take a member away from the object, or the list of named objects, at a place."""

    at: Steps
    key: str
    in_list: bool = False


@dataclass(frozen=True, slots=True)
class Extend:
    """Append items to the list at a place; one that is there already is not put there again."""

    at: Steps
    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Retract:
    """Take items away from the list at a place."""

    at: Steps
    items: tuple[Any, ...]


Change: TypeAlias = Put | Drop | Extend | Retract


class Impossible(Exception):
    """A change that the values of a file do not allow; says why."""


def changed(values: dict[str, Any], changes: Iterable[Change]) -> dict[str, Any]:
    """Return *values* with *changes* made. Raises `Impossible`. Only what changes is copied: files
    of clients can be large."""
    values = dict(values)
    for change in changes:
        match change:
            case Put(at, key, value, in_list):
                _take_away(values, at, key, in_list, may_miss=True)
                if in_list:
                    _list_at(values, at).append(value)
                else:
                    _object_at(values, at)[key] = value
            case Drop(at, key, in_list):
                _take_away(values, at, key, in_list, may_miss=False)
            case Extend(at, items):
                held = _list_at(values, at)
                held += [item for item in items if item not in held]
            case Retract(at, items):
                held = _list_at(values, at)
                held[:] = [item for item in held if item not in items]
    return values


def _take_away(
    values: dict[str, Any], at: Steps, key: str, in_list: bool, *, may_miss: bool
) -> None:
    if in_list:
        held = _list_at(values, at)
        kept = [one for one in held if not (isinstance(one, dict) and one.get("name") == key)]
        is_there = len(kept) < len(held)
        held[:] = kept
    else:
        members = _object_at(values, at)
        is_there = key in members
        members.pop(key, None)
    if not (is_there or may_miss):
        raise Impossible(f"{'.'.join((*at, key))} is not there")


def _object_at(values: dict[str, Any], at: Steps) -> dict[str, Any]:
    """Return the object at *at*, which is put there anew, as a copy."""
    for step in at:
        held = values.get(step)
        if not (held is None or isinstance(held, dict)):
            raise Impossible(f"{'.'.join(at)} is not an object")
        values[step] = dict(held or {})
        values = values[step]
    return values


def _list_at(values: dict[str, Any], at: Steps) -> list[Any]:
    """Return the list at *at*, which is put there anew, as a copy."""
    holder = _object_at(values, at[:-1])
    held = holder.get(at[-1])
    if not (held is None or isinstance(held, list)):
        raise Impossible(f"{'.'.join(at)} is not a list")
    holder[at[-1]] = found = [*(held or ())]
    return found


def are_same(one: Any, other: Any) -> bool:
    """Return whether two values are the same, in kind too: `1`, `1.0` and `true` differ."""
    if type(one) is not type(other):
        return False
    match one:
        case dict():
            return one.keys() == other.keys() and all(
                are_same(value, other[key]) for key, value in one.items()
            )
        case list():
            return len(one) == len(other) and all(map(are_same, one, other))
    return bool(one == other) or (one != one and other != other)  # not a number


def without_empty(values: dict[str, Any], places: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Return *values* without the empty objects and lists at *places* and around them: where a
    format cannot say that something is empty, it is missing."""
    values = dict(values)
    for place in places:
        holders = [values]
        for step in place:
            inner = holders[-1].get(step)
            if not isinstance(inner, dict):
                break
            holders[-1][step] = dict(inner)
            holders.append(holders[-1][step])
        for holder, step in reversed([*zip(holders, place, strict=False)]):
            if step in holder and (holder[step] is None or holder[step] in ({}, [])):
                del holder[step]
    return values
