"""All runs of this process: starts the calls that fit into the limits, the most urgent first.

A ready call has its files located (`locating.py`), claims the resources that it accesses
(`claiming.py`), then waits for slots (`limits.py`). Its slots return when it is answered, its
resources when it has finished: a retry is still the same call. Direct calls, from outside of any
run (`direct_calls.py`), wait in the same lanes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import NamedTuple

from ...errors import (
    CallTimeout,
)
from ..tools.claims import Places, ResourceClaim
from ..tools.overwriting import Reading
from ..tools.tool_stats import ToolStats
from .attempts import IsKnown, Known
from .behind import Behind, HeldPlace
from .claiming import CallClaims
from .direct_calls import DirectCall
from .events import (
    Abort,
    Aborted,
    Call,
    CallRequested,
    CancelRequested,
    Command,
    Confirm,
    Confirmed,
    Decided,
    Event,
    Failed,
    Failure,
    Key,
    Located,
    Paused,
    Refuse,
    Resumed,
    Sent,
    Sleep,
    Status,
    Succeeded,
    Woke,
)
from .frame import TaskCall
from .lanes import NO_DESK, NO_RUN, Lease
from .learning import Learning
from .limits import ConcurrencyLimits, Limits
from .locating import PROMPT_S, Locating, Outcome, Ready, Waiting
from .notices import RunNotice
from .retry import RetryBudgets
from .run import Run


class Step(NamedTuple):
    """The answer to an event: the commands to carry out, and the notices for observers."""

    commands: list[Command]
    notices: list[RunNotice]


class Scheduler:
    """Turns events into commands. It never waits and never looks at a clock: the time comes with
    each event."""

    def __init__(self, limits: Limits, learned: ToolStats | None = None) -> None:
        self.limits: ConcurrencyLimits[Waiting] = ConcurrencyLimits(limits)
        self.locating = Locating()
        self.claims = CallClaims()
        self.budgets = RetryBudgets()
        self.runs: dict[str, Run] = {}
        """The unfinished runs."""
        self.direct: dict[Key, DirectCall] = {}
        """The unfinished direct calls."""
        self._learning = Learning(learned or ToolStats(enabled=False), self.limits)
        self._in_flight: dict[Key, tuple[Waiting, Lease[Waiting]]] = {}
        """The calls in flight, each with its slots."""
        self._paused: dict[Key, float] = {}
        """The calls in flight that hold no slots while their client is asked; each with the time
        since when."""
        self._behind = Behind()
        self._confirming: dict[Key, TaskCall] = {}
        """The calls that have their resources and wait for `Confirmed`."""
        self._confirms: list[Command] = []
        """The commands for these for the next step."""
        self._watched: set[str] = set()
        """Servers with a scheduled wake-up for their rate limit."""
        self._notices: list[RunNotice] = []
        """The notices of direct calls for the next step."""

    def __repr__(self) -> str:
        return (
            f"<Scheduler: {len(self.runs)} runs, {len(self.direct)} direct calls, "
            f"{len(self._in_flight)} calls in flight>"
        )

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def submit(self, run: Run, now: float, known: Known | None = None) -> Step:
        """Start *run*, which goes on from one of which this is *known*, if it does."""
        self.runs[run.id] = run
        run.known = known
        self.limits.open_run(run.id, run.plan.dag.max_concurrency)
        run.begin(now, self.budgets)
        answered = [] if known is None else _start_answered(run, known.is_answered, now)
        self._admit(run, now, run.conflicts.places)  # it was planned a moment ago
        return self._step(now, run, *answered)

    def change_limits(self, limits: Limits | None, now: float, desk: str = NO_DESK) -> Step:
        """Apply new *limits* of *desk*, to active runs too; None if it has ended. Wake-ups for
        rates are scheduled anew."""
        if limits is None:
            self.limits.forget(desk)
        else:
            self.limits.change(limits, desk)
        watched = [Abort(Key("", server)) for server in self._watched]
        self._watched.clear()
        return self._step(now, None, *watched)

    def handle(self, event: Event, now: float) -> Step:
        match event:
            case Succeeded() | Failed():  # most events are one of these
                self._answered(event, now)
                key = event.key
            case CallRequested():
                return self._begin_direct(event, now)
            case CancelRequested(run_id, at_once):
                run = self.runs.get(run_id)
                if run is not None:
                    run.stop("cancelled", now, at_once=at_once)
                return self._step(now, run)
            case Located():
                return self._located(event, now)
            case Woke(Key("", server, None)) | Aborted(Key("", server, None)):
                self._watched.discard(server)
                self.limits.look_again(server)
                return self._step(now, None)
            case Decided(key):
                run = self.runs.get(key.run)
                if run is not None:
                    run.decide(event, now)
                return self._step(now, run)
            case Confirmed():
                return self._confirmed(event, now)
            case Paused(key):
                self._pause(key, now)
                return self._step(now, None)
            case Resumed(key):
                self._resume(key, now)
                return self._step(now, None)
            case Sent(key):
                run = self.runs.get(key.run)
                if run is not None and key in run.open:
                    run.sent(key, now)
                elif (call := self.direct.get(key)) is not None:
                    self._notices += call.sent(now)
                return self._step(now, run)
            case Aborted(key):
                self._answered(event, now)
            case Woke(key):
                return self._step_of_run(event, now)
        return self._end_direct(event, now) if key.run == NO_RUN else self._step_of_run(event, now)

    def _step_of_run(self, event: Succeeded | Failed | Woke | Aborted, now: float) -> Step:
        """Apply *event* to its run, and free the resources of its call once that has finished."""
        key = event.key
        run = self.runs.get(key.run)
        if run is not None:
            self._apply(run, event, now)
        if run is None or run.conflicts.access_rules:
            is_repeated = run is not None and (run.holds(key) or isinstance(event, Woke))
            if not is_repeated:
                self._release(key, now)
        return self._step(now, run)

    def _begin_direct(self, request: CallRequested, now: float) -> Step:
        """Let a direct call claim its resources, then wait for slots. Mostly it can be sent at
        once."""
        call = self.direct[request.key] = DirectCall(request)
        self._notices.append(call.move(Status.READY, now))
        if request.accesses is not None:
            outcome = self.locating.add_alone(call, request.accesses)
            if outcome.commands:
                return Step([*outcome.commands], self._take_notices())
            [(_, claims)] = outcome.claims
            if not self.claims.ask(call, claims):
                return Step([], self._take_notices())
        if (lease := self.limits.acquire_at_once(call.slots, now)) is not None:
            return Step([self._start_direct(call, lease, now)], self._take_notices())
        self._line_up(call)
        return self._step(now, None)

    def _start_direct(self, call: DirectCall, lease: Lease[Waiting], now: float) -> Call:
        call.started_at = now
        self._in_flight[call.key] = call, lease
        self._learning.crowd.enter(call.key, now)
        self._notices.append(call.move(Status.RUNNING, now))
        request = call.request
        return Call(
            call.key,
            call.tool,
            request.arguments,
            request.timeout_s,
            policy=request.policy,
            max_age_s=request.max_age_s,
        )

    def _end_direct(self, event: Succeeded | Failed | Aborted, now: float) -> Step:
        """End a direct call: it was answered, or it is cancelled before it was sent."""
        key = event.key
        if (call := self.direct.pop(key, None)) is None:
            return self._step(now, None)
        commands: list[Command] = []
        if call.status is Status.READY:
            if self.locating.drop(key):
                commands.append(Abort(key))
            elif not self.claims.is_waiting(key):
                self.limits.withdraw(call.slots, call)
        match event:
            case Succeeded(cached=cached):
                self._notices.append(call.move(Status.SUCCESS, now, cached=cached))
            case Failed(error=error):
                was_late = isinstance(error, CallTimeout) and call.status is Status.RUNNING
                status = Status.TIMEOUT if was_late else Status.FAILED
                self._notices.append(call.move(status, now, Failure.of(error)))
            case Aborted(code=code):
                failure = Failure(
                    code,
                    "the client cancelled the call"
                    if code == "cancelled"
                    else "the server asks for input",
                )
                self._notices.append(call.move(Status.CANCELLED, now, failure))
        self._release(key, now)
        return self._step(now, None, *commands)

    def _located(self, event: Located, now: float) -> Step:
        """Let calls whose files are known claim their resources; fail those whose files were not
        found in time."""
        run = self.runs.get(event.key.run)
        outcome = self.locating.answer(event)
        commands: list[Command] = [*outcome.commands]
        self._claim(outcome, now)
        for call, error in outcome.refused:
            match call:
                case DirectCall(key=key):
                    del self.direct[key]
                    self._notices.append(call.move(Status.FAILED, now, Failure.of(error)))
                    commands.append(Refuse(key, error))
                case TaskCall():
                    self.runs[call.key.run].refuse(call, error, now)
        return self._step(now, run, *commands)

    def _confirmed(self, event: Confirmed, now: float) -> Step:
        """Let a call go on of which a person was shown what is still so; else hold it again."""
        run, call = self.runs.get(event.key.run), self._confirming.pop(event.key, None)
        if run is not None and call is not None:
            if event.is_outdated:
                self._hold_again(run, call, now)
            else:
                call.reading = None
                self._line_up(call)
        return self._step(now, run)

    def _hold_again(self, run: Run, call: TaskCall, now: float) -> None:
        """Hold *call* once more, and free its resources; the calls of its run that waited for them
        still come after it."""
        claims = self.claims.of(call.key)
        run.hold_again(call, now)
        if call in run.held_now:  # its files are located
            run.held_now.remove(call)
        self._stand(call, claims, now)
        freed = deque(self.claims.release(call.key, now))
        while freed:
            one = freed.popleft()
            if isinstance(one, TaskCall) and self._behind.waits(one, self.claims.of(one.key)):
                freed += self.claims.release(one.key, now)
                self.runs[one.key.run].stand_behind(one, now)
            else:
                self._line_up(one)

    def _answered(self, event: Succeeded | Failed | Aborted, now: float) -> None:
        """Free the slots of a call that has ended, and learn about its tool and its server."""
        if self._paused:
            self._resume(event.key, now)
        if (entry := self._in_flight.pop(event.key, None)) is None:
            return
        call, lease = entry
        self._learning.end(call, event, now)
        self.limits.release(lease)

    def _pause(self, key: Key, now: float) -> None:
        """Free the slots of the call of *key* while its client is asked."""
        if key in self._in_flight and key not in self._paused:
            self._paused[key] = now
            self.limits.release(self._in_flight[key][1])

    def _resume(self, key: Key, now: float) -> None:
        if (since := self._paused.pop(key, None)) is not None:
            call, lease = self._in_flight[key]
            call.paused_s += now - since
            self.limits.reacquire(lease)

    def _apply(self, run: Run, event: Succeeded | Failed | Woke | Aborted, now: float) -> None:
        key = event.key
        is_awaited = key in run.open or (isinstance(event, Woke) and not key.task)
        if not is_awaited:
            return  # the task has finished without waiting for this answer
        match event:
            case Succeeded():
                assert event.output is not None  # only direct calls have none
                run.succeed(key, event.output, now, cached=event.cached)
            case Failed():
                run.fail(key, event.error, now)
            case Woke():
                run.wake(key, now)
            case Aborted():
                raise AssertionError(f"{key} was aborted unasked")

    def _step(self, now: float, run: Run | None, *first: Command) -> Step:
        """Start every call that fits; hand over the commands and notices of *run*, the only run
        that an event can change, and of the runs whose calls start."""
        commands = list(first)
        if run is not None:
            for command in run.commands:
                if isinstance(command, Abort) and command.key not in self._in_flight:
                    self._release(command.key, now)  # it paused before another attempt
            if run.withdrawn:
                commands += self._withdraw(run, now)
            if run.known is not None:
                commands += _start_answered(run, run.known.is_answered, now)
            if run.ready and not run.conflicts.access_rules and self.limits.is_settled:
                commands += self._start_at_once(run, now)
            if run.let_go:
                freed = self._behind.let_go(run.let_go)
                run.let_go.clear()
                for call in freed:
                    run.line_up_again(call, now)
            while run.ready or run.held_now:
                self._admit(run, now)
            if run.is_done:
                self._close(run, now)
        changed: dict[str, Run] = {}
        if not self.limits.is_settled:
            commands += self._start_what_fits(changed, now)
        if run is not None:
            changed[run.id] = run
        notices = self._take_notices()
        for owner in changed.values():
            commands += owner.commands
            notices += owner.notices
            owner.commands.clear()
            owner.notices.clear()
        if self._confirms:
            commands += self._confirms
            self._confirms.clear()
        if self.limits.rates:
            commands += self._watch(now)
        return Step(commands, notices)

    def _withdraw(self, run: Run, now: float) -> Iterator[Command]:
        """Give up the calls of *run* that were ready and are not to be made any more."""
        for call in run.withdrawn:
            if self.locating.drop(call.key):
                yield Abort(call.key)
                continue
            if self.locating.leave(call.key):
                continue
            if self._confirming.pop(call.key, None) is not None:
                yield Abort(call.key)
                self._release(call.key, now)
                continue
            if not self.claims.is_waiting(call.key):
                self.limits.withdraw(run.slots(call), call)
            self._release(call.key, now)
        run.withdrawn.clear()

    def _take_notices(self) -> list[RunNotice]:
        notices, self._notices = self._notices, []
        return notices

    def _admit(self, run: Run, now: float, places: Places | None = None) -> None:
        """Let the calls of *run* that became ready claim their resources, in document order, then
        wait for slots; those that are held from now on only stand before others. Files without a
        place in *places* are located first."""
        if not run.conflicts.access_rules:
            for call in run.ready:
                self.limits.add(run.slots(call), run.urgency(call), call)
            run.ready.clear()
            run.held_now.clear()
            return
        ready, held = [*run.ready], [call for call in run.held_now if run.is_held(call.key)]
        run.ready.clear()
        run.held_now.clear()
        calls: list[Ready] = []
        for call in sorted([*ready, *held], key=attrgetter("planned.index", "key.at", "key.item")):
            is_held = run.is_held(call.key)
            has_asked = self.claims.has_asked(call.key)  # for its first attempt
            if (has_asked and not is_held) or (accesses := run.accesses(call)) is None:
                if not is_held:
                    self._line_up(call)
            else:
                calls.append((self._behind.place_of(call) if is_held else call, accesses))
        if calls:
            outcome = self.locating.add(run.id, calls, places or {})
            run.commands += outcome.commands
            self._claim(outcome, now, is_at_once=True)

    def _claim(self, outcome: Outcome, now: float, *, is_at_once: bool = False) -> None:
        """Let the calls whose files are known claim their resources, unless they come after a held
        call; they had to wait for their files unless that *is_at_once*."""
        for call, claims in outcome.claims:
            if isinstance(call, HeldPlace):
                self._stand(call.call, claims, now)
                continue
            if isinstance(call, TaskCall) and self._behind.waits(call, claims):
                self.runs[call.key.run].stand_behind(call, now)
                continue
            if not is_at_once and isinstance(call, TaskCall):
                if now - call.waiting_since >= PROMPT_S:
                    call.waited("location", claims[0].key, now)
                call.waiting_since = now
            if self.claims.ask(call, claims):
                self._line_up(call)

    def _stand(self, call: TaskCall, claims: tuple[ResourceClaim, ...], now: float) -> None:
        """Let *call*, if it is still held, stand before others with *claims*."""
        run = self.runs.get(call.key.run)
        if run is not None and run.is_held(call.key):
            for freed in self._behind.hold(call, claims):
                run.line_up_again(freed, now)

    def _line_up(self, call: Waiting) -> None:
        match call:
            case DirectCall():
                self.limits.add(call.slots, call.urgency, call)
            case TaskCall(reading=Reading() as reading):
                self._confirming[call.key] = call
                command = call.command(call.attempts + 1)
                self._confirms.append(Confirm(call.key, command, reading))
            case TaskCall():
                run = self.runs[call.key.run]
                self.limits.add(run.slots(call), run.urgency(call), call)

    def _release(self, key: Key, now: float) -> None:
        """Free the resources of the call of *key*, which has finished."""
        for call in self.claims.release(key, now):
            self._line_up(call)

    def _close(self, run: Run, now: float) -> None:
        """Close *run*, which has finished. Its calls that are still in flight keep their slots and
        resources."""
        del self.runs[run.id]
        run.commands += map(Abort, self.locating.drop_run(run.id))
        self._behind.drop_run(run.id)
        for key in [key for key in self._confirming if key.run == run.id]:
            del self._confirming[key]
            run.commands.append(Abort(key))
        self.limits.close_run(run.id)
        waiting = [key for key in self.claims.keys(run.id) if key not in self._in_flight]
        for key in reversed(waiting):  # so that no call is granted resources it no longer needs
            self._release(key, now)

    def _start_at_once(self, run: Run, now: float) -> list[Call]:
        """Start the calls of *run* that became ready, the most urgent first, up to one that has to
        wait. As nothing else waits for what they need, they need no place in a line."""
        if len(run.ready) > 1:
            run.ready.sort(key=run.urgency)
        started: list[Call] = []
        for call in run.ready:
            lease = self.limits.acquire_at_once(run.slots(call), now)
            if lease is None:
                break
            started.append(self._start(run, call, lease, now))
        del run.ready[: len(started)]
        return started

    def _start_what_fits(self, changed: dict[str, Run], now: float) -> list[Command]:
        """Start the calls that fit into the limits, the most urgent first; gathers their runs in
        *changed*."""
        commands: list[Command] = []
        while (admitted := self.limits.acquire_next(now)) is not None:
            call, lease = admitted
            if isinstance(call, DirectCall):
                commands.append(self._start_direct(call, lease, now))
                continue
            owner = changed[call.key.run] = self.runs[call.key.run]
            if lease.waited_at is not None:
                call.waited("limit", lease.waited_at, now)
            commands.append(self._start(owner, call, lease, now))
        return commands

    def _start(self, run: Run, call: TaskCall, lease: Lease[Waiting], now: float) -> Call:
        attempt = run.start(call, now)
        self._in_flight[call.key] = call, lease
        self._learning.crowd.enter(call.key, now)
        return call.command(attempt)

    def _watch(self, now: float) -> Iterable[Command]:
        """Schedule a wake-up for each rate limit that delays calls; cancel them when idle."""
        for server, seconds in self.limits.to_watch(now):
            self._watched.add(server)
            yield Sleep(Key("", server), seconds)
        if not self.runs and not self.direct and self._watched:
            yield from [Abort(Key("", server)) for server in self._watched]
            self._watched.clear()


def _start_answered(run: Run, is_answered: IsKnown, now: float) -> list[Call]:
    """Start the calls of *run* that are not sent any more: they take neither slots nor resources,
    and nothing is learned from them."""
    answered = [call for call in run.ready if is_answered(call.command(call.attempts + 1))]
    if answered:
        keys = {call.key for call in answered}
        run.ready[:] = [call for call in run.ready if call.key not in keys]
    return [call.command(run.start(call, now)) for call in answered]
