"""Locations in a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..language.dag import Reading, Task
from ..language.templates import Template
from ..values.schema import Place
from ..values.strict import Json


def written(place: Iterable[str | int]) -> str:
    """Format *place* as people write it: `.items[0].title`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)


def paths_of(reading: Reading) -> Iterator[str]:
    """Map each task to its path in the document that was sent."""
    left = {id: iter(places) for id, places in reading.places.items()}
    for index, task in enumerate(reading.dag.tasks):
        if reading.dag.resume_from is not None and task.id not in left:
            yield f"resume_from.{task.id}"  # a task of the earlier run that was not sent again
            continue
        yield f"tasks[{next(left.get(task.id, iter(())), index)}]"


def mentions(
    task: Task, arguments: Template, items: Template | None, path: str
) -> Iterator[tuple[str, str, bool, Json]]:
    """List the other tasks that *task* names: where, whether a default guards the link, and in
    which text."""
    for index, id in enumerate(task.depends_on):
        yield f"{path}.depends_on[{index}]", id, False, None
    for field, template in (("arguments", arguments), ("for_each", items)):
        for place, reference in template.found if template is not None else ():
            if template is not None and not reference.is_item:
                text = part_at(template.value, place)
                yield f"{path}.{field}{written(place)}", reference.task, reference.is_guarded, text


def part_at(value: Any, place: Place) -> Any:
    """Return the part of *value* at *place*, which must exist."""
    for step in place:
        value = value[step]
    return value
