"""The calls of one run: those that may start, those in flight, and those that pause before they
are made again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from ...errors import CallError
from ..tools.overwriting import Reading
from ..values.strict import JsonObject
from .events import (
    READY,
    RUNNING,
    WAITING,
    Abort,
    Call,
    Command,
    Failure,
    Key,
    Sleep,
    Status,
    Wait,
    Why,
)
from .frame import Frame, TaskCall
from .holding import Holding
from .moves import Moves
from .notices import Delayed, RunNotice
from .retry import RetryBudgets, backoff_s, may_repeat

IsKnown: TypeAlias = Callable[[Call], bool]
"""Says something of a call that is known from an earlier run. It only looks things up."""


class Known(NamedTuple):
    """All that a run knows from the earlier one that it goes on from."""

    is_answered: IsKnown
    """Says whether the answer of a call is there without it being sent."""
    word: Callable[[Call], bool | None] = lambda call: None
    """Says whether a person said yes or no to a call that was not sent yet; None if unknown."""
    reading: Callable[[Call], Reading | None] = lambda call: None
    """Gives the reading to which they were shown the difference; None without one."""
    is_applied: bool = False
    """Whether the run was a preview and was applied."""


class Attempts:
    """The attempts of the calls of one run. Times are in seconds, on the caller's clock."""

    def __init__(
        self,
        moves: Moves,
        notices: list[RunNotice],
        waited: MutableMapping[tuple[str, str], float],
        jitter: Callable[[], float],
    ) -> None:
        self.ready: list[TaskCall] = []
        """Calls that may start, for the scheduler to take."""
        self.held_now: list[TaskCall] = []
        """Calls that are held from now on, for the scheduler to take."""
        self.withdrawn: list[TaskCall] = []
        """Calls that were ready and are not to be made any more, although the run goes on."""
        self.open: dict[Key, TaskCall] = {}
        """Calls in flight, and those that wait for their next attempt."""
        self.commands: list[Command] = []
        self.known: Known | None = None
        """None if this run goes on from no other."""
        self.holding: Holding | None = None
        """Holds the calls that are asked for; None where none is."""
        self.denied: deque[TaskCall] = deque()
        """Calls that a person said no to in the run that this one goes on from, to be failed."""
        self._unstarted = 0
        self.most_in_flight = 0
        """The most calls in flight at one moment."""
        self.jitters: list[float] = []
        """The random shares of the pauses before repeated calls, in the order in which they were
        drawn."""
        self.budgets = RetryBudgets()
        self._in_flight = 0
        self._moves = moves
        self._notices = notices
        self._waited = waited
        self._jitter = jitter

    def add(self, calls: Iterable[TaskCall], frame: Frame, now: float) -> None:
        """Let *calls* of a task of *frame* start as soon as there is room for them."""
        for call in calls:
            call.frame = frame
            call.waiting_since = now
            self._may_start(call)

    @property
    def is_idle(self) -> bool:
        """Whether no call is in flight, about to start, or to be made again after a pause."""
        return not self._unstarted and not self.open

    def _may_start(self, call: TaskCall) -> None:
        if self.holding is not None and (why := self.holding.reason(call)) is not None:
            known, command = self.known, call.command(call.attempts + 1)
            word = None if known is None else known.word(command)
            call.is_approved = word is True
            if call.is_approved and known is not None:
                call.reading, call.why_asked = known.reading(command), Why.POLICY
            if word is False:
                self.denied.append(call)
                return
            if not call.is_approved and (known is None or not known.is_answered(command)):
                call.reading = None
                self.holding.add(call, why)
                return
        elif self.holding is not None and self.holding.covers(call):
            call.is_approved = True
        self._unstarted += 1
        self.ready.append(call)
        if call.frame.is_tracked:
            call.frame.ready[call.key] = call

    def hold_again(self, call: TaskCall) -> None:
        """Hold *call*, which is ready, for the reason for which it was held before."""
        assert self.holding is not None
        call.is_approved, call.reading = False, None
        self.give_up(call)
        self.holding.add(call, call.why_asked)

    def give_up(self, call: TaskCall) -> None:
        """Forget *call*, which was ready and cannot be sent."""
        self._unstarted -= 1
        call.frame.ready.pop(call.key, None)

    def start(self, call: TaskCall, now: float) -> int:
        """Start *call*; gives the number of the attempt."""
        self._unstarted -= 1
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
            self.budgets.called(call.planned.tool.server_key)
            for wait in call.waits:
                self._waited[wait.why, wait.on] += wait.seconds
        if call.frame.is_tracked:
            del call.frame.ready[call.key]
            self._start_in_group(call, now)
        if state.status is WAITING:  # another item of it was held once more
            self._moves.task(state, READY, now, call)
        if state.status is READY:
            self._moves.task(state, RUNNING, now, call)
        if call.key.item is not None:
            self._moves.item(state, call.key.item, RUNNING, now, call)
        return call.attempts

    def _start_in_group(self, call: TaskCall, now: float) -> None:
        """Note that the groups around *call*, and their items, run."""
        for around in call.frame.groups():
            state = around.state
            state.attempts += 1
            if state.status is READY:
                state.started_at = now
                self._moves.task(state, RUNNING, now)
            if around.item is not None:
                assert state.items is not None
                if state.items.statuses[around.item] is READY:
                    self._moves.item(state, around.item, RUNNING, now)

    def sent(self, key: Key, now: float) -> None:
        """Note that the call of *key*, which was started before, has waited for its server until
        now."""
        call = self.open[key]
        state = call.frame.states[call.planned.id]
        if call.started_at is None:
            return
        wait = Wait("server", call.planned.tool.server, now - call.started_at)
        self._waited[wait.why, wait.on] += wait.seconds
        is_first = state.started_at == call.started_at
        if is_first:
            state.waits += (wait,)
            state.started_at = now
        call.started_at = now
        self._notices.append(Delayed(key, wait, is_first, now))

    def close(self, key: Key, now: float) -> TaskCall:
        """End the call of *key*: it was answered, or is not awaited any more."""
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

    def abort(self, key: Key, now: float) -> TaskCall | None:
        """End the call of *key*, or the pause before its next attempt; gives the call if there was
        one."""
        if self.holding is not None:
            self.holding.forget(key)
        if key not in self.open:
            return None
        self.commands.append(Abort(key))
        return self.close(key, now)

    def withdraw(self, frame: Frame) -> None:
        """Give up the calls of *frame* that are ready and whose tasks have ended."""
        gone = [call for call in frame.ready.values() if frame.has_ended(call.planned.id)]
        self._unstarted -= len(gone)
        for call in gone:
            del frame.ready[call.key]
        keys = {call.key for call in gone}
        new = {call.key for call in self.ready if call.key in keys}
        self.ready[:] = [call for call in self.ready if call.key not in keys]
        self.withdrawn += [call for call in gone if call.key not in new]

    def try_again(self, call: TaskCall, error: CallError, now: float) -> Failure | None:
        """Pause before *call*, which was closed, is made again after *error*. Gives the failure of
        its task where it is not tried again, with the reason."""
        failure, task = Failure.of(error), call.planned.task
        if not task.retries:
            return failure
        retries = task.retrying
        if not may_repeat(error, retries):
            reason = "retries are for calls that time out, are lost or cannot be sent"
            if retries.on is not None:
                reason = f"its retries are on {', '.join(retries.on)}"
            elif error.code == "tool_error":
                reason += '; "on": ["tool_error"] is for answers of the tool that it failed'
        elif call.attempts > retries.max:
            return failure
        elif not self.budgets.take(server := call.planned.tool.server_key):
            reason = f"too many calls of {server} failed lately"
        else:
            self._back_off(call, error, failure, now)
            return None
        hint = f"It was not tried again: {reason}."
        return replace(failure, hint=f"{failure.hint} {hint}" if failure.hint else hint)

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
        first_s = call.planned.task.retrying.delay_s
        self.commands.append(Sleep(call.key, backoff_s(call.attempts, jitter, error, first_s)))

    def again(
        self, call: TaskCall, arguments: JsonObject, now: float, notes: tuple[str, ...] = ()
    ) -> None:
        """Make *call*, which was answered, once more with *arguments*, as its `repeat` says. It is
        a call like any other: it waits for its resources and for a slot."""
        repeat = call.planned.repeat
        assert repeat is not None
        call.arguments, call.attempts, call.waits = arguments, 0, ()
        call.is_approved, call.reading = False, None
        call.waiting_since = now
        call.rounds += 1
        state, item = call.frame.states[call.planned.id], call.key.item
        state.rounds += 1
        is_answered = self.known is not None and self.known.is_answered(call.command(1))
        pause_s = 0.0 if is_answered else repeat.pause_s
        after = Status.BACKING_OFF if pause_s else READY
        if item is None:
            self._moves.task(state, after, now, call, notes=notes)
        else:
            self._moves.item(state, item, after, now, call, notes=notes)
        if pause_s:
            self.open[call.key] = call
            call.started_at = None
            self.commands.append(Sleep(call.key, pause_s))
        else:
            self._may_start(call)

    def hold(self, calls: Iterable[TaskCall], now: float) -> None:
        """Note that *calls*, which were held just now, wait, with their tasks."""
        held = [*calls]
        self.held_now += held
        self.wait(held, now)

    def wait(self, calls: Iterable[TaskCall], now: float) -> None:
        """Note that *calls*, which are ready, wait for a person, with their tasks."""
        for call in calls:
            state, item = call.frame.states[call.planned.id], call.key.item
            if state.status is READY:
                self._moves.task(state, WAITING, now, call)
            if item is not None and state.items and state.items.statuses[item] is READY:
                self._moves.item(state, item, WAITING, now, call)

    def release(self, call: TaskCall, now: float) -> None:
        """Let *call*, which waited for a person, start, unless it is held for another reason."""
        call.waited("approval", "a person", now)
        state, item = call.frame.states[call.planned.id], call.key.item
        if state.status is WAITING:
            self._moves.task(state, READY, now, call)
        if item is not None:
            self._moves.item(state, item, READY, now, call)
        self._may_start(call)

    def wake(self, key: Key, now: float) -> None:
        """End a pause before a repeated call."""
        call = self.open.pop(key)
        call.waiting_since = now
        state = call.frame.states[call.planned.id]
        if state.status is Status.BACKING_OFF:
            self._moves.task(state, READY, now)
        if key.item is not None:
            self._moves.item(state, key.item, READY, now, call)
        self._may_start(call)
