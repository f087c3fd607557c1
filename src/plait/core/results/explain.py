"""Explains the time of a run: the waits of each task, and ways to make the run faster."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from ..values.strict import JsonObject, present
from .record import RunRecord, TaskRecord

MAX_WAITS = 8
"""Most waits that a result names, the longest first."""
WORTH_TELLING = 0.02
"""A share of the run's time: shorter waits are not given as reasons."""
NEAR_ITS_PATH = 0.9
"""Share of the run's time on its critical path, from which only that path matters."""
OWN_LIMIT = "Calls waited for a slot of their run"
"""The beginning of the sentence on a run's own limit, for those who set it on purpose."""


@dataclass(frozen=True, slots=True)
class Waited:
    """`why` is `dependency`, `layer`, `location`, `conflict`, `limit` or `server`; `on` names the
    task, layer, file, limit or server."""

    why: str
    on: str
    ms: float
    resource: str | None = None

    def document(self) -> JsonObject:
        return present(why=self.why, on=self.on, ms=self.ms, resource=self.resource)


def waits_of(record: RunRecord, id: str, zero_s: float = 0.0) -> tuple[Waited, ...]:
    """List the waits of task *id* before its own start, in the order of time. *zero_s* is the start
    of the run's clock."""
    task = record.tasks[id]
    if task.due_s is None:
        return ()
    waits = []
    if (last := _last_need(record, task)) is not None:
        waits.append(Waited("dependency", last, milliseconds(max(0.0, task.due_s - zero_s))))
    waits += [
        Waited(wait.why, wait.on, milliseconds(wait.seconds), wait.resource) for wait in task.waits
    ]
    if (held := _held_by_layers(record, task)) > 0:
        waits.append(Waited("layer", "the layer before", milliseconds(held)))
    return tuple(wait for wait in waits if wait.ms > 0)


def startup_of(record: RunRecord) -> tuple[float, tuple[str, ...]]:
    """Return the seconds in which no call could be sent because servers were starting, and the
    servers that calls waited for. The clock of a run starts after them."""
    sent = [
        task
        for task in record.tasks.values()
        if task.start_s is not None
        and not (task.error is not None and task.error.code == "server_unavailable")
    ]
    first = min(sent, key=lambda task: task.start_s or 0.0, default=None)
    if first is None or not (seconds := server_wait_s(first)):
        return 0.0, ()
    return seconds, tuple(dict.fromkeys(wait.on for wait in record.waited if wait.why == "server"))


def server_wait_s(task: TaskRecord) -> float:
    """Return the seconds in which *task* only waited for its server to be connected."""
    return sum(wait.seconds for wait in task.waits if wait.why == "server")


def queue_ms(task: TaskRecord) -> float | None:
    """Return the milliseconds between the settling of the last dependency of *task* and its start;
    None if it was never sent."""
    if task.start_s is None or task.due_s is None:
        return None
    return milliseconds(task.start_s - task.due_s)


def longest_waits(record: RunRecord) -> tuple[Waited, ...]:
    """Sum the waits of all tasks by reason, without dependencies, the longest first."""
    total = {(wait.why, wait.on): wait.seconds for wait in record.waited}
    if record.dag.schedule == "layers":
        total["layer", "schedule"] = sum(
            _held_by_layers(record, task) for task in record.tasks.values()
        )
    longest = heapq.nlargest(MAX_WAITS, total.items(), key=lambda item: item[1])
    return tuple(
        Waited(why, on, milliseconds(seconds)) for (why, on), seconds in longest if seconds > 0
    )


def what_would_help(
    record: RunRecord, path: tuple[str, ...], path_ms: float, took_ms: float
) -> Iterator[str]:
    """Suggest in sentences how to make the run faster, the most effective first."""
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
    startup_ms = milliseconds(startup_of(record)[0])  # not a part of *took_ms*
    late_ms = max((milliseconds(server_wait_s(task)) for task in record.tasks.values()), default=0)
    is_late = late_ms - startup_ms >= WORTH_TELLING * took_ms
    for wait in longest_waits(record):
        if wait.why == "server" and not is_late:
            continue
        if wait.ms >= WORTH_TELLING * took_ms:
            yield f"{_fix(wait)} ({wait.ms:g} ms of waiting in all)."


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _fix(wait: Waited) -> str:
    kind, _, name = wait.on.partition(" ")
    match wait.why, kind:
        case "conflict", _:
            return (
                f"Calls waited for {wait.on}, because they use the same resource: let them "
                "use different ones"
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
            return f"{OWN_LIMIT}: raise max_concurrency of the DAG"
        case "limit", "rate":
            return (
                f"Calls waited for the rate of {name.removeprefix('of ')}: raise its "
                "rate_limit, or make fewer calls"
            )
    return f"Calls waited for a slot of {wait.on}: raise its max_concurrency, or make fewer calls"


def _last_need(record: RunRecord, task: TaskRecord) -> str | None:
    """Return the dependency that settled last; tasks taken over from an earlier run settled
    first."""
    ends = {need: record.tasks[need].end_s for need in task.needs}
    return max(ends, key=lambda need: -1.0 if (end := ends[need]) is None else end, default=None)


def _held_by_layers(record: RunRecord, task: TaskRecord) -> float:
    """Return the seconds in which a task waited only for the layer before its own."""
    if record.dag.schedule != "layers" or task.start_s is None or task.due_s is None:
        return 0.0
    return max(0.0, task.start_s - task.due_s - sum(wait.seconds for wait in task.waits))


def _chain(path: tuple[str, ...], most: int = 6) -> str:
    if len(path) <= most:
        return " -> ".join(path)
    return f"{' -> '.join(path[: most - 1])} -> … -> {path[-1]}"
