"""Where the time of a run went: what each task waited for, and what would make the run faster."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from ..values.strict import JsonObject, present
from .record import RunRecord, TaskRecord

MAX_TOLD = 8
"""Waits that a result tells of, the longest first."""
WORTH_TELLING = 0.02
"""Of the run's time: a wait that is shorter is not told as a reason."""
NEAR_ITS_PATH = 0.9
"""The share of its time that a run spends on its critical path from which nothing but that path
matters."""


@dataclass(frozen=True, slots=True)
class Waited:
    """`why` is `dependency`, `layer`, `location`, `conflict`, `limit` or `server`; `on` the task,
    layer, file, limit or server it was."""

    why: str
    on: str
    ms: float
    resource: str | None = None

    def document(self) -> JsonObject:
        return present(why=self.why, on=self.on, ms=self.ms, resource=self.resource)


def waits_of(record: RunRecord, id: str) -> tuple[Waited, ...]:
    """What kept task *id* from starting with its run, in the order of time."""
    task = record.tasks[id]
    if task.due_s is None:
        return ()
    waits = []
    if (last := _last_need(record, task)) is not None:
        waits.append(Waited("dependency", last, milliseconds(task.due_s)))
    waits += [
        Waited(wait.why, wait.on, milliseconds(wait.seconds), wait.resource) for wait in task.waits
    ]
    if (held := _held_by_layers(record, task)) > 0:
        waits.append(Waited("layer", "the layer before", milliseconds(held)))
    return tuple(wait for wait in waits if wait.ms > 0)


def queue_ms(task: TaskRecord) -> float | None:
    """How long *task* was kept back after its last dependency had settled; None if it was never
    sent."""
    if task.start_s is None or task.due_s is None:
        return None
    return milliseconds(task.start_s - task.due_s)


def longest_waits(record: RunRecord) -> tuple[Waited, ...]:
    """What the tasks of the run waited for, added up, without dependencies: the longest first."""
    total = {(wait.why, wait.on): wait.seconds for wait in record.waited}
    if record.dag.schedule == "layers":
        total["layer", "schedule"] = sum(
            _held_by_layers(record, task) for task in record.tasks.values()
        )
    longest = heapq.nlargest(MAX_TOLD, total.items(), key=lambda item: item[1])
    return tuple(
        Waited(why, on, milliseconds(seconds)) for (why, on), seconds in longest if seconds > 0
    )


def what_would_help(
    record: RunRecord, path: tuple[str, ...], path_ms: float, took_ms: float
) -> Iterator[str]:
    """What would make the run faster, in sentences, the most telling first."""
    if took_ms <= 0 or not path:
        return
    if path_ms >= NEAR_ITS_PATH * took_ms:
        slowest = max(path, key=lambda id: record.tasks[id].busy_s)
        share = milliseconds(record.tasks[slowest].busy_s)
        yield (
            f"The chain {_chain(path)} took {path_ms:g} of {took_ms:g} ms: only shorter calls or "
            "fewer links in it "
            f"help; {slowest} alone took {share:g} ms."
        )
    for wait in longest_waits(record):
        if wait.ms >= WORTH_TELLING * took_ms:
            yield f"{_mend(wait)} ({wait.ms:g} ms of waiting in all)."


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _mend(wait: Waited) -> str:
    kind, _, name = wait.on.partition(" ")
    match wait.why, kind:
        case "conflict", _:
            return (
                f"Calls waited for {wait.on}, because they touch the same resource: let them "
                "touch different ones"
            )
        case "server", _:
            return (
                f"Calls waited for {wait.on} to be there: it had just been started, or "
                "connected to again"
            )
        case "layer", _:
            return (
                'Tasks waited for the layer before theirs: schedule "eager" starts each as '
                "soon as it can"
            )
        case "limit", "gateway":
            return "Calls waited for a slot of the gateway: raise max_concurrency in [gateway]"
        case "limit", "run":
            return "Calls waited for a slot of their run: raise max_concurrency of the DAG"
        case "limit", "rate":
            return (
                f"Calls waited for the rate of {name.removeprefix('of ')}: raise its "
                "rate_limit, or make fewer calls"
            )
    return f"Calls waited for a slot of {wait.on}: raise its max_concurrency, or make fewer calls"


def _last_need(record: RunRecord, task: TaskRecord) -> str | None:
    """The dependency that settled last; those taken over from an earlier run settled before all."""
    ends = {need: record.tasks[need].end_s for need in task.needs}
    return max(ends, key=lambda need: -1.0 if (end := ends[need]) is None else end, default=None)


def _held_by_layers(record: RunRecord, task: TaskRecord) -> float:
    """The seconds in which a task waited for nothing but the layer before its own."""
    if record.dag.schedule != "layers" or task.start_s is None or task.due_s is None:
        return 0.0
    return max(0.0, task.start_s - task.due_s - sum(wait.seconds for wait in task.waits))


def _chain(path: tuple[str, ...], most: int = 6) -> str:
    if len(path) <= most:
        return " -> ".join(path)
    return f"{' -> '.join(path[: most - 1])} -> … -> {path[-1]}"
