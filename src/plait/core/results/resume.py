"""Resuming an earlier run: tasks that succeeded are taken over, new and fixed ones run.

A task that is sent again as it was is not run again if it succeeded: clients send whole documents.
It runs again if anything in it was changed, or if a task that it depends on runs.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ...errors import InvalidDag
from ..expressions.evaluation import condition, expression
from ..expressions.problems import InvalidExpression
from ..language.dag import HOW_IT_RUNS, Dag, Task
from ..language.templates import compile_value
from ..planning.plan import Plan, TakenOver, in_order
from ..scheduling.earlier_items import EarlierItems
from ..scheduling.events import Status
from ..tools.output import Output
from ..values.problems import Problem, some_of
from .record import RunRecord, TaskRecord


class Resumed(NamedTuple):
    """A document completed with the tasks of the run that it resumes."""

    dag: Dag
    taken_over: dict[str, TakenOver]
    """The tasks that are not sent again."""
    outputs: dict[str, Output]
    """Their outputs."""
    items: dict[str, EarlierItems]
    """The `for_each` tasks of which not all items succeeded: taken over as they ended, or sent
    again."""
    notes: tuple[str, ...] = ()


def resume(
    dag: Dag,
    earlier: RunRecord,
    output: Callable[[str], Output | None],
    full_name: Callable[[str], str] = str,
) -> Resumed:
    """Complete *dag* with the tasks of *earlier* that it does not send again: the tasks that
    succeeded, with their outputs and what `check` needs, lists with failed items that the sent
    tasks name, and the tasks that were never sent to a server and can still run. Tasks of *dag*
    that succeeded are taken over too if nothing that they do changed. *output* gives the output of
    a task of *earlier*, *full_name* the name of a tool as servers have it.

    A task that was sent and failed runs again only if *dag* holds it, and then without the items
    that succeeded. Raises `InvalidDag`.
    """
    if not earlier.is_done:
        hint = "Wait for it with get_run, or stop it with cancel_run."
        raise InvalidDag(
            [Problem("resume_from", "not_repeatable", f"{earlier.id} is still running.", hint)]
        )
    sent_again = {task.id: task for task in dag.tasks}
    named = {id for task in dag.tasks for id in _named_by(task)}
    written = {task.id: task for task in earlier.dag.tasks}
    taken_over: dict[str, TakenOver] = {}
    outputs: dict[str, Output] = {}
    items: dict[str, EarlierItems] = {}
    gone: set[str] = set()
    same = {
        id
        for id, task in sent_again.items()
        if id in written and _canonical(task, full_name) == _canonical(written[id], full_name)
    }
    for id in in_order({id: task.needs for id, task in earlier.tasks.items()}):
        task = earlier.tasks[id]
        is_named = id in named and task.status is not Status.SUCCESS
        has_use = task.items is not None and (id in sent_again or is_named)
        if has_use and (found := output(id)) is not None:
            items[id] = _items_of(earlier, task, written[id], found, output)
        if id in sent_again and id not in same:
            continue
        if task.status is Status.SUCCESS and (found := output(id)) is not None:
            taken_over[id] = TakenOver(task.tool, task.needs or task.reused_inputs)
            outputs[id] = found
            continue
        if id in sent_again:
            continue
        if id in items:
            taken_over[id] = TakenOver(task.tool, task.needs or task.reused_inputs)
            outputs[id] = items[id].output
        if task.attempts or id in items or gone.intersection(task.needs):
            gone.add(id)  # and with it the tasks that need it and are not sent
    runs = [*(sent_again.keys() - taken_over), *(earlier.tasks.keys() - taken_over - gone)]
    for id in _dependents_of(runs, {id: taken_over[id] for id in same & taken_over.keys()}):
        del taken_over[id], outputs[id]
    unchanged = [id for id in sent_again if id in taken_over]
    for id in [id for id in items if id in taken_over]:
        if earlier.tasks[id].status is Status.SUCCESS:
            del items[id]  # all of them are reused with the task
    tasks: list[Task] = []
    for one in earlier.dag.tasks:
        if one.id in sent_again:
            tasks.append(sent_again[one.id])
        elif one.id in taken_over or one.id not in gone:
            tasks.append(one)
    known = {task.id for task in tasks}
    tasks += [task for task in dag.tasks if task.id not in known]
    if not tasks:
        raise InvalidDag(
            [Problem("tasks", "limit_exceeded", "No task is left to run.", "Send at least one.")]
        )
    note = (
        f"resume_from: {some_of(unchanged, 20)} succeeded in {earlier.id} and did not change; the "
        "outputs from there are reused"
    )
    return Resumed(
        dag.model_copy(update={"tasks": tuple(tasks)}),
        taken_over,
        outputs,
        items,
        (note,) if unchanged else (),
    )


def _canonical(task: Task, full_name: Callable[[str], str]) -> str:
    """Write down what *task* does, so that equal tasks are equal texts: defaults and the names of
    tools spelled out, the order of members and dependencies gone."""
    members = _what(task, full_name)
    members["depends_on"] = sorted(set(task.depends_on))
    return json.dumps(members, sort_keys=True)


def _what(task: Task, full_name: Callable[[str], str]) -> dict[str, Any]:
    members = {name: value for name, value in task.model_dump().items() if name not in HOW_IT_RUNS}
    if task.tool is not None:
        members["tool"] = full_name(task.tool)
    if task.tasks is not None:
        members["tasks"] = [_what(inner, full_name) for inner in task.tasks]
    return members


def _dependents_of(running: Iterable[str], kept: Mapping[str, TakenOver]) -> set[str]:
    """Find the tasks among *kept* that depend on one that is *running*, directly or through
    others."""
    dependents: defaultdict[str, list[str]] = defaultdict(list)
    for id, task in kept.items():
        for need in task.reused_inputs:
            dependents[need].append(id)
    found: set[str] = set()
    open_ = [*running]
    while open_:
        more = set(dependents[open_.pop()]) - found
        found |= more
        open_ += more
    return found


def _sent_of(earlier: RunRecord, group: TaskRecord) -> frozenset[str]:
    """Find the tasks of *group* that succeeded for an item that did not succeed as a whole."""
    statuses = group.items.statuses if group.items is not None else ()
    well = sum(status is Status.SUCCESS for status in statuses)
    return frozenset(
        inner.id
        for inner in earlier.inner
        if group.id in inner.groups and inner.statuses.get(Status.SUCCESS, 0) > well
    )


def refuse_repeats(plan: Plan, earlier: Mapping[str, EarlierItems], from_: RunRecord) -> None:
    """Raise `InvalidDag` if an item of a group would run again although a call of it succeeded
    that may not be made twice: what the tasks in a group gave is not kept."""
    problems = []
    for id, group in plan.tasks.items():
        if group.inner is None or group.reused_inputs or id not in from_.tasks:
            continue
        sent = earlier[id].sent if id in earlier else _sent_of(from_, from_.tasks[id])
        for task in group.inner.all_tasks():
            may_repeat = task.policy.may_repeat or task.task.allow_repeat
            if task.id in sent and task.makes_calls and not may_repeat:
                message = (
                    f"{task.id} succeeded for items of {id} that failed after it, and "
                    f"{task.tool.full_name} is not known to be safe to call twice."
                )
                hint = (
                    "Send the rest of these items as other tasks, or set allow_repeat: true in "
                    f"{task.id} if a second call does no harm."
                )
                problems.append(Problem("resume_from", "not_repeatable", message, hint, task.id))
    if problems:
        raise InvalidDag(problems)


def _items_of(
    earlier: RunRecord,
    task: TaskRecord,
    written: Task,
    found: Output,
    output: Callable[[str], Output | None],
) -> EarlierItems:
    assert task.items is not None
    sees_failures = written.trigger_rule != "all_success"
    needs = {
        id: output(id)
        for id in task.needs or task.reused_inputs
        if sees_failures or earlier.tasks[id].status is Status.SUCCESS
    }
    return EarlierItems(
        written,
        task.tool,
        found,
        task.items.statuses,
        task.items.errors,
        task.error,
        {id: need for id, need in needs.items() if need is not None},
        _sent_of(earlier, task),
    )


def _named_by(task: Task) -> Iterator[str]:
    """Yield the ids that *task* names, in links, references and expressions."""
    yield from task.depends_on
    for inner in task.tasks or ():
        yield from _named_by(inner)  # those in the group too: no task here has their names
    for value, items in ((task.arguments, True), (task.value, True), (task.for_each, False)):
        template, _ = compile_value(value, items=items)
        yield from (reference.task for reference in template.references if not reference.is_item)
    for text, read in ((task.select, expression), (task.when, condition)):
        try:
            keys = read(text).references if text is not None else ()
        except InvalidExpression:
            continue  # the check reports it
        yield from (key.id for key in keys)
