"""Documents that may only read: each call is of a tool that is known to change nothing, and no
value of one call goes into an argument of a tool that reaches the open world.

A read can send, too: what stands in the address of a page that is fetched is known to whoever
serves that page. So such a tool gets only what stands in the document.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ..expressions.nodes import Source
from ..values.problems import Problems, written
from .plan import PlannedTask

INSTEAD = "Use execute_dag for it."
_OF_ITEMS = (Source.ITEM, Source.INDEX)


def refuse_changes(
    planned: Sequence[tuple[PlannedTask, str]], reused: Collection[str], problems: Problems
) -> None:
    """Refuse the calls of *planned*, which has tasks of all levels with their paths, that may
    change something or send what another call gave. Those of *reused* are not made."""
    with_items = _ids_with_items([task for task, _ in planned])
    for task, path in planned:
        if not task.makes_calls or task.id in reused:
            continue
        name, id = task.tool.full_name, task.task.id
        if not task.tool.traits.read_only:
            message = f"{name} is not known to change nothing."
            problems.say(f"{path}.tool", "not_read_only", message, INSTEAD, id)
        elif task.tool.traits.open_world:
            for place in _given(task, has_items=task.id in with_items):
                message = f"{name} reaches the open world, so no output may go into its arguments."
                problems.say(f"{path}.{place}", "flow_denied", message, INSTEAD, id)


def _ids_with_items(tasks: Sequence[PlannedTask]) -> set[str]:
    """Return the ids of those of *tasks* that see an item that a call may have given: their own, or
    that of a group around them."""
    found: set[str] = set()
    left = [task for task in tasks if task.items is not None and task.items.found]
    while left:
        task = left.pop()
        if task.id not in found:
            found.add(task.id)
            left += task.inner.tasks.values() if task.inner is not None else ()
    return found


def _given(task: PlannedTask, *, has_items: bool) -> Iterator[str]:
    """Yield the places in *task* where a value of another call goes into an argument."""
    for place, reference in task.arguments.found:
        if has_items or not reference.is_item:
            yield f"arguments{written(place)}"
    for name, read in task.repeat.expressions() if task.repeat is not None else ():
        is_given = any(
            key.task is not None or (has_items and key.source in _OF_ITEMS)
            for key in read.references
        )
        if name.startswith("set") and is_given:
            yield f"repeat.{name}"
