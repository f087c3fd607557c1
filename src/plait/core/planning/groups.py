"""The output of a group, and the tasks in it that have to succeed for that."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..language.references import Reference
from ..language.templates import Filling, Template
from ..values.strict import Json, JsonObject
from .plan import PlannedTask


def leaves_of(tasks: Collection[PlannedTask]) -> Template:
    """Return the output of a group of *tasks* that has no `value`: the outputs of its leaves by id,
    null where there is none; of a lone leaf its output."""
    leaves = _leaves(tasks)
    if len(leaves) == 1:
        reference = _whole(leaves[0])
        return Template(reference.text, (((), reference),), found=(((), reference),))
    value: JsonObject = {}
    found: list[tuple[tuple[str], Reference]] = []
    for leaf in leaves:
        reference = _whole(leaf)
        value[leaf.task.id] = reference.text
        found.append(((leaf.task.id,), reference))
    fill: tuple[Filling, ...] = tuple(found)
    template: Json = value
    return Template(template, fill, found=tuple(found))


def needed_of(tasks: Collection[PlannedTask], of_value: Mapping[str, bool]) -> frozenset[str]:
    """Return those of *tasks* without which an item of their group fails: its leaves, what the
    value needs, and what a task needs that runs only if all its dependencies succeeded. *of_value*
    are the tasks that the value names, each with whether a default guards it."""
    named = {id for task in tasks for id in task.needs} | of_value.keys()
    leaves = {task.id for task in tasks} - named
    by_value = {id for id, guarded in of_value.items() if not guarded}
    by_tasks = {
        id
        for task in tasks
        if task.task.trigger_rule in {"all_success", "none_failed"}
        for id in task.requires
    }
    return frozenset(leaves | by_value | by_tasks)


def _leaves(tasks: Collection[PlannedTask]) -> list[PlannedTask]:
    named = {id for task in tasks for id in task.needs}
    return [task for task in tasks if task.id not in named]


def _whole(task: PlannedTask) -> Reference:
    """Return a reference to the output of *task*, or null."""
    return Reference(task.id, (), None, f"${{OUTPUT[{task.task.id}] ?? null}}")
