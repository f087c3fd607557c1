"""Runs of other processes, those that have ended and those that go on, read from the history into
the store of this one."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import anyio

from ..core.history import (
    INTERRUPTED,
    RUNNING,
    Effect,
    KeptCall,
    KeptRun,
    Kind,
    RunEntry,
    RunQuery,
    Settled,
)
from ..core.history_store import History
from ..core.ports import RunStore
from ..core.results.approval import how_left
from ..core.results.record import ItemsRecord, RunRecord, RunStatus, TaskRecord
from ..core.scheduling.events import Failure, Status
from ..core.values.principal import ANYONE, Principal
from ..core.values.strict import Json

LOOK_S = 0.25
"""Pause between two looks at a run of another process that is awaited."""
FRESH_S = 1.0
"""Seconds between two looks for other runs where there are none."""
MOST_INTERRUPTED = 200
_STATUSES = {"success": Status.SUCCESS, "timeout": Status.TIMEOUT, "cancelled": Status.CANCELLED}


class Recalling:
    """Reads runs from *history* into *runs*. *is_live* says of an id whether that run goes on in
    this process."""

    def __init__(self, history: History, runs: RunStore, is_live: Callable[[str], bool]) -> None:
        self._history = history
        self._runs = runs
        self._is_live = is_live
        self._quiet_until: dict[Principal, float] = {}

    def __repr__(self) -> str:
        return f"<Recalling from {self._history!r}>"

    async def recall(self, run_id: str, principal: Principal) -> None:
        """Read a run, unless it is known here and can change no more."""
        if self._is_known(run_id, principal):
            return
        kept = await self._history.run(run_id, principal)
        if kept is None or kept.entry.kind is Kind.CALL:
            return
        if kept.record is not None:
            record = kept_record(kept, kept.record)
            outputs = {
                id: output
                for id, task in record.tasks.items()
                if task.output_bytes is not None
                and (output := await self._history.output(run_id, id)) is not None
            }
            self._runs.put(record, outputs)
            return
        calls = await self._history.calls(run_id, values=True)
        settled = {one.task: one for one in await self._history.settled(run_id)}
        outputs = {
            call.key.task: call.output
            for call in calls
            if call.key.item is None and not call.key.at and call.output is not None
        }
        for one in settled.values():
            outputs.pop(one.task, None)
            if one.output is not None:
                outputs[one.task] = one.output
        begun = kept_record(kept, kept.document["record"])
        is_interrupted = kept.entry.status == INTERRUPTED
        record = record_so_far(begun, calls, settled, is_interrupted=is_interrupted)
        question = await self._history.question(run_id)
        if is_interrupted and (await self._history.links(run_id))[-1:] != [run_id]:
            question = None  # the run that goes on from it asks
        if isinstance(question, dict):
            if is_interrupted and not begun.dag.preview:
                question = {**question, "how": how_left(run_id)}
            record = replace(record, status=RunStatus.WAITING, approval=question)
        self._runs.put(record, outputs)

    async def wait(self, run_id: str, principal: Principal, seconds: float | None) -> None:
        """Wait up to *seconds* for the end of a run that goes on in another process, or until it
        waits for a person."""
        if self._is_known(run_id, principal):
            return
        with anyio.move_on_after(seconds):
            while (kept := await self._history.run(run_id, principal)) is not None:
                is_left = await self._history.question(run_id) is not None
                if kept.entry.status != RUNNING or is_left:
                    break
                await anyio.sleep(LOOK_S)
        await self.recall(run_id, principal)

    def _is_known(self, run_id: str, principal: Principal) -> bool:
        """Whether a run is known here and can change no more."""
        known = self._runs.get(run_id, principal)
        return known is not None and known.is_done

    async def left_over(
        self, principal: Principal, seconds: float, digest: Callable[[], str]
    ) -> RunEntry | None:
        """Return the last run of *principal* with the document of *digest* that began within the
        last *seconds*, and was interrupted, or changed something and ended right before its gateway
        died, so that its answer may be lost. Where there is none with any document, it looks once a
        second, and needs no digest."""
        if principal == ANYONE:
            return None
        now, since = anyio.current_time(), time.time() - seconds
        if now < self._quiet_until.get(principal, 0.0):
            return None
        runs = RunQuery(MOST_INTERRUPTED, principal, since=since)
        interrupted = runs._replace(status=INTERRUPTED)
        unanswered = runs._replace(is_unanswered=True)
        for query in (runs._replace(status=RUNNING), interrupted, unanswered):
            if any(not self._is_live(run.id) for run in await self._history.runs(query)):
                break
        else:
            self._quiet_until = {principal: now + FRESH_S}
            return None
        equal = digest()
        found = [
            run
            for query in (interrupted, unanswered)
            for run in await self._history.runs(query._replace(limit=1, document_digest=equal))
        ]
        return max(found, key=lambda run: run.began, default=None)


def kept_record(kept: KeptRun, record: Json) -> RunRecord:
    """Return the *record* of the run *kept*, which the history keeps without the DAG."""
    assert isinstance(record, dict)
    dag = kept.document.get("dag", kept.document["sent"])
    return RunRecord.from_document({**record, "dag": dag})


def record_so_far(
    begun: RunRecord,
    calls: Iterable[KeptCall],
    settled: Mapping[str, Settled],
    *,
    is_interrupted: bool,
) -> RunRecord:
    """Complete the record *begun*, of the beginning of a run, with what its *calls* and the tasks
    that have *settled* say. In a run that was interrupted, a read in the air is as if it had not
    begun, and any other call in the air is in doubt."""
    made: defaultdict[str, list[KeptCall]] = defaultdict(list)
    elapsed = 0.0
    for call in calls:
        elapsed = max(elapsed, _left(call), call.ended_at or 0.0)
        if not call.key.at:
            made[call.key.task].append(call)
    tasks: dict[str, TaskRecord] = {}
    for id, task in begun.tasks.items():
        end = settled.get(id)
        if id in made:
            task = _with_calls(task, made[id], is_interrupted=is_interrupted)
        if end is not None:
            elapsed = max(elapsed, end.at)
            size = None if end.output is None else end.output.size_bytes
            task = replace(
                task, status=end.status, error=end.error, end_s=end.at, output_bytes=size
            )
        tasks[id] = task
    status = RunStatus.INTERRUPTED if is_interrupted else RunStatus.RUNNING
    return replace(begun, tasks=tasks, elapsed_s=elapsed, status=status)


def _with_calls(task: TaskRecord, calls: list[KeptCall], *, is_interrupted: bool) -> TaskRecord:
    last = {call.key.item: call for call in calls}
    attempts = sum(not _is_undone(call, is_interrupted) for call in calls)
    started = min(map(_left, calls))
    ended = max(_left(call) if call.ended_at is None else call.ended_at for call in calls)
    task = replace(task, attempts=attempts, due_s=started, start_s=started)
    if None not in last:
        count = 1 + max(item for item in last if item is not None)
        ends = {item: _end(call, is_interrupted) for item, call in last.items() if item is not None}
        statuses = tuple(
            [ends[item][0] if item in ends else Status.PENDING for item in range(count)]
        )
        errors = tuple([(item, error) for item, (_, error) in ends.items() if error is not None])
        is_done = all(status.is_final for status in statuses)
        status = Status.PENDING if is_interrupted and not is_done else Status.RUNNING
        return replace(task, status=status, items=ItemsRecord(statuses, errors))
    call = last[None]
    status, error = _end(call, is_interrupted)
    return replace(
        task,
        status=status,
        error=error,
        cached=call.cached,
        rounds=call.key.round,
        end_s=ended if status.is_final else None,
        output_bytes=None if call.output is None else call.output.size_bytes,
    )


def _left(call: KeptCall) -> float:
    """Return when *call* left, or, if that is unknown, was admitted."""
    return call.admitted_at if call.sent_at is None else call.sent_at


def _is_undone(call: KeptCall, is_interrupted: bool) -> bool:
    return is_interrupted and call.ended is None and call.effect is Effect.READ


def _end(call: KeptCall, is_interrupted: bool) -> tuple[Status, Failure | None]:
    """Return the status that *call* gives its task or item, and the reason."""
    if call.code is not None:
        return _STATUSES.get(call.code, Status.FAILED), call.error
    if not is_interrupted:
        return Status.RUNNING, None
    if call.effect is Effect.READ:
        return Status.PENDING, None
    return Status.FAILED, Failure(
        "in_doubt",
        f"{call.tool} was sent, and the gateway ended before its answer was written",
        "Go on with resume_from, or plait resume; what in_doubt says of this task then decides.",
    )
