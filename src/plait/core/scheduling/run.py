"""One run of one DAG: the state of each task, and the tasks that may start.

Every change of a task's status goes through `Moves`. Calls that may start go into `ready`,
commands into `commands`, notices into `notices`; the scheduler takes all three.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from ...errors import CallError, CallTimeout, InvalidOutput, OutputTooLarge
from ..language.templates import Scope
from ..planning.plan import MAX_CALLS, Plan, PlannedTask
from ..tools.catalog import digest_of
from ..tools.claims import Accesses
from ..tools.output import Output
from ..values.principal import USER, Principal
from ..values.problems import written
from ..values.strict import Json
from .calls import MAX_ITEMS, blamed, calls_of, items_of, made, reason_to_skip, selected
from .conflicts import Conflicts
from .earlier_items import EarlierItems, items_to_reuse
from .events import (
    Abort,
    Command,
    Delayed,
    Failure,
    Finished,
    Key,
    RunLimits,
    RunNotice,
    Sleep,
    Started,
    Status,
    Wait,
)
from .frame import Around, Frame
from .lanes import Urgency
from .moves import Moves
from .retry import RetryBudgets, backoff_s
from .state import Group, Items, TaskCall, TaskState, outlines_of
from .tally import Tally, outlines_of_inner
from .usage import Usage

MAX_NOTES = 20
"""Most notes on arguments of one run."""
MAX_RUN_BYTES = 256 * 2**20
MAX_FRAMES = 64
"""Most items of one group under way at once, unless it has a `max_concurrency`."""


class CallsOf(Protocol):
    """Makes the calls of a task whose dependencies have settled (`core/scheduling/calls.py`)."""

    def __call__(
        self, key: Key, planned: PlannedTask, scope: Scope, max_items: int, /
    ) -> tuple[list[TaskCall], Items | None]: ...


class Run:
    """One run. Change it only by its methods, each of which takes the time; read it freely."""

    def __init__(
        self,
        id: str,
        plan: Plan,
        *,
        principal: Principal = USER,
        number: int = 0,
        conflicts: Conflicts | None = None,
        reused: Mapping[str, Output] | None = None,
        earlier_items: Mapping[str, EarlierItems] | None = None,
        client: str | None = None,
        began: float | None = None,
        jitter: Callable[[], float] = lambda: 0.5,
        timeout_s: float | None = None,
        max_items: int = MAX_ITEMS,
        max_bytes: int = MAX_RUN_BYTES,
        max_calls: int = MAX_CALLS,
        calls: CallsOf = calls_of,
    ) -> None:
        self.id = id
        self.plan = plan
        self.principal = principal
        """The owner of the run."""
        self.client = client
        """The connection that it was submitted over."""
        self.began = began
        """The time of its start, in seconds since 1970; None if unknown."""
        self.conflicts = conflicts or Conflicts()
        self.outlines = outlines_of(plan)
        self.digest = digest_of(
            {
                task.tool.full_name: task.tool for task in plan.all_tasks() if task.makes_calls
            }.values()
        )
        """The digest of the definitions of the tools that it calls."""
        self.notes: list[str] = []
        """Changes that were made in arguments once they were known."""
        self.stopped_by: str | None = None
        """`cancelled`, `timeout` or `fail_fast`, if something ended the run early."""
        self.most_in_flight = 0
        """The most calls of it that were in flight at one moment."""
        self.started_at = 0.0
        self.ended_at: float | None = None
        self.ready: list[TaskCall] = []
        self.open: dict[Key, TaskCall] = {}
        """Calls in flight, and those that wait for their next attempt."""
        self.commands: list[Command] = []
        self.notices: list[RunNotice] = []
        self.waited: defaultdict[tuple[str, str], float] = defaultdict(float)
        """Seconds that its calls waited, by reason and by what they waited for."""
        self._number = number
        self._reused = dict(reused or {})
        self._earlier_items = dict(earlier_items or {})
        """The `for_each` tasks of which not all items succeeded in the earlier run: those in
        `_reused` are taken over as they ended; for others, equal items are reused."""
        self.jitters: list[float] = []
        """The random shares of the pauses before repeated calls, in the order in which they were
        drawn."""
        self.limits = RunLimits(timeout_s or plan.dag.timeout_s, max_items, max_bytes, max_calls)
        self.usage = Usage(self.limits)
        self._moves = Moves(self.notices, self.waited)
        self._jitter = jitter
        self._calls = calls
        self._budgets = RetryBudgets()
        self._settled: deque[tuple[Frame, str]] = deque()
        """The tasks that have ended and whose dependents do not know it yet."""
        self._in_flight = 0
        self.inner = outlines_of_inner(plan)
        self.tallies = {outline.id: Tally(outline) for outline in self.inner}
        """The tasks in groups, by whole id."""
        self.withdrawn: list[TaskCall] = []
        """Calls that were ready and are not to be made any more, although the run goes on."""
        self.root = Frame(id, plan, self.conflicts, self._reused)
        self.states = self.root.states
        self.outputs = self.root.outputs

    def __repr__(self) -> str:
        counts = Counter(str(state.status) for state in self.states.values())
        return (
            f"<Run {self.id}: {', '.join(f'{count} {status}' for status, count in counts.items())}>"
        )

    @property
    def is_done(self) -> bool:
        return self.root.unsettled == 0

    @property
    def status(self) -> str:
        """The status of the whole run, as in the contract's section 5."""
        if not self.is_done:
            return "running"
        if self.stopped_by in {"cancelled", "timeout"}:
            return str(self.stopped_by)
        if all(state.is_well for state in self.states.values()):
            has_failed = any(tally.has_failed for tally in self.tallies.values())
            return "partial" if has_failed else "success"
        return (
            "partial"
            if any(state.status is Status.SUCCESS for state in self.states.values())
            else "failed"
        )

    @property
    def counts(self) -> dict[str, int]:
        """The number of tasks with each status."""
        return Counter([state.status.value for state in self.states.values()])

    def urgency(self, call: TaskCall) -> Urgency:
        planned = call.planned
        frame, key = call.frame, call.key
        remaining = frame.plan.remaining[planned.id] + frame.rest_s
        place = (
            (planned.index, key.item or 0)
            if not key.at
            else (planned.index, *key.at, key.item or 0)
        )
        return (-planned.task.priority, -remaining, self._number, *place)

    def accesses(self, call: TaskCall) -> Accesses | None:
        """Return the resources that the call of *call* accesses; None if absent."""
        return self.conflicts.accesses(call.key.task, call.arguments)

    # Methods for what happens to a run.

    def begin(self, now: float, budgets: RetryBudgets | None = None) -> None:
        """Start the run. *budgets* are the retry budgets of the servers, over all runs."""
        self._budgets = self._budgets if budgets is None else budgets
        self.started_at = now
        taken_over = {id: output.size_bytes for id, output in self._reused.items()}
        self.notices.append(
            Started(
                self.id,
                now,
                self.began,
                self.principal,
                self.client,
                self.plan.dag,
                self.digest,
                self.outlines,
                taken_over,
                self.plan.returned,
                self.plan.notes,
                self.limits,
                self.inner,
            )
        )
        if self.limits.timeout_s:
            self.commands.append(Sleep(Key(self.id, ""), self.limits.timeout_s))
        self._take_over(now)
        for id, state in self.states.items():
            if not state.needs_left:
                self._due(self.root, id, now)
        self._advance(now)

    def start(self, call: TaskCall, now: float) -> int:
        """Start the call of *call*; gives the number of the attempt."""
        call.attempts += 1
        call.started_at, call.paused_s = now, 0.0
        self.open[call.key] = call
        self._in_flight += 1
        if self._in_flight > self.most_in_flight:
            self.most_in_flight = self._in_flight
        state = call.frame.states[call.planned.id]
        state.attempts += 1
        if state.started_at is None:
            state.started_at = now
            state.waits += call.waits
        if call.attempts == 1:
            self._budgets.called(call.planned.tool.server)
            for wait in call.waits:
                self.waited[wait.why, wait.on] += wait.seconds
        if call.frame.around is not None:
            self._start_in_group(call, now)
        if state.status is Status.READY:
            self._moves.task(state, Status.RUNNING, now, call)
        if call.key.item is not None:
            self._moves.item(state, call.key.item, Status.RUNNING, now, call)
        return call.attempts

    def _start_in_group(self, call: TaskCall, now: float) -> None:
        """Note that the groups around *call*, and their items, run."""
        del call.frame.ready[call.key]
        for around in call.frame.groups():
            state = around.state
            state.attempts += 1
            if state.status is Status.READY:
                state.started_at = now
                self._moves.task(state, Status.RUNNING, now)
            if around.item is not None:
                assert state.items is not None
                if state.items.statuses[around.item] is Status.READY:
                    self._moves.item(state, around.item, Status.RUNNING, now)

    def sent(self, key: Key, now: float) -> None:
        """Note that the call of *key*, which was started before, has waited for its server until
        now."""
        call = self.open[key]
        state = call.frame.states[call.planned.id]
        if call.started_at is None:
            return
        wait = Wait("server", call.planned.tool.server, now - call.started_at)
        self.waited[wait.why, wait.on] += wait.seconds
        is_first = state.started_at == call.started_at
        if is_first:
            state.waits += (wait,)
            state.started_at = now
        call.started_at = now
        self.notices.append(Delayed(key, wait, is_first, now))

    def succeed(self, key: Key, output: Output, now: float, *, cached: bool = False) -> None:
        call = self._close(key, now)
        try:
            if call.planned.select is not None:
                scope = call.frame.scope(call.planned, call.item, key.item)
                output = selected(call.planned.select, output, scope)
            self.usage.keep(output)
            if call.frame.around is not None:
                call.frame.bytes += output.memory_bytes
        except CallError as error:
            self._fail(call, error, Failure.of(error), now)
        else:
            state = call.frame.states[call.planned.id]
            state.is_fresh = state.is_fresh or not cached
            if call.frame.around is not None and not cached:
                for around in call.frame.groups():
                    around.state.is_fresh = True
            self._succeed(call, output, now, cached=cached)
        self._advance(now)

    def fail(self, key: Key, error: CallError, now: float) -> None:
        call, failure = self._close(key, now), Failure.of(error)
        server = call.planned.tool.server
        may_repeat = error.retryable and call.attempts <= call.planned.task.retries
        if may_repeat and self._budgets.take(server):
            self._back_off(call, error, failure, now)
            return
        reason = None
        if may_repeat:
            reason = f"too many calls of {server} failed lately"
        elif call.planned.task.retries and not error.retryable:
            reason = "retries are for calls that time out, are lost or cannot be sent"
        if reason is not None:
            hint = f"It was not tried again: {reason}."
            failure = replace(failure, hint=f"{failure.hint} {hint}" if failure.hint else hint)
        self._fail(call, error, failure, now)
        self._advance(now)

    def refuse(self, call: TaskCall, error: CallError, now: float) -> None:
        """Fail *call*, which is ready and cannot be sent."""
        self._fail(call, error, Failure.of(error), now)
        self._advance(now)

    def wake(self, key: Key, now: float) -> None:
        """End a pause before a repeated call, or the time of the whole run."""
        if not key.task:
            self.stop("timeout", now)
            return
        call = self.open.pop(key)
        state = call.frame.states[call.planned.id]
        if state.status is Status.BACKING_OFF:
            self._moves.task(state, Status.READY, now)
        if key.item is not None:
            self._moves.item(state, key.item, Status.READY, now, call)
        self.ready.append(call)
        if call.frame.around is not None:
            call.frame.ready[key] = call

    def stop(self, why: str, now: float, caused_by: str | None = None) -> None:
        """End every unfinished task: *why* is `cancelled`, `timeout` or `fail_fast`."""
        if self.ended_at is not None:
            return
        self.stopped_by = self.stopped_by or why
        error = Failure(why, self._why(why, caused_by), caused_by=caused_by)
        for state in self.states.values():
            if not state.status.is_final:
                state.error = error
                self._stop_items(state, now, error)
                call = self._abort(state.key, now)
                was_sent = state.attempts > 0 or why == "cancelled"
                self._moves.task(state, Status.CANCELLED if was_sent else Status.SKIPPED, now, call)
                self.root.unsettled -= 1
        self._settled.clear()
        self.ready.clear()
        self.withdrawn.clear()
        self._finish(now)

    # Inside: the way of one task to its end.

    def _take_over(self, now: float) -> None:
        """Take over the tasks that succeeded in an earlier run, and lists with failed items that
        are referred to."""
        for id, output in self._reused.items():
            state = self.states[id]
            state.output = output
            if (earlier := self._earlier_items.get(id)) is None:
                state.status = Status.SUCCESS
            else:
                self._take_over_failed(state, earlier, now)
            self.outputs[id] = output
            self.usage.bytes += output.memory_bytes
            self._end(self.root, id)

    def _take_over_failed(self, state: TaskState, earlier: EarlierItems, now: float) -> None:
        state.error, items = earlier.error, earlier.items()
        statuses, items.statuses = items.statuses, [Status.PENDING] * len(items.statuses)
        state.items = items
        self._moves.task(state, Status.FAILED, now)
        errors = dict(items.errors)
        for index, status in enumerate(statuses):
            ended = Status.FAILED if status is Status.TIMEOUT else status
            self._moves.item(state, index, ended, now, error=errors.get(index))

    def _due(self, frame: Frame, id: str, now: float) -> None:
        """Note that the dependencies of *id* have settled."""
        state = frame.states[id]
        if state.due_at is None and state.status is Status.PENDING:
            state.due_at = now
        if frame.may_decide(id):
            self._decide(frame, id, now)

    def _decide(self, frame: Frame, id: str, now: float) -> None:
        """Make *id*, which nothing in this run holds back, ready; or skip it, or fail it."""
        planned, state = frame.plan.tasks[id], frame.states[id]
        scope = frame.scope(planned)
        reusable: dict[int, Output] = {}
        try:
            reason = reason_to_skip(planned, scope, frame.states)
            if reason is None and not planned.makes_calls:
                begin = self._make if planned.is_value else self._begin_group
                begin(frame, planned, scope, now)
                return
            if reason is None:
                calls, items = self._calls(state.key, planned, scope, self.limits.max_items)
                if (earlier := self._earlier_items.get(id)) is not None and items is not None:
                    given = [(call.key.item or 0, call.item) for call in calls]
                    reusable = items_to_reuse(earlier, planned, scope.outputs, given)
                    calls = [call for call in calls if call.key.item not in reusable]
                self.usage.add_calls(len(calls))
        except CallError as error:
            self._give_up(frame, id, error, Failure.of(error), now)
            return
        if reason is not None:
            self._skip(frame, id, reason, now)
            return
        state.items = items
        changed = [call for call in calls if call.left_out]
        notes = self._notes_on(changed) if changed else ()
        self._moves.task(state, Status.READY, now, notes=notes)
        for call in calls:
            call.frame = frame
            call.waiting_since = now
        self.ready += calls
        if frame.around is not None:
            frame.ready |= {call.key: call for call in calls}
        if items is not None:
            self._reuse_items(reusable, state, items, now)
            self._look_at_items(calls, frame, id, items, now)

    def _make(self, frame: Frame, planned: PlannedTask, scope: Scope, now: float) -> None:
        """Make the value of *planned*, or one for each of its items. Raises `CallError`."""
        id, state = planned.id, frame.states[planned.id]
        if planned.items is None:
            output = made(planned, scope)
            self._keep(frame, output)
            state.output = frame.outputs[id] = output
            self._moves.task(state, Status.READY, now)
            self._moves.task(state, Status.SUCCESS, now)
            self._end(frame, id)
            return
        values = items_of(planned, scope, self.limits.max_items)
        state.items = items = Items(len(values))
        self._moves.task(state, Status.READY, now)
        for index, value in enumerate(values):
            try:
                output = made(planned, Scope(scope.outputs, value, index, scope.names))
                self._keep(frame, output)
            except CallError as error:
                failure = Failure.of(error)
                items.errors.append((index, failure))
                self._moves.item(state, index, Status.FAILED, now, error=failure)
            else:
                items.outputs[index] = output
                size = output.size_bytes
                self._moves.item(state, index, Status.SUCCESS, now, output_bytes=size)
            items.left -= 1
        self._end_items(frame, id, now)

    def _keep(self, frame: Frame, output: Output) -> None:
        """Count *output* of a task of *frame*. Raises `OutputTooLarge`."""
        self.usage.keep(output)
        if frame.around is not None:
            frame.bytes += output.memory_bytes

    # Inside: groups.

    def _begin_group(self, frame: Frame, planned: PlannedTask, scope: Scope, now: float) -> None:
        """Start the first items of *planned*, a group. Raises `CallError`."""
        state = frame.states[planned.id]
        values: list[Json] = [None]
        reusable: dict[int, Output] = {}
        if planned.items is not None:
            values = items_of(planned, scope, self.limits.max_items)
            state.items = Items(len(values))
            if (earlier := self._earlier_items.get(planned.id)) is not None:
                reusable = items_to_reuse(earlier, planned, scope.outputs, enumerate(values))
        self._moves.task(state, Status.READY, now)
        left = [index for index in range(len(values)) if index not in reusable]
        state.group = Group(values, deque(left), planned.task.max_concurrency or MAX_FRAMES)
        if state.items is not None:
            self._reuse_items(reusable, state, state.items, now)
        if left:
            self._open_frames(frame, planned, now)
        else:
            self._end_items(frame, planned.id, now)

    def _open_frames(self, frame: Frame, planned: PlannedTask, now: float) -> None:
        """Start as many items of the group *planned* as may be under way at once."""
        state = frame.states[planned.id]
        group = state.group
        assert group is not None
        assert planned.inner is not None
        while group.left and len(group.frames) < group.window:
            index = group.left.popleft()
            around = Around(frame, planned.id, None if state.items is None else index)
            item = group.values[index]
            inner = Frame(self.id, planned.inner, around=around, item=item, tallies=self.tallies)
            group.frames[index] = inner
            if state.items is not None:
                self._moves.item(state, index, Status.READY, now)
            for id, one in inner.states.items():
                if not one.needs_left:
                    self._due(inner, id, now)
            if state.status.is_final:
                return  # a failure has ended the run

    def _fail_around(self, frame: Frame, id: str, now: float) -> None:
        """Note that task *id* of *frame* has failed, and with it the item that the frame is for, if
        that needs it."""
        if frame.around is None or id not in frame.around.planned.needed:
            return
        error = frame.states[id].error
        name = self.tallies[id].outline.place(frame.states[id].key)
        if frame.failure is None and error is not None:
            message = f"{name}: {error.message}"
            frame.failure = replace(error, message=message, caused_by=name)
        if frame.around.planned.task.fail_fast:
            why = Failure("fail_fast", self._why("fail_fast", name), caused_by=name)
            self._stop_frame(frame, now, why)
            self._end_frame(frame, now)

    def _end_frame(self, frame: Frame, now: float) -> None:
        """End the item of *frame*, whose tasks have ended."""
        around = frame.around
        assert around is not None
        frame.is_ended = True
        parent, id, index = around
        state, planned = around.state, around.planned
        assert state.group is not None
        del state.group.frames[index or 0]
        failure, output = frame.failure, None
        if failure is None:
            try:
                output = made(planned, frame.result_scope)
                self._keep(parent, output)
            except CallError as error:
                failure, output = Failure.of(error), None
        self.usage.bytes -= frame.bytes
        if index is None or state.items is None:
            state.output, state.error = output, failure
            if output is not None:
                parent.outputs[id] = output
            self._moves.task(state, Status.SUCCESS if failure is None else Status.FAILED, now)
            self._end(parent, id)
            self._after_failure(parent, id, now)
            return
        state.items.left -= 1
        if failure is not None:
            state.items.errors.append((index, failure))
            self._moves.item(state, index, Status.FAILED, now, error=failure)
        elif output is not None:
            state.items.outputs[index] = output
            size = output.size_bytes
            self._moves.item(state, index, Status.SUCCESS, now, output_bytes=size)
        if state.items.left == 0 or (failure is not None and self.plan.dag.fail_fast):
            self._end_items(parent, id, now)
        else:
            self._open_frames(parent, planned, now)

    def _after_failure(self, frame: Frame, id: str, now: float) -> None:
        """Do what follows from the end of *id*, if it has failed, beyond its dependents."""
        if frame.states[id].status not in {Status.FAILED, Status.TIMEOUT}:
            return
        self._fail_around(frame, id, now)
        if self.plan.dag.fail_fast and frame.around is None:
            self.stop("fail_fast", now, id)

    def _stop_frame(self, frame: Frame, now: float, error: Failure) -> None:
        """End every unfinished task of *frame*."""
        frame.is_ended = True
        for state in frame.states.values():
            if state.status.is_final:
                continue
            state.error = error
            self._stop_items(state, now, error)
            call = self._abort(state.key, now)
            was_sent = state.attempts > 0 or error.code == "cancelled"
            self._moves.task(state, Status.CANCELLED if was_sent else Status.SKIPPED, now, call)
            frame.unsettled -= 1
        self.ready = [call for call in self.ready if call.key not in frame.ready]
        self.withdrawn += frame.ready.values()
        frame.ready.clear()

    def _notes_on(self, calls: list[TaskCall]) -> tuple[str, ...]:
        """Note, once for each place, what was left out of the arguments of *calls*."""
        left_out = dict.fromkeys(
            (call.key.task, place) for call in calls for place in call.left_out
        )
        notes = [
            f"{task}.arguments{written(place)} was null or empty text and was left out; the tool "
            "does not take it"
            for task, place in left_out
        ][: max(MAX_NOTES - len(self.notes), 0)]
        self.notes += notes
        return tuple(notes)

    def _reuse_items(
        self, reusable: Mapping[int, Output], state: TaskState, items: Items, now: float
    ) -> None:
        for index, output in reusable.items():
            items.outputs[index] = output
            items.left -= 1
            self.usage.bytes += output.memory_bytes
            self._moves.item(state, index, Status.SUCCESS, now, output_bytes=output.size_bytes)

    def _look_at_items(
        self, calls: list[TaskCall], frame: Frame, id: str, items: Items, now: float
    ) -> None:
        state = frame.states[id]
        for call in calls:
            assert call.key.item is not None
            self._moves.item(state, call.key.item, Status.READY, now, call)
        for index, error in items.errors:  # they could not be made
            self._moves.item(state, index, Status.FAILED, now, error=error)
        if items.left == 0 or (items.errors and self.plan.dag.fail_fast):
            self._end_items(frame, id, now)

    def _succeed(self, call: TaskCall, output: Output, now: float, *, cached: bool) -> None:
        frame, id, item = call.frame, call.planned.id, call.key.item
        state = frame.states[id]
        if item is None or state.items is None:
            state.output = output
            frame.outputs[id] = output
            self._moves.task(state, Status.SUCCESS, now, call)
            self._end(frame, id)
            return
        state.items.outputs[item] = output
        self._moves.item(
            state, item, Status.SUCCESS, now, call, output_bytes=output.size_bytes, cached=cached
        )
        state.items.left -= 1
        if state.items.left == 0:
            self._end_items(frame, id, now)

    def _fail(self, call: TaskCall, error: CallError, failure: Failure, now: float) -> None:
        frame, id, item = call.frame, call.planned.id, call.key.item
        state = frame.states[id]
        if item is None or state.items is None:
            self._give_up(frame, id, error, failure, now, call)
            return
        state.items.errors.append((item, failure))
        state.items.left -= 1
        status = Status.TIMEOUT if isinstance(error, CallTimeout) else Status.FAILED
        self._moves.item(state, item, status, now, call, error=failure)
        if self.plan.dag.fail_fast or state.items.left == 0:
            self._end_items(frame, id, now)

    def _give_up(
        self,
        frame: Frame,
        id: str,
        error: CallError,
        failure: Failure,
        now: float,
        call: TaskCall | None = None,
    ) -> None:
        state = frame.states[id]
        state.error = failure
        if isinstance(error, InvalidOutput):
            self._keep_what_is_invalid(state, error)
        was_late = isinstance(error, CallTimeout) and state.status is Status.RUNNING
        self._moves.task(state, Status.TIMEOUT if was_late else Status.FAILED, now, call)
        self._end(frame, id)
        self._after_failure(frame, id, now)

    def _end_items(self, frame: Frame, id: str, now: float) -> None:
        state = frame.states[id]
        items = state.items
        assert items is not None
        self._stop_items(state, now, Failure("fail_fast", self._why("fail_fast", id), caused_by=id))
        if items.errors:
            items.errors.sort(key=lambda pair: pair[0])
            state.error = items.errors[0][1]
            if state.output is not None:
                frame.partial[id] = state.output
            self._moves.task(state, Status.FAILED, now)
            self._end(frame, id)
            self._after_failure(frame, id, now)
            return
        assert state.output is not None
        frame.outputs[id] = state.output
        self._moves.task(state, Status.SUCCESS, now)
        self._end(frame, id)

    def _stop_items(self, state: TaskState, now: float, error: Failure) -> None:
        """Stop the items of a task, because of *error*; the outputs so far make its output."""
        if state.group is not None:
            for inner in state.group.frames.values():
                self._stop_frame(inner, now, error)
            state.group = None
        if (items := state.items) is None:
            return
        for index, status in enumerate(items.statuses):
            if not status.is_final:
                call = self._abort(state.key._replace(item=index), now)
                self._moves.item(state, index, Status.CANCELLED, now, call)
        state.output = items.output()

    def _back_off(self, call: TaskCall, error: CallError, failure: Failure, now: float) -> None:
        self.open[call.key] = call
        call.started_at = None
        jitter = self._jitter()
        self.jitters.append(jitter)
        state, item = call.frame.states[call.planned.id], call.key.item
        if item is None:
            self._moves.task(state, Status.BACKING_OFF, now, call, failure, jitter)
        else:
            self._moves.item(
                state, item, Status.BACKING_OFF, now, call, error=failure, jitter=jitter
            )
        self.commands.append(Sleep(call.key, backoff_s(call.attempts, jitter, error)))

    def _skip(self, frame: Frame, id: str, reason: Failure, now: float) -> None:
        state = frame.states[id]
        state.error = reason
        self._moves.task(state, Status.SKIPPED, now)
        self._end(frame, id)

    # Inside: the consequences of the end of one task for the others.

    def _advance(self, now: float) -> None:
        while self._settled:
            frame, id = self._settled.popleft()
            for dependent in frame.plan.dependents[id]:
                self._dependency_settled(frame, dependent, id, now)
            for follower, resource in frame.released(id):
                self._turn_came(frame, follower, id, resource, now)
            for next_id in frame.opened(id):
                if frame.states[next_id].needs_left == 0:
                    self._due(frame, next_id, now)
            if frame.unsettled == 0 and frame.around is not None and not frame.is_ended:
                self._end_frame(frame, now)
        self._finish(now)

    def _dependency_settled(self, frame: Frame, id: str, need: str, now: float) -> None:
        state = frame.states[id]
        state.needs_left -= 1
        if state.status is not Status.PENDING:
            return
        planned = frame.plan.tasks[id]
        is_lost = need not in frame.outputs and need in planned.requires
        if is_lost and planned.task.trigger_rule == "all_success":
            self._skip(frame, id, blamed(need, frame.states), now)
        elif state.needs_left == 0:
            self._due(frame, id, now)

    def _turn_came(self, frame: Frame, id: str, after: str, resource: str, now: float) -> None:
        """Let *id* go on: *after*, with which it conflicts, has finished."""
        state = frame.states[id]
        if state.due_at is None or state.status is not Status.PENDING:
            return
        if now > state.due_at:
            state.waits = (Wait("conflict", after, now - state.due_at, resource),)
        if frame.may_decide(id):
            self._decide(frame, id, now)

    def _finish(self, now: float) -> None:
        if self.root.unsettled == 0 and self.ended_at is None:
            self.ended_at = now
            self.root.close()
            if self.limits.timeout_s and self.stopped_by != "timeout":
                self.commands.append(Abort(Key(self.id, "")))
            elapsed_s = now - self.started_at
            self.notices.append(
                Finished(self.id, self.status, now, elapsed_s, self.stopped_by, self.counts)
            )

    def _end(self, frame: Frame, id: str) -> None:
        frame.unsettled -= 1
        self._settled.append((frame, id))

    def _close(self, key: Key, now: float) -> TaskCall:
        call = self.open.pop(key)
        call.took_s = None
        if call.started_at is not None:
            self._in_flight -= 1
            call.took_s = now - call.started_at
            call.frame.states[call.planned.id].busy_s += call.took_s
            if call.frame.around is not None:
                for around in call.frame.groups():
                    around.state.busy_s += call.took_s
        return call

    def _abort(self, key: Key, now: float) -> TaskCall | None:
        """End the call of *key*, or the pause before its next attempt; gives the call if there was
        one."""
        if key not in self.open:
            return None
        self.commands.append(Abort(key))
        return self._close(key, now)

    def _keep_what_is_invalid(self, state: TaskState, error: InvalidOutput) -> None:
        """Keep the invalid output for `get_run`, if it fits the run's limit."""
        if error.output is not None:
            output = Output.of(error.output)
            with suppress(OutputTooLarge):
                self.usage.keep(output)
                state.output = output

    def _why(self, why: str, caused_by: str | None) -> str:
        match why:
            case "timeout":
                return f"the run's timeout of {self.limits.timeout_s:g} s passed"
            case "fail_fast":
                return f"{caused_by} failed, and fail_fast is on"
        return "the run was cancelled"
