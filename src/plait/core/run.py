"""One run of one DAG: what has come of each task, and what that lets start.

Every change of a task's status goes through `Run._move`. Calls that may start are put into `ready`, what is to be
done outside into `commands`, what observers are told into `notices`; the scheduler takes all three.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import (
    CallError,
    CallTimeout,
    ExpressionFailed,
    InvalidOutput,
    OutputTooLarge,
)
from .calls import MAX_ITEMS, calls_of
from .events import MOVES, Abort, Changed, Command, Finished, Key, Notice, Sleep, Started, Status
from .expressions import search
from .limits import Urgency
from .output import Output
from .plan import Plan, PlannedTask
from .state import TaskState, Unit
from .strict import Json, measure

MAX_RUN_BYTES = 256 * 2**20
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0


class Run:
    """One run. Drive it by its verbs, each with the time; read it freely."""

    def __init__(
        self,
        id: str,
        plan: Plan,
        *,
        number: int = 0,
        reused: Mapping[str, Output] | None = None,
        jitter: Callable[[], float] = lambda: 0.5,
        timeout_s: float | None = None,
        max_items: int = MAX_ITEMS,
        max_bytes: int = MAX_RUN_BYTES,
    ) -> None:
        self.id = id
        self.plan = plan
        self.states = {id: TaskState(len(task.needs)) for id, task in plan.tasks.items()}
        self.outputs: dict[str, Output] = {}
        """Of the tasks that succeeded: what references see."""
        self.bytes = 0
        self.unsettled = len(self.states)
        self.stopped_by: str | None = None
        """`cancelled`, `timeout` or `fail_fast`, once something ended the run before its time."""
        self.most_in_flight = 0
        """The most calls of it that were in flight at one moment."""
        self.started_at = 0.0
        self.ended_at: float | None = None
        self.ready: list[Unit] = []
        self.open: dict[Key, Unit] = {}
        """Calls in flight, and those that wait for their next attempt."""
        self.commands: list[Command] = []
        self.notices: list[Notice] = []
        self._number = number
        self._reused = dict(reused or {})
        self._jitter = jitter
        self._timeout_s = timeout_s or plan.dag.timeout_s
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._settled: deque[str] = deque()
        self._in_flight = 0
        self._layer = 0
        self._left_in_layer = [len(layer) for layer in plan.layers]
        self._is_layered = plan.dag.schedule == "layers"

    def __repr__(self) -> str:
        counts = Counter(str(state.status) for state in self.states.values())
        return f"<Run {self.id}: {', '.join(f'{count} {status}' for status, count in counts.items())}>"

    @property
    def is_done(self) -> bool:
        return self.unsettled == 0

    @property
    def status(self) -> str:
        """The status of the whole run, as in the contract's section 5."""
        if not self.is_done:
            return "running"
        if self.stopped_by in {"cancelled", "timeout"}:
            return str(self.stopped_by)
        counts = Counter(state.status for state in self.states.values())
        failed = not all(state.is_well for state in self.states.values())
        return "success" if not failed else "partial" if counts[Status.SUCCESS] else "failed"

    def urgency(self, unit: Unit) -> Urgency:
        planned = unit.planned
        remaining = self.plan.remaining[planned.id]
        return (-planned.task.priority, -remaining, self._number, planned.index, unit.key.item or 0)

    # The verbs: what happens to a run.

    def begin(self, now: float) -> None:
        self.started_at = now
        self.notices.append(Started(self.id, len(self.states), now))
        if self._timeout_s:
            self.commands.append(Sleep(Key(self.id, ""), self._timeout_s))
        for id, output in self._reused.items():
            state = self.states[id]
            state.status, state.output = Status.SUCCESS, output
            self._keep(id, output)
            self._end(id)
        for id, task in self.plan.tasks.items():
            if not task.needs and self._may_look_at(id):
                self._look_at(id, now)
        self._advance(now)

    def start(self, unit: Unit, now: float) -> int:
        """*unit* is sent now; gives the number of the attempt."""
        unit.attempts += 1
        unit.started_at = now
        self.open[unit.key] = unit
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        state = self.states[unit.key.task]
        state.attempts += 1
        if state.started_at is None:
            state.started_at = now
        if state.status is Status.READY:
            self._move(unit.key.task, Status.RUNNING, now)
        return unit.attempts

    def succeed(self, key: Key, output: Output, now: float) -> None:
        unit = self._close(key, now)
        try:
            output = _selected(unit.planned, output)
            self._make_room(output)
        except CallError as error:
            self._fail(unit, error, now)
        else:
            self._succeed(unit, output, now)
        self._advance(now)

    def fail(self, key: Key, error: CallError, now: float) -> None:
        unit = self._close(key, now)
        if error.retryable and unit.attempts <= unit.planned.task.retries:
            self._back_off(unit, now)
        else:
            self._fail(unit, error, now)
        self._advance(now)

    def wake(self, key: Key, now: float) -> None:
        """A pause before a repeated call is over, or the time of the whole run."""
        if not key.task:
            self.stop("timeout", now)
            return
        unit = self.open.pop(key)
        if self.states[key.task].status is Status.BACKING_OFF:
            self._move(key.task, Status.READY, now)
        self.ready.append(unit)

    def stop(self, why: str, now: float, caused_by: str | None = None) -> None:
        """End every task that has not come to its end: *why* is `cancelled`, `timeout` or `fail_fast`."""
        if self.ended_at is not None:
            return
        self.stopped_by = self.stopped_by or why
        message = self._why(why, caused_by)
        for key in list(self.open):
            self.commands.append(Abort(key))
            self._close(key, now)
        for id, state in self.states.items():
            if not state.status.is_final:
                state.code, state.message, state.caused_by = why, message, caused_by
                self._keep_items(state)
                was_sent = state.attempts > 0 or why == "cancelled"
                self._move(id, Status.CANCELLED if was_sent else Status.SKIPPED, now)
                self._end(id)
        self._settled.clear()
        self._finish(now)

    # Inside: one task's way to its end.

    def _look_at(self, id: str, now: float) -> None:
        """All that *id* waits for has come to its end: it starts, or it is skipped, or it cannot be made."""
        planned = self.plan.tasks[id]
        try:
            reason = self._reason_to_skip(planned)
            if reason is None:
                units, items = calls_of(self.id, planned, self.outputs, self._max_items)
        except CallError as error:
            self._give_up(id, error, now)
            return
        if reason is not None:
            self._skip(id, *reason, now)
            return
        self.states[id].items = items
        self._move(id, Status.READY, now)
        self.ready += units
        if items is not None and not units:
            self._end_items(id, now)

    def _reason_to_skip(self, planned: PlannedTask) -> tuple[str, str, str | None] | None:
        """Code, message and root cause, if the rule or the condition of *planned* says that it does not run."""
        unsuccessful = [need for need in planned.needs if need not in self.outputs]
        match planned.task.trigger_rule:
            case "all_success":
                missing = next((need for need in unsuccessful if need in planned.requires), None)
                if missing is not None:
                    return self._blamed(missing)
            case "one_failed" if not unsuccessful:
                return "condition", "skipped: trigger_rule is one_failed, and no dependency failed", None
        if planned.when is not None:
            outputs = {need: self.outputs[need].value if need in self.outputs else None for need in planned.needs}
            if not _applied("when", planned.when, outputs):
                return "condition", f"skipped: when ({planned.task.when}) is not true", None
        return None

    def _blamed(self, need: str) -> tuple[str, str, str]:
        cause = self.states[need].caused_by or need
        return "dependency_failed", f"skipped: {cause} {self.states[cause].fate}", cause

    def _succeed(self, unit: Unit, output: Output, now: float) -> None:
        id, item = unit.key.task, unit.key.item
        state = self.states[id]
        if item is None or state.items is None:
            state.output = output
            self._keep(id, output)
            self._move(id, Status.SUCCESS, now)
            self._end(id)
            return
        state.items.outputs[item] = output
        self.bytes += output.size_bytes
        state.items.left -= 1
        if state.items.left == 0:
            self._end_items(id, now)

    def _fail(self, unit: Unit, error: CallError, now: float) -> None:
        id, item = unit.key.task, unit.key.item
        state = self.states[id]
        if item is not None and state.items is not None:
            state.items.errors.append((item, error))
            state.items.left -= 1
            if self.plan.dag.fail_fast or state.items.left == 0:
                self._end_items(id, now)
            return
        self._give_up(id, error, now)

    def _give_up(self, id: str, error: CallError, now: float) -> None:
        state = self.states[id]
        state.error, state.code = error, error.code
        if isinstance(error, InvalidOutput) and error.output is not None:
            state.output = Output(error.output, (), measure(error.output))
            self.bytes += state.output.size_bytes
        was_late = isinstance(error, CallTimeout) and state.status is Status.RUNNING
        self._move(id, Status.TIMEOUT if was_late else Status.FAILED, now)
        self._end(id)
        if self.plan.dag.fail_fast:
            self.stop("fail_fast", now, id)

    def _end_items(self, id: str, now: float) -> None:
        state = self.states[id]
        items = state.items
        assert items is not None
        self._keep_items(state)
        if items.errors:
            items.errors.sort(key=lambda pair: pair[0])
            state.code = items.errors[0][1].code
            self._move(id, Status.FAILED, now)
            self._end(id)
            if self.plan.dag.fail_fast:
                self.stop("fail_fast", now, id)
            return
        assert state.output is not None
        self.outputs[id] = state.output
        self._move(id, Status.SUCCESS, now)
        self._end(id)

    def _keep_items(self, state: TaskState) -> None:
        if state.items is None:
            return
        outputs = state.items.outputs
        value: list[Json] = [None if output is None else output.value for output in outputs]
        attachments = tuple(block for output in outputs if output is not None for block in output.attachments)
        state.output = Output(value, attachments, sum(output.size_bytes for output in outputs if output is not None))

    def _back_off(self, unit: Unit, now: float) -> None:
        seconds = min(FIRST_BACKOFF_S * 2 ** (unit.attempts - 1), LONGEST_BACKOFF_S) * (0.5 + self._jitter())
        self.open[unit.key] = unit
        unit.started_at = None
        if unit.key.item is None:
            self._move(unit.key.task, Status.BACKING_OFF, now)
        self.commands.append(Sleep(unit.key, seconds))

    def _skip(self, id: str, code: str, message: str, caused_by: str | None, now: float) -> None:
        state = self.states[id]
        state.code, state.message, state.caused_by = code, message, caused_by
        self._move(id, Status.SKIPPED, now)
        self._end(id)

    # Inside: what the end of one task means for the others.

    def _advance(self, now: float) -> None:
        while self._settled:
            id = self._settled.popleft()
            for dependent in self.plan.dependents[id]:
                self._dependency_settled(dependent, id, now)
            if self._is_layered:
                self._leave_layer(id, now)
        self._finish(now)

    def _dependency_settled(self, id: str, need: str, now: float) -> None:
        state = self.states[id]
        state.waiting -= 1
        if state.status is not Status.PENDING:
            return
        planned = self.plan.tasks[id]
        is_lost = need not in self.outputs and need in planned.requires
        if is_lost and planned.task.trigger_rule == "all_success":
            self._skip(id, *self._blamed(need), now)
        elif state.waiting == 0 and self._may_look_at(id):
            self._look_at(id, now)

    def _leave_layer(self, id: str, now: float) -> None:
        self._left_in_layer[self.plan.layer_of[id]] -= 1
        while self._layer < len(self._left_in_layer) and self._left_in_layer[self._layer] == 0:
            self._layer += 1
            for next_id in self.plan.layers[self._layer] if self._layer < len(self.plan.layers) else ():
                if self.states[next_id].status is Status.PENDING and self.states[next_id].waiting == 0:
                    self._look_at(next_id, now)

    def _may_look_at(self, id: str) -> bool:
        is_open = not self._is_layered or self.plan.layer_of[id] == self._layer
        return is_open and self.states[id].status is Status.PENDING

    def _finish(self, now: float) -> None:
        if self.unsettled == 0 and self.ended_at is None:
            self.ended_at = now
            if self._timeout_s and self.stopped_by != "timeout":
                self.commands.append(Abort(Key(self.id, "")))
            self.notices.append(Finished(self.id, self.status, now))

    def _move(self, id: str, after: Status, now: float) -> None:
        state = self.states[id]
        before = state.status
        assert after in MOVES[before], f"{id}: {before} -> {after}"
        state.status = after
        if after.is_final:
            state.ended_at = now
        tool = self.plan.tasks[id].tool.full_name
        self.notices.append(Changed(Key(self.id, id), tool, before, after, state.attempts, now, state.code))

    def _end(self, id: str) -> None:
        self.unsettled -= 1
        self._settled.append(id)

    def _close(self, key: Key, now: float) -> Unit:
        unit = self.open.pop(key)
        if unit.started_at is not None:
            self._in_flight -= 1
            self.states[key.task].busy_s += now - unit.started_at
        return unit

    def _keep(self, id: str, output: Output) -> None:
        self.outputs[id] = output
        self.bytes += output.size_bytes

    def _make_room(self, output: Output) -> None:
        if self.bytes + output.size_bytes > self._max_bytes:
            raise OutputTooLarge(
                f"the outputs of this run would hold more than {self._max_bytes:,} bytes",
                hint="Ask the tools for less, or shrink their outputs with select.",
            )

    def _why(self, why: str, caused_by: str | None) -> str:
        match why:
            case "timeout":
                return f"the run's timeout of {self._timeout_s:g} s passed"
            case "fail_fast":
                return f"{caused_by} failed, and fail_fast is on"
        return "the run was cancelled"


def _selected(planned: PlannedTask, output: Output) -> Output:
    if planned.select is None:
        return output
    value = _applied("select", planned.select, output.value)
    return Output(value, (), measure(value))


def _applied(field: str, expression: Any, value: Json) -> Json:
    try:
        return search(expression, value)
    except ExpressionFailed as error:
        raise ExpressionFailed(f"{field}: {error.message}", hint=error.hint) from None
