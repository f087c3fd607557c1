"""The plan of a DAG: its layers, and the chain of calls that decides how long it takes."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ..tools.catalog import Tool
from ..tools.policy import ToolPolicy
from ..values.problems import written

if TYPE_CHECKING:  # a start without a DAG does not need them
    from ..expressions.evaluation import Expression
    from ..language.dag import Dag, Task
    from ..language.templates import Template
    from .names import Names

MAX_CALLS = 100_000
"""The most calls of one run, of tasks and their items."""
UNKNOWN_S = 1.0
"""The assumed duration of a call where no tool of a plan has been timed."""


VALUE = Tool("", "value", {"annotations": {"readOnlyHint": True}})
"""Stands for the tool of a task that calls none but makes a value."""
GROUP = Tool("", "group", {"annotations": {"readOnlyHint": True}})
"""Stands for the tool of a task that is a group of others."""


class TakenOver(NamedTuple):
    """A task that succeeded in an earlier run, and does not run again."""

    tool: str
    """The full name of the tool that it called."""
    reused_inputs: tuple[str, ...]
    """The tasks that it needed there."""
    is_sent: bool = False
    """Whether the document holds it."""


@dataclass(frozen=True, slots=True)
class Repeating:
    """A `repeat` that was read."""

    set: Mapping[str, Expression]
    """The expressions of the arguments that change from call to call; none for polling."""
    goes_on: Expression | None
    """`while`."""
    until: Expression | None
    pause_s: float
    most: int
    """Most calls."""
    may_be_cut: bool
    """Whether it succeeds after `most` calls, although there is more."""

    @property
    def is_paging(self) -> bool:
        """Whether the output is that of all calls, rather than of the last."""
        return bool(self.set)

    def expressions(self) -> Iterator[tuple[str, Expression]]:
        """Yield its expressions, each with its place."""
        for name, one in self.set.items():
            yield f"set{written((name,))}", one
        if self.goes_on is not None:
            yield "while", self.goes_on
        if self.until is not None:
            yield "until", self.until


@dataclass(slots=True, eq=False)  # one is made for each task, and a frozen one takes twice as long
class PlannedTask:
    """A checked task, with all that running it needs. Once it is in a plan, it is never changed."""

    id: str
    """The whole id (`names.py`)."""
    index: int
    """Its index among all tasks of the document, inner ones too."""
    task: Task
    tool: Tool
    arguments: Template
    """The arguments of its calls, or the value that it makes: of a group, the output."""
    needs: tuple[str, ...] = ()
    """The tasks that it waits for."""
    requires: frozenset[str] = frozenset()
    """The tasks of `needs` that must succeed under `all_success`: the links without a default."""
    items: Template | None = None
    """The list of a `for_each` task."""
    select: Expression | None = None
    when: Expression | None = None
    repeat: Repeating | None = None
    timeout_s: float = 60.0
    weight: int = 1
    """Slots of every limit that a call takes."""
    policy: ToolPolicy = field(default_factory=ToolPolicy)
    cache_s: float = 0.0
    """The greatest age of a cached answer, in seconds; 0 for no cache."""
    reused_inputs: tuple[str, ...] = ()
    """The tasks that a reused task needed in the earlier run."""
    names: Names | None = None
    """The names that it has for other tasks, if it is in a group."""
    seen: Mapping[str, str] | None = None
    """The whole ids of the tasks that it names, by the names that it has for them, if it is in a
    group or is one."""
    inner: Plan | None = None
    """The tasks of a group."""
    needed: frozenset[str] = frozenset()
    """The tasks of a group that must not fail for an item to succeed."""
    changes: bool = False
    """Whether it is a call that changes something, or a group with one; known only for a plan in
    which an expression has a filter."""
    feeds_changes: bool = False
    """Whether its output goes into the arguments or the items of such a task; known likewise."""
    known_names: frozenset[tuple[str, int]] = frozenset()
    """The names in its expressions that its inputs are known to have, or may have: the text of the
    expression, and the place in it."""
    makes_calls: bool = field(init=False)
    """Whether it calls a tool."""

    def __post_init__(self) -> None:
        self.makes_calls = self.tool is not VALUE and self.tool is not GROUP

    @property
    def is_value(self) -> bool:
        """Whether it makes a value and calls no tool."""
        return self.tool is VALUE

    def of_answers(self) -> Iterator[Expression]:
        """Yield the expressions that are read for each answer."""
        if self.select is not None:
            yield self.select
        if self.repeat is not None:
            for _, one in self.repeat.expressions():
                yield one

    @property
    def field(self) -> str:
        """The field of the document that `arguments` was read from."""
        return "arguments" if self.makes_calls else "value"


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked DAG with its layout."""

    dag: Dag
    tasks: Mapping[str, PlannedTask]
    """In document order; those of groups are in the plans of their groups."""
    layers: tuple[tuple[str, ...], ...]
    order: tuple[str, ...]
    """In topological order, ties in document order."""
    layer_of: Mapping[str, int]
    dependents: Mapping[str, tuple[str, ...]]
    remaining: Mapping[str, float]
    """The cost of the longest chain that starts at each task, itself included. A higher cost is
    more urgent."""
    critical_path: tuple[str, ...]
    costs: Mapping[str, float]
    """The expected duration of one call of each task, in seconds."""
    untimed: tuple[str, ...]
    """Tools that were never timed: their calls are assumed to take the median of the others, or a
    second."""
    alone_s: Mapping[str, float] = field(default_factory=dict)
    """The duration of one call if it is alone, in seconds, of the tasks of which it is known."""
    returned: tuple[str, ...] = ()
    """The tasks whose outputs the answer holds."""
    cleanup: frozenset[str] = frozenset()
    """The tasks that run also once the rest is stopped, and the groups with such tasks in them."""
    notes: tuple[str, ...] = field(default=())

    def all_tasks(self) -> Iterator[PlannedTask]:
        """Yield every task, each group before those in it."""
        for task in self.tasks.values():
            yield task
            if task.inner is not None:
                yield from task.inner.all_tasks()


Cost: TypeAlias = Callable[[PlannedTask], "float | None"]
"""Gives a duration of a task's call in seconds; None if unknown."""


def unknown(_: PlannedTask) -> float | None:
    return None


def lay_out(
    dag: Dag,
    tasks: Mapping[str, PlannedTask],
    notes: Iterable[str] = (),
    cost: Cost = unknown,
    alone: Cost = unknown,
    kept: Collection[str] = (),
) -> Plan:
    """Lay out *tasks*, which have no cycle. *cost* gives the expected duration of a call in
    seconds, *alone* that of a call that is alone, or None. The tasks in *kept* are of an earlier
    run, neither sent nor run again: they do not count as leaves."""
    dependents: dict[str, list[str]] = {id: [] for id in tasks}
    for id, task in tasks.items():
        for need in task.needs:
            dependents[need].append(id)
    order = in_order({id: task.needs for id, task in tasks.items()})
    layer_of: dict[str, int] = {}
    for id in order:
        needs = tasks[id].needs
        layer_of[id] = 1 + max(map(layer_of.__getitem__, needs)) if needs else 0
    costs, untimed = _costs(tasks, cost)
    remaining: dict[str, float] = {}
    for id in reversed(order):
        followers = dependents[id]
        rest = max(map(remaining.__getitem__, followers)) if followers else 0.0
        remaining[id] = costs[id] + rest
    layers: list[list[str]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    for id in tasks:
        layers[layer_of[id]].append(id)
    return Plan(
        dag=dag,
        tasks=tasks,
        layers=tuple(map(tuple, layers)),
        order=order,
        layer_of=layer_of,
        dependents={id: tuple(followers) for id, followers in dependents.items()},
        remaining=remaining,
        critical_path=_longest_chain(remaining, dependents),
        costs=costs,
        untimed=untimed,
        alone_s={
            id: seconds
            for id, task in tasks.items()
            if task.makes_calls and (seconds := alone(task)) is not None
        },
        returned=_returned(dag, tasks, kept),
        cleanup=frozenset(
            [
                id
                for id, task in tasks.items()
                if task.task.trigger_rule == "always"
                or (task.inner is not None and task.inner.cleanup)
            ]
        ),
        notes=tuple(notes),
    )


def find_cycles(needs: Mapping[str, Iterable[str]], most: int = 10) -> list[list[str]]:
    """Find cycles, as paths: `[a, b, a]` where b needs a and a needs b; at most *most*, each
    once."""
    if _is_in_order(needs):
        return []
    graph = {id: set(before) for id, before in needs.items()}
    cycles: list[list[str]] = []
    while len(cycles) < most:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            cycle: list[str] = error.args[1]
            cycles.append(cycle)
            graph[cycle[1]].discard(cycle[0])
        else:
            break
    return cycles


def _costs(
    tasks: Mapping[str, PlannedTask], cost: Cost
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return the expected duration of one call of each task, and the tools that were never
    timed."""
    costs: dict[str, float] = {}
    known: list[float] = []
    untimed: list[str] = []
    for id, task in tasks.items():
        seconds = cost(task) if task.makes_calls else _cost_of(task.inner)
        if seconds is None:
            costs[id] = UNKNOWN_S
            untimed.append(id)
            continue
        costs[id] = seconds
        if task.makes_calls:
            known.append(seconds)
    if known:
        usual = median(known)
        costs |= dict.fromkeys(untimed, usual)
    return costs, tuple(dict.fromkeys([tasks[id].tool.full_name for id in untimed]))


def _cost_of(inner: Plan | None) -> float:
    """Return the expected duration of one passage through a group, in seconds; 0 for no group."""
    return 0.0 if inner is None else max(inner.remaining.values(), default=0.0)


def _is_in_order(needs: Mapping[str, Iterable[str]]) -> bool:
    """Return whether each task stands after all that it needs, as in most documents: then there is
    no cycle."""
    seen: set[str] = set()
    for id, before in needs.items():
        if not seen.issuperset(before):
            return False
        seen.add(id)
    return True


def in_order(needs: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The tasks in their order, but each behind all that it needs. There is no cycle among them."""
    if _is_in_order(needs):
        return tuple(needs)
    dependents: dict[str, list[str]] = {id: [] for id in needs}
    for id, before in needs.items():
        for need in before:
            dependents[need].append(id)
    places = {id: place for place, id in enumerate(needs)}
    waiting = {id: len(before) for id, before in needs.items()}
    free = [(places[id], id) for id, count in waiting.items() if not count]
    order = []
    while free:
        _, id = heapq.heappop(free)
        order.append(id)
        for dependent in dependents[id]:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                heapq.heappush(free, (places[dependent], dependent))
    return tuple(order)


def _longest_chain(
    remaining: Mapping[str, float], dependents: Mapping[str, list[str]]
) -> tuple[str, ...]:
    chain: list[str] = []
    step = max(remaining, key=remaining.__getitem__, default=None)
    while step is not None:
        chain.append(step)
        step = max(dependents[step], key=remaining.__getitem__, default=None)
    return tuple(chain)


def _returned(dag: Dag, tasks: Mapping[str, PlannedTask], kept: Collection[str]) -> tuple[str, ...]:
    if dag.return_ is not None:
        return tuple(tasks) if "*" in dag.return_ else tuple(dict.fromkeys(dag.return_))
    ids = [id for id in tasks if id not in kept] or [*tasks]
    drawn_on: set[str] = set()
    for id in ids:
        drawn_on.update(tasks[id].needs, tasks[id].reused_inputs)
    return tuple([id for id in ids if id not in drawn_on])
