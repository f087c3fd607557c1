"""Records of runs, folded from their notices: what `record_of` makes of a live run, for those that
only observe it.

The two have to agree at every moment, which a test of drawn runs checks. So what an observer sees
is all there is to know of a run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from operator import itemgetter

from ..core.results.record import InnerRecord, ItemsRecord, RunRecord, RunStatus, TaskRecord
from ..core.scheduling.events import FINAL, Failure, Status, Wait
from ..core.scheduling.notices import Changed, Delayed, Finished, Notice, Started, Waiting
from ..core.scheduling.tally import Tally


class RunRecords:
    """Folds the notices of all runs. An `Observer`."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    def __repr__(self) -> str:
        return f"<RunRecords: {len(self._runs)} runs>"

    def __call__(self, notice: Notice) -> None:
        match notice:
            case Started():
                self._runs[notice.run] = _Run(notice)
            case Changed() if notice.run in self._runs:
                self._runs[notice.run].changed(notice)
            case Delayed() if notice.run in self._runs:
                self._runs[notice.run].delayed(notice)
            case Waiting() if notice.run in self._runs:
                self._runs[notice.run].is_waiting = notice.is_waiting
            case Finished() if notice.run in self._runs:
                self._runs[notice.run].finished = notice

    def record(self, run_id: str, now: float) -> RunRecord | None:
        """The record of a run as it stands at *now*; None if nothing is known of it."""
        run = self._runs.get(run_id)
        return None if run is None else run.record(now)

    def forget(self, run_id: str) -> None:
        """Keep nothing of a run any longer."""
        self._runs.pop(run_id, None)


class _Run:
    """The state of one run, as its notices have given it so far."""

    def __init__(self, started: Started) -> None:
        self.started = started
        self.finished: Finished | None = None
        self.is_waiting = False
        self.tasks = {outline.id: TaskRecord(*outline) for outline in started.tasks}
        self.items: dict[str, tuple[list[Status], list[tuple[int, Failure]]]] = {}
        """The items of each `for_each` task that was ready: their statuses, and their errors."""
        self.each = {task.id for task in started.dag.tasks if task.for_each is not None}
        self.tallies = {outline.id: Tally(outline) for outline in started.inner}
        """The tasks in groups, by whole id."""
        self.groups = {outline.groups[0] for outline in started.inner}
        self.in_flight = 0
        self.most_in_flight = 0
        self.waited: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.jitters: list[float] = []
        self.notes: list[str] = []
        for id, size in started.taken_over.items():
            self.tasks[id].status, self.tasks[id].output_bytes = Status.SUCCESS, size

    def changed(self, change: Changed) -> None:
        if (tally := self.tallies.get(change.key.task)) is not None:
            self._inner(tally, change)
            return
        task, item = self.tasks[change.key.task], change.key.item
        if task.id not in self.groups and (task.id in self.each) == (item is not None):
            self._call(task, change)
            task.rounds += change.is_next_round
        self.notes += change.notes
        if item is None:
            self._task(task, change)
            return
        statuses, errors = self.items[task.id]
        statuses[item] = change.after
        if change.error is not None and change.after in FINAL:
            errors.append((item, change.error))

    def _inner(self, tally: Tally, change: Changed) -> None:
        """Count *change*, of a task in a group, and its call for the group."""
        tally.add(change)
        self.notes += change.notes
        if change.before is Status.PENDING and change.key.item is None:
            self._wait(change.waits)
        has_items = tally.outline.parts[-1][1]
        if tally.outline.is_call and has_items == (change.key.item is not None):
            self._call(self.tasks[tally.outline.groups[0]], change)

    def delayed(self, delayed: Delayed) -> None:
        self._wait((delayed.wait,))
        task = self.tasks.get(delayed.key.task)
        if task is not None and delayed.is_first:
            task.waits += (delayed.wait,)
            task.start_s = delayed.at - self.started.at

    def record(self, now: float) -> RunRecord:
        started, finished = self.started, self.finished
        return RunRecord(
            id=started.run,
            principal=started.principal,
            client=started.client,
            dag=started.dag,
            digest=started.digest,
            began=started.began,
            elapsed_s=now - started.at if finished is None else finished.elapsed_s,
            status=self._status(),
            stopped_by=None if finished is None else finished.stopped_by,
            tasks={id: replace(task, items=self._items(id)) for id, task in self.tasks.items()},
            returned=started.returned,
            notes=(*started.notes, *self.notes),
            limits=started.limits,
            most_in_flight=self.most_in_flight,
            waited=tuple(Wait(why, on, seconds) for (why, on), seconds in self.waited.items()),
            jitters=tuple(self.jitters),
            inner=tuple(map(InnerRecord.of, self.tallies.values())),
        )

    def _status(self) -> RunStatus:
        if self.finished is not None:
            return RunStatus(self.finished.status)
        return RunStatus.WAITING if self.is_waiting else RunStatus.RUNNING

    def _call(self, task: TaskRecord, change: Changed) -> None:
        """A call of *task* was sent or has ended, or waits for that."""
        if change.after is Status.RUNNING:
            task.attempts += 1
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            self._wait(change.waits)
        elif change.before is Status.RUNNING:
            self.in_flight -= 1
            task.busy_s += change.took_s or 0.0
        if change.jitter is not None:
            self.jitters.append(change.jitter)

    def _task(self, task: TaskRecord, change: Changed) -> None:
        began = self.started.at
        task.status = change.after
        if change.before is Status.PENDING:
            self._wait(change.waits)
            task.due_s = None if change.due_at is None else change.due_at - began
            task.waits += change.waits
        if change.after is Status.RUNNING and task.start_s is None:
            task.start_s = change.at - began
            task.waits += change.waits
        if change.items is not None:
            self.items[task.id] = [Status.PENDING] * change.items, []
        if change.after in FINAL:
            task.end_s = change.at - began
            task.error, task.output_bytes, task.cached = (
                change.error,
                change.output_bytes,
                change.cached,
            )

    def _wait(self, waits: Iterable[Wait]) -> None:
        for wait in waits:
            self.waited[wait.why, wait.on] += wait.seconds

    def _items(self, id: str) -> ItemsRecord | None:
        if id not in self.items:
            return None
        statuses, errors = self.items[id]
        return ItemsRecord(tuple(statuses), tuple(sorted(errors, key=itemgetter(0))))
