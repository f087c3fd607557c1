"""What came of a run, as clients read it: the outputs asked for, every error, and how the time was spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ...errors import CallError
from ..scheduling.events import Status
from ..scheduling.run import Run
from ..scheduling.state import TaskState
from ..values.strict import Json, JsonObject, present
from .explain import Waited, longest_waits, milliseconds, queue_ms, waits_of, what_would_help


class RunStatus(StrEnum):
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    RUNNING = "running"

    @property
    def is_error(self) -> bool:
        """Whether an answer with this status is an error to the client."""
        return self in {RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMEOUT}


@dataclass(frozen=True, slots=True)
class TaskError:
    """Why a task did not succeed. `index` is the item's, for one item of a `for_each` task."""

    id: str
    code: str
    message: str
    hint: str | None = None
    retryable: bool | None = None
    caused_by: str | None = None
    rpc_code: int | None = None
    index: int | None = None

    def document(self) -> JsonObject:
        return present(
            id=self.id,
            index=self.index,
            code=self.code,
            message=self.message,
            hint=self.hint,
            retryable=self.retryable,
            caused_by=self.caused_by,
            rpc_code=self.rpc_code,
        )


class TaskResult(NamedTuple):
    """How one task went. Times are in milliseconds; `start_ms` counts from the start of the run."""

    id: str
    tool: str
    status: str
    layer: int
    start_ms: float | None
    duration_ms: float | None
    attempts: int
    cached: bool = False
    queue_ms: float | None = None
    """How long it was kept back once its dependencies had settled."""
    waits: tuple[Waited, ...] = ()
    """What it waited for, in the order of time."""

    def document(self, detail: str = "concise") -> JsonObject:
        told = present(
            id=self.id,
            tool=self.tool,
            status=self.status,
            layer=self.layer,
            start_ms=self.start_ms,
            duration_ms=self.duration_ms,
            attempts=self.attempts,
            cached=self.cached,
        )
        if detail != "full":
            return told
        waits: list[Json] = [wait.document() for wait in self.waits]
        return {**told, **present(queue_ms=self.queue_ms, waited_for=waits or None)}


@dataclass(frozen=True, slots=True)
class Metrics:
    """How the time of a run was spent, in milliseconds."""

    execution_time_ms: float
    sequential_time_ms: float
    """What the calls would have taken one after the other."""
    speedup: float
    critical_path: tuple[str, ...]
    """The longest chain of calls that ran, each waiting for the one before."""
    critical_path_ms: float
    overhead_ms: float
    max_parallelism: int
    average_parallelism: float
    counts: Mapping[str, int]
    efficiency: float = 1.0
    """The critical path over the time that the run took: 1 is as fast as its calls allow."""
    waits: tuple[Waited, ...] = ()
    """What its tasks waited for beside their dependencies, added up, the longest first."""
    faster: tuple[str, ...] = ()
    """What would make it faster, in sentences."""

    def document(self, detail: str = "concise") -> JsonObject:
        told: JsonObject = {
            "execution_time_ms": self.execution_time_ms,
            "sequential_time_ms": self.sequential_time_ms,
            "speedup": self.speedup,
            "critical_path": list[Json](self.critical_path),
            "critical_path_ms": self.critical_path_ms,
            "overhead_ms": self.overhead_ms,
            "max_parallelism": self.max_parallelism,
            "average_parallelism": self.average_parallelism,
            "counts": dict(self.counts),
        }
        if detail != "full":
            return told
        waits: list[Json] = [wait.document() for wait in self.waits]
        return {**told, "efficiency": self.efficiency, "waits": waits, "faster": list[Json](self.faster)}


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run as it stands, or as it ended. `outputs` and `attachments` hold the tasks in `return`."""

    status: RunStatus
    run_id: str
    name: str | None
    errors: tuple[TaskError, ...]
    outputs: Mapping[str, Json]
    attachments: Mapping[str, list[JsonObject]]
    """Content blocks that are no text (images, audio), by task."""
    notes: tuple[str, ...]
    tasks: tuple[TaskResult, ...]
    """In document order."""
    layers: tuple[tuple[str, ...], ...]
    metrics: Metrics

    def document(self, detail: str = "concise") -> JsonObject:
        """The result as clients get it, key order kept, nothing cut (`docs/dag.md`, "The result")."""
        is_brief = detail == "concise" and all(task.status == Status.SUCCESS for task in self.tasks)
        document: JsonObject = {"status": str(self.status), "run_id": self.run_id}
        if self.name:
            document["name"] = self.name
        document["errors"] = [error.document() for error in self.errors]
        document["outputs"] = dict(self.outputs)
        document["truncated"] = []
        document["notes"] = list(self.notes)
        metrics = self.metrics.document(detail)
        if is_brief:
            brief = {name: metrics[name] for name in ("execution_time_ms", "sequential_time_ms", "speedup")}
            return {**document, "metrics": {**brief, "layers": len(self.layers)}}
        document["tasks"] = [task.document(detail) for task in self.tasks]
        document["layers"] = [list(layer) for layer in self.layers]
        return {**document, "metrics": metrics}


def result_of(run: Run, now: float) -> RunResult:
    """The state of *run* at *now*, which is its result once it is done."""
    returned = [id for id in run.plan.returned if _is_shown(run.states[id])]
    outputs = {id: output for id in returned if (output := run.states[id].output) is not None}
    return RunResult(
        status=RunStatus(run.status),
        run_id=run.id,
        name=run.plan.dag.name,
        errors=tuple(error for id, state in run.states.items() for error in _errors(id, state)),
        outputs={id: output.value for id, output in outputs.items()},
        attachments={id: list(output.attachments) for id, output in outputs.items() if output.attachments},
        notes=run.plan.notes,
        tasks=tuple(_task(run, id, state, now) for id, state in run.states.items()),
        layers=run.plan.layers,
        metrics=_metrics(run, now),
    )


def _is_shown(state: TaskState) -> bool:
    return state.status is Status.SUCCESS or (state.items is not None and state.status.is_final)


def _errors(id: str, state: TaskState) -> Iterator[TaskError]:
    if state.status is Status.SUCCESS or not state.status.is_final:
        return
    if state.items is not None:
        yield from (_call_error(id, error, index) for index, error in state.items.errors)
    if state.error is not None:
        yield _call_error(id, state.error, None)
    elif state.message is not None:
        yield TaskError(id, state.code or "internal", state.message, caused_by=state.caused_by)


def _call_error(id: str, error: CallError, index: int | None) -> TaskError:
    return TaskError(
        id, error.code, error.message, error.hint, error.retryable, rpc_code=error.rpc_code, index=index
    )  # fmt: skip


def _task(run: Run, id: str, state: TaskState, now: float) -> TaskResult:
    started = state.started_at
    is_full = run.plan.dag.detail == "full"
    return TaskResult(
        id=id,
        tool=state.tool,
        status=state.status.value,
        layer=run.plan.layer_of[id],
        start_ms=None if started is None else milliseconds(started - run.started_at),
        duration_ms=None if started is None else milliseconds((state.ended_at or now) - started),
        attempts=state.attempts,
        cached=state.cached,
        queue_ms=queue_ms(run, id) if is_full else None,
        waits=waits_of(run, id) if is_full else (),
    )


def _metrics(run: Run, now: float) -> Metrics:
    spans = {
        id: (state.started_at, now if state.ended_at is None else state.ended_at)
        for id, state in run.states.items()
        if state.started_at is not None
    }
    execution = (now if run.ended_at is None else run.ended_at) - run.started_at
    sequential = sum(state.busy_s for state in run.states.values())
    path, path_s = _critical_path(run, {id: end - start for id, (start, end) in spans.items()})
    took_ms, path_ms = milliseconds(execution), milliseconds(path_s)
    return Metrics(
        execution_time_ms=took_ms,
        sequential_time_ms=milliseconds(sequential),
        speedup=round(sequential / execution, 2) if execution > 0 else 1.0,
        critical_path=path,
        critical_path_ms=path_ms,
        overhead_ms=milliseconds(max(0.0, execution - path_s)),
        max_parallelism=run.most_in_flight,
        average_parallelism=round(sequential / execution, 2) if execution > 0 else 0.0,
        counts=dict(Counter(str(state.status) for state in run.states.values())),
        efficiency=round(min(1.0, path_s / execution), 3) if execution > 0 else 1.0,
        waits=longest_waits(run),
        faster=tuple(what_would_help(run, path, path_ms, took_ms)),
    )


def _critical_path(run: Run, durations: Mapping[str, float]) -> tuple[tuple[str, ...], float]:
    """The chain whose calls took longest, each task of it waiting for the one before: for its output, or because both
    touch the same; and how long its calls took, in seconds."""
    total: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for id in run.plan.order:
        needs = run.plan.tasks[id].needs
        if waits := run.states[id].waits:
            needs = (*needs, *[wait.on for wait in waits if wait.why == "conflict" and wait.on in total])
        last = max(needs, key=total.__getitem__, default=None)
        before[id] = last
        total[id] = durations.get(id, 0.0) + (total[last] if last is not None else 0.0)
    step = max(total, key=lambda id: (total[id], run.plan.layer_of[id]), default=None)
    length = total[step] if step is not None else 0.0
    chain: list[str] = []
    while step is not None:
        if step in durations:
            chain.append(step)
        step = before[step]
    return tuple(reversed(chain)), length
