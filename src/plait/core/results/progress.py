"""The progress of a run, in numbers and in the one line that clients show."""

from __future__ import annotations

from dataclasses import dataclass

from ..scheduling.events import Status
from ..values.problems import some_of
from .record import RunRecord, TaskRecord

MAX_NAMED = 5
WORTH_TELLING_S = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run: `settled` of `total` tasks have finished; it never goes down."""

    run_id: str
    settled: int
    total: int
    running: tuple[str, ...]
    """Ids; those of `for_each` tasks with the number of finished items: `details 12/40`."""
    failed: tuple[str, ...]
    latest: str | None = None
    """The latest progress that a call in flight reported, as `task: message`."""
    left_s: float | None = None
    """The expected seconds to the end, from past calls; None if unknown."""
    finished: bool = False

    def __str__(self) -> str:
        parts = [f"{self.settled}/{self.total} done"]
        if self.running:
            parts.append(f"running {some_of(self.running, MAX_NAMED)}")
        if self.failed:
            parts.append(f"failed {some_of(self.failed, MAX_NAMED)}")
        if self.latest:
            parts.append(self.latest)
        if self.left_s is not None and self.left_s >= WORTH_TELLING_S:
            parts.append(f"about {self.left_s:.0f} s left")
        return "; ".join(parts)


def progress_of(record: RunRecord, latest: str | None = None) -> Progress:
    """Make the progress of the run of *record*."""
    tasks = record.tasks.values()
    return Progress(
        run_id=record.id,
        settled=sum(task.status.is_final for task in tasks),
        total=len(tasks),
        running=tuple(_with_items(task) for task in tasks if task.status is Status.RUNNING),
        failed=tuple(task.id for task in tasks if task.status in {Status.FAILED, Status.TIMEOUT}),
        latest=latest,
        left_s=_left_s(record),
        finished=record.is_done,
    )


def _with_items(task: TaskRecord) -> str:
    if task.items is not None:
        return f"{task.id} {task.items.settled}/{len(task.items.statuses)}"
    return f"{task.id} call {task.rounds + 1}" if task.rounds else task.id


def _left_s(record: RunRecord) -> float | None:
    """Return the expected seconds to the end: the longest chain of calls that is left, or all of
    them at the pace of the run so far, whichever is longer. None if a tool is unknown, or the run
    has ended.
    """
    if record.is_done:
        return None
    longest = work = 0.0
    for task in record.tasks.values():
        if task.expected_s is None:
            return None
        if not task.status.is_final:
            gone = 0.0 if task.start_s is None else record.elapsed_s - task.start_s
            longest = max(longest, task.remaining_s - min(gone, task.expected_s))
            work += task.expected_s
    return max(longest, work / max(1, record.most_in_flight))
