"""Resuming an earlier run: tasks that succeeded are taken over, new and fixed ones run.

A task that is sent again as it was is not run again if it succeeded: clients send whole documents.
It runs again if anything in it was changed, or if a task that it depends on runs. The same holds
for a task that is not sent: its output was made of one that is replaced. But only what is sent was
asked for, so a task that is not sent and may not be repeated keeps its output, with a note.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ...errors import InvalidDag
from ..expressions.evaluation import Expression, condition, expression
from ..expressions.problems import InvalidExpression
from ..language.dag import HOW_IT_RUNS, Task
from ..language.meaning import meant, meant_arguments
from ..language.reader import Reading
from ..language.templates import compile_value
from ..planning.places import mentions, paths_of
from ..planning.plan import GROUP, Plan, TakenOver, in_order
from ..planning.repeats import expressions_of
from ..scheduling.earlier_items import EarlierItems, work_of
from ..scheduling.events import Status
from ..tools.output import Output
from ..values.problems import MAX_FIX_CHARS, Fix, Op, Problem, some_of
from ..values.strict import dumps
from .record import RunRecord, TaskRecord

MAX_NAMED = 20
"""Most tasks that one note names, and most notes on tasks that keep their outputs."""


_WORK = frozenset(("tool", "arguments", "for_each", "repeat", "tasks"))
"""The fields of a task that say what it calls; others say what is kept of it, and when it runs."""


class Resumed(NamedTuple):
    """A document completed with the tasks of the run that it resumes."""

    reading: Reading
    taken_over: dict[str, TakenOver]
    """The tasks that do not run again."""
    outputs: dict[str, Output]
    """Their outputs."""
    items: dict[str, EarlierItems]
    """The `for_each` tasks with items to reuse: taken over as they ended, or run again."""


class Tools(NamedTuple):
    """The answers about tools that resuming needs."""

    full_name: Callable[[str], str] = str
    """Gives the name of a tool as servers have it."""
    may_repeat: Callable[[str], bool] = lambda _: False
    """Says whether the tool of a full name may be called again."""

    def only_once(self, task: Task) -> str | None:
        """Return the first tool that *task* calls and that may not be called again."""
        if task.tool is not None:
            name = self.full_name(task.tool)
            return None if task.allow_repeat or self.may_repeat(name) else name
        return next(filter(None, map(self.only_once, task.tasks or ())), None)


def resume(
    reading: Reading,
    earlier: RunRecord,
    output: Callable[[str], Output | None],
    tools: Tools,
) -> Resumed:
    """Complete the document in *reading* with the tasks of *earlier* that it does not send again:
    the tasks that succeeded, with their outputs and what `check` needs, lists with failed items
    that the sent tasks name, and the tasks that were never sent to a server and can still run.
    Tasks of the document that succeeded are taken over too if nothing that they do changed.
    *output* gives the output of a task of *earlier*.

    A task that was sent and failed runs again only if the document holds it, and then without the
    items that succeeded, or if a task that it depends on runs again and it may be repeated. So does
    one that succeeded although items of it failed, if the document holds it. Raises `InvalidDag`.
    """
    if not earlier.is_done:
        hint = "Wait for it with get_run, or stop it with cancel_run."
        raise InvalidDag(
            [Problem("resume_from", "not_repeatable", f"{earlier.id} is still running.", hint)]
        )
    choice = _Choice(reading, earlier, output, tools)
    for id in in_order(_within(choice.inputs)):
        choice.look_at(id)
    sent, taken_over, left = choice.sent, choice.taken_over, choice.left
    tasks = [
        sent.get(task.id, task)
        for task in earlier.dag.tasks
        if task.id in sent or task.id in taken_over or task.id not in left
    ]
    known = {task.id for task in tasks}
    tasks += [task for task in reading.dag.tasks if task.id not in known]
    if not tasks:
        raise InvalidDag(
            [Problem("tasks", "limit_exceeded", "No task is left to run.", "Send at least one.")]
        )
    problems, missing = choice.problems()
    completed = replace(
        reading,
        dag=reading.dag.model_copy(update={"tasks": tuple(tasks)}),
        notes=(*reading.notes, *choice.notes()),
        problems=(*problems, *reading.problems),
        malformed=reading.malformed | missing,
    )
    return Resumed(completed, taken_over, choice.outputs, choice.items)


class _Choice:
    """The tasks of an earlier run, looked at one after the other, each behind all that it needs:
    those that run, those that are taken over and those that have no part in the new run."""

    def __init__(
        self,
        reading: Reading,
        earlier: RunRecord,
        output: Callable[[str], Output | None],
        tools: Tools,
    ) -> None:
        self.earlier, self._output, self._tools = earlier, output, tools
        self.sent = {task.id: task for task in reading.dag.tasks}
        self._written = {task.id: task for task in earlier.dag.tasks}
        self._named = {
            task.id: list(_named_by(task, path))
            for task, path in zip(reading.dag.tasks, paths_of(reading), strict=True)
        }
        """Where each sent task names which others."""
        self._of_return = [
            (f"return[{index}]", id) for index, id in enumerate(reading.dag.return_ or ())
        ]
        self._all_named = {id for named in self._named.values() for _, id in named}
        unchanged = {
            id
            for id, task in self.sent.items()
            if id in self._written
            and _canonical(task, tools) == _canonical(self._written[id], tools)
        }
        self.inputs = {id: task.needs or task.reused_inputs for id, task in earlier.tasks.items()}
        """The tasks that each task depended on in the earlier run, or in the one before that."""
        changed = self.sent.keys() - unchanged
        needs = {id: tuple([name for _, name in self._named[id]]) for id in changed}
        self._turned = _on_cycles(self.inputs | needs) - self.sent.keys()
        """The tasks that a task which they depended on now depends on."""
        self.running = set(changed)
        self.taken_over: dict[str, TakenOver] = {}
        self.outputs: dict[str, Output] = {}
        self.items: dict[str, EarlierItems] = {}
        self.left: dict[str, str] = {}
        """The tasks that are not run, each with the one that would have to be sent for that."""
        self._again: list[str] = []
        """The tasks that are not sent and run again."""
        self._once_more: list[str] = []
        """The calls that are made once more though they do the same, and may not be repeated."""
        self._kept: list[str] = []
        """Why tasks that are not sent do not."""

    def look_at(self, id: str) -> None:
        """Decide on *id*; the tasks that it needs are decided on."""
        task, is_sent = self.earlier.tasks[id], id in self.sent
        is_well = task.status is Status.SUCCESS
        is_half = is_well and task.has_failed_items
        found = self._output(id) if is_well or task.items is not None else None
        changed = [need for need in self.inputs[id] if need in self.running]
        why_not = None if is_sent or not changed else self._why_not_again(id, changed)
        runs = id in self.running or (bool(changed) and why_not is None) or (is_half and is_sent)
        is_whole = is_well and found is not None and not runs
        is_named = id in self._all_named and not is_well
        has_use = task.items is not None and (is_sent or runs or is_named or is_half)
        if has_use and found is not None and (is_half or not is_whole):
            self.items[id] = _items_of(self.earlier, task, self._written[id], found, self._output)
        if runs:
            self.running.add(id)
            if not is_sent and (is_well or task.attempts):
                self._again.append(id)
            elif is_sent and is_well and not changed:
                self._note_once_more(id)
            return
        if found is not None and (is_whole or (id in self.items and not is_sent)):
            gone = changed if id in self._turned else ()
            used = [need for need in self.inputs[id] if need not in gone]
            self.taken_over[id] = TakenOver(task.tool, tuple(used), is_sent=is_sent)
            self.outputs[id] = found
            if why_not is not None:
                self._kept.append(
                    f"{id} keeps its output from {self.earlier.id}, though {changed[0]} runs again:"
                    f" {why_not}"
                )
        if is_whole:
            return
        is_untaken = task.is_well and not is_well and not changed  # its condition is as it was
        if not is_sent and (is_well or task.attempts or id in self.items):
            self.left[id] = id
        elif not is_sent and (lost := self._lost(id)) is not None:
            self.left[id] = lost
        elif not is_untaken:
            self.running.add(id)

    def _note_once_more(self, id: str) -> None:
        """Note that the calls of *id*, which succeeded, are made once more, if only what is kept of
        them or when they run changed and they may not be repeated."""
        now, before = (_what(tasks[id], self._tools) for tasks in (self.sent, self._written))
        changes = sorted(name for name in now if now[name] != before[name])
        tool = self._tools.only_once(self.sent[id])
        if tool is not None and changes and _WORK.isdisjoint(changes):
            self._once_more.append(
                f"{id} succeeded in {self.earlier.id}, and only its {some_of(changes, 5)} changed: "
                f"{tool} is called again, though it is not known to be safe to call twice; leave "
                f"{changes[0]} as it was to reuse the output"
            )

    def _why_not_again(self, id: str, changed: Collection[str]) -> str | None:
        """Say why *id*, which is not sent, cannot run again although the tasks *changed* do."""
        task = self.earlier.tasks[id]
        if (lost := self._lost(id)) is not None:
            return f"it depends on {lost} too, which {self._end(lost)} and is not sent again"
        if id in self._turned:
            return "that now depends on it"
        if task.attempts or task.status is Status.SUCCESS:
            tool = self._tools.only_once(self._written[id])
            if tool is not None:
                return f"{tool} is not known to be safe to call twice; send {id} too if it should"
        return None

    def _lost(self, id: str) -> str | None:
        """Return the task that would have to be sent for *id* to run, if there is one."""
        for need in self.inputs[id]:
            if need not in self.sent and (need in self.left or need not in self._written):
                return self.left.get(need, need)
        return None

    def _end(self, id: str) -> str:
        """Say in a few words how *id* ended in the earlier run."""
        task = self.earlier.tasks.get(id)
        match task.status if task is not None else None:
            case Status.SUCCESS:
                return "succeeded but did not keep its output"
            case Status.FAILED:
                return "failed"
            case Status.TIMEOUT:
                return "timed out"
            case Status.CANCELLED:
                return "was cancelled"
        return "did not run"

    def notes(self) -> list[str]:
        """Say which tasks do not run although they are sent, or run or not although they are not
        sent."""
        notes = []
        if unchanged := [id for id in self.sent if id in self.taken_over]:
            notes.append(
                f"{some_of(unchanged, MAX_NAMED)} succeeded in {self.earlier.id} and did not "
                "change; the outputs from there are reused"
            )
        if again := self._again:
            verb, it = ("depends", "it runs") if len(again) == 1 else ("depend", "they run")
            notes.append(
                f"{some_of(again, MAX_NAMED)} {verb} on what runs again, so {it} again too"
            )
        notes += self._once_more[:MAX_NAMED]
        notes += self._kept[:MAX_NAMED]
        if (more := len(self._kept) - MAX_NAMED) > 0:
            notes.append(f"{more:,} more tasks keep their outputs likewise")
        return [f"resume_from: {note}" for note in notes]

    def problems(self) -> tuple[list[Problem], frozenset[str]]:
        """Report the tasks of the earlier run that a task to run or `return` names and that have no
        output, each once, and list them."""
        named = [*self._of_return]
        for id in self.sent.keys() & self.running:
            named += self._named[id]
        places: dict[str, str] = {}
        for place, id in named:
            if id in self.left and id not in self.taken_over:
                places.setdefault(id, place)
        problems: list[Problem] = []
        added: set[str] = set()
        for id, place in places.items():
            root = self.left[id]
            end = f"{self._end(root)} in {self.earlier.id} and is not sent again"
            message = f"{id} needs {root}, which {end}." if root != id else f"{id} {end}."
            fix = None
            if root in self._written and root not in added and self.sent:
                added.add(root)
                task = self._written[root].model_dump(mode="json", exclude_unset=True)
                if len(dumps(task)) <= MAX_FIX_CHARS:
                    fix = Fix(Op.ADD, task, "tasks")
            hint = f"Send {root} again, with what was wrong in it put right."
            problems.append(Problem(place, "unknown_task", message, hint, None, fix))
        return problems, frozenset(places)


def _within(needs: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Leave out of *needs* those that it has no entry for."""
    return {id: tuple([need for need in before if need in needs]) for id, before in needs.items()}


def _on_cycles(needs: Mapping[str, Iterable[str]]) -> set[str]:
    """Find the tasks that are on a cycle, or between two."""
    left = _within(needs)
    for _ in ("those that need one", "and that one needs"):
        stuck = left.keys() - set(in_order(left))
        dependents: dict[str, list[str]] = {id: [] for id in stuck}
        for id in stuck:
            for need in left[id]:
                if need in stuck:
                    dependents[need].append(id)
        left = {id: tuple(found) for id, found in dependents.items()}
    return set(left)


def _canonical(task: Task, tools: Tools) -> str:
    """Write down what *task* does, so that equal tasks are equal texts: defaults and the names of
    tools spelled out, the order of members and dependencies gone."""
    members = _what(task, tools)
    members["depends_on"] = sorted(set(task.depends_on))
    return json.dumps(members, sort_keys=True)


def _what(task: Task, tools: Tools) -> dict[str, Any]:
    members = {name: value for name, value in task.model_dump().items() if name not in HOW_IT_RUNS}
    members["arguments"] = meant_arguments(task.arguments)
    for name in ("value", "for_each"):
        members[name] = meant(members[name])
    if task.tool is not None:
        members["tool"] = tools.full_name(task.tool)
    if task.tasks is not None:
        members["tasks"] = [_what(inner, tools) for inner in task.tasks]
    return members


def _sent_of(earlier: RunRecord, group: TaskRecord) -> frozenset[str] | None:
    """Find the tasks of *group* that succeeded for an item that did not succeed as a whole; None if
    that is unknown, since *earlier* took the group over as it had ended."""
    statuses = group.items.statuses if group.items is not None else ()
    well = sum(status is Status.SUCCESS for status in statuses)
    within = [inner for inner in earlier.inner if group.id in inner.groups]
    if group.tool == GROUP.full_name and group.has_failed_items and not within:
        return None
    return frozenset(inner.id for inner in within if inner.statuses.get(Status.SUCCESS, 0) > well)


def _succeeded_in(earlier: RunRecord, group: str) -> frozenset[str] | None:
    """Find the tasks of *group* that succeeded for an item; None if that is unknown."""
    within = [inner for inner in earlier.inner if group in inner.groups]
    if not within:
        return None
    return frozenset(inner.id for inner in within if inner.statuses.get(Status.SUCCESS, 0))


def _has_failed_in(earlier: RunRecord, group: str) -> bool:
    """Return whether a task of *group* failed."""
    failed = (Status.FAILED, Status.TIMEOUT)
    return any(
        inner.statuses.get(status, 0)
        for inner in earlier.inner
        if group in inner.groups
        for status in failed
    )


def refuse_repeats(plan: Plan, earlier: Mapping[str, EarlierItems], from_: RunRecord) -> None:
    """Raise `InvalidDag` if an item of a group would run again although a call of it succeeded
    that may not be made twice: what the tasks in a group gave is not kept. Where the group does
    something else now, all its items run again."""
    problems = []
    for id, group in plan.tasks.items():
        if group.inner is None or group.reused_inputs or id not in from_.tasks:
            continue
        before = from_.tasks[id]
        has_items = group.items is not None or before.items is not None
        if not has_items and before.status is Status.SUCCESS and not _has_failed_in(from_, id):
            continue  # it was changed, and runs again as any task does
        sent = earlier[id].sent if id in earlier else _sent_of(from_, before)
        again = "items of {} that failed after it"
        if id in earlier and work_of(earlier[id].task) != work_of(group.task):
            sent, again = _succeeded_in(from_, id), "items of {}, all of which run again"
        for task in group.inner.all_tasks():
            may_repeat = task.policy.may_repeat or task.task.allow_repeat
            was_sent = sent is None or task.id in sent
            if was_sent and task.makes_calls and not may_repeat:
                verb = "may have succeeded" if sent is None else "succeeded"
                where = f"for {again.format(id)}" if has_items else f"in {id}, which runs again"
                message = (
                    f"{task.id} {verb} {where}, and {task.tool.full_name} is not known to be safe "
                    "to call twice."
                )
                them, these = ("them", "these items") if has_items else ("that", "it")
                others = (
                    f"Leave {id} out: it succeeded without {them} and is reused. Otherwise send"
                    if before.status is Status.SUCCESS
                    else "Send"
                )
                hint = (
                    f"{others} the rest of {these} as other tasks, or set allow_repeat: true "
                    f"in {task.id} if a second call does no harm."
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


def _named_by(
    task: Task, path: str, hidden: Collection[str] = frozenset()
) -> Iterator[tuple[str, str]]:
    """Yield where *task*, at *path*, names which tasks: in links, references and expressions. The
    ids in *hidden* are those of tasks in the groups around it."""
    inner = task.tasks or ()
    hidden_in_it = {*hidden, *[one.id for one in inner]}
    for index, one in enumerate(inner):
        yield from _named_by(one, f"{path}.tasks[{index}]", hidden_in_it)
    given = task.value if task.tool is None else task.arguments
    arguments, _ = compile_value(given, items=True)
    items = None if task.for_each is None else compile_value(task.for_each)[0]
    for place, id, _, _ in mentions(task, arguments, items, path):
        is_of_value = bool(inner) and place.startswith(f"{path}.value")
        if id not in (hidden_in_it if is_of_value else hidden):
            yield place, id
    texts: list[tuple[str, str | None, Callable[[str], Expression]]] = [
        ("select", task.select, expression),
        ("when", task.when, condition),
    ]
    if task.repeat is not None:
        of_repeat = expressions_of(task.repeat)
        texts += [(f"repeat.{place}", text, read) for place, text, read in of_repeat]
    for field, text, read in texts:
        try:
            keys = read(text).references if text is not None else ()
        except InvalidExpression:
            continue  # the check reports it
        for key in keys:
            if key.task is not None and key.task not in hidden:
                yield f"{path}.{field}", key.task
