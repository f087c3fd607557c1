"""Calls that the policy denies: refused before anything runs, or accepted where it is not certain
that they are made, and then failed when they would be.

A call is uncertain behind a `when`, its own or that of a task that it needs or of a group around
it, and for the items of a list that is not known yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from ..tools.rules import Answer
from ..values.problems import Problems
from .plan import PlannedTask


def refuse_denied(
    planned: Sequence[tuple[PlannedTask, str]], problems: Problems, notes: list[str]
) -> None:
    """Refuse the denied calls of *planned*, which has tasks of all levels with their paths; note
    those that are uncertain. Takes time linear in the document."""
    denied = [each for each in planned if each[0].policy.decision.answer is Answer.DENY]
    if not denied:
        return
    uncertain = _uncertain([task for task, _ in planned])
    for task, path in denied:
        why = f"{task.tool.full_name} is {task.policy.decision.why}"
        if task.id in uncertain:
            notes.append(f"{path}.tool: {why}; the task fails if it comes to its call")
        else:
            problems.say(f"{path}.tool", "policy_denied", f"{why}.", "Do without it.", task.task.id)


def _uncertain(tasks: Sequence[PlannedTask]) -> set[str]:
    """Return the ids of those of *tasks* that may make no call."""
    inner = {task.id: task.inner.tasks.values() for task in tasks if task.inner is not None}
    dependents: defaultdict[str, list[PlannedTask]] = defaultdict(list)
    for task in tasks:
        if task.task.trigger_rule == "all_success":
            for need in task.requires:
                dependents[need].append(task)
    conditional = _reached(
        (task for task in tasks if task.when is not None),
        lambda task: (*dependents[task.id], *inner.get(task.id, ())),
    )
    return conditional | _reached(
        (task for task in tasks if isinstance(task.task.for_each, str)),
        lambda task: inner.get(task.id, ()),
    )


def _reached(
    starts: Iterable[PlannedTask], following: Callable[[PlannedTask], Iterable[PlannedTask]]
) -> set[str]:
    """Return the ids of *starts* and of all that follows from them."""
    left = list(starts)
    reached = {task.id for task in left}
    while left:
        for task in following(left.pop()):
            if task.id not in reached:
                reached.add(task.id)
                left.append(task)
    return reached
