"""The `select` and `when` of a DAG, read over the shapes of what they will see before anything
runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import chain

from ..expressions.evaluation import Expression
from ..expressions.nodes import Key, Source
from ..expressions.problems import Finding, fixed
from ..expressions.reading import Reading, read, read_condition
from ..expressions.shapes import ANY, Shape, list_of, of, or_null
from ..language.references import ITEM, Every
from ..values.problems import MAX_FIX_CHARS, Fix, Op, Problem
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
        if planned.select is not None:
            self._report(planned, planned.select, f"{path}.select", self._read_select(planned))
        if planned.when is not None:
            seen = {id: self._output(id) for id in planned.needs}
            reading = read_condition(planned.when, seen, self._ids, self._references(planned.needs))
            self._report(planned, planned.when, f"{path}.when", reading)

    def _report(
        self, planned: PlannedTask, expression: Expression, path: str, reading: Reading
    ) -> None:
        wrong = [finding for finding in reading.findings if not finding.is_note]
        text = fixed(expression.text, wrong)
        is_fixed = all(finding.edit for finding in wrong) and len(text) <= MAX_FIX_CHARS
        for number, finding in enumerate(wrong):
            hints = [f"Write {short(finding.edit.text)} there."] if finding.edit else []
            fix = Fix(Op.REPLACE, text) if is_fixed and number == 0 else None
            if fix is not None:
                hints = [fix.advice]
            hint = " ".join([*hints, *([finding.hint] if finding.hint else [])])
            self._problems.append(
                Problem(
                    path,
                    "invalid_expression",
                    f"{finding.placed_message}.",
                    hint or None,
                    planned.id,
                    fix,
                )
            )
        if not wrong:
            for finding in reading.findings:
                self._note(path, finding)

    def _note(self, path: str, finding: Finding) -> None:
        if self._room_for_notes:
            self._room_for_notes -= 1
            hint = f". {finding.hint}" if finding.hint else ""
            self._notes.append(f"{path}: {finding.placed_message}{hint}".removesuffix("."))

    def _read_select(self, planned: PlannedTask) -> Reading:
        assert planned.select is not None
        named = [key.id for key in planned.select.references if key.source is Source.OUTPUT]
        references = self._references([id for id in named if id in planned.needs])
        if planned.items is not None:
            references[Key(Source.ITEM)] = self._item(planned)
            references[Key(Source.INDEX)] = _INTEGER
        return read(planned.select, self._answer(planned), references)

    def _references(self, ids: Collection[str]) -> dict[Key, Shape]:
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
            shape = self._read_select(planned).shape
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
