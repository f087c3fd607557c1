"""Check a DAG against the known tools: every problem at once, or a plan. Nothing runs before
that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from weakref import proxy

from ...errors import InvalidDag
from ..expressions.evaluation import Expression, condition, expression
from ..language.dag import Task
from ..language.reader import Reading
from ..language.templates import Template, with_items
from ..tools.catalog import Catalog, Tool
from ..tools.policy import Policy
from ..values.problems import (
    Problem,
    Problems,
    TooManyProblems,
    first_of,
    with_one_fix_a_place,
)
from .denied import refuse_denied
from .effects import note_effects
from .expressions import Expressions
from .fields import Fields
from .flow import Flow, LearnedShape
from .groups import leaves_of, needed_of
from .items import Items
from .links import Links
from .mismatch import MAX_NOTES, Mismatches
from .names import Names
from .omissions import misplaced
from .places import inner_paths, paths_of, with_whole_ids
from .plan import (
    GROUP,
    MAX_CALLS,
    VALUE,
    Cost,
    Plan,
    PlannedTask,
    TakenOver,
    find_cycles,
    lay_out,
    unknown,
)
from .read_only import refuse_changes
from .repeats import Repeats
from .strays import with_strays_moved
from .tool_use import ToolUse

MAX_ITEMS = 1_000


def check(
    reading: Reading,
    catalog: Catalog,
    policy: Policy,
    *,
    reused: Mapping[str, TakenOver] | None = None,
    max_items: int = MAX_ITEMS,
    max_calls: int = MAX_CALLS,
    learned_shape: LearnedShape | None = None,
    cost: Cost = unknown,
    alone: Cost = unknown,
    only_reads: bool = False,
) -> Plan:
    """Check the DAG in *reading* whole and lay it out. Raises `InvalidDag` with every problem,
    those of form first; with *only_reads*, also calls that may do more.

    The tasks in *reused* succeeded in an earlier run and are not sent again, so they are not
    checked. *learned_shape* gives the shape of earlier outputs of a tool without an `outputSchema`,
    used for notes alone; *cost* the expected duration of a call in seconds, *alone* that of a call
    that is alone.
    """
    dag = reading.dag
    checker = _Checker(reading, catalog, policy, max_items, cost, alone)
    try:
        paths = list(paths_of(reading))
        planned = [
            checker.take_over(task, reused[task.id])
            if reused and task.id in reused
            else checker.plan_task(task, path)
            for task, path in zip(dag.tasks, paths, strict=True)
        ]
        tasks = {task.id: task for task in planned}
        refuse_denied(checker.planned, checker.problems, checker.notes)
        if only_reads:
            refuse_changes(checker.planned, reused or (), checker.problems)
        checker.check_references(reused or (), learned_shape)
        checker.check_returns()
        checker.check_calls(planned, max_calls)
        checker.check_cycles(tasks)
    except TooManyProblems as error:
        raise checker.refusal(first_of(error.problems)) from None
    if checker.problems:
        raise checker.refusal(with_strays_moved(checker.problems, reading.strays, catalog))
    kept = {id for id, task in (reused or {}).items() if not task.is_sent}
    plan = lay_out(dag, tasks, checker.notes, cost, alone, kept)
    note_effects(plan)
    return plan


class _Checker:
    """One pass over one DAG; collects problems and notes on the way."""

    def __init__(
        self,
        reading: Reading,
        catalog: Catalog,
        policy: Policy,
        max_items: int,
        cost: Cost,
        alone: Cost,
    ) -> None:
        self.dag = reading.dag
        self.inner = reading.inner
        self.catalog = catalog
        self.notes = list(reading.notes)
        self.problems = Problems(reading.problems)
        self.links = Links(reading, self.problems, self.notes)
        self.fields = Fields(self.links, self.problems, self.notes, max_items)
        self.tools = ToolUse(catalog, policy, reading.unread, self.problems, self.notes)
        self.cost, self.alone = cost, alone
        self.planned: list[tuple[PlannedTask, str]] = []
        """Every task so far, with its path."""
        self.malformed = reading.malformed
        self.unread = reading.unread

    def refusal(self, problems: Iterable[Problem]) -> InvalidDag:
        """Return the error with *problems* as clients get them."""
        ids = {path: planned.id for planned, path in self.planned}
        return InvalidDag(with_one_fix_a_place([*with_whole_ids(problems, ids)]), self.notes)

    @property
    def names(self) -> Names:
        """The names that the tasks of this level have."""
        return self.links.names

    @property
    def ids(self) -> Mapping[str, str]:
        """The tasks that those of this level may name."""
        return self.links.names.ids

    def plan_task(self, task: Task, path: str) -> PlannedTask:
        if task.tasks is not None:
            return self._plan_group(task, task.tasks, path)
        known = VALUE if task.tool is None else self.tools.find(task, task.tool, path)
        tool = known or Tool("", str(task.tool), listed=False)
        policy = self.tools.policy_of(tool)
        has_own, has_items = self._has_items(task)
        field, given = ("value", task.value) if tool is VALUE else ("arguments", task.arguments)
        arguments = self.fields.template(given, f"{path}.{field}", task, items=has_items)
        items = None if task.for_each is None else self.fields.items(task, path)
        if arguments.texts or arguments.keys or arguments.has_text_defaults:
            self.fields.lookalikes(task, known, arguments, f"{path}.{field}", items=has_items)
        if tool is VALUE and arguments.fill is None:
            self.fields.asked(task, f"{path}.value")
        if items is not None and not isinstance(task.for_each, str):
            self.fields.lookalikes(task, known, items, f"{path}.for_each", items=False)
        if task.reads or task.writes:
            self.fields.resources(task, path)
        if not arguments.is_plain:
            self.problems += misplaced(arguments, f"{path}.{field}", task)
        if items is not None and not items.is_plain:
            self.problems += misplaced(items, f"{path}.for_each", task)
        if known is not None and tool is not VALUE:
            arguments = self.tools.arguments(task, tool, arguments, path)
            if task.retries or task.repeat is not None:
                self.tools.check_repeats(task, tool, policy, path)
        select = when = repeat = None
        if task.select is not None:
            select = self.fields.expression(task.select, f"{path}.select", task, expression)
        if task.when is not None:
            when = self.fields.expression(task.when, f"{path}.when", task, condition)
        if task.repeat is not None:
            repeat = self.fields.repeat(task, path)
        of_repeat = {} if repeat is None else dict(repeat.expressions())
        links = self.links.of(task, arguments, items, select, when, path, of_repeat)
        items = None if items is None else with_items(items)
        seen: dict[str, str] | None = None
        names = self.links.names
        if names.before:
            seen = {id: names.ids[id] for id in links}
            seen |= self._items_named((select, when, *of_repeat.values()))
            arguments = names.bound(arguments, has_items=has_own)
            items = None if items is None else names.bound(items, has_items=False)
            links = self.links.inward(links)
        planned = PlannedTask(
            index=len(self.planned),
            task=task,
            tool=tool,
            arguments=arguments,
            needs=tuple(links),
            requires=self._required(task, links),
            items=items,
            select=select,
            when=when,
            repeat=repeat,
            timeout_s=task.timeout_s or policy.timeout_s,
            weight=task.weight or policy.weight,
            policy=policy,
            cache_s=self.tools.cache_s(task, tool, policy, path),
            names=names if names.before else None,
            seen=seen,
            id=f"{names.before}{task.id}" if names.before else task.id,
        )
        self.planned.append((planned, path))
        return planned

    def _items_named(self, expressions: Iterable[Expression | None]) -> dict[str, str]:
        """Return the names of the items of groups that *expressions* refer to by id."""
        keys = [key for read in expressions for key in (read.references if read else ())]
        return self.names.of_keys([key for key in keys if key.task is None], has_items=True)

    def _required(self, task: Task, links: Mapping[str, bool]) -> frozenset[str]:
        """Return the tasks that must succeed under `all_success`: those of *links* that no default
        guards. If the rule is written down, it decides alone."""
        if not links or "trigger_rule" in task.model_fields_set:
            return frozenset(links)
        return frozenset([id for id, guarded in links.items() if not guarded])

    def _has_items(self, task: Task) -> tuple[bool, bool]:
        """Return whether *task* has items of its own, and whether it sees any item."""
        has_own = task.for_each is not None or "for_each" in self.unread.get(task.id, ())
        return has_own, has_own or bool(self.names.items)

    def _plan_group(self, task: Task, tasks: Sequence[Task], path: str) -> PlannedTask:
        items = self.fields.items(task, path)
        if items is not None and not isinstance(task.for_each, str):
            self.fields.lookalikes(task, GROUP, items, f"{path}.for_each", items=False)
        select = self.fields.expression(task.select, f"{path}.select", task, expression)
        when = self.fields.expression(task.when, f"{path}.when", task, condition)
        links = self.links.of(task, Template(None), items, select, when, path)
        items = None if items is None else with_items(items)
        seen = {id: self.ids[id] for id in links} | self._items_named((select, when))
        around = self.names
        with self.links.within(task) as outward:
            paths = inner_paths(self.inner, f"{path}.tasks", len(tasks))
            inner = {one.id: one for one in map(self.plan_task, tasks, paths)}
            value, value_links = self._value_of_group(task, inner.values(), path)
        self.check_cycles(inner, f"{path}.tasks")
        links = self.links.inward(links, outward)
        dag = self.dag.model_copy(update={"tasks": tuple(tasks), "return_": None})
        is_laid_out = not find_cycles({id: one.needs for id, one in inner.items()})
        planned = PlannedTask(
            index=min([one.index for one in inner.values()], default=len(self.planned)),
            task=task,
            tool=GROUP,
            arguments=value,
            needs=tuple(links),
            requires=self._required(task, links),
            items=None if items is None else around.bound(items, has_items=False),
            select=select,
            when=when,
            names=around if around.before else None,
            seen=seen,
            inner=lay_out(dag, inner, cost=self.cost, alone=self.alone) if is_laid_out else None,
            needed=needed_of(inner.values(), value_links),
            id=f"{around.before}{task.id}",
        )
        self.planned.append((planned, path))
        return planned

    def _value_of_group(
        self, task: Task, inner: Collection[PlannedTask], path: str
    ) -> tuple[Template, dict[str, bool]]:
        """Return the output of a group, which is planned with the names of those in it, and its
        links to them."""
        has_own = task.for_each is not None
        _, has_items = self._has_items(task)
        if not task.has_value:
            return leaves_of(inner), {}
        value = self.fields.template(task.value, f"{path}.value", task, items=has_items)
        self.fields.lookalikes(task, GROUP, value, f"{path}.value", items=has_items)
        self.problems += misplaced(value, f"{path}.value", task)
        links = self.links.inward(self.links.of_value(task, value, path))
        return self.names.bound(value, has_items=has_own), links

    def take_over(self, task: Task, earlier: TakenOver) -> PlannedTask:
        """*task* as it was in the earlier run. Its tool may have been taken from the list since."""
        server, _, name = earlier.tool.partition(":")
        known = self.catalog.tools.get(earlier.tool)
        if task.tool is None:
            known = VALUE if task.is_value else GROUP
        planned = PlannedTask(
            index=len(self.planned),
            task=task,
            tool=known or self.catalog.unlisted(server, name),
            arguments=Template(task.value if task.tool is None else task.arguments),
            id=task.id,
            items=None if task.for_each is None else Template(task.for_each),
            reused_inputs=earlier.reused_inputs,
        )
        self.planned.append((planned, ""))
        return planned

    def check_references(self, reused: Collection[str], learned_shape: LearnedShape | None) -> None:
        """Check each task's references, except to ids that several tasks have: their output is
        ambiguous."""
        tasks = {task.id: task for task, _ in self.planned}
        if len(tasks) < len(self.planned):
            counts = Counter(task.id for task, _ in self.planned)
            tasks = {id: task for id, task in tasks.items() if counts[id] == 1}
        typed = tasks  # expressions and values of reused tasks were not read: types are unknown
        if reused:
            typed = {id: task for id, task in tasks.items() if id not in reused or _is_bare(task)}
        flow = Flow(
            typed,
            self.unread,
            learned_shape,
            lambda task: expressions.answer(task),
            lambda task, reference, of_items: expressions.piped(task, reference, of_items),
        )
        mismatches = Mismatches(flow, self.problems, self.notes)
        ids = {**{id: id for id in self.malformed}, **self.ids}
        around = self.links.group_around
        asked = proxy(flow)  # which asks in turn: only the collector would free the two
        expressions = Expressions(typed, ids, asked, self.problems, self.notes, around)
        repeats = Repeats(flow, expressions.of_repeat, self.problems)
        items = Items(self.problems)
        for task, path in self.planned:
            if task.id not in tasks or task.id in reused:
                continue
            before = len(self.problems)
            if task.arguments.fill is not None or task.items is not None:
                mismatches.look_at(task, path)
                if not (task.arguments.is_plain and (task.items is None or task.items.is_plain)):
                    expressions.look_at_pipes(task, path)
            if task.items is not None:
                items.look_at(task, path, before)
            if task.select is not None or task.when is not None or task.repeat is not None:
                expressions.look_at(task, path)
                repeats.look_at(task, path)
        self.fields.end_notes()
        if items.may_have_more:
            self.notes.append("not all items are checked before they run: there are too many")
        if mismatches.may_have_more:
            self.notes.append(f"{MAX_NOTES} notes on references are given; there may be more")

    def check_returns(self) -> None:
        if not self.ids:
            return  # the missing task is reported already
        for index, id in enumerate(self.dag.return_ or ()):
            if id not in self.ids and id not in self.malformed and id != "*":
                self.links.no_task(f"return[{index}]", id)

    def check_calls(self, planned: Iterable[PlannedTask], most: int) -> None:
        """Refuse a document whose calls are known to be more than *most*."""
        calls = sum(map(_calls_of, planned))
        if calls > most:
            message = f"The tasks make {calls:,} calls and values; one run makes at most {most:,}."
            self.problems.say("tasks", "limit_exceeded", message, "Split the DAG.")

    def check_cycles(self, tasks: Mapping[str, PlannedTask], path: str = "tasks") -> None:
        for cycle in find_cycles({id: task.needs for id, task in tasks.items()}):
            chain = " -> ".join(cycle)
            hint = "Each waits for the one before it: remove one of these references or depends_on."
            self.problems.say(path, "cycle", f"There is a cycle: {chain}.", hint)


def _calls_of(planned: PlannedTask) -> int:
    """Return the number of calls and values that *planned* is known to make."""
    items = [None] if planned.items is None else planned.items.value
    times = len(items) if isinstance(items, list | dict) else 1
    if planned.inner is not None:
        return times * sum(map(_calls_of, planned.inner.tasks.values()))
    return times


def _is_bare(planned: PlannedTask) -> bool:
    """Return whether the output of *planned* is what its tool answers."""
    return planned.makes_calls and planned.task.select is None
