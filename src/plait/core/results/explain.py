"""Where the time of a run went: what each task waited for, and what would make the run faster."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from ..scheduling.run import Run
from ..scheduling.state import TaskState
from ..values.strict import JsonObject, present

MAX_TOLD = 8
"""Waits that a result tells of, the longest first."""
WORTH_TELLING = 0.02
"""Of the run's time: a wait that is shorter is not told as a reason."""
NEAR_ITS_PATH = 0.9
"""The share of its time that a run spends on its critical path from which nothing but that path matters."""


@dataclass(frozen=True, slots=True)
class Waited:
    """`why` is `dependency`, `layer`, `location`, `conflict`, `limit` or `server`; `on` the task, layer, file, limit or
    server it was."""

    why: str
    on: str
    ms: float
    resource: str | None = None

    def document(self) -> JsonObject:
        return present(why=self.why, on=self.on, ms=self.ms, resource=self.resource)


def waits_of(run: Run, id: str) -> tuple[Waited, ...]:
    """What kept task *id* from starting with its run, in the order of time."""
    state = run.states[id]
    if state.due_at is None:
        return ()
    waits = []
    if (last := _last_need(run, id)) is not None:
        waits.append(Waited("dependency", last, milliseconds(state.due_at - run.started_at)))
    waits += [Waited(wait.why, wait.on, milliseconds(wait.seconds), wait.resource) for wait in state.waits]
    if (held := _held_by_layers(run, state)) > 0:
        waits.append(Waited("layer", "the layer before", milliseconds(held)))
    return tuple(wait for wait in waits if wait.ms > 0)


def queue_ms(run: Run, id: str) -> float | None:
    """How long task *id* was kept back after its last dependency had settled; None if it was never sent."""
    state = run.states[id]
    if state.started_at is None or state.due_at is None:
        return None
    return milliseconds(state.started_at - state.due_at)


def longest_waits(run: Run) -> tuple[Waited, ...]:
    """What the tasks of *run* waited for, added up, without dependencies: the longest first."""
    total = dict(run.waited)
    if run.plan.dag.schedule == "layers":
        total["layer", "schedule"] = sum(_held_by_layers(run, state) for state in run.states.values())
    longest = heapq.nlargest(MAX_TOLD, total.items(), key=lambda item: item[1])
    return tuple(Waited(why, on, milliseconds(seconds)) for (why, on), seconds in longest if seconds > 0)


def what_would_help(run: Run, path: tuple[str, ...], path_ms: float, took_ms: float) -> Iterator[str]:
    """What would make *run* faster, in sentences, the most telling first."""
    if took_ms <= 0 or not path:
        return
    if path_ms >= NEAR_ITS_PATH * took_ms:
        slowest = max(path, key=lambda id: run.states[id].busy_s)
        share = milliseconds(run.states[slowest].busy_s)
        yield (
            f"The chain {_chain(path)} took {path_ms:g} of {took_ms:g} ms: only shorter calls or fewer links in it "
            f"help; {slowest} alone took {share:g} ms."
        )
    for wait in longest_waits(run):
        if wait.ms >= WORTH_TELLING * took_ms:
            yield f"{_mend(run, wait)} ({wait.ms:g} ms of waiting in all)."


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _mend(run: Run, wait: Waited) -> str:
    kind, _, name = wait.on.partition(" ")
    match wait.why, kind:
        case "conflict", _:
            return f"Calls waited for {wait.on}, because they touch the same resource: let them touch different ones"
        case "server", _:
            return f"Calls waited for {wait.on} to be there: it had just been started, or connected to again"
        case "layer", _:
            return 'Tasks waited for the layer before theirs: schedule "eager" starts each as soon as it can'
        case "limit", "gateway":
            return "Calls waited for a slot of the gateway: raise max_concurrency in [gateway]"
        case "limit", "run":
            return "Calls waited for a slot of their run: raise max_concurrency of the DAG"
        case "limit", "rate":
            return f"Calls waited for the rate of {name.removeprefix('of ')}: raise its rate_limit, or make fewer calls"
    return f"Calls waited for a slot of {wait.on}: raise its max_concurrency, or make fewer calls"


def _last_need(run: Run, id: str) -> str | None:
    """The dependency that settled last."""
    needs = run.plan.tasks[id].needs
    return max(needs, key=lambda need: run.states[need].ended_at or 0.0, default=None)


def _held_by_layers(run: Run, state: TaskState) -> float:
    """The seconds in which a task waited for nothing but the layer before its own."""
    if run.plan.dag.schedule != "layers" or state.started_at is None or state.due_at is None:
        return 0.0
    return max(0.0, state.started_at - state.due_at - sum(wait.seconds for wait in state.waits))


def _chain(path: tuple[str, ...], most: int = 6) -> str:
    if len(path) <= most:
        return " -> ".join(path)
    return f"{' -> '.join(path[: most - 1])} -> … -> {path[-1]}"
