"""Carries out the scheduler's commands: the only module that starts, times out and delays the calls
of runs.

Each `Locate`, `Call`, `Confirm`, `Ask` and `Sleep` is answered exactly once, an aborted one too.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from ..core.ports import NO_CLIENT, Caller, CallId, CallTool, Observer, ToolCall
from ..core.scheduling.events import (
    Abort,
    Aborted,
    Ask,
    Call,
    CancelRequested,
    Confirm,
    Confirmed,
    Decided,
    Event,
    Failed,
    Key,
    Locate,
    Located,
    Refuse,
    Sleep,
    Succeeded,
    Woke,
)
from ..core.scheduling.lanes import NO_DESK
from ..core.scheduling.limits import Limits
from ..core.scheduling.notices import Changed, Finished, Notice
from ..core.scheduling.run import Run
from ..core.scheduling.scheduler import Scheduler, Step
from ..core.tools.output import read_output
from ..errors import ApprovalRequired, CallError
from ..waiting import Signal
from .approvals import Approvals
from .auditing import Trail
from .comparing import Comparing
from .direct_calls import DirectCalls
from .flows import RunFlows
from .lookups import AS_WRITTEN, Lookups
from .running_call import RunningCall, internal_error, out_of_time
from .writing import Writing

log = logging.getLogger(__name__)

MAX_OUTPUT_BYTES = 10 * 2**20
CALLS_BEFORE_YIELD = 4
"""Calls after which a task yields to others: answers from the cache arrive at once."""
Answerable: TypeAlias = Locate | Call | Confirm | Ask | Sleep
"""A command that is answered by exactly one event."""


class Observers:
    """All observers as one: each gets every notice, and one that fails disturbs nothing."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = tuple(observers)

    def __call__(self, notice: Notice) -> None:
        for observe in self._observers:
            try:
                observe(notice)
            except Exception:
                log.exception("observer.crashed", extra={"observer": repr(observe)})


class Runner:
    """Drives one scheduler inside one task group, which outlives every call. *asked* is called with
    the id of a run whose question has opened."""

    def __init__(
        self,
        scheduler: Scheduler,
        call_tool: CallTool,
        tasks: TaskGroup,
        observers: Sequence[Observer] = (),
        *,
        asked: Callable[[str], None] = lambda run_id: None,
        lookups: Lookups | None = None,
        max_output_bytes: int = MAX_OUTPUT_BYTES,
        trail: Trail | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._call_tool = call_tool
        self._tasks = tasks
        self._observers = Observers(observers)
        self._lookups = Lookups(AS_WRITTEN) if lookups is None else lookups
        self._max_output_bytes = {NO_DESK: max_output_bytes}
        """By desk."""
        self._scopes: dict[Key, anyio.CancelScope | None] = {}
        """Cancel scope of each unanswered command; None until it starts."""
        self._callers: dict[str, Caller] = {}
        """The caller of each run that has one."""
        self._writing: dict[str, Writing] = {}
        """The runs that are written to the history."""
        self.trail = Trail() if trail is None else trail
        self.approvals = Approvals(asked, self.trail)
        self._flows: dict[str, RunFlows] = {}
        """The runs under rules for flows."""
        self._comparing: dict[str, Comparing] = {}
        """By run: it shows the changes that calls would make."""
        self._left: set[str] = set()
        """The runs that were left to other processes."""
        self._aborted: set[Key] = set()
        self._unsent: dict[Key, str] = {}
        """The reasons why calls that were cancelled just now were not sent."""
        self._answered = Signal()
        self._now = (
            asyncio.get_running_loop().time
        )  # `anyio.current_time`, without its lookups at each call
        self.direct_calls = DirectCalls(call_tool, self._feed, self._notify, self._now, self.trail)

    def __repr__(self) -> str:
        return (
            f"<Runner: {len(self._scopes)} commands to be answered, {len(self._aborted)} of "
            "them aborted>"
        )

    async def idle(self) -> None:
        """Wait until every command has been answered."""
        while self._scopes:
            await self._answered.wait()

    def leave(self, run_id: str) -> None:
        """Leave a run as it is, for another process: nothing more of it is done or written, and the
        answers of its commands count no more: neither a late yes nor a timer."""
        self._left.add(run_id)
        self._writing.pop(run_id, None)
        self.trail.finish(run_id)
        for key in [key for key in self._scopes if key.run == run_id]:
            del self._scopes[key]
        self._answered.notify()

    def submit(
        self,
        run: Run,
        caller: Caller = NO_CLIENT,
        writing: Writing | None = None,
        flows: RunFlows | None = None,
        comparing: Comparing | None = None,
    ) -> None:
        """Start *run* for *caller*; it is written with *writing*, its calls are checked with
        *flows*, and *comparing* shows what they would change."""
        self.trail.begin(run)
        if comparing is not None:
            self._comparing[run.id] = comparing
        if flows is not None:
            self._flows[run.id] = flows
        if caller is not NO_CLIENT:
            self._callers[run.id] = caller
        if writing is not None:
            self._writing[run.id] = writing
        known = None if writing is None else writing.known
        self._carry_out(self._scheduler.submit(run, anyio.current_time(), known))
        if writing is not None and writing.is_cancelled:
            self.cancel(run.id)

    def change_limits(self, limits: Limits, max_output_bytes: int, desk: str = NO_DESK) -> None:
        """Apply new limits of *desk*, to active runs too."""
        self._max_output_bytes[desk] = max_output_bytes
        self._carry_out(self._scheduler.change_limits(limits, anyio.current_time(), desk))

    def forget_limits(self, desk: str) -> None:
        """Forget the limits of *desk*, which has ended."""
        del self._max_output_bytes[desk]
        self._carry_out(self._scheduler.change_limits(None, anyio.current_time(), desk))

    def cancel(self, run_id: str, *, at_once: bool = False) -> None:
        """Cancel a run; *at_once* without the tasks that would clean up."""
        self._feed(CancelRequested(run_id, at_once))

    def _feed(self, event: Event) -> None:
        self._carry_out(self._handle(event))

    def _handle(self, event: Event) -> Step:
        """Write *event* to the history of its run, then let the scheduler handle it."""
        now = self._now()
        if self._writing:
            run = event.run if isinstance(event, CancelRequested) else event.key.run
            if (writing := self._writing.get(run)) is not None:
                writing.write(event, now)
        self.trail.handle(event)
        return self._scheduler.handle(event, now)

    def _carry_out(self, step: Step) -> None:
        for command in self._begin(step):
            self._tasks.start_soon(self._answer, command)

    def _begin(self, step: Step) -> list[Answerable]:
        """Send the notices of *step* and abort what it aborts; gives the commands to be
        answered, without those that were answered at once."""
        begun: list[Answerable] = []
        answers: list[tuple[float, int, Event]] = []
        count = 0
        while True:
            for notice in step.notices:
                self._notify(notice)
            for command in step.commands:
                match command:
                    case Abort(key) if key in self._scopes:
                        self._aborted.add(key)
                        if (scope := self._scopes[key]) is not None:
                            scope.cancel()
                    case Call(Key(run="")):
                        self.direct_calls.admit(command)
                    case Refuse(key, error):
                        self.direct_calls.refuse(key, error)
                    case Call() if (known := self._known_answer(command)) is not None:
                        place, answer = known
                        heapq.heappush(answers, (place, count := count + 1, answer))
                    case Locate(key, names) if (places := self._lookups.at_once(names)) is not None:
                        heapq.heappush(answers, (0.0, count := count + 1, Located(key, places)))
                    case Locate() | Call() | Confirm() | Ask() | Sleep():
                        self._scopes[command.key] = None
                        begun.append(command)
            if not answers:
                return begun
            step = self._handle_known(heapq.heappop(answers)[2])

    def _known_answer(self, call: Call) -> tuple[float, Event] | None:
        """Return the answer of *call* if an earlier run has it, with its place among these: they
        are handled in the order in which they came. Else note that it may start."""
        writing = self._writing.get(call.key.run) if self._writing else None
        return None if writing is None else writing.admit(call, self._now())

    def _handle_known(self, answer: Event) -> Step:
        """Let the scheduler handle an answer that was there at once. Of these, only places are
        written: the answer of a call is there already."""
        if isinstance(answer, Located):
            return self._handle(answer)
        return self._scheduler.handle(answer, self._now())

    async def _answer(self, command: Answerable | None) -> None:
        """Carry out and answer *command*, then the first of the commands that follow from that, and
        so on: a task and a scope for each would cost more than the rest of the work. A scope is
        used until it is cancelled."""
        count = 0
        while command is not None:
            current: Answerable | None = None
            with anyio.CancelScope() as scope:
                while command is not None and not scope.cancel_called:
                    current = command
                    event = await self._event(command, scope)
                    current = None
                    command = self._follow(command.key, event)
                    if (count := count + 1) % CALLS_BEFORE_YIELD == 0:
                        await anyio.lowlevel.checkpoint()
            if current is not None:
                unsent_reason = self._unsent.pop(current.key, None)
                over = (
                    Aborted(current.key)
                    if current.key in self._aborted
                    else _out_of_time(current, unsent_reason)
                )
                command = self._follow(current.key, over)

    async def _event(self, command: Answerable, scope: anyio.CancelScope) -> Event:
        """Carry out *command*; gives its answer, unless *scope* is cancelled first: on an abort or
        a timeout."""
        if command.key in self._aborted:  # aborted before it was sent
            return Aborted(command.key)
        self._scopes[command.key] = scope
        match command:
            case Call():
                scope.deadline = self._now() + command.timeout_s
                return await self._call(command, scope)
            case Locate():
                scope.deadline = math.inf  # its answer is what was found in time
                return Located(
                    command.key, await self._lookups.locate(command.names, command.timeout_s)
                )
            case Ask(key):
                scope.deadline = self._now() + command.timeout_s
                run, caller = self._scheduler.runs[key.run], self._callers.get(key.run, NO_CLIENT)
                writing, comparing = self._writing.get(key.run), self._comparing.get(key.run)
                return await self.approvals.ask(run, command, caller, writing, comparing)
            case Confirm(key, call, reading):
                scope.deadline = math.inf  # it is bounded, and what is not read is outdated
                caller = self._callers.get(key.run, NO_CLIENT)
                if (comparing := self._comparing.get(key.run)) is None:
                    return Confirmed(key, is_outdated=True)
                return Confirmed(key, await comparing.is_outdated(call, reading, caller))
            case Sleep():
                scope.deadline = self._now() + command.seconds
                await anyio.sleep_forever()
                raise AssertionError("a sleep ends only with its scope")

    def _follow(self, key: Key, event: Event) -> Answerable | None:
        """Answer the command of *key* with *event*; gives the first of the commands that follow."""
        self._scopes.pop(key, None)
        self._aborted.discard(key)
        if key.run in self._left:
            return None
        begun = self._begin(self._handle(event))
        for other in begun[1:]:
            self._tasks.start_soon(self._answer, other)
        self._answered.notify()
        return begun[0] if begun else None

    async def _call(self, call: Call, scope: anyio.CancelScope) -> Event:
        key = call.key
        caller = RunningCall(
            key,
            self._callers.get(key.run, NO_CLIENT),
            scope,
            self._feed,
            self._notify,
            self._writing.get(key.run),
            call.round,
            self.trail.leaving(call),
        )
        id = CallId(*key[:3], call.attempt, key.at, call.round)
        try:
            if (flows := self._flows.get(key.run)) is not None:
                claims = self._scheduler.claims.of(key)
                if (refusal := flows.send(key.task, call.tool.full_name, claims)) is not None:
                    raise refusal
            result = await self._call_tool(
                ToolCall(
                    id,
                    call.tool,
                    call.arguments,
                    call.policy,
                    call.max_age_s,
                    caller,
                    call.is_approved,
                )
            )
            return Succeeded(
                key, read_output(result, call.tool, self._longest_output(key)), caller.was_cached
            )
        except CallError as error:
            self.trail.refused(call, error)
            return Failed(key, error)
        except Exception as error:  # a fault of ours fails this task and nothing else
            return Failed(key, internal_error(key, error))
        finally:
            caller.end()
            if caller.unsent_reason is not None:
                self._unsent[key] = caller.unsent_reason

    def _longest_output(self, key: Key) -> int:
        """Return the most bytes of an output; of a run that has ended, nothing is kept anyway."""
        run = self._scheduler.runs.get(key.run)
        return self._max_output_bytes[NO_DESK if run is None else run.desk]

    def _notify(self, notice: Notice) -> None:
        if isinstance(notice, Finished):
            self._callers.pop(notice.run, None)
            self._comparing.pop(notice.run, None)
            self._writing.pop(notice.run, None)
            if (flows := self._flows.pop(notice.run, None)) is not None:
                flows.end()
            self.trail.finish(notice.run)
        elif isinstance(notice, Changed) and notice.error is not None:
            self.trail.changed(notice)
        self._observers(notice)


def _out_of_time(command: Answerable, unsent_reason: str | None) -> Event:
    match command:
        case Sleep(key):
            return Woke(key)
        case Ask(key):
            return Decided(key, frozenset(), ApprovalRequired.code)
        case Locate(key):
            return Located(key, {})
        case Confirm(key):
            return Confirmed(key, is_outdated=True)
    hint = "Give it more time with timeout_s, or do without it."
    name = command.tool.full_name
    return Failed(command.key, out_of_time(name, command.timeout_s, unsent_reason, hint))
