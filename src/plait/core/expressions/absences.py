"""Absences: paths in the condition of a filter that no element of its list has.

A filter by a field that is misspelt selects nothing, or with `!` everything, and says nothing. The
shape of the list may be unknown before it is there, so an evaluation looks: mostly at the first
element alone, since that has what it is asked for.

A path is absent if it was looked up and no element had it, in all lists that one filter went over
in one evaluation. Three things do not count: a null on the way, which may stand for an object; the
rest of an `&&` whose beginning holds for no element; and the arguments of `not_null`, by which an
expression says that a field may be missing.

A condition, a `select`, a pipe, or what `repeat` sets, asks one value likewise: a misspelt name
there is null, so the task is skipped, or always runs, or its pages end at the first. There an `||`
and a comparison with null also say that a field may be missing, and what stands behind an `&&` does
not count. A comparison of a number with a text is never true, and is found too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from ..values.problems import nearest, some_of
from ..values.strict import short
from .nodes import (
    Ampersand,
    And,
    Call,
    Compare,
    Current,
    Field,
    Index,
    Literal,
    Members,
    Node,
    Not,
    Or,
    Path,
    Pipe,
    Projection,
    Reference,
    Selection,
    Source,
)
from .quoting import as_name, quoted

MAX_LOOKUPS = 20
"""Most paths of one filter that are looked for."""
MAX_ABSENCES = 5
"""Most absences of one evaluation."""
MAX_ELEMENTS = 50
"""Most elements of a list in which a name is looked for."""
_ENDS_OF_LISTS = {"first": 0, "last": -1}
_COUNTS = frozenset(("length", "size", "count", "len"))
_ENDS = frozenset(("status", "state", "success", "succeeded", "failed", "outcome", "conclusion"))
_MAX_KEYS = 12
_MAX_CHARS = 60
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
        return _path(self.names)

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


class Missing(NamedTuple):
    """A path that one value does not have."""

    path: str
    """The whole path, as it is written."""
    position: int
    """The place of its last name in the expression."""
    message: str
    hint: str
    """Says how to write what was meant."""
    is_own: bool = False
    """Whether it is there without the id of the task, which stands before it."""
    is_never: bool = False
    """Whether no such value has names: it is a list, a text or a number."""


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
            self._missed[lookup] = _absence(lookup, items)

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


def missing_in(
    node: Node,
    value: object,
    *,
    of_tasks: bool = False,
    own: str | None = None,
    whole: str = "the answer",
    wrapped: Collection[str] = (),
) -> list[Missing]:
    """List the paths that *node* looks up in *value* and that are not there, and the comparisons
    with another kind of value than is there. The value, the *whole*, is that of the task *own*, or
    has the outputs of those that a `when` names if it is *of_tasks*, without the wrappers of those
    that are *wrapped*."""
    return _Missed(of_tasks, own, whole, wrapped=wrapped).in_(node, value)[:MAX_ABSENCES]


class _Missed(NamedTuple):
    """A search for what is missing, as in `missing_in`."""

    of_tasks: bool
    own: str | None
    whole: str
    before: str = ""
    """The path of the value, as it is written, where it is an element of the whole."""
    wrapped: Collection[str] = ()

    def in_(self, node: Node, value: object) -> list[Missing]:
        match node:
            case Field() | Path():
                steps = node.steps if isinstance(node, Path) else (node,)
                names = _leading(steps, of_tasks=self.of_tasks)
                if names:
                    missed = _missing(names, value, self)
                    if missed is not None:
                        return [missed]
                    value = _at(names, value)
                elif not isinstance(steps[0], Field | Current | Index):
                    return self.in_(steps[0], value)
                behind = len(names) + isinstance(steps[0], Current)
                return self._in_element(steps[behind:], _path([name for name, _ in names]), value)
            case Or(items=items):
                each = [self.in_(item, value) for item in items]
                parts = each if all(each) else []
            case Compare(left=left, right=right):
                sides = (left, right)
                if any(isinstance(side, Literal) and side.value is None for side in sides):
                    return []
                parts = [self.in_(side, value) for side in sides]
                if not any(parts):
                    parts = [self.unlike(node, value)]
            case Call(name=name, arguments=items) if name != "not_null":
                given = [item for item in items if not isinstance(item, Ampersand)]
                parts = [self.in_(item, value) for item in given]
            case Selection(items=items) | Members(items=items):
                parts = [self.in_(item, value) for item in items]
            case Projection(base=inner):
                return self.in_(inner, value) or self._in_elements(node, value)
            case Not(operand=inner) | Pipe(items=(inner, *_)) | And(items=(inner, *_)):
                return self.in_(inner, value)
            case _:
                return []
        return [one for part in parts for one in part]

    def _in_element(self, steps: Sequence[Node], path: str, value: object) -> list[Missing]:
        """List what *steps*, the first of which takes an element of *value*, which stands at
        *path*, look up in that and is not there."""
        if len(steps) < 2 or not isinstance(index := steps[0], Index):
            return []
        if not isinstance(value, list) or not -len(value) <= index.index < len(value):
            return []
        before = f"{self.before}{path}[{index.index}]"
        search = _Missed(of_tasks=False, own=None, whole=before, before=f"{before}.")
        rest = Path(steps[1].start, steps[-1].end, tuple(steps[1:]))
        return search.in_(rest, value[index.index])

    def _in_elements(self, node: Projection, value: object) -> list[Missing]:
        """List what *node* looks up in the elements of its base, and none of the first ones has."""
        items = self._elements(node.base, value)
        return [] if items is None else self._looked_up(node, items)

    def _looked_up(self, node: Projection, items: list[Any]) -> list[Missing]:
        """List what *node* looks up in *items*, the elements of its base, and none has."""
        items = items[:MAX_ELEMENTS]
        if not items or any(type(item) is not dict for item in items):
            return []
        found = []
        for lookup in lookups_of(node.rest):
            if not any(lookup.is_in(item) for item in items):
                one = _absence(lookup, items)
                found.append(Missing(one.path, one.position, one.message, one.hint))
        if node.condition is not None:
            unlike = [_unlike_in(node.condition, item) for item in items]
            found += unlike[0] if all(unlike) else []
        if not found and isinstance(node.rest, Projection):
            search = _Missed(of_tasks=False, own=None, whole="")
            inner = [search._elements(node.rest.base, item) or [] for item in items]
            found = search._looked_up(node.rest, [one for each in inner for one in each])
        return found

    def _elements(self, base: Node, value: object) -> list[Any] | None:
        """List the elements of what *base*, a path or a projection of one, is in *value*; None if
        it is more than that, or no list. Those that a filter leaves out are among them."""
        if isinstance(base, Projection):
            outer, search = (
                self._elements(base.base, value),
                _Missed(of_tasks=False, own=None, whole=""),
            )
            inner = [search._elements(base.rest, one) for one in (outer or [])[:MAX_ELEMENTS]]
            return [one for each in inner for one in each or []]
        steps = base.steps if isinstance(base, Path) else (base,)
        names = _leading(steps, of_tasks=self.of_tasks)
        if len(names) != len([step for step in steps if not isinstance(step, Current)]):
            return None
        value = _at(names, value)
        return value if isinstance(value, list) else None

    def unlike(self, node: Compare, value: object) -> list[Missing]:
        """Find out that *node* compares a number with a text, or with what has parts."""
        for side, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(other, Literal) and isinstance(side, Field | Path):
                steps = side.steps if isinstance(side, Path) else (side,)
                names = _leading(steps, of_tasks=self.of_tasks)
                if not names or len(names) != len(steps):
                    continue
                there = _at(names, value)
                kinds = _kind(there), _kind(other.value)
                if (
                    "null" in kinds
                    or kinds[0] == kinds[1]
                    or bool in map(type, (there, other.value))
                ):
                    continue
                path = _path([name for name, _ in names])
                return [_never(node, path, there, other, kinds)]
        return []


def _at(names: Sequence[tuple[str, int]], value: object) -> object:
    """Return what stands at the path *names* in *value*; None if nothing does."""
    for name, _ in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _unlike_in(condition: Node, item: object) -> list[Missing]:
    """Return the comparison of unlike kinds that *condition* makes in *item*, if it begins so."""
    search = _Missed(of_tasks=False, own=None, whole="")
    while isinstance(condition, And):
        condition = condition.items[0]
    return search.unlike(condition, item) if isinstance(condition, Compare) else []


def _never(
    node: Compare, path: str, there: object, other: Literal, kinds: tuple[str, str]
) -> Missing:
    said = "always" if node.operator == "!=" else "never"
    written = quoted(other.value) if isinstance(other.value, str) else short(other.value)
    message = f"{path} {node.operator} {written} is {said} true: {path} is {kinds[0]}"
    hint = f"Compare it with {kinds[0]}."
    if kinds == ("a number", "a text"):
        hint = "Write the number without quotes."
    elif kinds == ("a text", "a number"):
        hint = f"Write the text in single quotes, or to_number({path})."
    elif kinds[0] == "an object":
        hint = f"Name one of its fields: {path}.field."
    elif kinds[0] == "a list":
        hint = f"Write length({path}) for their number, [?…] for those that it is true of."
    return Missing(path, node.at[0], message, hint)


def _leading(steps: Sequence[Node], *, of_tasks: bool) -> list[tuple[str, int]]:
    """List the names at the start of a path, each with its place."""
    first, names = steps[0], list[tuple[str, int]]()
    if isinstance(first, Reference):
        if not of_tasks or first.key.source is not Source.OUTPUT:
            return []
        names = [(first.key.id, first.start)]
    elif not isinstance(first, Field | Current):
        return []
    for step in steps if isinstance(first, Field) else steps[1:]:
        if not isinstance(step, Field):
            break
        names.append((step.name, step.start))
    return names


def _missing(path: list[tuple[str, int]], value: object, search: _Missed) -> Missing | None:
    names, whole = [name for name, _ in path], search.whole
    of_tasks, own, without = search.of_tasks, search.own, ""
    if of_tasks:
        if type(value) is not dict or names[0] not in value:
            return None  # it has no output
        if names[1:2] == ["result"] and _missing([path[0], *path[2:]], value, search) is None:
            if names[0] in search.wrapped:
                return None
            without = _path([names[0], *names[2:]])
        whole = as_name(names[0])
    depth = 0
    for name in names:
        if value is None:
            return None
        if type(value) is not dict or name not in value:
            break
        value, depth = value[name], depth + 1
    else:
        return None
    before = f"{search.before}{_path(names[:depth])}".removesuffix(".")
    written = f"{search.before}{_path(names)}"
    asked = _path(names[1:]) if of_tasks else _path(names)
    it = "it" if depth == int(of_tasks) else before
    hint = ""
    if type(value) is not dict:
        there = f"{it} is {_kind(value)}"
        if names[depth] in _COUNTS and isinstance(value, list | str):
            hint = f"Write length({before or '@'}). "
        elif isinstance(value, list) and names[depth] in _ENDS_OF_LISTS:
            hint = f"Write {before}[{_ENDS_OF_LISTS[names[depth]]}]. "
        elif isinstance(value, list) and any(
            names[depth] in one for one in value[:MAX_ELEMENTS] if isinstance(one, dict)
        ):
            hint = f"Write {before}[].{_path(names[depth:])} for that of each element. "
    else:
        keys = [key[:_MAX_CHARS] for key in islice(value, 200)]
        there = f"{it} has {some_of(keys, _MAX_KEYS) if keys else 'no fields'}"
        if near := nearest(names[depth], keys):
            meant = _path((*names[:depth], *near[:1], *names[depth + 1 :]))
            hint = f"Did you mean {search.before}{meant}? "
    if without and depth == 1:
        hint = f"The answer has no wrapper: write {without}. "
    if not hint and of_tasks and depth == 1 and names[1] in _ENDS:
        hint = f"$STATUS[{names[0]}] says how {whole} ended. "
    rest = path[1:]
    is_own = depth == 0 and own == names[0] and bool(rest) and not of_tasks
    is_own = is_own and _missing(rest, value, search._replace(own=None)) is None
    if is_own:
        hint = f"It is read from the answer itself: write {_path(names[1:])}. "
    is_never = type(value) is not dict
    if not (is_never and hint):
        hint += f"If it may be missing, write not_null({written}, null)."
    message = f"{whole} has no {asked}; {there}"
    return Missing(written, path[-1][1], message, hint.rstrip(), is_own, is_never)


def _absence(lookup: Lookup, items: list[Any]) -> Absence:
    """Say what is there in the element of *items* that has most of the path."""
    depth, deepest = 0, items[0]
    for item in items:
        value, reached = item, 0
        while type(value) is dict and lookup.names[reached] in value:
            value, reached = value[lookup.names[reached]], reached + 1
        if reached > depth:
            depth, deepest = reached, value
    before = _path(lookup.names[:depth])
    if type(deepest) is not dict:
        return Absence(lookup.path, lookup.position, f"{before} is {_kind(deepest)}", None)
    keys = [key[:_MAX_CHARS] for key in islice(deepest, 200)]
    near = nearest(lookup.names[depth], keys)
    have = f"{before} has" if before else "elements have"
    there = f"{have} {some_of(keys, _MAX_KEYS)}" if keys else f"{have} no fields"
    meant = _path((*lookup.names[:depth], *near, *lookup.names[depth + 1 :])) if near else None
    return Absence(lookup.path, lookup.position, there, meant)


def _path(names: Iterable[str]) -> str:
    return ".".join(map(as_name, names))


def _kind(value: object) -> str:
    return _DESCRIBED.get(type(value), "null")
