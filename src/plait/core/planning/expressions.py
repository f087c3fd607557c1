"""The `select` and `when` of a DAG, read over the shapes of what they will see before anything
runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import reduce

from ..expressions.evaluation import Expression, condition, expression, test
from ..expressions.nodes import Key, Source
from ..expressions.problems import Finding, InvalidExpression
from ..expressions.quoting import member_of
from ..expressions.reading import Reading, read, read_condition
from ..expressions.reports import problems_of
from ..expressions.shapes import (
    ANY,
    Shape,
    either,
    list_of,
    not_null,
    object_of,
    of,
    of_value,
    or_null,
)
from ..language.pipes import Pipe
from ..language.references import (
    ITEM,
    OUTPUT,
    BadPipe,
    BadReference,
    Missing,
    Omitted,
    Reference,
    parse,
)
from ..values.problems import MAX_GUESSES, Problem, written
from ..values.schema import Place
from ..values.strict import Json, short
from .filters import filter_meant
from .flow import MAX_DEPTH, Flow
from .names import item_named
from .places import part_at, place_of_item, with_field
from .plan import PlannedTask
from .repeats import arguments_of, expressions_of, joined
from .shapes import shape_of

MAX_NOTES = 20
"""Most notes on expressions per document."""
_INTEGER = of("integer")
_ARGUMENTS = Key(Source.ARGUMENTS)


class Expressions:
    """A check of the expressions of one DAG; it adds to *problems* and *notes*."""

    def __init__(
        self,
        tasks: Mapping[str, PlannedTask],
        ids: Mapping[str, str],
        flow: Flow,
        problems: list[Problem],
        notes: list[str],
        group_around: Callable[[str, Mapping[str, str]], str | None],
    ) -> None:
        self._tasks = tasks
        self._group_around = group_around
        """The tasks whose ids are unambiguous."""
        self._ids = ids
        self._flow = flow
        self._problems = problems
        self._notes = notes
        self._room_for_notes = MAX_NOTES
        self._depth = 0
        self._outputs: dict[str, Shape] = {}
        self._answers: dict[str, Shape] = {}
        """By tool."""

    def look_at(self, planned: PlannedTask, path: str) -> None:
        """Check the expressions of *planned*, which stands at *path* in the document."""
        task, select, when = planned.task, planned.select, planned.when
        if select is not None:
            place = f"{path}.select"
            self._report(planned, select, task.select, place, self._read_select, expression)
        meant = filter_meant(planned, path)
        if meant is not None:
            self._problems.append(meant)
        elif when is not None:
            place, before = f"{path}.when", len(self._problems)
            self._report(planned, when, task.when, place, self._read_when, condition)
            if len(self._problems) == before + 1 and self._asks_in_vain(planned, when):
                self._let_run(planned, path)
        if planned.repeat is not None and task.repeat is not None:
            read = dict(planned.repeat.expressions())
            for place, text, compiled in expressions_of(task.repeat):
                where = f"{path}.repeat.{place}"
                look = self._read_test if compiled is test else self._read_repeat
                self._report(planned, read[place], text, where, look, compiled)

    def _asks_in_vain(self, planned: PlannedTask, when: Expression) -> bool:
        """Return whether *when* asks for the status of a task whose success *planned* needs."""
        return any(self._is_success(planned, key) for key in when.references)

    def _is_success(self, planned: PlannedTask, key: Key) -> bool:
        """Return whether the status that *key* stands for is a success whenever *planned* runs."""
        is_sure = planned.task.trigger_rule == "all_success" and key.source is Source.STATUS
        return is_sure and self._names(planned).get(key.id) in planned.requires

    def _let_run(self, planned: PlannedTask, path: str) -> None:
        """Give the last problem the fix that lets *planned* run after failures too."""
        last = self._problems[-1]
        if last.fix is not None:
            return
        fix = with_field(planned.task, path, "trigger_rule", "all_done")
        hint = "It runs only after successes: write trigger_rule: all_done."
        self._problems[-1] = replace(last, hint=hint, fix=fix)

    def look_at_pipes(self, planned: PlannedTask, path: str) -> None:
        """Check the expressions in the references of *planned*."""
        for template, field in ((planned.arguments, planned.field), (planned.items, "for_each")):
            if template is None or not template.has_pipes:
                continue
            for place, _ in template.fill or ():
                text = part_at(template.value, place)
                of_items = template is planned.items
                at = place_of_item(planned.task, place) if of_items else place
                where = f"{path}.{field}{written(at)}"
                self._report_pipes(planned, text, where, of_items=of_items)

    def _report_pipes(self, planned: PlannedTask, text: str, path: str, *, of_items: bool) -> None:
        findings = self._read_pipes(planned, text, of_items)
        found = problems_of(
            text,
            findings,
            lambda fixed: self._read_pipes(planned, fixed, of_items),
            path,
            planned.id,
            may_guess=len(self._problems) < MAX_GUESSES,
        )
        self._problems += found
        for finding in () if found else findings:
            self._note(path, finding)

    def _read_pipes(self, planned: PlannedTask, text: str, of_items: bool) -> list[Finding]:
        """Read the expressions of the references in *text*, which is a part of *planned*, or is
        tried in its place."""
        try:
            pieces = parse(text, items=True)
        except BadPipe as error:
            raise InvalidExpression(error.finding) from None
        except BadReference:
            return []
        found: list[Finding] = []
        for piece in pieces:
            for link in piece.chain if isinstance(piece, Reference) else ():
                if link.pipe is not None:
                    names, bound = planned.names, link
                    if names is not None:
                        has_own = planned.items is not None and not of_items
                        bound = names.bound_reference(link, has_items=has_own)
                    reading = self._read_pipe(planned, bound, link.pipe, of_items)
                    self._know(planned, link.pipe.expression, reading)
                    found += [finding.moved(link.pipe.start) for finding in reading.findings]
        return found

    def piped(self, planned: PlannedTask, reference: Reference, of_items: bool) -> Shape:
        """Return the shape of what the expression of *reference* makes of its value. *of_items*
        says whether that is the `for_each` of *planned*."""
        assert reference.pipe is not None
        return self._read_pipe(planned, reference, reference.pipe, of_items).shape

    def _read_pipe(
        self, planned: PlannedTask, reference: Reference, pipe: Pipe, of_items: bool
    ) -> Reading:
        given, is_output = pipe.expression, not reference.path
        references = self._operands(planned, given, of_items=of_items)
        for key in given.references:
            if key.id:  # an unknown one was reported already
                references.setdefault(key, ANY)
        source = None
        names = [step for step in reference.path if isinstance(step, str)]
        is_output_of_task = reference.about == OUTPUT and not reference.is_item
        if is_output_of_task and planned.names is None and len(names) == len(reference.path):
            source = reduce(member_of, names, f"$OUTPUT[{reference.task}]")
        shape = self._at_path(planned, reference)
        return read(
            given,
            shape,
            references,
            is_output=is_output,
            source=source,
            group_of=self._group_of(planned),
        )

    def _report(
        self,
        planned: PlannedTask,
        given: Expression,
        text: str | None,
        path: str,
        read: Callable[[PlannedTask, Expression], Reading],
        compiled: Callable[[str], Expression],
    ) -> None:
        reading = read(planned, given)
        self._know(planned, given, reading)
        findings = reading.findings
        found = problems_of(
            given.text,
            findings,
            lambda text: read(planned, compiled(text)).findings,
            path,
            planned.id,
            may_guess=len(self._problems) < MAX_GUESSES,
        )
        if given.text == text:
            self._problems += found
        elif found:
            self._report_fixed(given.text, found)
        if not found:
            for finding in findings:
                self._note(path, finding)

    def _know(self, planned: PlannedTask, given: Expression, reading: Reading) -> None:
        """Note which names in *given* the inputs of *planned* are known to have, or may have."""
        planned.known_names |= {(given.text, place) for place in reading.known}

    def _report_fixed(self, text: str, found: list[Problem]) -> None:
        """Report what was *found* in *text*, which is the fix of an expression that could not be
        parsed: that fix becomes one for both, or none."""
        place = (found[0].path, found[0].code)
        number = next(n for n, p in enumerate(self._problems) if (p.path, p.code) == place)
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

    def of_repeat(self, planned: PlannedTask, given: Expression) -> Shape:
        """Return the shape of what *given*, an expression of the `repeat` of *planned*, makes of
        one answer."""
        return self._read_repeat(planned, given).shape

    def _read_repeat(
        self, planned: PlannedTask, given: Expression, *, is_test: bool = False
    ) -> Reading:
        references = {
            **self._operands(planned, given),
            _ARGUMENTS: arguments_of(planned, self._flow),
        }
        answer, group_of = self._answer(planned), self._group_of(planned)
        return read(given, answer, references, planned.id, is_test=is_test, group_of=group_of)

    def _read_test(self, planned: PlannedTask, given: Expression) -> Reading:
        return self._read_repeat(planned, given, is_test=True)

    def _read_select(self, planned: PlannedTask, select: Expression) -> Reading:
        operands, group_of = self._operands(planned, select), self._group_of(planned)
        return read(select, self._answer(planned), operands, planned.id, group_of=group_of)

    def _group_of(self, planned: PlannedTask) -> Callable[[str], str | None]:
        return lambda id: self._group_around(id, self._names(planned))

    def _operands(
        self, planned: PlannedTask, given: Expression, *, of_items: bool = False
    ) -> dict[Key, Shape]:
        """Return the shapes of the references that may stand in *given*. *of_items* says whether
        that is the `for_each` of *planned*, which sees the items around it alone."""
        references = self._references(planned, self._named(planned, given))
        references |= self._ends(planned, given)
        has_own = planned.items is not None and not of_items
        if has_own:
            references[Key(Source.INDEX)] = _INTEGER
            if Key(Source.ITEM) in given.references:
                references[Key(Source.ITEM)] = self._item(planned, ITEM)
        return self._items_around(planned, given) | references

    def _ends(self, planned: PlannedTask, given: Expression) -> dict[Key, Shape]:
        """Return the shapes of the ends of tasks that *given* refers to."""
        names, ends = self._names(planned), {}
        for key in given.references:
            if key.task in names and key.source is not Source.OUTPUT:
                forms = self._flow.end(key.source, names[key.id]).forms
                ends[key] = shape_of(self._flow.types(), forms)
                if self._is_success(planned, key):
                    ends[key] = of_value("success")
        return ends

    def _items_around(self, planned: PlannedTask, given: Expression) -> dict[Key, Shape]:
        """Return the shapes of the items of the groups around *planned*, as far as *given* refers
        to them."""
        names = planned.names
        if names is None or names.item_of is None:
            return {}
        found: dict[Key, Shape] = {Key(Source.INDEX): _INTEGER}
        if Key(Source.ITEM) in given.references:
            found[Key(Source.ITEM)] = self._item(planned, item_named(ITEM, names.item_of))
        for id, whole in names.items.items():
            found[Key(Source.INDEX, id)] = _INTEGER
            key, name = Key(Source.ITEM, id), item_named(ITEM, whole)
            found[key] = self._item(planned, name) if key in given.references else ANY
        return found

    def _read_when(self, planned: PlannedTask, when: Expression) -> Reading:
        names = self._names(planned)
        needs = planned.needs if planned.seen is None else planned.seen
        tasks = [id for id in needs if not id.startswith("$")]
        ids = dict.fromkeys((*tasks, *self._named(planned, when)))
        seen = {id: self._output(names[id]) for id in ids}
        references = self._references(planned, ids) | self._ends(planned, when)
        if planned.items is None:  # else an item may be meant that does not exist yet
            references |= self._items_around(planned, when)
        if when is planned.when:  # a reference to itself is reported already
            own = Key(Source.OUTPUT, planned.task.id)
            for key in (own, *when.references):
                if key.task == planned.task.id:
                    references[key] = ANY
            seen |= {planned.task.id: ANY} if own in when.references else {}
        return read_condition(when, seen, names, references, self._group_of(planned))

    def _named(self, planned: PlannedTask, given: Expression) -> list[str]:
        """List the tasks that *given*, maybe a fix that is only tried, makes dependencies."""
        named = (key.id for key in given.references if key.source is Source.OUTPUT)
        return [id for id in named if id in self._names(planned) and id != planned.task.id]

    def _names(self, planned: PlannedTask) -> Mapping[str, str]:
        """Return the whole ids of the tasks that *planned* may name, by name."""
        return self._ids if planned.names is None else planned.names.ids

    def _references(self, planned: PlannedTask, ids: Iterable[str]) -> dict[Key, Shape]:
        names = self._names(planned)
        return {Key(Source.OUTPUT, id): self._output(names[id]) for id in ids}

    def _output(self, id: str) -> Shape:
        """Return the shape of the output of task *id*, as references see it."""
        if (known := self._outputs.get(id)) is not None:
            return known
        if self._depth >= MAX_DEPTH:
            return ANY
        self._outputs[id] = ANY  # what a cycle leads to
        planned = self._tasks.get(id)
        if planned is None or self._flow.is_unread(id, "select", "for_each", "repeat"):
            return ANY
        if planned.task.repeat is not None and planned.repeat is None:
            return ANY  # an expression of it could not be read
        self._depth += 1
        shape = self.answer(planned)
        self._depth -= 1
        if planned.select is not None and [*shape.members] == ["result"]:
            shape = ANY  # made by select, so it is not the wrapper of an SDK
        if planned.task.for_each is not None:
            shape = list_of(or_null(shape))
        self._outputs[id] = shape
        return shape

    def answer(self, planned: PlannedTask) -> Shape:
        """Return the shape of one answer of *planned*, after `select`; of all its pages if it has
        any."""
        shape = self._answer(planned)
        if planned.select is not None:
            shape = self._read_select(planned, planned.select).shape
        if planned.repeat is not None and planned.repeat.is_paging:
            return joined(shape)
        return shape

    def _answer(self, planned: PlannedTask) -> Shape:
        """Return the shape of what the tool of *planned* answers, or of its value, before
        `select`."""
        if not planned.makes_calls:
            fill = dict(planned.arguments.fill or ())
            return self._value(planned, fill, planned.arguments.value, ())
        name = planned.tool.full_name
        if (shape := self._answers.get(name)) is None:
            forms, is_learned = self._flow.answer(planned)
            shape = shape_of(self._flow.types(), forms, is_learned=is_learned)
            self._answers[name] = shape
        return shape

    def _value(
        self, planned: PlannedTask, fill: Mapping[Place, object], value: Json, place: Place
    ) -> Shape:
        """Return the shape of *value*, the part of a value at *place*, with what *fill* puts
        there."""
        pieces = fill.get(place)
        if isinstance(pieces, Reference):
            return self._reference(planned, pieces)
        if pieces is not None:
            return of("text")
        match value:
            case dict():
                return object_of(
                    {
                        name: self._value(planned, fill, part, (*place, name))
                        for name, part in value.items()
                    }
                )
            case list() if value:
                parts = [
                    self._value(planned, fill, part, (*place, index))
                    for index, part in enumerate(value)
                ]
                return list_of(either(*parts))
        return of_value(value)

    def _at_path(self, planned: PlannedTask, reference: Reference) -> Shape:
        """Return the shape at the end of the path of *reference*."""
        judged = self._flow.piece(planned, reference)
        walk = judged.walk if judged.learned is None else judged.learned
        is_learned = judged.learned is not None
        shape = shape_of(self._flow.types(), walk.value.forms, is_learned=is_learned)
        for _ in range(walk.value.lists):
            shape = list_of(shape)
        return shape

    def _reference(self, planned: PlannedTask, reference: Reference) -> Shape:
        if reference.pipe is not None:
            shape = self.piped(planned, reference, of_items=False)
        else:
            shape = self._at_path(planned, reference)
        match reference.default:
            case Missing() | Omitted():
                return shape
            case Reference() as default:
                return either(not_null(shape), self._reference(planned, default))
            case value:
                return either(not_null(shape), of_value(value))

    def _item(self, planned: PlannedTask, name: str) -> Shape:
        return shape_of(self._flow.types(), self._flow.source(planned, name).forms)
