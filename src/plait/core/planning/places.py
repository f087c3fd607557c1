"""Locations in a document, the references there, and how messages show them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..language.dag import Task
from ..language.references import Reference, Step, own_text
from ..language.templates import Template
from ..values.problems import MAX_FIX_CHARS, Fix, Op, Problem, written
from ..values.schema import Place
from ..values.strict import Json, JsonObject, dumps
from .keywords import Forms, declared
from .plan import PlannedTask
from .types import Path, Types

if TYPE_CHECKING:  # a start without a DAG does not need it
    from ..language.reader import Reading


def paths_of(reading: Reading) -> Iterator[str]:
    """Map each task to its path in the document that was sent."""
    if not reading.places and reading.dag.resume_from is None:
        yield from [f"tasks[{index}]" for index in range(len(reading.dag.tasks))]
        return
    left = {id: iter(places) for id, places in reading.places.items()}
    for index, task in enumerate(reading.dag.tasks):
        if reading.dag.resume_from is not None and task.id not in left:
            yield f"resume_from.{task.id}"  # a task of the earlier run that was not sent again
            continue
        yield f"tasks[{next(left.get(task.id, iter(())), index)}]"


def with_whole_ids(problems: Iterable[Problem], ids: Mapping[str, str]) -> Iterator[Problem]:
    """Yield *problems*, those of tasks in groups with the whole id of the task. *ids* has the whole
    ids of the tasks that could be read, by path."""
    for problem in problems:
        place = _INNER.match(problem.path) if problem.id is not None else None
        if place is not None:
            around = ids.get(place["group"])
            whole = ids.get(place[0]) or (around and f"{around}.{problem.id}")
            problem = replace(problem, id=whole or problem.id)
        yield problem


def inner_paths(inner: Mapping[str, tuple[int, ...]], group: str, count: int) -> Iterator[str]:
    """Yield the paths of the *count* tasks of the group whose tasks stand at the path *group*.
    *inner* has their indices, where some could not be read."""
    yield from (f"{group}[{index}]" for index in inner.get(group, range(count)))


def mentions(
    task: Task, arguments: Template, items: Template | None, path: str
) -> Iterator[tuple[str, str, bool, Json]]:
    """List the other tasks that *task* names: where, whether a default guards the link, and in
    which text."""
    for index, id in enumerate(task.depends_on):
        yield f"{path}.depends_on[{index}]", id, False, None
    of_arguments = "value" if task.tool is None else "arguments"
    for field, template in ((of_arguments, arguments), ("for_each", items)):
        for place, reference in template.found if template is not None else ():
            if template is not None and not reference.is_item:
                text = part_at(template.value, place)
                yield f"{path}.{field}{written(place)}", reference.task, reference.is_guarded, text


def place_of_item(task: Task, place: Place) -> Place:
    """Return where *place* in the items of *task* stands in its `for_each`, which may be an
    object."""
    if not isinstance(task.for_each, dict) or not place:
        return place
    key = [*task.for_each][int(place[0])]
    return (key, *place[2:])


def with_field(task: Task, path: str, name: str, value: Json) -> Fix | None:
    """Return the fix that gives *task*, which stands at *path*, the field *name* with *value*; None
    if that would be too long."""
    if name in task.model_fields_set:
        return Fix(Op.REPLACE, value, f"{path}.{name}")
    members = task.model_dump(mode="json", by_alias=True, exclude_unset=True)
    whole: JsonObject = {**members, name: value}
    return Fix(Op.REPLACE, whole, path) if len(dumps(whole)) <= MAX_FIX_CHARS else None


def part_at(value: Any, place: Place) -> Any:
    """Return the part of *value* at *place*, which must exist."""
    for step in place:
        value = value[step]
    return value


MAX_FIELDS = 20
MAX_NAMES = 1_000
MAX_CHARS = 120
"""Most characters of foreign text in a message."""
_NAME = re.compile(r"[^\W\d]\w*")
_INNER = re.compile(r"(?P<group>tasks\[\d+\](?:\.tasks\[\d+\])*)\.tasks\[\d+\]")
"""The beginning of the path of a problem of a task in a group."""
_WRITTEN = re.compile(
    r"\$\{?((?:OUTPUT|STATUS|ERROR)\[[^\]]*\]|(?:ITEM|INDEX)(?:\[(?!-?\d+\])[\w.-]+\])?)"
)


@dataclass(frozen=True, slots=True)
class Location:
    """A reference and its location."""

    planned: PlannedTask
    path: str
    place: Place
    reference: Reference
    text: Json
    """The whole text that contains it."""

    @property
    def shown(self) -> str:
        return _cut(self.reference.text)

    @property
    def argument(self) -> str:
        return written(self.place).lstrip(".") or "arguments"

    def container(self, steps: int) -> str:
        return _cut(spelled(self.reference, self.reference.path[:steps]))

    def rewritten(self, path: Path) -> Json:
        """Return the text with another *path* in the reference, if the replacement is
        unambiguous."""
        text, whole, own = self.text, self.reference.text, own_text(self.reference)
        if not isinstance(text, str) or len(text) > MAX_FIX_CHARS:
            return None
        found = next((part for part in (whole, own) if text.count(part) == 1), None)
        if found is None:
            return None
        return text.replace(found, found.replace(own, spelled(self.reference, path)[1:], 1))


def location_of(planned: PlannedTask, path: str, place: Place, reference: Reference) -> Location:
    """Locate a *reference* at *place* in the arguments of *planned*, which stands at *path* in the
    document."""
    text = part_at(planned.arguments.value, place)
    return Location(planned, f"{path}.{planned.field}{written(place)}", place, reference, text)


def fields_of(types: Types, forms: Forms) -> dict[str, str]:
    """List the existing members, each with its type in a word."""
    known = list(declared(forms).items())[:MAX_NAMES]
    return {name: types.name(part) for name, part in known if types.step(forms, name)}


def has_more(forms: Forms) -> bool:
    """Return whether members other than the declared ones are allowed."""
    schemas = [schema for form in forms for schema, _ in form]
    return any(
        isinstance(schema, dict) and schema.get("additionalProperties") is True
        for schema in schemas
    )


def listed(fields: Mapping[str, str]) -> str:
    shown = ", ".join(f"{_bare(name)}: {kind}" for name, kind in list(fields.items())[:MAX_FIELDS])
    return f"Fields: {shown}{', …' if len(fields) > MAX_FIELDS else ''}." if fields else ""


def spelled(reference: Reference, path: Path) -> str:
    return _start(reference) + "".join(map(step_text, path))


def _start(reference: Reference) -> str:
    """Return the beginning of *reference* as it is written: in a group its task has another
    name."""
    if (written := _WRITTEN.match(reference.text)) is not None:
        return f"${written[1]}"
    return reference.task if reference.is_item else f"${reference.about}[{reference.task}]"


def step_text(step: Step) -> str:
    if isinstance(step, str):
        return f".{step}" if _NAME.fullmatch(step) else f"[{dumps(step)}]"
    return f"[{step}]" if isinstance(step, int) else step.value


def quoted(name: str) -> str:
    return dumps(_cut(name))


def _bare(name: str) -> str:
    return _cut(name) if _NAME.fullmatch(name) else quoted(name)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
