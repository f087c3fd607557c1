"""The result of a run as clients read it: the requested outputs, every error, and how the time was
spent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

from ..planning.plan import GROUP, in_order
from ..scheduling.events import Failure, Status
from ..scheduling.tally import LETTERS
from ..tools.output import Output
from ..values.strict import Json, JsonObject, present
from .explain import (
    Waited,
    longest_waits,
    milliseconds,
    queue_ms,
    server_wait_s,
    startup_of,
    waits_of,
    what_would_help,
)
from .record import InnerRecord, RunRecord, RunStatus, TaskRecord

MAX_PASSAGES = 1_000
"""Most tasks in groups that a result lists, one for each item."""
LEAST_S = 0.005
"""Seconds that a run must take for its speedup to mean anything."""
LEAST_SPEEDUP = 1.1
"""Below it, a speedup is noise."""
MOST_STARTING = 0.25
"""Share of the run's time that may be the start of a further server; above it, a speedup would say
more about that than about calls."""


@dataclass(frozen=True, slots=True)
class TaskError:
    """The reason why a task did not succeed. `index` is the item's, for one item of a `for_each`
    task."""

    id: str
    code: str
    message: str
    hint: str | None = None
    retryable: bool | None = None
    caused_by: str | None = None
    rpc_code: int | None = None
    index: int | None = None
    retry_after_s: float | None = None

    def document(self) -> JsonObject:
        return present(
            id=self.id,
            index=self.index,
            code=self.code,
            message=self.message,
            hint=self.hint,
            retryable=self.retryable,
            retry_after_s=self.retry_after_s,
            caused_by=self.caused_by,
            rpc_code=self.rpc_code,
        )


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The result of one task. Times are in milliseconds; `start_ms` counts from the moment at which
    the first call of the run could be sent."""

    id: str
    tool: str
    status: str
    layer: int
    start_ms: float | None
    duration_ms: float | None
    attempts: int
    cached: bool = False
    queue_ms: float | None = None
    """The time between the settling of its dependencies and its start."""
    waits: tuple[Waited, ...] = ()
    """Its waits, in the order of time."""
    reason: str | None = None
    """Why a condition skipped it; None for any other end."""
    inner: tuple[InnerRecord, ...] = ()
    """The tasks of a group that run for items, of all items together."""

    def document(self, detail: str = "concise") -> JsonObject:
        members = present(
            id=self.id,
            tool=self.tool,
            status=self.status,
            layer=self.layer,
            start_ms=self.start_ms,
            duration_ms=self.duration_ms,
            attempts=self.attempts,
            cached=self.cached,
            reason=self.reason,
            inner=[_counted(inner) for inner in self.inner] or None,
        )
        if detail != "full":
            return members
        waits: list[Json] = [wait.document() for wait in self.waits]
        return {**members, **present(queue_ms=self.queue_ms, waited_for=waits or None)}


class InnerResult(NamedTuple):
    """The end of one task in a group, for one item of each group around it that has items."""

    id: str
    """Its place (`close[3].comment`)."""
    tool: str
    status: str

    def document(self) -> JsonObject:
        return {"id": self.id, "tool": self.tool, "status": self.status}


@dataclass(frozen=True, slots=True)
class Metrics:
    """The use of the run's time, in milliseconds."""

    execution_time_ms: float
    """Counted from the moment at which the first call could be sent."""
    sequential_time_ms: float
    """The expected duration of the calls one after the other."""
    speedup: float | None
    """The latter divided by the former; None where that would be noise."""
    critical_path: tuple[str, ...]
    """The longest chain of calls that ran, each waiting for the one before."""
    critical_path_ms: float
    overhead_ms: float
    max_parallelism: int
    average_parallelism: float
    counts: Mapping[str, int]
    efficiency: float = 1.0
    """The critical path divided by the duration of the run: 1 is as fast as its calls allow."""
    waits: tuple[Waited, ...] = ()
    """The waits of its tasks, except for dependencies, added up by reason, the longest first."""
    faster: tuple[str, ...] = ()
    """Ways to make it faster, in sentences."""
    startup_ms: float = 0.0
    """The time before, in which servers were starting."""
    started: tuple[str, ...] = ()
    """These servers."""
    unproven: tuple[str, ...] = ()
    """Tools whose calls ran at once with others and were never timed alone: how much they slowed
    each other down is unknown, and with it how much time was saved."""

    @property
    def is_faster(self) -> bool:
        """Whether the run took less time than its calls one after the other, beyond noise."""
        return self.speedup is not None and self.speedup >= LEAST_SPEEDUP

    def document(self, detail: str = "concise") -> JsonObject:
        members: JsonObject = {
            "execution_time_ms": self.execution_time_ms,
            "sequential_time_ms": self.sequential_time_ms,
            **present(speedup=self.speedup, startup_ms=self.startup_ms or None),
            "critical_path": list[Json](self.critical_path),
            "critical_path_ms": self.critical_path_ms,
            "overhead_ms": self.overhead_ms,
            "max_parallelism": self.max_parallelism,
            "average_parallelism": self.average_parallelism,
            "counts": dict(self.counts),
        }
        if detail != "full":
            return members
        waits: list[Json] = [wait.document() for wait in self.waits]
        return {
            **members,
            "efficiency": self.efficiency,
            "waits": waits,
            "faster": list[Json](self.faster),
            **present(unproven=list[Json](self.unproven) or None),
        }


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run so far, or at its end. `outputs` and `attachments` hold the tasks in `return`."""

    record: RunRecord
    errors: tuple[TaskError, ...]
    outputs: Mapping[str, Json]
    attachments: Mapping[str, list[JsonObject]]
    """Content blocks that are not text (images, audio), by task."""
    notes: tuple[str, ...]
    metrics: Metrics

    @property
    def status(self) -> RunStatus:
        return self.record.status

    @property
    def run_id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str | None:
        return self.record.dag.name

    @property
    def layers(self) -> tuple[tuple[str, ...], ...]:
        return self.record.layers

    @property
    def tasks(self) -> tuple[TaskResult, ...]:
        """List all tasks, in document order."""
        zero_s, _ = startup_of(self.record)
        return tuple([_task(self.record, task, zero_s) for task in self.record.tasks.values()])

    @property
    def _is_all_well(self) -> bool:
        """Whether every task succeeded, with all its items and the tasks in it."""
        return all(
            task.status is Status.SUCCESS and not task.has_failed_items
            for task in self.record.tasks.values()
        ) and not any(inner.errors for inner in self.record.inner)

    def document(self, detail: str = "concise") -> JsonObject:
        """Return the result as clients get it, key order kept, nothing cut (`docs/dag.md`, "The
        result"). Every answer holds the members that are set before the first return."""
        document: JsonObject = {"status": str(self.status), "run_id": self.run_id}
        if self.name:
            document["name"] = self.name
        document["errors"] = [error.document() for error in self.errors]
        document["outputs"] = dict(self.outputs)
        document["truncated"] = []
        document["notes"] = list(self.notes)
        if self.record.approval is not None:
            document["approval"] = _without_differences(self.record.approval)
        if self.record.history_lost:
            document["history_lost"] = True
        if detail == "concise" and not self.record.is_done:
            return {**document, "metrics": {"counts": dict(self.metrics.counts)}}
        metrics = self.metrics.document(detail)
        if detail == "concise" and self._is_all_well:
            brief: JsonObject = {
                name: metrics[name]
                for name in ("execution_time_ms", "sequential_time_ms", "speedup", "startup_ms")
                if name in metrics
            }
            return {**document, "metrics": {**brief, "layers": len(self.layers)}}
        inner, omitted = inner_results(self.record)
        tasks: list[Json] = []
        for task in self.tasks:
            tasks.append(task.document(detail))
            tasks += [passage.document() for passage in inner.get(task.id, ())]
        if omitted:
            document["omitted"] = {"tasks": omitted}
        document["tasks"] = tasks
        document["layers"] = [list(layer) for layer in self.layers]
        return {**document, "metrics": metrics}


def result_of(record: RunRecord, output: Callable[[str], Output | None]) -> RunResult:
    """Make the result of the run of *record*, so far or at its end. *output* gives the output of a
    task."""
    shown = [id for id in record.returned if record.tasks[id].has_result]
    outputs = {id: found for id in shown if (found := output(id)) is not None}
    return RunResult(
        record=record,
        errors=tuple(_errors(record)),
        outputs={id: output.value for id, output in outputs.items()},
        attachments={
            id: list(output.attachments) for id, output in outputs.items() if output.attachments
        },
        notes=record.notes,
        metrics=metrics_of(record),
    )


def inner_results(
    record: RunRecord, most: int = MAX_PASSAGES
) -> tuple[dict[str, list[InnerResult]], int]:
    """List the tasks in groups by the outermost group, item by item: at most *most*, and rather
    those that failed. Also return how many are left out."""
    failed, others = "ft", "".join(LETTERS.values()).translate(str.maketrans("", "", "ft-"))
    found: list[tuple[str, tuple[int, ...], int, InnerRecord, Status]] = []
    for letters in (failed, others):
        passed = [
            (inner.groups[0], at, order, inner, status)
            for order, inner in enumerate(record.inner)
            for at, status in islice(inner.passed(letters), most - len(found))
        ]
        passed.sort(key=itemgetter(1, 2))
        found += passed[: most - len(found)]
    found.sort(key=itemgetter(1, 2))
    listed: defaultdict[str, list[InnerResult]] = defaultdict(list)
    for group, at, _, inner, status in found:
        listed[group].append(InnerResult(inner.place.format(*at), inner.tool, str(status)))
    return listed, sum(inner.count for inner in record.inner) - len(found)


def _errors(record: RunRecord) -> Iterator[TaskError]:
    """List the errors of all tasks: those in a group before those of the group."""
    for task in record.tasks.values():
        inner: list[TaskError] = []
        if record.inner:
            inner = [
                _error(place, error)
                for one in record.inner
                if one.groups[0] == task.id
                for place, error in one.errors
            ]
            yield from inner
        if not task.is_well or task.has_failed_items:
            yield from errors_of(task, without_inner=bool(inner))


def errors_of(task: TaskRecord, *, without_inner: bool = False) -> Iterator[TaskError]:
    """List the errors of *task*: of each item that failed, or its own; with *without_inner* only
    those that are not of a task in it."""
    if not task.status.is_final:
        return
    if task.items is not None:
        yield from (
            _error(task.id, error, index)
            for index, error in task.items.errors
            if not (without_inner and error.caused_by is not None)
        )
        if task.status in {Status.FAILED, Status.SUCCESS}:  # by them, or in spite of them
            return
    is_of_inner = without_inner and task.status is Status.FAILED
    if task.error is not None and not (is_of_inner and task.error.caused_by is not None):
        yield _error(task.id, task.error)


def _error(id: str, error: Failure, index: int | None = None) -> TaskError:
    return TaskError(
        id, error.code, error.message, error.hint, error.retryable, error.caused_by, error.rpc_code,
        index, error.retry_after_s,
    )  # fmt: skip


def _task(record: RunRecord, task: TaskRecord, zero_s: float) -> TaskResult:
    started, is_full = task.start_s, record.dag.detail == "full"
    ended = record.elapsed_s if task.end_s is None else task.end_s
    return TaskResult(
        task.id,
        task.tool,
        task.status.value,
        task.layer,
        None if started is None else milliseconds(max(0.0, started - zero_s)),
        None if started is None else milliseconds(ended - started),
        task.attempts,
        task.cached,
        queue_ms(task) if is_full else None,
        waits_of(record, task.id, zero_s) if is_full else (),
        task.error.message if task.error is not None and task.is_well else None,
        tuple([one for one in record.inner if one.groups[0] == task.id and "{}" in one.place]),
    )


def _counted(inner: InnerRecord) -> JsonObject:
    counts: JsonObject = {status.value: count for status, count in inner.statuses.items()}
    members: JsonObject = {"id": inner.id, "tool": inner.tool, "counts": counts}
    return {**members, "attempts": inner.attempts} if inner.attempts else members


def metrics_of(record: RunRecord) -> Metrics:
    """Compute how the time of the run was spent."""
    startup_s, started = startup_of(record)
    elapsed_s, tasks = record.elapsed_s, record.tasks.values()
    execution = elapsed_s - startup_s
    durations = {
        task.id: (elapsed_s if task.end_s is None else task.end_s) - task.start_s
        for task in tasks
        if task.start_s is not None
    }
    busy_s = sum([task.busy_s for task in tasks])
    path, path_s = _critical_path(record, durations)
    calling: list[TaskRecord | InnerRecord] = [*record.inner]
    calling += [task for task in tasks if task.tool != GROUP.full_name]
    sequential_s = max(sum(_alone_s(one, record.most_in_flight) for one in calling), path_s)
    took_ms, path_ms = milliseconds(execution), milliseconds(path_s)
    waits_s = [server_wait_s(task) for task in tasks if task.waits]
    starting_s = max(waits_s, default=0.0) - startup_s
    is_telling = (
        execution >= LEAST_S
        and min(starting_s, execution - path_s) <= MOST_STARTING * execution
        and sum(task.attempts for task in tasks) > 1
    )
    return Metrics(
        execution_time_ms=took_ms,
        sequential_time_ms=milliseconds(sequential_s),
        speedup=round(sequential_s / execution, 2) if is_telling else None,
        critical_path=path,
        critical_path_ms=path_ms,
        overhead_ms=milliseconds(max(0.0, execution - path_s)),
        max_parallelism=record.most_in_flight,
        average_parallelism=round(busy_s / execution, 2) if execution > 0 else 0.0,
        counts=record.counts,
        efficiency=round(min(1.0, path_s / execution), 3) if execution > 0 else 1.0,
        waits=longest_waits(record),
        faster=tuple(what_would_help(record, path, path_ms, took_ms)),
        startup_ms=milliseconds(startup_s),
        started=started,
        unproven=tuple(
            sorted({one.tool for one in calling if one.busy_s and one.alone_s is None})
            if record.most_in_flight > 1
            else ()
        ),
    )


def _alone_s(task: TaskRecord | InnerRecord, most_in_flight: int) -> float:
    """Return how long the calls of *task* would take alone, as far as that is known: at most as
    long as they took, and where calls at once slowed each other down, what their tool takes alone,
    but at least their share of the time."""
    if task.alone_s is None:
        return task.busy_s
    return max(min(task.busy_s, task.alone_s * task.attempts), task.busy_s / max(1, most_in_flight))


def _critical_path(
    record: RunRecord, durations: Mapping[str, float]
) -> tuple[tuple[str, ...], float]:
    """Find the chain of tasks with the longest calls, each waiting for the one before, for its
    output or for a resource that both use; and the seconds of its calls."""
    total: dict[str, float] = {}
    before: dict[str, str | None] = {}
    tasks = record.tasks
    for id in in_order({id: task.needs for id, task in tasks.items()}):
        needs, waits = tasks[id].needs, tasks[id].waits
        if waits:
            needs += tuple(
                [wait.on for wait in waits if wait.why == "conflict" and wait.on in total]
            )
        last = max(needs, key=total.__getitem__) if needs else None
        before[id] = last
        total[id] = durations.get(id, 0.0) + (0.0 if last is None else total[last])
    length = max(total.values(), default=0.0)
    ends = [id for id, seconds in total.items() if seconds == length]
    step = max(ends, key=lambda id: tasks[id].layer, default=None)
    chain: list[str] = []
    while step is not None:
        if step in durations:
            chain.append(step)
        step = before[step]
    return tuple(reversed(chain)), length


def _without_differences(approval: dict[str, Any]) -> JsonObject:
    """Return a question without what a person alone is shown: its client has not read what calls
    would overwrite."""
    calls = [
        {name: value for name, value in call.items() if name != "difference"}
        for call in approval["calls"]
    ]
    return {**approval, "calls": calls}
