"""Shapes: what is known of a value before it exists, from a schema, a learned shape or a literal.

A shape errs on one side: it holds every value that is possible, and maybe more. So "no such member"
and "never equal" are certain, unless the shape was learned from earlier outputs (`is_learned`).
JSON Schemas are read by `core/planning/types.py`; `core/planning/expressions.py` makes shapes of
that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

KINDS = frozenset({"null", "boolean", "integer", "number", "text", "list", "object"})
MAX_LEVELS = 20
"""Most levels of a shape. Expressions can nest and share values, so what walks a shape is
bounded."""
MAX_OPTIONS = 100
"""Most values that a shape names as its only ones."""
MAX_UNITED = 200
"""Most members that the shape of several objects names."""
_SAID = {
    "null": "null",
    "boolean": "a boolean",
    "integer": "an integer",
    "number": "a number",
    "text": "a text",
    "list": "a list",
    "object": "an object",
}


class There(StrEnum):
    """Whether objects of a shape have a member."""

    YES = "declared"
    NO = "ruled out"
    DOUBTFUL = "not declared, though others are"
    UNKNOWN = "unknown"


MAX_SHOWN = 6
"""Most values of a shape that a message lists as what it is."""


@dataclass(slots=True)  # one is made for each part, and a frozen one takes twice as long
class Shape:
    """The kinds, members and elements that a value may have. It is never changed."""

    kinds: frozenset[str] = KINDS
    members: Mapping[str, Shape] = field(default_factory=dict)
    is_closed: bool = False
    """Whether it has no other members."""
    of_members: Shape | None = None
    """The shape of undeclared members, if known."""
    element: Shape | None = None
    options: tuple[Any, ...] | None = None
    """The only values, if they are few texts or numbers."""
    is_learned: bool = False
    levels: int = 0
    """The levels of lists and objects."""

    def has(self, name: str) -> There:
        if "object" not in self.kinds:
            return There.NO
        if name in self.members:
            return There.YES
        if self.of_members is not None:
            return There.UNKNOWN
        if self.is_closed and self.kinds <= {"object", "null"}:
            return There.NO
        return There.DOUBTFUL if self.members else There.UNKNOWN

    def member(self, name: str) -> Shape:
        if (found := self.members.get(name)) is not None:
            return found if self.kinds == {"object"} else or_null(found)
        if self.of_members is not None:  # whether there is one of this name is unknown
            return or_null(self.of_members)
        return replace(ANY, is_learned=self.is_learned)

    @property
    def is_wide(self) -> bool:
        """Whether any member may be there and none is named."""
        return self.of_members is not None and not self.members and not self.is_closed

    @property
    def elements(self) -> Shape:
        return (
            self.element if self.element is not None else replace(ANY, is_learned=self.is_learned)
        )

    @property
    def known(self) -> frozenset[str]:
        """Its kinds without null; integers count as numbers."""
        return frozenset("number" if kind == "integer" else kind for kind in self.kinds - {"null"})

    def __str__(self) -> str:
        if self.options is not None and len(self.options) <= MAX_SHOWN:
            named = ", ".join(map(repr, self.options))
            return named if len(self.options) == 1 else f"one of {named}"
        kinds = self.kinds - ({"integer"} if "number" in self.kinds else set())
        return (
            "any value"
            if self.kinds == KINDS
            else " or ".join(said for kind, said in _SAID.items() if kind in kinds)
        )


ANY = Shape()
_ABSENT = Shape(frozenset({"null"}))


def of(*kinds: str) -> Shape:
    return Shape(frozenset(kinds))


def list_of(element: Shape) -> Shape:
    if element.levels >= MAX_LEVELS:
        element = replace(ANY, is_learned=element.is_learned)
    return Shape(
        frozenset({"list"}),
        element=element,
        is_learned=element.is_learned,
        levels=element.levels + 1,
    )


def object_of(members: Mapping[str, Shape]) -> Shape:
    """Return the shape of an object with these members and no others."""
    kept = {name: ANY if part.levels >= MAX_LEVELS else part for name, part in members.items()}
    levels = 1 + max((part.levels for part in kept.values()), default=0)
    return Shape(frozenset({"object"}), kept, is_closed=True, levels=levels)


def or_null(shape: Shape) -> Shape:
    return shape if "null" in shape.kinds else replace(shape, kinds=shape.kinds | {"null"})


def not_null(shape: Shape) -> Shape:
    return replace(shape, kinds=shape.kinds - {"null"}) if "null" in shape.kinds else shape


def members_of(shape: Shape) -> Shape:
    """Return the shape of any member of an object of *shape*."""
    if shape.members and shape.is_closed:
        return either(*shape.members.values())
    return shape.of_members or ANY


def either(*shapes: Shape) -> Shape:
    """Return what holds for a value of any of *shapes*."""
    known: dict[tuple[int, int], Shape] = {}
    united = list(shapes)
    while len(united) > 1:  # two by two: what many have in common is not walked once for each
        pairs = zip(united[::2], united[1::2], strict=False)
        odd = united[-1:] if len(united) % 2 else []
        united = [_either(one, other, known) for one, other in pairs] + odd
    return united[0] if united else of("null")


def _either(one: Shape, other: Shape, known: dict[tuple[int, int], Shape]) -> Shape:
    if one is other:
        return one
    pair = (id(one), id(other))  # parts may be shared: each pair is united once
    if pair not in known:
        known[pair] = _united(one, other, known)
    return known[pair]


def _united(one: Shape, other: Shape, known: dict[tuple[int, int], Shape]) -> Shape:
    objects = [shape for shape in (one, other) if "object" in shape.kinds]
    names = dict.fromkeys(name for shape in objects for name in shape.members)
    is_wide = len(names) > MAX_UNITED or any(shape.is_wide for shape in objects)
    members = {}
    for name in () if is_wide else names:
        parts = [shape.members.get(name, _ABSENT if shape.is_closed else ANY) for shape in objects]
        members[name] = _either(parts[0], parts[-1], known)
    lists = [shape.element for shape in (one, other) if "list" in shape.kinds]
    known_lists = [element for element in lists if element is not None]
    options = None
    if one.options is not None and other.options is not None:
        options = tuple(dict.fromkeys((*one.options, *other.options)))
        options = options if len(options) <= MAX_OPTIONS else None
    return Shape(
        one.kinds | other.kinds,
        members,
        is_closed=all(shape.is_closed for shape in objects) and bool(objects) and not is_wide,
        of_members=ANY
        if is_wide or any(shape.of_members is not None for shape in objects)
        else None,
        element=_either(known_lists[0], known_lists[-1], known)
        if known_lists and len(known_lists) == len(lists)
        else None,
        options=options,
        is_learned=one.is_learned or other.is_learned,
        levels=max(one.levels, other.levels),
    )


def of_value(value: Any, levels: int = MAX_LEVELS, *, is_exact: bool = True) -> Shape:
    """Return the shape of one known value; if not *is_exact*, of values like it, whatever their
    texts and numbers are."""
    match value:
        case None:
            return of("null")
        case bool():
            return of("boolean")
        case int() | float():
            kind = "integer" if value == int(value) else "number"
            return Shape(frozenset({kind}), options=(value,) if is_exact else None)
        case str():
            return Shape(frozenset({"text"}), options=(value,) if is_exact else None)
        case list() if levels:
            parts = (of_value(item, levels - 1, is_exact=is_exact) for item in value)
            return list_of(either(*parts) if value else ANY)
        case dict() if levels:
            return object_of(
                {
                    name: of_value(item, levels - 1, is_exact=is_exact)
                    for name, item in value.items()
                }
            )
    return of("list" if isinstance(value, list) else "object")
