"""One run of one DAG: what happens to it, and what has become of it so far.

Calls that may start go into `ready`, commands into `commands`, notices into `notices`; the
scheduler takes all three.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from ...errors import ApprovalDenied, ApprovalRequired, CallError, ToolChanged
from ..planning.plan import MAX_CALLS, Plan
from ..tools.approving import Approving
from ..tools.catalog import digest_of
from ..tools.claims import Accesses
from ..tools.output import Output
from ..values.principal import USER, Principal
from .answers import Answers
from .attempts import Attempts, Known
from .calls import MAX_ITEMS, CallsOf, calls_of
from .conflicts import Conflicts
from .earlier_items import EarlierItems
from .events import Abort, Ask, Decided, Failure, HeldCall, Key, RunLimits, Sleep, Status, Why
from .frame import Frame, TaskCall
from .holding import ASK_S, Holding, needs_yes
from .lanes import NO_DESK, SlotRequest, Urgency
from .lifecycle import Lifecycle
from .moves import Moves
from .notices import Finished, RunNotice, Started, StoodBehind, Waiting
from .outlines import outlines_of, outlines_of_inner
from .retry import RetryBudgets
from .tally import Tally
from .times import Times, Until

MAX_RUN_BYTES = 256 * 2**20


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
        desk: str = NO_DESK,
        began: float | None = None,
        jitter: Callable[[], float] = lambda: 0.5,
        timeout_s: float | None = None,
        max_items: int = MAX_ITEMS,
        max_bytes: int = MAX_RUN_BYTES,
        max_calls: int = MAX_CALLS,
        approving: Approving | None = None,
        calls: CallsOf = calls_of,
    ) -> None:
        self.id = id
        self.plan = plan
        self.principal = principal
        """The owner of the run."""
        self.client = client
        """The connection that it was submitted over."""
        self.desk = desk
        """The configuration that it belongs to, where several share one scheduler."""
        self.began = began
        """The time of its start, in seconds since 1970; None if unknown."""
        self.conflicts = conflicts or Conflicts()
        self.outlines = outlines_of(plan)
        self.inner = outlines_of_inner(plan)
        tools = {task.tool.full_name: task.tool for task in plan.all_tasks() if task.makes_calls}
        self.tools = tuple(tools.values())
        """The tools that it calls."""
        self.digest = digest_of(self.tools)
        """The digest of the definitions of the tools that it calls."""
        self.limits = RunLimits(timeout_s or plan.dag.timeout_s, max_items, max_bytes, max_calls)
        self.started_at = 0.0
        self.ended_at: float | None = None
        self.notices: list[RunNotice] = []
        self.waited: defaultdict[tuple[str, str], float] = defaultdict(float)
        """Seconds that its calls waited, by reason and by what they waited for."""
        self.tallies = {outline.id: Tally(outline) for outline in self.inner}
        """The tasks in groups, by whole id."""
        self.root = Frame(id, plan, self.conflicts, reused or (), began=began)
        self.states = self.root.states
        self.outputs = self.root.outputs
        moves = Moves(self.notices, self.waited)
        self._attempts = Attempts(moves, self.notices, self.waited, jitter)
        self.ready = self._attempts.ready
        self.held_now = self._attempts.held_now
        self.withdrawn = self._attempts.withdrawn
        self.open = self._attempts.open
        self.commands = self._attempts.commands
        self.jitters = self._attempts.jitters
        self._tasks = Lifecycle(
            self.root, moves, self._attempts, self.limits, calls, earlier_items or {}, self.tallies
        )
        self._answers = Answers(self._tasks)
        self.usage = self._tasks.usage
        self._next_step = Key(id, "", 0)
        self._is_in_steps = False
        """Whether tasks are left to the next step, which has been asked for."""
        self._number = number
        self._slots: dict[tuple[str, int], SlotRequest] = {}
        """The slots that a call needs, by its tool and its weight."""
        self._reused = reused or {}
        self._times = Times(id, self.commands)
        self.approving = approving or Approving()
        self._has_waited = False
        """Whether observers know that it waits."""
        self._holding: Holding | None = None
        if plan.dag.preview or any(needs_yes(task) for task in plan.all_tasks()):
            self._holding = self._attempts.holding = Holding(is_preview=plan.dag.preview)
        self.let_go = [] if self._holding is None else self._holding.let_go
        """The calls that are held no more, for the scheduler to take."""

    def __repr__(self) -> str:
        counts = Counter(str(state.status) for state in self.states.values())
        return (
            f"<Run {self.id}: {', '.join(f'{count} {status}' for status, count in counts.items())}>"
        )

    @property
    def known(self) -> Known | None:
        """All that it knows from the run that it goes on from; None if there is none."""
        return self._attempts.known

    @known.setter
    def known(self, known: Known | None) -> None:
        self._attempts.known = known
        if known is not None and known.is_applied and self._holding is not None:
            self._holding.is_preview = False

    @property
    def question(self) -> Key | None:
        """Names its open question; None if there is none."""
        return None if self._holding is None else self._holding.question

    def is_held(self, key: Key) -> bool:
        return self._holding is not None and key in self._holding.held

    @property
    def notes(self) -> list[str]:
        """Changes that were made in arguments once they were known."""
        return self._tasks.notes.all

    @property
    def stopped_by(self) -> str | None:
        """`cancelled`, `timeout` or `fail_fast`, if something ended the run early."""
        return self._tasks.stopped_by

    @property
    def most_in_flight(self) -> int:
        """The most calls of it that were in flight at one moment."""
        return self._attempts.most_in_flight

    @property
    def is_done(self) -> bool:
        return self.root.unsettled == 0

    @property
    def is_waiting(self) -> bool:
        """Whether nothing is left to do before a person has answered."""
        return self._holding is not None and self._holding.question is not None and self._is_idle

    @property
    def _is_idle(self) -> bool:
        return self._attempts.is_idle and not self._tasks.postponed

    @property
    def status(self) -> str:
        """The status of the whole run, as in the contract's section 5."""
        if not self.is_done:
            return "waiting" if self.is_waiting else "running"
        if self.stopped_by in {"cancelled", "timeout"}:
            return str(self.stopped_by)
        if all(state.is_well for state in self.states.values()):
            has_failed = any(tally.has_failed for tally in self.tallies.values()) or any(
                state.items is not None and state.items.errors for state in self.states.values()
            )
            return "partial" if has_failed else "success"
        return (
            "partial"
            if any(state.status is Status.SUCCESS for state in self.states.values())
            else "failed"
        )

    @property
    def counts(self) -> dict[str, int]:
        """The number of tasks with each status."""
        counts = Counter([state.status for state in self.states.values()])
        return {status.value: count for status, count in counts.items()}

    def urgency(self, call: TaskCall) -> Urgency:
        planned = call.planned
        frame, key = call.frame, call.key
        remaining = frame.plan.remaining[planned.id] + frame.rest_s
        place = (
            (planned.index, key.item or 0)
            if not key.at
            else (planned.index, *key.at, key.item or 0)
        )
        return (-(planned.task.priority + frame.priority), -remaining, self._number, *place)

    def slots(self, call: TaskCall) -> SlotRequest:
        """Return the slots that *call* needs."""
        planned = call.planned
        key = planned.tool.full_name, planned.weight
        if (request := self._slots.get(key)) is None:
            request = self._slots[key] = SlotRequest(
                self.id,
                planned.tool.server_key,
                planned.policy.limit,
                planned.weight,
                self.client or self.principal,
                self.desk,
            )
        return request

    def accesses(self, call: TaskCall) -> Accesses | None:
        """Return the resources that the call of *call* accesses; None if absent."""
        return self.conflicts.accesses(call.key.task, call.arguments)

    def holds(self, key: Key) -> bool:
        """Whether the call of *key* keeps its resources, although it is not in flight: it is to be
        tried again. The next page is another call."""
        return (call := self.open.get(key)) is not None and call.attempts > 0

    # Methods for what happens to a run.

    def begin(self, now: float, budgets: RetryBudgets | None = None) -> None:
        """Start the run. *budgets* are the retry budgets of the servers, over all runs."""
        if budgets is not None:
            self._attempts.budgets = budgets
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
            self._times.begin(Until.TIMEOUT, self.limits.timeout_s, now)
        self._tasks.take_over(self._reused, now)
        for id, state in self.states.items():
            if not state.needs_left:
                self._tasks.due(self.root, id, now)
        self._advance(now)

    def start(self, call: TaskCall, now: float) -> int:
        """Start the call of *call*; gives the number of the attempt."""
        return self._attempts.start(call, now)

    def sent(self, key: Key, now: float) -> None:
        """Note that the call of *key*, which was started before, has waited for its server until
        now."""
        self._attempts.sent(key, now)

    def succeed(self, key: Key, output: Output, now: float, *, cached: bool = False) -> None:
        self._answers.succeed(self._attempts.close(key, now), output, now, cached=cached)
        self._advance(now)

    def fail(self, key: Key, error: CallError, now: float) -> None:
        call = self._attempts.close(key, now)
        failure = self._attempts.try_again(call, error, now)
        if failure is not None:
            self._answers.fail(call, error, failure, now)
        self._advance(now)

    def refuse(self, call: TaskCall, error: CallError, now: float) -> None:
        """Fail *call*, which is ready and cannot be sent."""
        self._attempts.give_up(call)
        self._answers.fail(call, error, Failure.of(error), now)
        self._advance(now)

    def stand_behind(self, call: TaskCall, now: float) -> None:
        """Note that *call*, which is ready, comes after a held call: it waits like that."""
        self.notices.append(StoodBehind(call.key, True, now))
        self._attempts.give_up(call)
        self._attempts.wait([call], now)
        self._advance(now)

    def line_up_again(self, call: TaskCall, now: float) -> None:
        """Let *call*, which came after a held call, go on: that was decided. If its task has ended
        meanwhile, nothing is left to do."""
        if not call.frame.has_ended(call.planned.id):
            self.notices.append(StoodBehind(call.key, False, now))
            self._attempts.release(call, now)
            self._advance(now)

    def hold_again(self, call: TaskCall, now: float) -> None:
        """Hold *call*, which is ready, once more: what a person was shown of it has changed."""
        if call.frame.has_ended(call.planned.id):
            self._attempts.give_up(call)
        else:
            self._attempts.hold_again(call)
        self._advance(now)

    def wake(self, key: Key, now: float) -> None:
        """End a pause before a repeated call, or the time of the whole run; or go on with the next
        step."""
        if key.task:
            self._attempts.wake(key, now)
        elif key == self._next_step:
            self._is_in_steps = False
            self._tasks.go_on(now)
            self._advance(now)
        else:
            match self._times.woke(key):
                case Until.ASK:
                    self._advance(now, asks=True)
                case Until.CLEANUP:
                    self.stop("cleanup_s", now, at_once=True)
                case Until.TIMEOUT:
                    self.stop("timeout", now)

    def decide(self, event: Decided, now: float) -> None:
        """Release the held calls that were approved, and fail the others that were asked for."""
        holding = self._holding
        if holding is None or holding.question != event.key:
            return  # the run has ended, or nothing that was asked for is left
        holding.covered |= event.covered
        if holding.why_asked is Why.PREVIEW and event.approved:
            holding.is_preview = False
        readings = dict(event.readings)
        for call in holding.close(event.about):
            if call.key in event.approved:
                is_by_policy = holding.why_asked is Why.POLICY
                call.is_approved = is_by_policy or not call.planned.policy.needs_yes
                call.reading, call.why_asked = readings.get(call.key), holding.why_asked
                self._attempts.release(call, now)
            else:
                error = _not_approved(call, event.code)
                self._answers.fail(call, error, Failure.of(error), now)
        self._advance(now)

    def stop(self, why: str, now: float, *, at_once: bool = False) -> None:
        """End every unfinished task: *why* is `cancelled`, `timeout` or `cleanup_s`. Unless
        *at_once*, tasks that clean up still run, and a run that was stopped goes on with them."""
        if self.ended_at is None and (at_once or self.stopped_by is None):
            self._tasks.stop(why, now, at_once=at_once)
            self._advance(now)

    def _advance(self, now: float, *, asks: bool = False) -> None:
        self._tasks.advance(now)
        while self._attempts.denied:
            call = self._attempts.denied.popleft()
            if not call.frame.has_ended(call.planned.id):
                error = _not_approved(call, ApprovalDenied.code)
                self._answers.fail(call, error, Failure.of(error), now)
                self._tasks.advance(now)
        pause_s = self._tasks.pace.begin_step()
        if self.root.unsettled == 0:
            self._finish(now)
            return
        if self._holding is not None:
            self._hold(self._holding, now, asks=asks)
        if self._tasks.postponed and not self._is_in_steps:
            self._is_in_steps = True
            self.commands.append(Sleep(self._next_step, pause_s))
        if self._tasks.stopped_by is not None and Until.CLEANUP not in self._times:
            self._times.end_all()
            self._times.begin(Until.CLEANUP, self.plan.dag.cleanup_s, now)

    def _hold(self, holding: Holding, now: float, *, asks: bool) -> None:
        """Ask for the calls that are held, if it is time for that; stop and start the clock."""
        self._attempts.hold(holding.take_new(), now)
        if holding.question is not None and not holding.asked:
            self.commands.append(Abort(holding.question))
            holding.question = None
        if holding.question is None and holding.held:
            if self._is_idle or (asks and holding.by_policy):
                self._ask(holding)
            elif holding.by_policy and Until.ASK not in self._times:
                self._times.begin(Until.ASK, ASK_S, now)
        is_waiting = self.is_waiting
        if is_waiting != self._has_waited:
            self._has_waited = is_waiting
            self.notices.append(Waiting(self.id, is_waiting, now))
            self._times.stop_clock(now) if is_waiting else self._times.start_clock(now)

    def _ask(self, holding: Holding) -> None:
        self._times.end(Until.ASK)
        calls = holding.to_ask()
        question = self._times.new_key()
        holding.ask(question, calls)
        held = [
            HeldCall(call.key, call.tool, call.arguments, call.planned.policy.decision, call.rounds)
            for call in calls
        ]
        is_preview = holding.why_asked is Why.PREVIEW
        self.commands.append(Ask(question, tuple(held), self.approving.seconds, is_preview))

    def _finish(self, now: float) -> None:
        if self.ended_at is None:
            self.ended_at = now
            self.root.close()
            self._times.end_all()
            if self._holding is not None and self._holding.question is not None:
                self.commands.append(Abort(self._holding.question))
            if self._is_in_steps:
                self.commands.append(Abort(self._next_step))
            elapsed_s = now - self.started_at
            self.notices.append(
                Finished(self.id, self.status, now, elapsed_s, self.stopped_by, self.counts)
            )


def _not_approved(call: TaskCall, code: str) -> CallError:
    name, why = call.tool.full_name, call.planned.policy.decision.why
    if code == ApprovalDenied.code:
        return ApprovalDenied(f"{name} was not called: a person said no", hint=f"It was {why}.")
    if code == ToolChanged.code:
        return ToolChanged(
            f"{name} was not called: it is described otherwise than when it was asked for",
            hint="Look at it with describe_tools, and plan again.",
        )
    message = f"{name} was not called: there was no yes in time"
    return ApprovalRequired(message, hint=f"It was {why}. Nothing was sent.")
