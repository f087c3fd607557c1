"""Changes of status: each moves a task, or one item of it, along `MOVES`, and is one notice."""

from __future__ import annotations

from collections.abc import MutableMapping

from .events import FINAL, MOVES, PENDING, RUNNING, SUCCESS, Failure, Status, Wait
from .frame import TaskCall
from .notices import Changed, RunNotice
from .state import TaskState


class Moves:
    """The changes of status of one run. Times are in seconds, on the caller's clock."""

    __slots__ = ("_notices", "_waited")

    def __init__(
        self, notices: list[RunNotice], waited: MutableMapping[tuple[str, str], float]
    ) -> None:
        self._notices = notices
        self._waited = waited

    def task(
        self,
        state: TaskState,
        after: Status,
        now: float,
        call: TaskCall | None = None,
        error: Failure | None = None,
        jitter: float | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Move a task to the status *after*; *call* is the call that was started or has ended with
        it."""
        before = state.status
        assert after in MOVES[before], f"{state.key}: {before} -> {after}"
        state.status = after
        waits: tuple[Wait, ...] = ()
        due_at = started_at = took_s = output_bytes = items = None
        if before is PENDING:
            due_at, waits = state.due_at, state.waits
            for wait in waits:
                self._waited[wait.why, wait.on] += wait.seconds
            if state.items is not None:
                items = len(state.items.statuses)
        elif after is RUNNING:
            if call is not None and call.attempts == 1:
                waits = call.waits
        elif call is not None:
            took_s = call.took_s
        if after in FINAL:
            state.ended_at, started_at, error = now, state.started_at, state.error
            if state.output is not None:
                output_bytes = state.output.size_bytes
        change = Changed(
            state.key,
            state.tool,
            before,
            after,
            state.attempts,
            now,
            error,
            due_at,
            waits,
            started_at,
            took_s,
            output_bytes,
            after is SUCCESS and state.cached,
            items,
            jitter,
            notes,
        )
        self._notices.append(change)
        if state.tally is not None:
            state.tally.add(change)

    def item(
        self,
        state: TaskState,
        index: int,
        after: Status,
        now: float,
        call: TaskCall | None = None,
        *,
        error: Failure | None = None,
        output_bytes: int | None = None,
        cached: bool = False,
        jitter: float | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Move item *index* of a task, as `task` does for a whole one."""
        assert state.items is not None
        statuses = state.items.statuses
        before = statuses[index]
        assert after in MOVES[before], f"{state.key}[{index}]: {before} -> {after}"
        statuses[index] = after
        waits: tuple[Wait, ...] = ()
        took_s = None
        attempt = 0
        if call is not None:
            attempt = call.attempts
            if before is RUNNING:
                took_s = call.took_s
            elif after is RUNNING and attempt == 1:
                waits = call.waits
        key = state.key._replace(item=index) if call is None else call.key
        change = Changed(
            key,
            state.tool,
            before,
            after,
            attempt,
            now,
            error,
            waits=waits,
            took_s=took_s,
            output_bytes=output_bytes,
            cached=cached,
            jitter=jitter,
            notes=notes,
        )
        self._notices.append(change)
        if state.tally is not None:
            state.tally.add(change)
