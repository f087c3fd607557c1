"""A run written down: the document, the end of each task, and the times.

The live `Run` makes a record (`record_of`), also while it goes on. Results, explanations, progress
and resuming read records and never the run itself, so that they are the same for a run that ended
long ago, or in another process. All of a record is JSON (`document`, `from_document`). Outputs are
kept apart from it, by run and task: they may be large.

Times are in seconds since the run began, except `began`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar

from pydantic import TypeAdapter

from ..language.dag import Dag
from ..scheduling.events import FINAL, Failure, RunLimits, Status, Wait
from ..scheduling.run import Run
from ..scheduling.tally import LETTERS, Tally
from ..values.principal import Principal
from ..values.strict import Json, JsonObject

Part = TypeVar("Part")
_STATUSES = {letter: status for status, letter in LETTERS.items()}


class RunStatus(StrEnum):
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    RUNNING = "running"
    WAITING = "waiting"  # for a person
    INTERRUPTED = "interrupted"  # its gateway died

    @property
    def is_error(self) -> bool:
        """Whether an answer with this status is an error to the client."""
        return self in {RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMEOUT}


@dataclass(frozen=True, slots=True)
class ItemsRecord:
    """The items of one `for_each` task."""

    statuses: tuple[Status, ...]
    errors: tuple[tuple[int, Failure], ...] = ()
    """The failures of items, each with the item's index."""

    @property
    def settled(self) -> int:
        return sum(status.is_final for status in self.statuses)


@dataclass(slots=True)  # one is made for each task: a frozen one takes ten times as long
class TaskRecord:
    """One task of a run. It is never changed."""

    id: str
    tool: str
    layer: int
    needs: tuple[str, ...] = ()
    """The tasks that it waits for."""
    reused_inputs: tuple[str, ...] = ()
    """The tasks that it needed in an earlier run, if it was taken over from there."""
    expected_s: float | None = None
    """The expected duration of one call; None if its tool is unknown."""
    remaining_s: float = 0.0
    """The expected duration of the longest chain that starts at it, itself included."""
    alone_s: float | None = None
    """The duration of one call if it is alone; None if unknown."""
    status: Status = Status.PENDING
    attempts: int = 0
    cached: bool = False
    due_s: float | None = None
    """The time at which its dependencies had settled, once it has moved on."""
    start_s: float | None = None
    end_s: float | None = None
    busy_s: float = 0.0
    """The total duration of its calls."""
    rounds: int = 0
    """The number of answers after which a call of it was made again, as its `repeat` says."""
    waits: tuple[Wait, ...] = ()
    """The waits of its first call once it was due."""
    error: Failure | None = None
    items: ItemsRecord | None = None
    output_bytes: int | None = None
    """The size of its output; None if absent. Failed tasks may have one too:
    `invalid_output`, `for_each`."""

    @property
    def is_well(self) -> bool:
        """Whether it succeeded, or was skipped by a condition, its own or that of a task that it
        hangs on."""
        if self.status is not Status.SKIPPED:
            return self.status is Status.SUCCESS
        return self.error is not None and self.error.code == "condition"

    @property
    def has_failed_items(self) -> bool:
        """Whether items of it failed; it may have succeeded all the same."""
        return self.items is not None and bool(self.items.errors)

    @property
    def has_result(self) -> bool:
        """Whether its output is part of the run's result."""
        is_ended_list = self.items is not None and self.status.is_final
        return self.output_bytes is not None and (self.status is Status.SUCCESS or is_ended_list)


@dataclass(frozen=True, slots=True)
class InnerRecord:
    """One task in a group, over all items of the groups around it."""

    id: str
    """The whole id (`close.comment`)."""
    tool: str
    groups: tuple[str, ...]
    """The whole ids of the groups around it, the outermost first."""
    statuses: Mapping[Status, int]
    """The number of items in each status, but for `pending`."""
    attempts: int = 0
    busy_s: float = 0.0
    """The total duration of its calls."""
    alone_s: float | None = None
    """The duration of one call if it is alone; None if unknown."""
    errors: tuple[tuple[str, Failure], ...] = ()
    """Its first failures, each with its place (`close[3].comment`)."""
    place: str = ""
    """Its place, with `{}` for the item of each group around it that has items."""
    passages: Mapping[str, str] = field(default_factory=dict)
    """The statuses of all passages, a letter each (`LETTERS`), by the items of the groups around
    it but the last (`3,1`)."""

    @property
    def count(self) -> int:
        """The number of passages that have begun."""
        return sum(len(row) - row.count("-") for row in self.passages.values())

    def passed(self, letters: str) -> Iterator[tuple[tuple[int, ...], Status]]:
        """Yield the items and the status of each passage whose letter is among *letters*."""
        has_items = "{}" in self.place
        for before, row in self.passages.items():
            start = tuple(map(int, before.split(","))) if before else ()
            for index, letter in enumerate(row):
                if letter in letters:
                    yield (*start, index) if has_items else (), _STATUSES[letter]

    @classmethod
    def of(cls, tally: Tally) -> InnerRecord:
        outline = tally.outline
        *around, (own, _) = outline.parts
        statuses = {status: count for status, count in tally.statuses.items() if count}
        return cls(
            outline.id,
            outline.tool,
            outline.groups,
            statuses,
            tally.attempts,
            tally.busy_s,
            outline.alone_s,
            tuple(tally.errors),
            ".".join([*[f"{id}[{{}}]" if has_items else id for id, has_items in around], own]),
            {",".join(map(str, before)): row.decode() for before, row in tally.passages.items()},
        )


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as it stood at one moment, which is its end if it `is_done`."""

    id: str
    principal: Principal
    """The owner of the run."""
    client: str | None
    """The connection that it was submitted over."""
    dag: Dag
    """The document as it was accepted, completed with the tasks of the run that it resumes."""
    digest: str
    """The digest of the definitions of the tools that it calls."""
    began: float | None
    """The time of its start, in seconds since 1970; None if unknown."""
    elapsed_s: float
    """Its duration so far, or in all."""
    status: RunStatus
    stopped_by: str | None
    """`cancelled`, `timeout` or `fail_fast`, if something ended it early."""
    tasks: Mapping[str, TaskRecord]
    """In document order."""
    returned: tuple[str, ...]
    """The tasks whose outputs the result holds."""
    notes: tuple[str, ...]
    limits: RunLimits
    most_in_flight: int
    """The most calls of it that were in flight at one moment."""
    waited: tuple[Wait, ...]
    """The waits of all its calls, added up by reason."""
    jitters: tuple[float, ...]
    """The random shares of the pauses before repeated calls, in the order in which they were
    drawn."""
    inner: tuple[InnerRecord, ...] = ()
    """The tasks in groups."""
    approval: dict[str, Any] | None = None
    """The open question about its calls (`docs/approval.md`)."""
    history_lost: bool = False
    """Whether not all of it could be written in time: no run can go on from it."""

    @property
    def is_done(self) -> bool:
        return self.status not in {RunStatus.RUNNING, RunStatus.WAITING}

    @property
    def layers(self) -> tuple[tuple[str, ...], ...]:
        layers: list[list[str]] = [
            [] for _ in range(1 + max((task.layer for task in self.tasks.values()), default=-1))
        ]
        for id, task in self.tasks.items():
            layers[task.layer].append(id)
        return tuple(map(tuple, layers))

    @property
    def counts(self) -> dict[str, int]:
        """The number of tasks with each status."""
        counts = Counter([task.status for task in self.tasks.values()])
        return {status.value: count for status, count in counts.items()}

    def document(self, *, with_dag: bool = True) -> JsonObject:
        """Return the record as JSON, without members that have their default."""
        document: JsonObject = _records().dump_python(
            self,
            mode="json",
            by_alias=True,
            exclude_defaults=True,
            exclude={"tasks"} if with_dag else {"tasks", "dag"},
        )
        document["tasks"] = {id: _task_document(task) for id, task in self.tasks.items()}
        return document

    @classmethod
    def from_document(cls, document: Json) -> RunRecord:
        """Read the record in *document*. Raises `ValueError` if it is invalid."""
        return _records().validate_python(document)


def record_of(run: Run, now: float, earlier: RunRecord | None = None) -> RunRecord:
    """Make the record of *run* at *now*. Finished tasks are taken from an *earlier* record of
    it."""
    return RunRecord(
        id=run.id,
        principal=run.principal,
        client=run.client,
        dag=run.plan.dag,
        digest=run.digest,
        began=run.began,
        elapsed_s=(now if run.ended_at is None else run.ended_at) - run.started_at,
        status=RunStatus(run.status),
        stopped_by=run.stopped_by if run.is_done else None,
        tasks=_tasks(run, earlier.tasks if earlier is not None else {}),
        returned=run.plan.returned,
        notes=(*run.plan.notes, *run.notes),
        limits=run.limits,
        most_in_flight=run.most_in_flight,
        waited=tuple(Wait(why, on, seconds) for (why, on), seconds in run.waited.items()),
        jitters=tuple(run.jitters),
        inner=tuple(map(InnerRecord.of, run.tallies.values())),
    )


def _tasks(run: Run, earlier: Mapping[str, TaskRecord]) -> dict[str, TaskRecord]:
    tasks: dict[str, TaskRecord] = {}
    began = run.started_at
    for outline, state in zip(run.outlines, run.states.values(), strict=True):
        id, status, output, items = outline.id, state.status, state.output, state.items
        if earlier and (task := earlier[id]).status in FINAL:
            tasks[id] = task
            continue
        if status is Status.PENDING:  # nothing has happened to it that is certain yet
            tasks[id] = TaskRecord(*outline)
            continue
        tasks[id] = TaskRecord(
            *outline,
            status,
            state.attempts,
            state.cached,
            None if state.due_at is None else state.due_at - began,
            None if state.started_at is None else state.started_at - began,
            None if state.ended_at is None else state.ended_at - began,
            state.busy_s,
            state.rounds,
            state.waits,
            state.error,
            None
            if items is None
            else ItemsRecord(tuple(items.statuses), tuple(sorted(items.errors, key=itemgetter(0)))),
            None if output is None else output.size_bytes,
        )
    return tasks


def _task_document(task: TaskRecord) -> JsonObject:
    """Return *task* as JSON, without members that have their default: as Pydantic does, in a third
    of its time, since there may be thousands."""
    document: JsonObject = {"id": task.id, "tool": task.tool, "layer": task.layer}
    if task.needs:
        document["needs"] = [*task.needs]
    if task.reused_inputs:
        document["reused_inputs"] = [*task.reused_inputs]
    if task.expected_s is not None:
        document["expected_s"] = task.expected_s
    if task.remaining_s:
        document["remaining_s"] = task.remaining_s
    if task.alone_s is not None:
        document["alone_s"] = task.alone_s
    if task.status is not Status.PENDING:
        document["status"] = str(task.status)
    if task.attempts:
        document["attempts"] = task.attempts
    if task.cached:
        document["cached"] = True
    if task.due_s is not None:
        document["due_s"] = task.due_s
    if task.start_s is not None:
        document["start_s"] = task.start_s
    if task.end_s is not None:
        document["end_s"] = task.end_s
    if task.busy_s:
        document["busy_s"] = task.busy_s
    if task.rounds:
        document["rounds"] = task.rounds
    if task.waits:
        document["waits"] = [_wait_document(wait) for wait in task.waits]
    if task.error is not None:
        document["error"] = _parts(Failure).dump_python(
            task.error, mode="json", exclude_defaults=True
        )
    if task.items is not None:
        document["items"] = _parts(ItemsRecord).dump_python(
            task.items, mode="json", exclude_defaults=True
        )
    if task.output_bytes is not None:
        document["output_bytes"] = task.output_bytes
    return document


def _wait_document(wait: Wait) -> JsonObject:
    document: JsonObject = {"why": wait.why, "on": wait.on, "seconds": wait.seconds}
    if wait.resource is not None:
        document["resource"] = wait.resource
    return document


@cache
def _records() -> TypeAdapter[RunRecord]:
    return TypeAdapter(RunRecord)


@cache
def _parts(kind: type[Part]) -> TypeAdapter[Part]:
    return TypeAdapter(kind)
