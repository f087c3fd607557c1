"""The form of tasks: each is of one kind, with fields of that kind and an id of its own, and groups
nest only so deep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

from ..values.problems import REMOVE, Fix, Problem
from .dag import Task
from .validation import HINTS

MAX_NESTING = 3
"""Most groups in each other."""
OF_CALLS = frozenset(
    {
        "arguments",
        "timeout_s",
        "retries",
        "allow_repeat",
        "repeat",
        "weight",
        "reads",
        "writes",
        "cache",
    }
)
"""The fields that say how a tool is called."""
_WORK = frozenset({"arguments", "repeat"})
"""The fields of calls that say what is called."""
OF_GROUPS = frozenset({"max_concurrency", "fail_fast"})
"""The fields that say how the items of a group run."""
_AS_A_GROUP = (
    "Write a group around the call, which takes it: "
    '{"id": …, "for_each": …, "max_concurrency": 1, "tasks": [the call, with $ITEM]}.'
)
EXAMPLE = 'Send {"tasks": [{"id": "a", "tool": "server:tool", "arguments": {…}}]}.'


def one_of_its_kind(members: Set[str], path: str, id: str | None) -> Iterator[Problem]:
    """Find out what a task with these members does: it calls a tool, makes a value, or is a group
    of tasks."""
    kinds = [name for name in ("tool", "tasks", "value") if name in members]
    if "on_item_failure" in members and "for_each" not in members:
        message = "on_item_failure is for the items of for_each; this task has none."
        place = f"{path}.on_item_failure"
        yield Problem(place, "unknown_field", message, REMOVE.advice, id, REMOVE)
    match kinds:
        case []:
            place = f"{path}.tool"
            yield Problem(place, "missing_field", "tool is missing.", HINTS["tool"], id)
        case ["tool", *others] if others:
            message = "A task calls a tool, makes a value or is a group of tasks: one of them."
            hint = f"Put {others[0]} into a task of its own, or leave out one of the two."
            yield Problem(f"{path}.{others[0]}", "unknown_field", message, hint, id)
        case ["tool"]:
            if "max_concurrency" in members and "for_each" in members:
                message = "max_concurrency is for groups of tasks; a call takes none."
                place = f"{path}.max_concurrency"  # without it, all items would run at once
                yield Problem(place, "unknown_field", message, _AS_A_GROUP, id)
                members = members - {"max_concurrency"}
            yield from _not_for("a call", members & OF_GROUPS, "groups of tasks", path, id)
        case ["value"]:
            yield from _not_for("a value", members & OF_CALLS, "calls of tools", path, id)
            yield from _not_for("a value", members & OF_GROUPS, "groups of tasks", path, id)
        case _:
            yield from _not_for("a group", members & OF_CALLS, "calls of tools", path, id)


def _not_for(
    what: str, names: Set[str], others: str, path: str, id: str | None
) -> Iterator[Problem]:
    for name in sorted(names):
        message = f"{name} is for {others}; {what} takes none."
        fix: Fix | None = REMOVE
        hint = REMOVE.advice
        if name in _WORK:  # without it, something else would run
            hint, fix = f"Put {name} into a task that calls a tool.", None
        yield Problem(f"{path}.{name}", "unknown_field", message, hint, id, fix)


def nested(path: str, task: Task) -> Iterator[Problem]:
    if not task.tasks:
        yield Problem(
            f"{path}.tasks", "limit_exceeded", "A group has at least one task.", None, task.id
        )
    if path.count(".tasks[") >= MAX_NESTING:
        yield too_deep(path, task.id)


def too_deep(path: str, id: str | None) -> Problem:
    message = f"Groups nest at most {MAX_NESTING} deep."
    hint = "Put the inner tasks into the group around them, or send another DAG."
    return Problem(f"{path}.tasks", "limit_exceeded", message, hint, id)


def count(tasks: int, most: int, *, may_be_empty: bool) -> Iterator[Problem]:
    if not tasks and not may_be_empty:
        yield Problem("tasks", "limit_exceeded", "A DAG has at least one task.", "Send one.")
    if tasks > most:
        message = f"There are {tasks:,} tasks; at most {most:,} fit in one DAG."
        yield Problem("tasks", "limit_exceeded", message, "Split it, or use for_each.")


def duplicates(
    tasks: Sequence[Task],
    path: str = "tasks",
    places: Sequence[int] | None = None,
    inner: Mapping[str, Sequence[int]] | None = None,
    before: str = "",
    taken: dict[str, str] | None = None,
) -> list[Problem]:
    """Find the tasks whose id another has: in the same group, or as the path of ids that names a
    task in a group (`group.task`)."""
    first: dict[str, str] = {} if taken is None else taken
    problems: list[Problem] = []
    if not before and len({one.id for one in tasks if one.tasks is None}) == len(tasks):
        return problems  # as in most documents
    places = range(len(tasks)) if places is None else places
    for place, task in zip(places, tasks, strict=True):
        where, whole_id = f"{path}[{place}]", f"{before}{task.id}"
        if whole_id in first:
            message = f'The id "{whole_id}" is taken by {first[whole_id]}.'
            hint = "Give each task its own id."
            problems.append(Problem(f"{where}.id", "duplicate_id", message, hint, task.id))
        first.setdefault(whole_id, where)
        if task.tasks is not None:
            within = f"{where}.tasks"
            problems += duplicates(
                task.tasks, within, (inner or {}).get(within), inner, f"{whole_id}.", first
            )
    return problems
