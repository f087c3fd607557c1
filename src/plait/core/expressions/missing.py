"""Names that an expression looks up in one value, and that are not there.

A condition, a `select`, a pipe, or what `repeat` sets, asks one value: a misspelt name there is
null, so the task is skipped, or always runs, or its pages end at the first. As in filters
(`absences.py`), a null on the way and the arguments of `not_null` do not count. Here an `||` and a
comparison with null also say that a field may be missing, and so does an `&&` of what stands behind
it, unless all before it is true. A comparison of a number with a text is never true, and is found
too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from ..values.problems import nearest, some_of
from ..values.strict import short
from .absences import (
    MAX_ABSENCES,
    MAX_CHARS,
    MAX_ELEMENTS,
    MAX_KEYS,
    absence_of,
    kind_of,
    lookups_of,
    path_of,
)
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

Holds: TypeAlias = Callable[[Node], bool]
"""Says whether a part of a condition is true."""
_ENDS_OF_LISTS = {"first": 0, "last": -1}
_COUNTS = frozenset(("length", "size", "count", "len"))
_ENDS = frozenset(("status", "state", "success", "succeeded", "failed", "outcome", "conclusion"))


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


def missing_in(
    node: Node,
    value: object,
    *,
    of_tasks: bool = False,
    own: str | None = None,
    whole: str = "the answer",
    wrapped: Collection[str] = (),
    holds: Holds | None = None,
) -> list[Missing]:
    """List the paths that *node* looks up in *value* and that are not there, and the comparisons
    with another kind of value than is there. The value, the *whole*, is that of the task *own*, or
    has the outputs of those that a `when` names if it is *of_tasks*, without the wrappers of those
    that are *wrapped*. Without *holds*, what stands behind an `&&` does not count."""
    search = _Missed(of_tasks, own, whole, wrapped=wrapped, holds=holds)
    return search.in_(node, value)[:MAX_ABSENCES]


class _Missed(NamedTuple):
    """A search for what is missing, as in `missing_in`."""

    of_tasks: bool
    own: str | None
    whole: str
    before: str = ""
    """The path of the value, as it is written, where it is an element of the whole."""
    wrapped: Collection[str] = ()
    holds: Holds | None = None

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
                return self._in_element(steps[behind:], path_of([name for name, _ in names]), value)
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
            case And(items=items):
                parts = [self.in_(items[0], value)]
                for number in range(1, len(items)):
                    if self.holds is None:
                        break
                    part = self.in_(items[number], value)
                    if part and all(map(self.holds, items[:number])):
                        parts.append(part)
            case Not(operand=inner) | Pipe(items=(inner, *_)):
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
                one = absence_of(lookup, items)
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
                kinds = kind_of(there), kind_of(other.value)
                if (
                    "null" in kinds
                    or kinds[0] == kinds[1]
                    or bool in map(type, (there, other.value))
                ):
                    continue
                path = path_of([name for name, _ in names])
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
            without = path_of([names[0], *names[2:]])
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
    before = f"{search.before}{path_of(names[:depth])}".removesuffix(".")
    written = f"{search.before}{path_of(names)}"
    asked = path_of(names[1:]) if of_tasks else path_of(names)
    it = "it" if depth == int(of_tasks) else before
    hint = ""
    if type(value) is not dict:
        there = f"{it} is {kind_of(value)}"
        if names[depth] in _COUNTS and isinstance(value, list | str):
            hint = f"Write length({before or '@'}). "
        elif isinstance(value, list) and names[depth] in _ENDS_OF_LISTS:
            hint = f"Write {before}[{_ENDS_OF_LISTS[names[depth]]}]. "
        elif isinstance(value, list) and any(
            names[depth] in one for one in value[:MAX_ELEMENTS] if isinstance(one, dict)
        ):
            hint = f"Write {before}[].{path_of(names[depth:])} for that of each element. "
    else:
        keys = [key[:MAX_CHARS] for key in islice(value, 200)]
        there = f"{it} has {some_of(keys, MAX_KEYS) if keys else 'no fields'}"
        if near := nearest(names[depth], keys):
            meant = path_of((*names[:depth], *near[:1], *names[depth + 1 :]))
            hint = f"Did you mean {search.before}{meant}? "
    if without and depth == 1:
        hint = f"The answer has no wrapper: write {without}. "
    if not hint and of_tasks and depth == 1 and names[1] in _ENDS:
        hint = f"$STATUS[{names[0]}] says how {whole} ended. "
    rest = path[1:]
    is_own = depth == 0 and own == names[0] and bool(rest) and not of_tasks
    is_own = is_own and _missing(rest, value, search._replace(own=None)) is None
    if is_own:
        hint = f"It is read from the answer itself: write {path_of(names[1:])}. "
    is_never = type(value) is not dict
    if not (is_never and hint):
        hint += f"If it may be missing, write not_null({written}, null)."
    message = f"{whole} has no {asked}; {there}"
    return Missing(written, path[-1][1], message, hint.rstrip(), is_own, is_never)
