"""A DAG as a graph to draw, before a run and after it.

The tasks of a document are one level, those of each group another one. All edges are within a
level: what a task in a group reads from outside of it, the group waits for. Whether an edge carries
data is read from the document, so that plans and records of runs give the same graph.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from ..expressions.evaluation import condition, expression
from ..expressions.problems import InvalidExpression
from ..language.dag import Task
from ..language.templates import compile_value
from ..planning.plan import Plan, PlannedTask, in_order
from ..scheduling.conflicts import Conflicts
from ..scheduling.events import Failure, Status
from ..values.wording import counted, milliseconds
from .record import InnerRecord, RunRecord, TaskRecord

LONGEST_RESOURCE = 60
_FAILED = (Status.FAILED, Status.TIMEOUT)
_UNDER_WAY = (Status.READY, Status.WAITING, Status.RUNNING, Status.BACKING_OFF)


class EdgeKind(StrEnum):
    """The reason why a task waits for another."""

    DATA = "data"
    """It reads its output."""
    WHEN = "when"
    """Its condition does, and nothing else of it."""
    ORDER = "order"
    """It names it in `depends_on` alone."""
    CONFLICT = "conflict"
    """Both use a resource, which is the label of the edge."""


class Edge(NamedTuple):
    """`target` waits for `source`; both are places in their level."""

    source: int
    target: int
    kind: EdgeKind
    label: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a task in a run, or how it stands."""

    status: Status
    duration_ms: float | None = None
    attempts: int = 0
    failed: int = 0
    """Items, or passages of a task in a group, that failed."""
    code: str | None = None
    """The code of its error."""


@dataclass(frozen=True, slots=True)
class Node:
    """A task. A group has a level `inner`."""

    id: str
    """Its own id, without those of groups around it."""
    tool: str
    """The full name of its tool, `value`, or `group`."""
    layer: int
    """Its layer in its level, from 0."""
    has_items: bool = False
    items: int | None = None
    """The number of its items, or of its passages in a group that ran; None if unknown."""
    has_condition: bool = False
    is_critical: bool = False
    """Whether it is on the critical path."""
    outcome: Outcome | None = None
    inner: Level | None = None

    @property
    def times(self) -> str:
        """The number of times that it runs, in words: `for each of 3 items`; empty for once."""
        if self.items is None:
            return "for each item" if self.has_items else ""
        return f"for each of {counted(self.items, 'item')}"

    @property
    def end(self) -> str:
        """Its status in its run and what belongs to it: `failed, tool_error, 1.20 s`; empty
        without one."""
        end = self.outcome
        if end is None:
            return ""
        words = [str(end.status).replace("_", " ")]
        if end.failed and self.items is not None:
            words.append(f"{end.failed:,} of {self.items:,} failed")
        if end.code is not None and end.code != end.status:
            words.append(end.code)
        if self.inner is None and end.attempts > max(1, self.items or 1):
            words.append(f"{end.attempts:,} attempts")
        if end.duration_ms is not None:
            words.append(milliseconds(end.duration_ms))
        return ", ".join(words)

    @property
    def rows(self) -> tuple[str, ...]:
        """The texts in its box, one a row: its id, its tool, its times, its end."""
        condition = "on a condition" if self.has_condition else ""
        tool = self.tool if self.inner is None else ""
        return tuple(filter(None, (self.id, tool, self.times, condition, self.end)))


@dataclass(frozen=True, slots=True)
class Level:
    """The tasks of a document or of a group, in document order."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def all_nodes(self) -> Iterator[Node]:
        """Yield every task, each group before those in it."""
        for node in self.nodes:
            yield node
            if node.inner is not None:
                yield from node.inner.all_nodes()

    @property
    def edge_count(self) -> int:
        """The number of its edges, with those in groups."""
        return len(self.edges) + sum(
            node.inner.edge_count for node in self.nodes if node.inner is not None
        )

    @property
    def layers(self) -> list[list[int]]:
        """The places of its tasks, by layer."""
        layers: list[list[int]] = [
            [] for _ in range(1 + max((node.layer for node in self.nodes), default=-1))
        ]
        for place, node in enumerate(self.nodes):
            layers[node.layer].append(place)
        return layers


@dataclass(frozen=True, slots=True)
class Graph:
    """A DAG, or a run of it, to draw."""

    level: Level
    name: str = ""
    run_id: str | None = None
    status: str | None = None
    """The status of the run."""


class _Facts(NamedTuple):
    """The facts about one task that its document does not hold."""

    tool: str
    needs: tuple[str, ...] | None = None
    """The whole ids of the tasks that it waits for; None if the document is to say."""
    items: int | None = None
    outcome: Outcome | None = None


def graph_of_plan(plan: Plan, conflicts: Conflicts, critical_path: Collection[str] = ()) -> Graph:
    """Return the graph of *plan*."""
    facts = {task.id: _planned(task) for task in plan.all_tasks()}
    found = [(one.waits_for, one.id, one.resource) for one in conflicts.found]
    tasks = [task.task for task in plan.tasks.values()]
    return Graph(_level(tasks, facts, found, {*critical_path}), plan.dag.name or "")


def graph_of_record(
    record: RunRecord, critical_path: Collection[str], redact: Callable[[str], str] = str
) -> Graph:
    """Return the graph of a run, with the conflicts that it waited for. *redact* takes secrets out
    of a text."""
    facts = {id: _recorded(task) for id, task in record.tasks.items()}
    facts |= {task.id: _inner(task) for task in record.inner}
    found = [
        (wait.on, id, redact(wait.resource or ""))
        for id, task in record.tasks.items()
        for wait in task.waits
        if wait.why == "conflict" and wait.on in record.tasks
    ]
    level = _level(record.dag.tasks, facts, found, {*critical_path})
    return Graph(level, redact(record.dag.name or ""), record.id, str(record.status))


def _planned(task: PlannedTask) -> _Facts:
    items = None
    if task.items is not None and task.items.fill is None:
        value = task.items.value
        items = len(value) if isinstance(value, list | dict) else None
    return _Facts(task.tool.full_name, task.needs, items)


def _recorded(task: TaskRecord) -> _Facts:
    start, end = task.start_s, task.end_s
    outcome = Outcome(
        task.status,
        None if start is None or end is None else (end - start) * 1_000,
        task.attempts,
        0 if task.items is None else sum(one in _FAILED for one in task.items.statuses),
        _code(task.error),
    )
    items = None if task.items is None else len(task.items.statuses)
    return _Facts(task.tool, task.needs, items, outcome)


def _inner(task: InnerRecord) -> _Facts:
    failed = sum(task.statuses.get(status, 0) for status in _FAILED)
    code = _code(task.errors[0][1]) if task.errors else None
    outcome = Outcome(_status(task.statuses), None, task.attempts, failed, code)
    return _Facts(task.tool, None, task.count if "{}" in task.place else None, outcome)


def _code(error: Failure | None) -> str | None:
    return None if error is None else error.code


def _status(counts: Mapping[Status, int]) -> Status:
    """Return the one status that stands for those of all passages: the worst."""
    order = (*_FAILED, *_UNDER_WAY, Status.CANCELLED, Status.SUCCESS, Status.SKIPPED)
    return next((status for status in order if counts.get(status)), Status.PENDING)


def _level(
    tasks: Sequence[Task],
    facts: Mapping[str, _Facts],
    conflicts: Iterable[tuple[str, str, str]],
    critical: Collection[str],
    before: str = "",
) -> Level:
    """Return the level of *tasks*, whose whole ids begin with *before*."""
    places = {f"{before}{task.id}": place for place, task in enumerate(tasks)}
    edges: list[Edge] = []
    needs_of: dict[str, tuple[str, ...]] = {}
    for id, task in zip(places, tasks, strict=True):
        data, deciding = _read_by(task)
        needs = facts[id].needs if id in facts else None
        if needs is None:
            named = dict.fromkeys([*task.depends_on, *sorted(data | deciding)])
            needs = tuple([f"{before}{name}" for name in named])
        needs_of[id] = tuple([need for need in needs if need in places and need != id])
        for need in needs_of[id]:
            own = need.removeprefix(before)
            kind = EdgeKind.WHEN if own in deciding else EdgeKind.ORDER
            kind = EdgeKind.DATA if own in data else kind
            edges.append(Edge(places[need], places[id], kind))
    edges += [
        Edge(places[one], places[other], EdgeKind.CONFLICT, resource[:LONGEST_RESOURCE])
        for one, other, resource in conflicts
        if one in places and other in places and one not in needs_of[other]
    ]
    layers: dict[str, int] = {}
    for id in in_order(needs_of):
        layers[id] = 1 + max((layers[need] for need in needs_of[id]), default=-1)
    nodes = [
        _node(task, id, layers.get(id, 0), facts, critical)  # 0 in a cycle of an imported run
        for id, task in zip(places, tasks, strict=True)
    ]
    return Level(tuple(nodes), tuple(edges))


def _node(
    task: Task, id: str, layer: int, facts: Mapping[str, _Facts], critical: Collection[str]
) -> Node:
    known = facts.get(id) or _Facts(task.tool or ("value" if task.is_value else "group"))
    return Node(
        task.id,
        known.tool,
        layer,
        task.for_each is not None,
        known.items,
        task.when is not None,
        id in critical,
        known.outcome,
        None if task.tasks is None else _level(task.tasks, facts, (), critical, f"{id}."),
    )


def _read_by(task: Task) -> tuple[set[str], set[str]]:
    """Return the ids of the tasks that *task* and those in it read, and of those that its condition
    reads."""
    data = _named(task.value) | _named(task.for_each)
    if not task.literal:
        data |= _named(task.arguments)
    data |= _in_expression(task.select, expression)
    if (repeat := task.repeat) is not None:
        for text in (*repeat.set.values(), repeat.while_, repeat.until):
            data |= _in_expression(text, expression)
    own = set[str]()
    for inner in task.tasks or ():
        data |= set().union(*_read_by(inner))
        own.add(inner.id)
    return data - own, _in_expression(task.when, condition)


def _named(value: Any) -> set[str]:
    if value is None:
        return set()
    template, _ = compile_value(value, items=True)
    return {reference.task for reference in template.references}


def _in_expression(text: str | None, read: Callable[[str], Any]) -> set[str]:
    if text is None:
        return set()
    try:
        return {key.task for key in read(text).references if key.task is not None}
    except InvalidExpression:  # of an earlier version of the language
        return set()
