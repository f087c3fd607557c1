"""The life of the tasks of one run, from the moment their dependencies have settled to their ends.

A task that ends goes into a queue, and `advance` works through that: what depends on the task, or
waited for it because of a conflict or a layer, is decided in turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from ...errors import CallError, CallTimeout, InvalidOutput, OutputTooLarge
from ..language.scope import Scope
from ..planning.plan import PlannedTask
from ..tools.output import Output
from .attempts import Attempts
from .calls import CallsOf, blamed, items_of, made, reason_to_skip
from .earlier_items import EarlierItems, items_to_reuse
from .events import (
    PENDING,
    READY,
    RUNNING,
    SUCCESS,
    Failure,
    RunLimits,
    Status,
    Wait,
)
from .frame import Frame, TaskCall
from .groups import Groups
from .moves import Moves
from .pace import Pace
from .repeats import joined
from .run_notes import RunNotes
from .state import Items, TaskState
from .tally import Tally
from .usage import Usage


class Lifecycle:
    """The tasks of one run, from due to ended. Times are in seconds, on the caller's clock."""

    def __init__(
        self,
        root: Frame,
        moves: Moves,
        attempts: Attempts,
        limits: RunLimits,
        calls: CallsOf,
        earlier_items: Mapping[str, EarlierItems],
        tallies: Mapping[str, Tally],
    ) -> None:
        self.stopped_by: str | None = None
        """`cancelled`, `timeout` or `fail_fast`, if something ended the run early."""
        self.notes = RunNotes()
        self.usage = Usage(limits)
        self.limits = limits
        self.moves = moves
        self.attempts = attempts
        self.earlier_items = earlier_items
        """The `for_each` tasks of which not all items succeeded in the earlier run."""
        self.is_fail_fast = root.plan.dag.fail_fast
        self.tallies = tallies
        """The tasks in groups, by whole id."""
        self._root = root
        self._calls = calls
        self._groups = Groups(self)
        self.pace = Pace(root.work)
        self.postponed: deque[tuple[Frame, str]] = deque()
        """The tasks that are due, or have items that were not looked at, and are left to the next
        step."""
        self._settled: deque[tuple[Frame, str]] = deque()
        """The tasks that have ended and whose dependents do not know it yet."""

    def due(self, frame: Frame, id: str, now: float) -> None:
        """Decide *id*, whose dependencies have settled, unless something else holds it back."""
        state = frame.states[id]
        if state.due_at is None and state.status is PENDING:
            state.due_at = now
        if not frame.may_decide(id):
            return
        if self.pace.is_enough():
            self.postponed.append((frame, id))
        else:
            self._decide(frame, id, now)

    def go_on(self, now: float) -> None:
        """Decide the tasks that were postponed, as far as one step may."""
        while self.postponed and not self.pace.is_enough():
            frame, id = self.postponed.popleft()
            if frame.may_decide(id):
                self._decide(frame, id, now)
            elif not frame.states[id].status.is_final:  # else it was stopped meanwhile
                self._go_on_with_items(frame, id, now)

    def _decide(self, frame: Frame, id: str, now: float) -> None:
        """Make *id*, which nothing in this run holds back, ready; or skip it, or fail it."""
        self.pace.room -= 1
        planned, state = frame.plan.tasks[id], frame.states[id]
        scope = frame.scope(planned)
        reusable: dict[int, Output] = {}
        try:
            reason = reason_to_skip(planned, scope, frame.states)
            if reason is None and not planned.makes_calls:
                begin = self._make if planned.is_value else self._groups.begin
                begin(frame, planned, scope, now)
                return
            if reason is None:
                earlier, most = self.earlier_items.get(id), self.limits.max_items
                is_enough = self.pace.is_enough if earlier is None else _is_never_enough
                calls, items = self._calls(state.key, planned, scope, most, None, is_enough)
                if earlier is not None and items is not None:
                    given = [(call.key.item or 0, call.item) for call in calls]
                    reusable = items_to_reuse(earlier, planned, scope.outputs, given)
                    calls = [call for call in calls if call.key.item not in reusable]
                self._add_calls(calls)
        except CallError as error:
            notes = self.notes.on_absent(planned, scope, has_failed=True)
            self.fail(frame, id, error, Failure.of(error), now, notes=notes)
            return
        if reason is not None:
            self._skip(frame, id, reason, now, self.notes.on_absent(planned, scope))
            return
        state.items = items
        changed = [call for call in calls if call.left_out]
        notes = self.notes.on_arguments(changed) if changed else ()
        if scope.absences:
            notes += self.notes.on_absent(planned, scope)
        self.moves.task(state, READY, now, notes=notes)
        self.attempts.add(calls, frame, now)
        if items is not None:
            self.reuse_items(reusable, state, items, now)
            self._look_at_items(calls, frame, id, items, now)

    def _add_calls(self, calls: list[TaskCall]) -> None:
        """Count *calls* of one task. Raises `LimitExceeded`, and `PolicyDenied` for a task
        that was accepted because it was not certain to make a call."""
        if calls:
            planned = calls[0].planned
            if (refusal := planned.policy.refusal(planned.tool.full_name)) is not None:
                raise refusal
        self.usage.add_calls(len(calls))
        self.pace.room -= len(calls)

    def _go_on_with_items(self, frame: Frame, id: str, now: float) -> None:
        """Look at the items of a task that were left to this step."""
        planned, state = frame.plan.tasks[id], frame.states[id]
        items, scope = state.items, frame.scope(planned)
        assert items is not None
        if planned.is_value:
            self._make_items(frame, planned, items, now)
            return
        before = len(items.errors)
        calls, _ = self._calls(
            state.key, planned, scope, self.limits.max_items, items, self.pace.is_enough
        )
        try:
            self._add_calls(calls)
        except CallError as error:
            failure = Failure.of(error)
            items.errors += [(call.key.item or 0, failure) for call in calls]
            items.left -= len(calls)
            calls = []
        changed = [call for call in calls if call.left_out]
        notes = self.notes.on_arguments(changed) if changed else ()
        notes += self.notes.on_absent(planned, scope) if calls else ()
        self.attempts.add(calls, frame, now)
        self._look_at_items(calls, frame, id, items, now, before, notes)

    def _make(self, frame: Frame, planned: PlannedTask, scope: Scope, now: float) -> None:
        """Make the value of *planned*, or one for each of its items. Raises `CallError`."""
        id, state = planned.id, frame.states[planned.id]
        if planned.items is None:
            self.usage.add_calls(1)
            output = made(planned, scope)
            self.keep(frame, output)
            state.output = frame.outputs[id] = output
            self.moves.task(state, READY, now)
            notes = self.notes.on_absent(planned, scope)
            self.moves.task(state, SUCCESS, now, notes=notes)
            self.end(frame, id)
            return
        values = items_of(planned, scope, self.limits.max_items)
        state.items = items = Items(len(values))
        items.values = values
        notes = self.notes.on_absent(planned, scope)
        self.moves.task(state, READY, now, notes=notes)
        self._make_items(frame, planned, items, now)

    def _make_items(self, frame: Frame, planned: PlannedTask, items: Items, now: float) -> None:
        """Make the values of the next *items*, or of all that are left."""
        id, state, scope = planned.id, frame.states[planned.id], frame.scope(planned)
        is_first = True
        while items.looked_at < len(items.values):
            if not is_first and self.pace.is_enough():
                self.postponed.append((frame, id))
                return
            is_first = False
            index, value = items.looked_at, items.values[items.looked_at]
            items.looked_at += 1
            self.pace.room -= 1
            own = scope.for_item(value, index)
            try:
                self.usage.add_calls(1)
                output = made(planned, own)
                self.keep(frame, output)
            except CallError as error:
                failure = Failure.of(error)
                items.errors.append((index, failure))
                self.moves.item(state, index, Status.FAILED, now, error=failure)
            else:
                items.outputs[index] = output
                size, notes = output.size_bytes, self.notes.on_absent(planned, own)
                self.moves.item(state, index, SUCCESS, now, output_bytes=size, notes=notes)
            items.left -= 1
        self.end_items(frame, id, now)

    def keep(self, frame: Frame, output: Output) -> None:
        """Count *output* of a task of *frame*. Raises `OutputTooLarge`."""
        self.usage.keep(output)
        if frame.around is not None:
            frame.bytes += output.memory_bytes

    def stop(
        self, why: str, now: float, caused_by: str | None = None, *, at_once: bool = False
    ) -> None:
        """End every unfinished task, *at_once* also those that clean up: *why* is `cancelled`,
        `timeout`, `fail_fast` or `cleanup_s`."""
        self.stopped_by = self.stopped_by or why
        code = "timeout" if why == "cleanup_s" else why
        error = Failure(code, self.why(why, caused_by), caused_by=caused_by)
        if not self.stop_frame(self._root, now, error, at_once=at_once):
            self._settled.clear()
            self.attempts.ready.clear()
            self.attempts.withdrawn.clear()

    def stop_frame(
        self, frame: Frame, now: float, error: Failure, *, at_once: bool = False
    ) -> bool:
        """End every unfinished task of *frame*, except, unless *at_once*, those that clean up.
        Returns whether any of these is left."""
        cleanup = frozenset[str]() if at_once else frame.plan.cleanup
        for id, state in frame.states.items():
            if state.status.is_final or (id in cleanup and self._cleans_up(frame, id, now, error)):
                continue
            self.stop_task(frame, id, now, error)
        self.attempts.withdraw(frame)
        frame.is_ended = frame.unsettled == 0
        return not frame.is_ended

    def _cleans_up(self, frame: Frame, id: str, now: float, error: Failure) -> bool:
        """Whether *id* goes on once *frame* is stopped because of *error*: it runs always, or it is
        a group and the tasks that run always have not ended for all of its items."""
        planned = frame.plan.tasks[id]
        if planned.task.trigger_rule == "always":
            return True
        return self._groups.stop(frame, planned, now, error)

    def stop_task(self, frame: Frame, id: str, now: float, error: Failure) -> None:
        """End *id*, which has not ended, because of *error*."""
        state = frame.states[id]
        state.error = error
        self._stop_items(frame, id, now, error)
        call = self.attempts.abort(state.key, now)
        was_sent = state.attempts > 0 or error.code == "cancelled"
        if was_sent and state.items is not None and state.output is not None:
            frame.partial[id] = state.output
        self.moves.task(state, Status.CANCELLED if was_sent else Status.SKIPPED, now, call)
        self.end(frame, id)

    def fail(
        self,
        frame: Frame,
        id: str,
        error: CallError,
        failure: Failure,
        now: float,
        call: TaskCall | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        """End the task *id*, which has failed with *error*: in making its *call*, or before."""
        state = frame.states[id]
        state.error = failure
        if isinstance(error, InvalidOutput):
            self._keep_what_is_invalid(state, error)
        if call is not None and call.pages:
            state.output = joined(call.pages)
        was_late = isinstance(error, CallTimeout) and state.status is RUNNING
        status = Status.TIMEOUT if was_late else Status.FAILED
        self.moves.task(state, status, now, call, notes=notes)
        self.end(frame, id)
        self.after_failure(frame, id, now)

    def _keep_what_is_invalid(self, state: TaskState, error: InvalidOutput) -> None:
        """Keep the invalid output for `get_run`, if it fits the run's limit."""
        if error.output is not None:
            output = Output.of(error.output)
            with suppress(OutputTooLarge):
                self.usage.keep(output)
                state.output = output

    def after_failure(self, frame: Frame, id: str, now: float) -> None:
        """Do what follows from the end of *id*, if it has failed, beyond its dependents."""
        if frame.states[id].status not in {Status.FAILED, Status.TIMEOUT}:
            return
        self._groups.fail_around(frame, id, now)
        if self.is_fail_fast and frame.around is None and self.stopped_by is None:
            self.stop("fail_fast", now, id)

    def reuse_items(
        self, reusable: Mapping[int, Output], state: TaskState, items: Items, now: float
    ) -> None:
        for index, output in reusable.items():
            items.outputs[index] = output
            items.left -= 1
            self.usage.bytes += output.memory_bytes
            self.moves.item(state, index, SUCCESS, now, output_bytes=output.size_bytes)

    def _look_at_items(
        self,
        calls: list[TaskCall],
        frame: Frame,
        id: str,
        items: Items,
        now: float,
        errors_before: int = 0,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Move the items of *calls*, which are ready, and those that could not be made."""
        state = frame.states[id]
        for call in calls:
            assert call.key.item is not None
            self.moves.item(state, call.key.item, READY, now, call, notes=notes)
            notes = ()
        for index, error in items.errors[errors_before:]:
            self.moves.item(state, index, Status.FAILED, now, error=error)
        if items.looked_at < len(items.values):
            self.postponed.append((frame, id))
        if items.left == 0 or (items.errors and self.ends_at_failure(frame.plan.tasks[id])):
            self.end_items(frame, id, now)

    def ends_at_failure(self, planned: PlannedTask) -> bool:
        """Whether the first failed item of *planned* ends it, and with it the run."""
        task = planned.task
        is_fail_fast = self.is_fail_fast and self.stopped_by is None
        return is_fail_fast and task.on_item_failure == "fail" and task.trigger_rule != "always"

    def end_items(self, frame: Frame, id: str, now: float) -> None:
        state = frame.states[id]
        items = state.items
        assert items is not None
        was_early = self._stop_items(frame, id, now, self.failed_fast(id))
        items.errors.sort(key=lambda pair: pair[0])
        may_fail = frame.plan.tasks[id].task.on_item_failure == "skip" and items.has_success
        if items.errors and not may_fail:
            state.error = items.errors[0][1]
            if state.output is not None:
                frame.partial[id] = state.output
            self.moves.task(state, Status.FAILED, now)
            if was_early:
                self.attempts.withdraw(frame)
            self.end(frame, id)
            self.after_failure(frame, id, now)
            return
        assert state.output is not None
        frame.outputs[id] = state.output
        self.moves.task(state, SUCCESS, now)
        self.end(frame, id)

    def failed_fast(self, id: str) -> Failure:
        """Return why others end with *id*, which has failed."""
        return Failure("fail_fast", self.why("fail_fast", id), caused_by=id)

    def _stop_items(self, frame: Frame, id: str, now: float, error: Failure) -> bool:
        """Stop the items of the task *id*, because of *error*; the outputs so far make its output.
        Returns whether there were any to stop."""
        state = frame.states[id]
        if (group := frame.open_groups.pop(id, None)) is not None:
            for inner in group.frames.values():
                self.stop_frame(inner, now, error, at_once=True)
        if (items := state.items) is None:
            return False
        left = [index for index, status in enumerate(items.statuses) if not status.is_final]
        for index in left:
            call = self.attempts.abort(state.key._replace(item=index), now)
            self.moves.item(state, index, Status.CANCELLED, now, call)
        state.output = items.output()
        return bool(left)

    def _skip(
        self, frame: Frame, id: str, reason: Failure, now: float, notes: tuple[str, ...] = ()
    ) -> None:
        state = frame.states[id]
        state.error = reason
        self.moves.task(state, Status.SKIPPED, now, notes=notes)
        self.end(frame, id)

    def advance(self, now: float) -> None:
        while self._settled:
            frame, id = self._settled.popleft()
            for dependent in frame.plan.dependents[id]:
                self._dependency_settled(frame, dependent, id, now)
            if frame.is_ordered:
                self._let_others_go_on(frame, id, now)
            if frame.unsettled == 0 and frame.around is not None and not frame.is_ended:
                self._groups.end_frame(frame, now)

    def _let_others_go_on(self, frame: Frame, id: str, now: float) -> None:
        """Decide the tasks that waited for the end of *id* because of a conflict or a layer."""
        for follower, resource in frame.released(id):
            self._turn_came(frame, follower, id, resource, now)
        for next_id in frame.opened(id):
            if frame.states[next_id].needs_left == 0:
                self.due(frame, next_id, now)

    def _dependency_settled(self, frame: Frame, id: str, need: str, now: float) -> None:
        state = frame.states[id]
        state.needs_left -= 1
        if state.status is not PENDING:
            return
        planned = frame.plan.tasks[id]
        is_lost = need not in frame.outputs and need in planned.requires
        if is_lost and planned.task.trigger_rule == "all_success":
            self._skip(frame, id, blamed(need, frame.states), now)
        elif state.needs_left == 0:
            self.due(frame, id, now)

    def _turn_came(self, frame: Frame, id: str, after: str, resource: str, now: float) -> None:
        """Let *id* go on: *after*, with which it conflicts, has finished."""
        state = frame.states[id]
        if state.due_at is None or state.status is not PENDING:
            return
        if now > state.due_at:
            state.waits = (Wait("conflict", after, now - state.due_at, resource),)
        self.due(frame, id, now)

    def end(self, frame: Frame, id: str) -> None:
        frame.unsettled -= 1
        self._settled.append((frame, id))

    def take_over(self, reused: Mapping[str, Output], now: float) -> None:
        """Take over the tasks that succeeded in an earlier run, and lists with failed items that
        are referred to."""
        for id, output in reused.items():
            state = self._root.states[id]
            state.output = output
            if (earlier := self.earlier_items.get(id)) is None:
                state.status = SUCCESS
            else:
                self._take_over_items(state, earlier, now)
            self._root.outputs[id] = output
            self.usage.bytes += output.memory_bytes
            self.end(self._root, id)

    def _take_over_items(self, state: TaskState, earlier: EarlierItems, now: float) -> None:
        """Take over a task of which items failed: it failed, or succeeded in spite of them."""
        state.error, items = earlier.error, earlier.items()
        statuses, items.statuses = items.statuses, [PENDING] * len(items.statuses)
        state.items = items
        self.moves.task(state, SUCCESS if state.error is None else Status.FAILED, now)
        errors = dict(items.errors)
        for index, status in enumerate(statuses):
            ended = Status.FAILED if status is Status.TIMEOUT else status
            self.moves.item(state, index, ended, now, error=errors.get(index))

    def why(self, why: str, caused_by: str | None) -> str:
        match why:
            case "timeout":
                return f"the run's timeout of {self.limits.timeout_s:g} s passed"
            case "cleanup_s":
                cleanup_s = self._root.plan.dag.cleanup_s
                return f"the run was stopped, and its cleanup_s of {cleanup_s:g} s passed"
            case "fail_fast":
                return f"{caused_by} failed, and fail_fast is on"
        return "the run was cancelled"


def _is_never_enough() -> bool:
    return False
