"""`repeat` before anything runs: its expressions, and whether each call after the first gets
arguments that its tool takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..expressions.evaluation import Expression, expression, test
from ..expressions.nodes import Field, Key, Path, Reference, Source, walk
from ..expressions.scopes import looked_through
from ..expressions.shapes import (
    Shape,
    list_of,
    not_null,
    object_of,
    of,
    or_null,
)
from ..language.repeats import MAX_PAGES, POLL_S, Repeat
from ..values.problems import Fix, Problem, written
from ..values.strict import Json, JsonObject, dumps
from .fixes import fixed_argument
from .flow import Flow
from .keywords import Part
from .places import with_field
from .plan import PlannedTask, Repeating
from .shapes import schema_of, shape_of
from .types import Fit, Value

_FIRST = {
    **dict.fromkeys(("page", "page_number", "pagenumber", "page_no", "p"), 1),
    **dict.fromkeys(("offset", "skip"), 0),
}
"""The first values of arguments that count pages or what stands in them."""
ARGUMENTS = Key(Source.ARGUMENTS)


def expressions_of(repeat: Repeat) -> Iterator[tuple[str, str, Callable[[str], Expression]]]:
    """Yield the expressions of *repeat*, each with its place and with what reads it."""
    for name, text in repeat.set.items():
        yield f"set{written((name,))}", text, expression
    if repeat.while_ is not None:
        yield "while", repeat.while_, test
    if repeat.until is not None:
        yield "until", repeat.until, test


def repeating(repeat: Repeat, read: Mapping[str, Expression | None]) -> Repeating | None:
    """Return *repeat* with its expressions, which *read* has by place; None if one is invalid."""
    found = {place: one for place, one in read.items() if one is not None}
    if len(found) < len(read):
        return None
    pause_s = repeat.every_s
    if pause_s is None:
        pause_s = 0.0 if repeat.set else POLL_S
    return Repeating(
        set={name: found[f"set{written((name,))}"] for name in repeat.set},
        goes_on=found.get("while"),
        until=found.get("until"),
        pause_s=pause_s,
        most=MAX_PAGES if repeat.max is None else repeat.max,
        may_be_cut=repeat.max is not None and bool(repeat.set),
    )


def arguments_of(planned: PlannedTask, flow: Flow) -> Shape:
    """Return the shape of the arguments of a call of *planned*: those that are given, and those
    that `repeat` sets."""
    assert planned.repeat is not None
    schema = planned.tool.input
    given = planned.arguments.value
    names = [*given] if isinstance(given, dict) else []
    members: dict[str, Shape] = {}
    for name in dict.fromkeys((*names, *planned.repeat.set)):
        shape = shape_of(flow.types(), flow.wanted(schema, (name,)))
        members[name] = shape if name in names else or_null(shape)
    return object_of(members)


def joined(page: Shape) -> Shape:
    """Return the shape of the output of all pages, where that of one is *page*."""
    inner = looked_through(page)
    if inner.kinds - {"null"} == {"list"}:
        return not_null(inner)
    return of("list") if "list" in inner.kinds else list_of(page)


class Repeats:
    """A check of the arguments that `repeat` sets; it adds to *problems*."""

    def __init__(
        self,
        flow: Flow,
        shape: Callable[[PlannedTask, Expression], Shape],
        problems: list[Problem],
    ) -> None:
        self._flow = flow
        self._shape = shape
        """Gives the shape of what an expression of `repeat` makes of an answer."""
        self._problems = problems

    def look_at(self, planned: PlannedTask, path: str) -> None:
        """Check the `repeat` of *planned*, which stands at *path* in the document."""
        repeat = planned.repeat
        if repeat is None:
            return
        given = planned.arguments.value
        for name, one in repeat.set.items():
            place = f"{path}.repeat.set{written((name,))}"
            if not self._is_parameter(planned, name, place):
                continue
            if isinstance(given, dict) and name not in given and _reads(one, name):
                message = (
                    f"{name} has no first value: the arguments of the first call are those of the "
                    f"task, so $ARGUMENTS.{name} is null, and the call is not repeated."
                )
                first = self._first_value(planned, name)
                shown = 1 if first is None else first
                fix = None
                if first is not None and isinstance(planned.task.arguments, dict):
                    arguments = {**planned.task.arguments, name: first}
                    fix = with_field(planned.task, path, "arguments", arguments)
                hint = f'Write it into arguments too, such as "{name}": {dumps(shown)}.'
                place = f"{path}.arguments{written((name,))}"
                self._say(place, "missing_field", message, hint, planned, fix)
                continue
            self._fits(planned, name, one, place)

    def _first_value(self, planned: PlannedTask, name: str) -> Json:
        """Return the value of the argument *name* for the first page; None if it is unclear."""
        schema = planned.tool.input.properties.get(name)
        default = schema.get("default") if isinstance(schema, dict) else None
        value: Json = default if isinstance(default, int) else _FIRST.get(name.casefold())
        given: JsonObject = {name: value}
        wrong = {one.place[:1] for one in planned.tool.input.complaints(given)}
        return None if (name,) in wrong else value

    def _is_parameter(self, planned: PlannedTask, name: str, place: str) -> bool:
        """Report an argument that the tool does not take."""
        schema = planned.tool.input
        given = planned.task.arguments
        if isinstance(given, str):  # one reference stands for all of them
            given = {}
        arguments: JsonObject = {**given, name: None}
        unknown = planned.arguments.unknown | {(name,)}
        complaints = schema.complaints(arguments, unknown=unknown)
        message = next((one.message for one in complaints if one.place == (name,)), None)
        if message is None:
            return True
        fix = fixed_argument(schema, arguments, (name,), unknown, is_certain=True)
        if not message.endswith("?"):
            message += "."
        hint = f"Signature: {planned.tool.signature}"
        self._say(place, "invalid_arguments", f"{name} {message}", hint, planned, fix)
        return False

    def _fits(self, planned: PlannedTask, name: str, one: Expression, place: str) -> None:
        """Report an expression that gives the argument *name* no value that its tool takes."""
        types = self._flow.types()
        shape = not_null(given) if (given := self._shape(planned, one)).known else given
        schema = schema_of(shape)  # null ends the pages
        value = Value(types.forms(Part(schema, {})))
        wanted = self._flow.wanted(planned.tool.input, (name,))
        if types.feeds(value, wanted) is not Fit.WRONG:
            return
        message = (
            f"{name} must be {types.described(Value(wanted))}; this is {types.described(value)}."
        )
        self._say(place, "type_mismatch", message, f"Signature: {planned.tool.signature}", planned)

    def _say(
        self,
        place: str,
        code: str,
        message: str,
        hint: str,
        planned: PlannedTask,
        fix: Fix | None = None,
    ) -> None:
        self._problems.append(Problem(place, code, message, hint, planned.id, fix))


def _reads(one: Expression, name: str) -> bool:
    """Return whether *one* reads the argument *name*."""
    return any(
        isinstance(node, Path)
        and isinstance(node.steps[0], Reference)
        and node.steps[0].key == ARGUMENTS
        and isinstance(node.steps[1], Field)
        and node.steps[1].name == name
        for node in walk(one.tree)
    )
