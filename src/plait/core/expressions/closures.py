"""Closures: a tree becomes closures once, and they run as often as wished.

Each node becomes a function of the current value and the `Frame` of the evaluation (the values of
references, and the budget). References read the frame, never the current value, so they have one
value at every depth.

A projection pays for all its elements before it starts (the elements times the nodes of what is
applied to each), so paths pay nothing of their own, and a loop is stopped before it runs, not in
the middle. No function here recurses along a value, only along the tree, whose nesting the parser
has bounded.

JMESPath's comparisons are adapted to what people mean: `<` and its kin are null for unlike types,
and `==` and `!=` of two nulls are null unless one side is written `null`. Otherwise a filter by
something missing would select every element that lacks its field.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from ..values.strict import Json
from .absences import Absences, lookups_of
from .budget import Budget, equal, is_number, is_true
from .calls import check_call
from .frame import Frame, Run
from .functions import FUNCTIONS, call
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
    Over,
    Path,
    Pipe,
    Projection,
    Reference,
    Selection,
    Text,
    walk,
)
from .operands import of_reference, of_text
from .problems import invalid
from .signatures import PATTERN


def compiled(node: Node) -> Run:
    match node:
        case Current():
            return lambda value, frame: value
        case Field(name=name):
            return lambda value, frame: value.get(name) if type(value) is dict else None
        case Literal(value=literal):
            return lambda value, frame: literal
        case Reference(key=key):
            return of_reference(key)
        case Text(parts=parts):
            return of_text(parts)
        case Index(index=index):
            return _index(index)
        case Path(steps=steps):
            return _path(steps)
        case Projection():
            return _projection(node)
        case Selection(items=items):
            return _selection([compiled(item) for item in items], node.is_step)
        case Members(names=names, items=items):
            return _members(names, [compiled(item) for item in items], node.is_step)
        case Not(operand=operand):
            inner = compiled(operand)
            return lambda value, frame: not is_true(inner(value, frame))
        case And(items=items):
            return _junction([compiled(item) for item in items], ends_on=False)
        case Or(items=items):
            return _junction([compiled(item) for item in items], ends_on=True)
        case Compare():
            return _compare(node)
        case Pipe(items=items):
            return _piped([compiled(item) for item in items])
        case Call():
            return _call(node)
    message = "& stands before an argument of a function, such as sort_by(@, &name)"
    raise invalid(node.start, node.end, message)


def holding(node: Node) -> Run:
    """Compile *node* as the whole of a `when`. There 0 is false, also as an operand of `!`, `&&`
    and `||`, so a condition and its negation are never both false."""
    match node:
        case Not(operand=operand):
            held = holding(operand)
            return lambda value, frame: not held(value, frame)
        case And(items=items):
            return _junction([holding(item) for item in items], ends_on=False, truth=bool)
        case Or(items=items):
            return _junction([holding(item) for item in items], ends_on=True, truth=bool)
        case Pipe(items=items):
            return _piped([*map(compiled, items[:-1]), holding(items[-1])])
    return compiled(node)


def _index(index: int) -> Run:
    def run(value: Any, frame: Frame) -> Any:
        return value[index] if type(value) is list and -len(value) <= index < len(value) else None

    return run


def _path(steps: tuple[Node, ...]) -> Run:
    first, rest = steps[0], steps[1:]
    after = rest[0].name if isinstance(rest[0], Field) else None
    if isinstance(first, Reference) and after in {"result", "text"}:
        start = of_reference(first.key, reads_result=after == "result")
        if after == "text":
            return _text_of(start, rest)
    else:
        start = compiled(first)
    if all(isinstance(step, Field) for step in rest):
        names = [step.name for step in rest if isinstance(step, Field)]
        if isinstance(first, Field):
            return _fields([first.name, *names])
        inner = _fields(names)
        return lambda value, frame: inner(start(value, frame), frame)
    return _piped([start, *map(compiled, rest)])


def _text_of(start: Run, rest: tuple[Node, ...]) -> Run:
    """Follow a path that begins with `.text`, which on a text is the text, as in references."""
    runs = [compiled(step) for step in rest]
    of_text, of_other = _piped(runs[1:]), _piped(runs)

    def run(value: Any, frame: Frame) -> Any:
        found = start(value, frame)
        return (of_text if type(found) is str else of_other)(found, frame)

    return run


def _fields(names: list[str]) -> Run:
    if len(names) == 2:
        outer, inner = names

        def two(value: Any, frame: Frame) -> Any:
            if type(value) is dict:
                value = value.get(outer)
                if type(value) is dict:
                    return value.get(inner)
            return None

        return two

    def run(value: Any, frame: Frame) -> Any:
        for name in names:
            if type(value) is not dict:
                return None
            value = value.get(name)
        return value

    return run


def _piped(runs: list[Run]) -> Run:
    if len(runs) == 2:
        one, two = runs
        return lambda value, frame: two(one(value, frame), frame)

    def run(value: Any, frame: Frame) -> Any:
        for inner in runs:
            value = inner(value, frame)
        return value

    return run


def _projection(node: Projection) -> Run:
    base, rest, over = compiled(node.base), compiled(node.rest), node.over
    is_whole = isinstance(node.rest, Current)
    names = _names(node.rest)
    weight = sum(1 for _ in walk(node.rest))
    if over is Over.FILTER:
        assert node.condition is not None
        return _filter(
            base,
            node.condition,
            None if is_whole else rest,
            weight + sum(1 for _ in walk(node.condition)),
        )
    one_name = names[0] if names is not None and len(names) == 1 else None
    bounds = slice(*node.bounds)

    def run(value: Any, frame: Frame) -> Any:
        items = base(value, frame)
        kind = type(items)
        if over is Over.VALUES:
            if kind is not dict:
                return None
            items = items.values()
        elif kind is not list:
            if over is Over.SLICE and kind is str:
                frame.budget.make_text(len(items))
                return rest(items[bounds], frame)
            return None
        budget = frame.budget
        if over is Over.SLICE:
            items = items[bounds]
        elif over is Over.FLAT:
            items = _flat(items, budget)
        budget.make(1 + len(items))
        budget.spend(len(items) * weight)
        if is_whole:
            return [item for item in items if item is not None]
        if one_name is not None:
            return [
                found
                for item in items
                if type(item) is dict and (found := item.get(one_name)) is not None
            ]
        return [found for item in items if (found := rest(item, frame)) is not None]

    return run


def _names(node: Node) -> list[str] | None:
    return [node.name] if isinstance(node, Field) else None


def _flat(items: list[Any], budget: Budget) -> list[Any]:
    budget.make(sum(len(item) if type(item) is list else 1 for item in items))
    made: list[Any] = []
    for item in items:
        if type(item) is list:
            made.extend(item)
        else:
            made.append(item)
    return made


def _filter(base: Run, asked: Node, rest: Run | None, weight: int) -> Run:
    condition, look = compiled(asked), _look(asked, weight)

    def run(value: Any, frame: Frame) -> Any:
        items = base(value, frame)
        if type(items) is not list:
            return None
        frame.budget.spend(1 + len(items) * weight)
        if look is not None and frame.absences is not None and items:
            look(items, frame, frame.absences)
        kept = []
        for item in items:
            if (held := condition(item, frame)) is True or (held is not False and is_true(held)):
                found = item if rest is None else rest(item, frame)
                if found is not None:
                    kept.append(found)
        frame.budget.make(len(kept))
        return kept

    return run


def _look(condition: Node, weight: int) -> Callable[[list[Any], Frame, Absences], None] | None:
    """Return what finds the paths of *condition* that no element has; None if it has no path. It
    mostly looks at the first element alone."""
    lookups = lookups_of(condition)
    if not lookups:
        return None
    guarded = [(one, [compiled(guard) for guard in one.guards]) for one in lookups]

    def look(items: list[Any], frame: Frame, absences: Absences) -> None:
        for lookup, guards in guarded:
            if lookup in absences.seen:
                continue
            if any(type(item) is not dict or lookup.is_in(item) for item in items):
                absences.seen.add(lookup)
                continue
            if guards:
                frame.budget.spend(len(items) * weight)
            if any(all(is_true(guard(item, frame)) for guard in guards) for item in items):
                absences.miss(lookup, items)

    return look


def _selection(runs: list[Run], is_step: bool) -> Run:
    def run(value: Any, frame: Frame) -> Any:
        if is_step and value is None:
            return None
        frame.budget.make(1 + len(runs))
        return [inner(value, frame) for inner in runs]

    return run


def _members(names: tuple[str, ...], runs: list[Run], is_step: bool) -> Run:
    pairs = [*zip(names, runs, strict=True)]

    def run(value: Any, frame: Frame) -> Any:
        if is_step and value is None:
            return None
        frame.budget.make(1 + 2 * len(pairs))
        return {name: inner(value, frame) for name, inner in pairs}

    return run


def _junction(runs: list[Run], *, ends_on: bool, truth: Callable[[Any], bool] = is_true) -> Run:
    def run(value: Any, frame: Frame) -> Any:
        found: Json = None
        for inner in runs:
            found = inner(value, frame)
            if truth(found) is ends_on:
                return found
        return found

    return run


_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _compare(node: Compare) -> Run:
    left, right, sign = compiled(node.left), compiled(node.right), node.operator
    sides = [side.value for side in (node.left, node.right) if isinstance(side, Literal)]
    names_null = None in sides
    if sign in ("==", "!="):
        is_equal = sign == "=="

        def run_equal(value: Any, frame: Frame) -> Any:
            a, b = left(value, frame), right(value, frame)
            if a is None and b is None and not names_null:
                return None
            return equal(a, b, frame.budget) is is_equal

        return run_equal
    ordered = _ORDERED[sign]

    def run(value: Any, frame: Frame) -> Any:
        a, b = left(value, frame), right(value, frame)
        if (is_number(a) and is_number(b)) or (type(a) is str and type(b) is str):
            return ordered(a, b)
        return None

    return run


def _call(node: Call) -> Run:
    check_call(node)
    runs: list[Run] = []
    key_weight = 0
    by = None
    for number, argument in enumerate(node.arguments):
        if isinstance(argument, Ampersand):
            by = number
            key_weight = sum(1 for _ in walk(argument))
            runs.append(compiled(argument.operand))
        elif isinstance(argument, Text):
            is_pattern = FUNCTIONS[node.name].wanted(number) == PATTERN
            runs.append(of_text(argument.parts, is_pattern=is_pattern))
        else:
            runs.append(compiled(argument))
    name, position = node.name, node.start

    def run(value: Any, frame: Frame) -> Any:
        given = [inner(value, frame) for inner in runs]
        frame.budget.spend(len(given))
        return call(name, frame, given, position)

    def run_by(value: Any, frame: Frame) -> Any:
        assert by is not None
        given = [None if number == by else inner(value, frame) for number, inner in enumerate(runs)]
        items = given[1 - by]
        if type(items) is list:
            frame.budget.spend(len(items) * key_weight)
        key = runs[by]
        given[by] = lambda item: key(item, frame)
        return call(name, frame, given, position)

    return run if by is None else run_by
