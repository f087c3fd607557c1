"""Where things stand in a document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..language.dag import Reading, Task
from ..language.templates import Template
from ..values.schema import Place
from ..values.strict import Json


def written(place: Iterable[str | int]) -> str:
    """*place* in a value as people write it: `.items[0].title`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)


def paths_of(reading: Reading) -> Iterator[str]:
    """Where each task stands in the document that was sent."""
    left = {id: iter(places) for id, places in reading.places.items()}
    for index, task in enumerate(reading.dag.tasks):
        if reading.dag.resume_from is not None and task.id not in left:
            yield f"resume_from.{task.id}"  # a task of the earlier run, which was not sent again
            continue
        yield f"tasks[{next(left.get(task.id, iter(())), index)}]"


def mentions(
    task: Task, arguments: Template, items: Template | None, path: str
) -> Iterator[tuple[str, str, bool, Json]]:
    """Where *task* names which other task, whether a default guards it, and the text that the name stands in."""
    for index, id in enumerate(task.depends_on):
        yield f"{path}.depends_on[{index}]", id, False, None
    for field, template in (("arguments", arguments), ("for_each", items)):
        for place, reference in template.found if template is not None else ():
            if template is not None and not reference.is_item:
                text = part_at(template.value, place)
                yield f"{path}.{field}{written(place)}", reference.task, reference.is_guarded, text


def part_at(value: Any, place: Place) -> Any:
    """The part of *value* at *place*, which is there."""
    for step in place:
        value = value[step]
    return value
