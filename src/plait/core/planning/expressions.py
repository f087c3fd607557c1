"""The `select` and `when` of a DAG, read over the shapes of what they will see before anything
runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from itertools import chain

from ..expressions.evaluation import Expression, condition, expression
from ..expressions.nodes import Key, Source
from ..expressions.problems import Finding
from ..expressions.reading import Reading, read, read_condition
from ..expressions.reports import problems_of
from ..expressions.shapes import ANY, Shape, list_of, of, or_null
from ..language.references import ITEM, Every
from ..values.problems import Problem
from ..values.strict import short
from .flow import Flow
from .keywords import Forms, declared, has_schema_for_others, is_read, options_of, required_of
from .places import has_more
from .plan import PlannedTask
from .types import Types

MAX_NOTES = 20
"""Most notes on expressions per document."""
MAX_LEVELS = 6
"""Most levels of a schema that become a shape."""
MAX_MEMBERS = 500
_UNDECLARED = "\0"
"""The name of a member that no schema declares."""
_INTEGER = of("integer")
_KINDS = {
    "null": "null",
    "boolean": "boolean",
    "integer": "integer",
    "fraction": "number",
    "string": "text",
    "array": "list",
    "object": "object",
}


class Expressions:
    """A check of the expressions of one DAG; it adds to *problems* and *notes*."""

    def __init__(
        self,
        tasks: Mapping[str, PlannedTask],
        ids: Collection[str],
        flow: Flow,
        problems: list[Problem],
        notes: list[str],
    ) -> None:
        self._tasks = tasks
        """The tasks whose ids are unambiguous."""
        self._ids = ids
        self._flow = flow
        self._problems = problems
        self._notes = notes
        self._room_for_notes = MAX_NOTES
        self._outputs: dict[str, Shape] = {}
        self._answers: dict[str, Shape] = {}
        """By tool."""

    def look_at(self, planned: PlannedTask, path: str) -> None:
        """Check the expressions of *planned*, which stands at *path* in the document."""
        select, when = planned.select, planned.when
        if select is not None:
            self._report(planned, select, f"{path}.select", self._read_select, expression)
        if when is not None:
            self._report(planned, when, f"{path}.when", self._read_when, condition)

    def _report(
        self,
        planned: PlannedTask,
        given: Expression,
        path: str,
        read: Callable[[PlannedTask, Expression], Reading],
        compiled: Callable[[str], Expression],
    ) -> None:
        findings = read(planned, given).findings
        found = problems_of(
            given.text,
            findings,
            lambda text: read(planned, compiled(text)).findings,
            path,
            planned.id,
        )
        if given.text in (planned.task.select, planned.task.when):
            self._problems += found
        elif found:
            self._report_fixed(given.text, found)
        if not found:
            for finding in findings:
                self._note(path, finding)

    def _report_fixed(self, text: str, found: list[Problem]) -> None:
        """Report what was *found* in *text*, which is the fix of an expression that could not be
        parsed: that fix becomes one for both, or none."""
        [number] = [n for n, known in enumerate(self._problems) if known.path == found[0].path]
        first, fix = self._problems[number], found[0].fix
        hint = first.hint
        if fix is None:
            said = [replace(other, message=f"{short(text)}: {other.message}") for other in found]
            self._problems += said
        elif first.fix is not None and hint is not None:
            hint = hint.replace(first.fix.advice, fix.advice)
        self._problems[number] = replace(first, fix=fix, hint=hint)

    def _note(self, path: str, finding: Finding) -> None:
        if self._room_for_notes:
            self._room_for_notes -= 1
            hint = f". {finding.hint}" if finding.hint else ""
            self._notes.append(f"{path}: {finding.placed_message}{hint}".removesuffix("."))

    def _read_select(self, planned: PlannedTask, select: Expression) -> Reading:
        references = self._references(self._named(planned, select))
        if planned.items is not None:
            references[Key(Source.ITEM)] = self._item(planned)
            references[Key(Source.INDEX)] = _INTEGER
        return read(select, self._answer(planned), references)

    def _read_when(self, planned: PlannedTask, when: Expression) -> Reading:
        ids = dict.fromkeys((*planned.needs, *self._named(planned, when)))
        seen = {id: self._output(id) for id in ids}
        return read_condition(when, seen, self._ids, self._references(ids))

    def _named(self, planned: PlannedTask, given: Expression) -> list[str]:
        """List the tasks that *given*, maybe a fix that is only tried, makes dependencies."""
        named = (key.id for key in given.references if key.source is Source.OUTPUT)
        return [id for id in named if id in self._ids and id != planned.id]

    def _references(self, ids: Iterable[str]) -> dict[Key, Shape]:
        return {Key(Source.OUTPUT, id): self._output(id) for id in ids}

    def _output(self, id: str) -> Shape:
        """Return the shape of the output of task *id*, as references see it."""
        if (known := self._outputs.get(id)) is not None:
            return known
        self._outputs[id] = ANY  # what a cycle leads to
        planned = self._tasks.get(id)
        if planned is None or self._flow.is_unread(id, "select", "for_each"):
            return ANY
        if planned.select is None:
            shape = self._answer(planned)
        else:
            shape = self._read_select(planned, planned.select).shape
            if [*shape.members] == ["result"]:
                shape = ANY  # made by select, so it is not the wrapper of an SDK
        if planned.task.for_each is not None:
            shape = list_of(or_null(shape))
        self._outputs[id] = shape
        return shape

    def _answer(self, planned: PlannedTask) -> Shape:
        """Return the shape of what the tool of *planned* answers, before `select`."""
        name = planned.tool.full_name
        if (shape := self._answers.get(name)) is None:
            forms, is_learned = self._flow.answer(planned)
            shape = shape_of(self._flow.types(), forms, is_learned=is_learned)
            self._answers[name] = shape
        return shape

    def _item(self, planned: PlannedTask) -> Shape:
        return shape_of(self._flow.types(), self._flow.source(planned, ITEM).forms)


def shape_of(
    types: Types, forms: Forms, *, is_learned: bool = False, levels: int = MAX_LEVELS
) -> Shape:
    """Make the shape of a value of *forms*. A learned shape is open, whatever it declares."""
    if not forms or not levels or not is_read(forms):
        return replace(ANY, is_learned=is_learned)
    kinds = frozenset(_KINDS[kind] for form in forms for kind in types.kinds(form))
    members: dict[str, Shape] = {}
    others = None
    is_closed = False
    if "object" in kinds:
        required = [frozenset(required_of(form)) for form in forms if "object" in types.kinds(form)]
        always = frozenset.intersection(*required) if required and not is_learned else frozenset()
        names = [*declared(forms)][:MAX_MEMBERS]
        for name in names:
            if inner := types.step(forms, name):
                part = shape_of(types, inner, is_learned=is_learned, levels=levels - 1)
                members[name] = part if name in always else or_null(part)
        is_closed = not is_learned and not types.step(forms, _UNDECLARED)
        if has_schema_for_others(forms) or (is_learned and has_more(forms)):
            others = ANY
    element = None
    if "list" in kinds:
        inner = types.step(forms, Every.ELEMENT)
        element = shape_of(types, inner, is_learned=is_learned, levels=levels - 1)
    return Shape(
        kinds,
        members,
        is_closed=is_closed and bool(members),
        of_members=others,
        element=element,
        options=_options(forms),
        is_learned=is_learned,
        levels=levels,
    )


def _options(forms: Forms) -> tuple[str | int | float, ...] | None:
    """List the values that *forms* name, if those are all that is possible besides null."""
    named = [options_of(form) for form in forms]
    values = list(chain.from_iterable(options or () for options in named))
    plain = [value for value in values if type(value) in (str, int, float)]
    if None in named or len(plain) != len([value for value in values if value is not None]):
        return None
    return tuple(value for value in plain if isinstance(value, str | int | float)) or None
