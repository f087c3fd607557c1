"""Absences: paths in the condition of a filter that no element of its list has.

A filter by a field that is misspelt selects nothing, or with `!` everything, and says nothing. The
shape of the list may be unknown before it is there, so an evaluation looks: mostly at the first
element alone, since that has what it is asked for.

A path is absent if it was looked up and no element had it, in all lists that one filter went over
in one evaluation. Three things do not count: a null on the way, which may stand for an object; the
rest of an `&&` whose beginning holds for no element; and the arguments of `not_null`, by which an
expression says that a field may be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from ..values.problems import nearest, some_of
from .nodes import (
    Ampersand,
    And,
    Call,
    Compare,
    Current,
    Field,
    Members,
    Node,
    Not,
    Or,
    Path,
    Pipe,
    Projection,
    Selection,
)
from .quoting import as_name

MAX_LOOKUPS = 20
"""Most paths of one filter that are looked for."""
MAX_ABSENCES = 5
"""Most absences of one evaluation."""
MAX_ELEMENTS = 50
"""Most elements of a list in which a name is looked for."""
MAX_KEYS = 12
"""Most names that an absence lists."""
MAX_CHARS = 60
"""Most characters of each."""
_DESCRIBED = {
    list: "a list",
    dict: "an object",
    str: "a text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
}


class Lookup:
    """A path that the condition of a filter looks up in each element."""

    __slots__ = ("guards", "names", "position")

    def __init__(self, fields: tuple[Field, ...], guards: tuple[Node, ...]) -> None:
        self.names = tuple([field.name for field in fields])
        self.position = fields[-1].start
        """The place of its last name in the expression."""
        self.guards = guards
        """The conditions that hold for an element before this is looked up in it."""

    @property
    def path(self) -> str:
        return path_of(self.names)

    def is_in(self, item: dict[str, Any]) -> bool:
        value: Any = item
        for name in self.names:
            if type(value) is not dict:
                return value is None
            if name not in value:
                return False
            value = value[name]
        return True


class Absence(NamedTuple):
    """A path that no element has."""

    path: str
    position: int
    """The place of its last name in the expression."""
    there: str
    """The names that the elements have, in words."""
    near: str | None
    """The path that may have been meant."""

    @property
    def message(self) -> str:
        return f"no element has {self.path}; {self.there}"

    @property
    def hint(self) -> str:
        """Says how to write what was meant."""
        meant = f"Did you mean {self.near}? " if self.near else ""
        return f"{meant}If elements may lack it, write not_null({self.path}, null)."


class Absences:
    """The lookups of one evaluation."""

    __slots__ = ("_missed", "seen")

    def __init__(self) -> None:
        self.seen: set[Lookup] = set()
        """Those that some element has."""
        self._missed: dict[Lookup, Absence] = {}

    def miss(self, lookup: Lookup, items: list[Any]) -> None:
        """Note that none of *items*, which are objects, has what *lookup* asks for."""
        if lookup not in self._missed and len(self._missed) < MAX_LOOKUPS:
            self._missed[lookup] = absence_of(lookup, items)

    def found(self) -> list[Absence]:
        """List the paths that no element had."""
        missed = (one for lookup, one in self._missed.items() if lookup not in self.seen)
        return [*islice(missed, MAX_ABSENCES)]


def lookups_of(condition: Node) -> tuple[Lookup, ...]:
    """List the paths that *condition* looks up in an element, each once."""
    found: dict[tuple[str, ...], Lookup] = {}
    for lookup in islice(_lookups(condition, ()), MAX_LOOKUPS):
        found.setdefault(lookup.names, lookup)
    return tuple(found.values())


def _lookups(node: Node, guards: tuple[Node, ...]) -> Iterator[Lookup]:
    match node:
        case Field():
            yield Lookup((node,), guards)
        case Path(steps=steps):
            fields = steps[1:] if isinstance(steps[0], Current) else steps
            count = next((n for n, one in enumerate(fields) if type(one) is not Field), len(fields))
            leading = tuple([field for field in fields[:count] if isinstance(field, Field)])
            if leading:
                yield Lookup(leading, guards)
            else:
                yield from _lookups(fields[0], guards)
        case And(items=items):
            for number, item in enumerate(items):
                yield from _lookups(item, (*guards, *items[:number]))
        case Or(items=items) | Selection(items=items) | Members(items=items):
            for item in items:
                yield from _lookups(item, guards)
        case Call(name=name, arguments=items) if name != "not_null":
            for item in items:
                if not isinstance(item, Ampersand):
                    yield from _lookups(item, guards)
        case Compare(left=left, right=right):
            yield from _lookups(left, guards)
            yield from _lookups(right, guards)
        case Not(operand=inner) | Projection(base=inner) | Pipe(items=(inner, *_)):
            yield from _lookups(inner, guards)


def absence_of(lookup: Lookup, items: list[Any]) -> Absence:
    """Say what is there in the element of *items* that has most of the path."""
    depth, deepest = 0, items[0]
    for item in items:
        value, reached = item, 0
        while type(value) is dict and lookup.names[reached] in value:
            value, reached = value[lookup.names[reached]], reached + 1
        if reached > depth:
            depth, deepest = reached, value
    before = path_of(lookup.names[:depth])
    if type(deepest) is not dict:
        return Absence(lookup.path, lookup.position, f"{before} is {kind_of(deepest)}", None)
    keys = [key[:MAX_CHARS] for key in islice(deepest, 200)]
    near = nearest(lookup.names[depth], keys)
    have = f"{before} has" if before else "elements have"
    there = f"{have} {some_of(keys, MAX_KEYS)}" if keys else f"{have} no fields"
    meant = path_of((*lookup.names[:depth], *near, *lookup.names[depth + 1 :])) if near else None
    return Absence(lookup.path, lookup.position, there, meant)


def path_of(names: Iterable[str]) -> str:
    return ".".join(map(as_name, names))


def kind_of(value: object) -> str:
    return _DESCRIBED.get(type(value), "null")
