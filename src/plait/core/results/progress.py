"""How far a run is, in numbers and in the one line that clients show."""

from __future__ import annotations

from dataclasses import dataclass

from ..scheduling.events import Status
from ..scheduling.run import Run
from ..scheduling.state import Items, TaskState
from ..values.problems import some_of

MAX_NAMED = 5
WORTH_TELLING_S = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `settled` of `total` tasks have come to their end; it never goes down."""

    run_id: str
    settled: int
    total: int
    running: tuple[str, ...]
    """Ids; those of `for_each` tasks with how many of their items are done: `details 12/40`."""
    failed: tuple[str, ...]
    said: str | None = None
    """What a call in flight said last of its own progress, as `task: message`."""
    left_s: float | None = None
    """The seconds that are left, as far as past calls tell."""
    finished: bool = False

    def __str__(self) -> str:
        parts = [f"{self.settled}/{self.total} done"]
        if self.running:
            parts.append(f"running {some_of(self.running, MAX_NAMED)}")
        if self.failed:
            parts.append(f"failed {some_of(self.failed, MAX_NAMED)}")
        if self.said:
            parts.append(self.said)
        if self.left_s is not None and self.left_s >= WORTH_TELLING_S:
            parts.append(f"about {self.left_s:.0f} s left")
        return "; ".join(parts)


def progress_of(run: Run, now: float, said: str | None = None) -> Progress:
    """How far *run* is at *now*."""
    states = run.states.items()
    return Progress(
        run_id=run.id,
        settled=len(run.states) - run.unsettled,
        total=len(run.states),
        running=tuple(_with_items(id, state) for id, state in states if state.status is Status.RUNNING),
        failed=tuple(id for id, state in states if state.status in {Status.FAILED, Status.TIMEOUT}),
        said=said,
        left_s=_left_s(run, now),
        finished=run.is_done,
    )


def _with_items(id: str, state: TaskState) -> str:
    return id if state.items is None else f"{id} {_done(state.items)}/{len(state.items.statuses)}"


def _done(items: Items) -> int:
    return len(items.statuses) - items.left


def _left_s(run: Run, now: float) -> float | None:
    """The longest chain of calls that is left, or all of them at the pace of the run so far: whichever is longer.

    None where not all tools are known, and of a run that has ended.
    """
    if not run.plan.untimed and not run.is_done:
        left = [_chain_left(run, id, state, now) for id, state in run.states.items() if not state.status.is_final]
        work = sum(run.plan.costs[id] for id, state in run.states.items() if not state.status.is_final)
        return max(*left, work / max(1, run.most_in_flight), 0.0)
    return None


def _chain_left(run: Run, id: str, state: TaskState, now: float) -> float:
    """What the longest chain that starts at *id* still takes."""
    gone = 0.0 if state.started_at is None else now - state.started_at
    return run.plan.remaining[id] - min(gone, run.plan.costs[id])
