"""Types along the references of a DAG, checked against the schemas at both ends before anything
runs.

A path that no output allowed by the producer's `outputSchema` has is refused as
`invalid_reference`; a value that can never fit the consumer's `inputSchema` is refused as
`type_mismatch`. Likely mistakes are notes. Anything unknown is decided at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ..expressions.shapes import ANY, Shape
from ..language.references import INDEX, ITEM, OUTPUT, Every, Missing, Omitted, Reference
from ..tools.catalog import Tool
from ..values.schema import Place, Schema
from ..values.strict import Json, JsonObject
from .ends import STATUS_SCHEMA, error_schema
from .keywords import ANYTHING, MAX_OPTIONS, NOTHING, UNREAD, Forms, Part, required_of
from .names import group_of, item_named
from .places import fields_of
from .plan import PlannedTask
from .shapes import has_learned_parts, schema_of, schema_of_values
from .types import MAX_STEPS, Fit, Path, Types, Value, Walk, constant, united, walk, walk_output

MAX_ROOM = 200_000
"""Most subschemas examined for one document; beyond that, types are unknown."""
MAX_DEPTH = 20
"""Most tasks whose outputs are followed back, one made of the next, for the type of an output."""
MAX_VALUES = 1_000
"""Most items of a list that is written down of which the types are read."""
UNCOUNTED = -1
_INTEGER: Forms = ((Part({"type": "integer"}, {}),),)
_MEMBER: JsonObject = {
    "type": "object",
    "properties": {"key": {"type": "string"}, "value": {}},
    "required": ["key", "value"],
    "additionalProperties": False,
}
"""An item of a `for_each` over an object."""
_TEXT: Forms = ((Part({"type": "string"}, {}),),)
_LIST: Forms = ((Part({"type": "array"}, {}),),)

LearnedShape: TypeAlias = Callable[[Tool], Schema | None]
Piped: TypeAlias = Callable[[PlannedTask, Reference, bool], Shape]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The start of references: a task's output, an item, or an index."""

    forms: Forms
    is_output: bool = False
    """Whether references enter it as they enter the output of a task (`walk_output`)."""
    learned: Forms | None = None
    """The shape of earlier outputs, where no schema declares it."""

    def walk(self, types: Types, path: Path) -> Walk:
        return (
            walk_output(types, self.forms, path)
            if self.is_output
            else walk(types, self.forms, path)
        )


class Judgement(NamedTuple):
    """The facts known about a reference."""

    walk: Walk
    verdict: Fit
    learned: Walk | None = None
    """The end of the same path in the learned shape."""
    is_fine: bool = False
    """Whether nothing needs to be reported."""
    by_index: bool = False
    """Whether the same path with another index may differ."""


_UNKNOWN = Source(UNREAD)
_OF_INDEX = Source(_INTEGER)
_OF_TEXT = Source(_TEXT)


class Flow:
    """The types at both ends of the references of one DAG. Equal questions are computed once."""

    def __init__(
        self,
        tasks: Mapping[str, PlannedTask],
        unread: Mapping[str, frozenset[str]],
        learned_shape: LearnedShape | None = None,
        selected: Callable[[PlannedTask], Shape] = lambda planned: ANY,
        piped: Piped = lambda planned, reference, of_items: ANY,
    ) -> None:
        self._tasks = tasks
        self._unread = unread
        self._learned_shape = learned_shape
        self._selected = selected
        """Gives the shape of what the `select` of a task makes of one answer."""
        self._piped = piped
        """Gives the shape of what the expression of a reference makes of its value; the flag says
        whether that is the `for_each` of the task."""
        self._depth = 0
        self._room = MAX_ROOM
        self._outputs: dict[str, Source] = {}
        self._items: dict[str, Source] = {}
        self._shared: dict[tuple[Schema | None, int | None], Source] = {}
        self._of_selects: dict[tuple[str, str | None, bool, int | None], Source] = {}
        self._elements: dict[tuple[Source, Path], Source] = {}
        self._wanted: dict[tuple[Schema, Place], Forms] = {}
        self._defaults: dict[tuple[Schema, Place, type, Json], Fit] = {}
        self._judged: dict[tuple[Source, Path, Schema | None, Place], Judgement] = {}

    def types(self) -> Types:
        """Return a type reader for one question."""
        return Types(min(MAX_STEPS, max(self._room, 0)))

    def tool_of(self, task: str) -> str:
        """Return the name of the tool that *task* calls."""
        return self._tasks[task].tool.full_name if task in self._tasks else task

    def value(self, planned: PlannedTask, place: Place, reference: Reference) -> Judgement:
        """Judge a reference that stands alone at *place* in the arguments of *planned*."""
        schema = planned.tool.input
        if reference.pipe is not None:
            return self._judge(self._of_pipe(planned, reference), (), schema, place)
        source = None
        if reference.about == OUTPUT and reference.task != planned.id:
            source = self._outputs.get(reference.task)  # as for most, once it is known
        if source is None:
            source = self._named(planned, reference)
        judged = self._judged.get((source, reference.path, schema, place))
        return judged or self._judge(source, reference.path, schema, place)

    def piece(self, planned: PlannedTask, reference: Reference) -> Judgement:
        """Judge whether the path of a reference leads anywhere."""
        source = self._named(planned, reference)
        judged = self._judged.get((source, reference.path, None, ()))
        return judged or self._judge(source, reference.path, None, ())

    def text(self, planned: PlannedTask, place: Place) -> Judgement:
        """Judge a text with references in it, at *place* in the arguments of *planned*."""
        judged = self._judged.get((_OF_TEXT, (), planned.tool.input, place))
        return judged or self._judge(_OF_TEXT, (), planned.tool.input, place)

    def list_(self, planned: PlannedTask, reference: Reference) -> Judgement:
        """Judge the reference that is the `for_each` of *planned*."""
        if reference.pipe is not None:
            judged = self._judge(self._of_pipe(planned, reference, of_items=True), (), None, ())
        else:
            judged = self.piece(planned, reference)
        verdict = self.types().feeds(judged.walk.value, _LIST)
        return judged._replace(verdict=verdict, is_fine=judged.is_fine and verdict is not Fit.WRONG)

    def default(self, planned: PlannedTask, place: Place, reference: Reference) -> Fit | None:
        """Return whether a default of *reference* fits at *place* in the arguments of *planned*;
        None if it has none. Nothing fits where an argument can be left out."""
        value = reference.default
        if isinstance(value, Missing):
            return None
        if isinstance(value, Omitted):
            return Fit.OK if self.may_be_missing(planned.tool.input, place) else Fit.WRONG
        if isinstance(value, Reference):
            judged = self.value(planned, place, value)
            own = Fit.UNKNOWN if judged.walk.stopped is not None else judged.verdict
            is_used = judged.walk.stopped is None and own is not Fit.WRONG
            return own if is_used else self.default(planned, place, value) or own
        if value in (None, "") and self.may_be_missing(planned.tool.input, place):
            return Fit.OK
        key = (
            planned.tool.input,
            place,
            type(value),
            None if isinstance(value, list | dict) else value,
        )
        if (verdict := self._defaults.get(key)) is None:
            verdict = self.types().feeds(constant(value), self.wanted(planned.tool.input, place))
            if not isinstance(value, list | dict):
                self._defaults[key] = verdict
        return verdict

    def _of_pipe(
        self, planned: PlannedTask, reference: Reference, *, of_items: bool = False
    ) -> Source:
        """Return the type of what the expression of *reference* makes of its value."""
        shape = self._piped(planned, reference, of_items)
        forms = self._listed(schema_of(shape), None)
        if not has_learned_parts(shape):
            return Source(forms)
        return Source(forms, learned=self._listed(schema_of(shape, learned=True), None))

    def may_be_missing(self, schema: Schema, place: Place) -> bool:
        """Return whether the argument at *place* may be left out."""
        holders = self.wanted(schema, place[:-1]) if place else NOTHING
        return bool(holders) and not any(place[-1] in required_of(form) for form in holders)

    def wanted(self, schema: Schema, place: Place) -> Forms:
        """Return the parts of *schema* that apply at *place*."""
        if (forms := self._wanted.get((schema, place))) is None:
            types = self.types()
            forms = (
                UNREAD
                if schema.unusable
                else types.forms(Part(schema.definition, schema.definition))
            )
            for step in place:
                forms = types.step(forms, step)
            self._wanted[schema, place] = forms
            self._room -= types.used
        return forms

    def _judge(self, source: Source, path: Path, schema: Schema | None, place: Place) -> Judgement:
        alike = tuple([0 if isinstance(step, int) else step for step in path])
        judged = self._judged.get((source, alike, schema, place))
        if judged is None or judged.by_index:
            judged = self._judged[source, path, schema, place] = self._look(
                source, path, schema, place
            )
            if not judged.by_index:
                self._judged[source, alike, schema, place] = judged
        return judged

    def _look(self, source: Source, path: Path, schema: Schema | None, place: Place) -> Judgement:
        wanted = ANYTHING if schema is None else self.wanted(schema, place)
        types = self.types()
        found = source.walk(types, path)
        verdict = types.feeds(found.value, wanted)
        learned = walk_output(types, source.learned, path) if source.learned is not None else None
        is_fine = (
            found.stopped is None and found.doubtful is None and verdict in {Fit.OK, Fit.UNKNOWN}
        )
        is_fine = is_fine and (
            learned is None or (learned.stopped is None and learned.doubtful is None)
        )
        self._room -= types.used
        return Judgement(
            found,
            verdict,
            learned,
            is_fine,
            found.by_index or (learned is not None and learned.by_index),
        )

    def answer(self, planned: PlannedTask) -> tuple[Forms, bool]:
        """Return the type of one answer of the tool of *planned*, and whether it was learned."""
        schema, is_learned = planned.tool.output, False
        if schema is None and self._learned_shape is not None and planned.tool.listed:
            schema, is_learned = self._learned_shape(planned.tool), True
        if schema is None or schema.unusable:
            return UNREAD, False
        types = self.types()
        forms = types.forms(Part(schema.definition, schema.definition))
        self._room -= types.used
        return forms, is_learned

    def is_paged(self, reference: Reference) -> bool:
        """Return whether *reference* is to the list that all pages of a call give as they are."""
        planned = self._tasks.get(reference.task)
        if planned is None or reference.about != OUTPUT or planned.items is not None:
            return False
        repeat = planned.repeat
        return repeat is not None and repeat.is_paging and planned.select is None

    def is_unread(self, id: str, *fields: str) -> bool:
        """Return whether one of *fields* of task *id* could not be read."""
        return not self._unread.get(id, frozenset()).isdisjoint(fields)

    def _named(self, planned: PlannedTask, reference: Reference) -> Source:
        """Return the type of what *reference* enters."""
        if reference.about == OUTPUT:
            return self.source(planned, reference.task)
        return self.end(reference.about, reference.task)

    def end(self, about: str, task: str) -> Source:
        """Return the type of the `STATUS` or the `ERROR` of *task*."""
        other = self._tasks.get(task)
        has_items = other is None or other.items is not None
        name = f"${about}[]" if has_items else f"${about}"  # no task has such an id
        if (source := self._outputs.get(name)) is None:
            schema = STATUS_SCHEMA if about == "STATUS" else error_schema(has_items=has_items)
            source = self._outputs[name] = Source(self._listed(schema, None))
        return source

    def source(self, planned: PlannedTask, task: str) -> Source:
        """Return the type of the output of *task* (or `$ITEM`, `$INDEX`) for *planned*."""
        if task is INDEX:
            return _OF_INDEX
        if task is ITEM and planned.items is None and planned.names is not None:
            task = item_named(ITEM, planned.names.item_of or "")
        if (group := group_of(task)) is not None:
            around = self._tasks.get(group)
            if around is None or task.startswith(INDEX):
                return _OF_INDEX if task.startswith(INDEX) else _UNKNOWN
            return self.source(around, ITEM)
        if task is ITEM:
            source = self._items.get(planned.id)
            if source is None:
                source = self._items[planned.id] = self._item(planned)
            return source
        source = self._outputs.get(task)
        if source is None:
            if self._depth >= MAX_DEPTH:
                return _UNKNOWN
            self._outputs[task] = _UNKNOWN  # what a cycle leads to
            self._depth += 1
            source = self._outputs[task] = self._output(task)
            self._depth -= 1
        return source if task != planned.id else _UNKNOWN

    def _output(self, id: str) -> Source:
        planned = self._tasks.get(id)
        if planned is None:
            return _UNKNOWN
        if self._unread and self.is_unread(id, "for_each", "select", "repeat"):
            return _UNKNOWN
        if planned.task.repeat is not None and planned.repeat is None:
            return _UNKNOWN  # an expression of it could not be read
        items = planned.task.for_each
        count = None if items is None else UNCOUNTED if isinstance(items, str) else len(items)
        pages = planned.repeat is not None and planned.repeat.is_paging
        if planned.select is not None or not planned.makes_calls or pages:
            return self._output_of_select(planned, count)
        schema, is_learned = None, False
        if planned.task.select is None:
            schema = planned.tool.output
            if schema is None and self._learned_shape is not None and planned.tool.listed:
                schema, is_learned = self._learned_shape(planned.tool), True
        if schema is None and items is None:
            return _UNKNOWN
        source = self._shared.get((schema, count))
        if source is None:
            source = self._shared[schema, count] = self._source_of(
                schema, count, is_learned=is_learned
            )
        return source

    def _output_of_select(self, planned: PlannedTask, count: int | None) -> Source:
        """Return the output of *planned*, which has a `select` or makes a value, once or for each
        of *count* items."""
        is_alike = planned.select is not None and not (
            not planned.makes_calls or planned.select.references
        )
        is_paged = planned.repeat is not None and planned.repeat.is_paging
        key = (planned.tool.full_name, planned.task.select, is_paged, count)
        source = self._of_selects.get(key) if is_alike else None
        if source is None:
            shape = self._selected(planned)
            certain = self._listed(schema_of(shape), count)
            source = Source(certain, is_output=True)
            if has_learned_parts(shape):
                seen = self._listed(schema_of(shape, learned=True), count)
                source = Source(certain, is_output=True, learned=seen)
            if is_alike:
                self._of_selects[key] = source
        return source

    def _listed(self, schema: Json, count: int | None) -> Forms:
        """Return the type of an output of *schema*, or of *count* of them in a list."""
        if count is not None:
            schema = {"type": "array", "items": schema}
            schema |= {"minItems": count, "maxItems": count} if count != UNCOUNTED else {}
        types = self.types()
        forms = types.forms(Part(schema, {}))
        self._room -= types.used
        return forms

    def _source_of(self, schema: Schema | None, count: int | None, *, is_learned: bool) -> Source:
        """Return the output of a task whose tool declares *schema*, once or for each of *count*
        items."""
        definition = {} if schema is None or schema.unusable else schema.definition
        part = Part(definition or True, definition)
        listed: JsonObject = (
            {"type": "array"}
            if is_learned or not definition
            else {"type": "array", "items": definition}
        )
        if count is not None and count != UNCOUNTED:
            listed |= {"minItems": count, "maxItems": count}
        types = self.types()
        if count is None:
            shape = types.forms(part)
            return (
                Source(UNREAD, is_output=True, learned=shape)
                if is_learned
                else Source(shape, is_output=True)
            )
        seen = (
            types.forms(Part({"type": "array", "items": definition}, definition))
            if is_learned
            else None
        )
        return Source(types.forms(Part(listed, definition)), learned=seen)

    def _item(self, planned: PlannedTask) -> Source:
        """Return the type of `$ITEM` in the arguments of *planned*."""
        items = planned.items
        if items is None:
            return _UNKNOWN
        if items.fill is None:
            values = items.value if isinstance(items.value, list) else []
            if not 0 < len(values) <= MAX_VALUES:
                return _UNKNOWN
            few = len(values) <= MAX_OPTIONS
            types = self.types()
            forms = types.forms(Part({"enum": values} if few else schema_of_values(values), {}))
            self._room -= types.used
            return Source(forms)
        match items.fill:
            case (((), Reference() as reference),) if reference.last in (Missing.DEFAULT, []):
                sources = [
                    self._element_of(planned, self._named(planned, link), link.path)
                    if link.pipe is None
                    else self._element_of(planned, self._of_pipe(planned, link, of_items=True), ())
                    for link in reference.chain
                ]
                return Source(united([source.forms for source in sources]))
        return _UNKNOWN

    def is_over_members(self, planned: PlannedTask, value: Value) -> bool:
        """Return whether the `for_each` of *planned* goes over the members of *value*, an object:
        not where that has one list, and no reference takes a key or a value, so the list is
        meant."""
        types = self.types()
        kinds = {kind for form in value.forms for kind in types.kinds(form)}
        if value.lists or "object" not in kinds or "array" in kinds:
            return False
        lists = [kind for kind in fields_of(types, value.forms).values() if "array" in kind]
        return len(lists) != 1 or any(
            one.path[0] in ("key", "value") if one.path else one.pipe is not None
            for one in planned.arguments.references
            if one.is_own_item
        )

    def _element_of(self, planned: PlannedTask, source: Source, path: Path) -> Source:
        if (found := self._elements.get((source, path))) is None:
            types = self.types()
            value = source.walk(types, path).value
            if self.is_over_members(planned, value):
                return Source(types.forms(Part(_MEMBER, {})))
            forms = (
                value.forms
                if value.lists == 1
                else types.step(value.forms, Every.ELEMENT)
                if not value.lists
                else ()
            )
            found = self._elements[source, path] = Source(forms) if forms else _UNKNOWN
            self._room -= types.used
        return found
