"""The part of a gateway that all configurations of a process share: one scheduler and its runner,
the active runs, and the store of those that have ended.

So limits of servers, conflicts about files and turns of clients hold over all of them, and a run is
found by its id whoever began it, if its principal is the same.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup

from ..core.history import (
    APPROVE,
    CANCEL,
    DECIDED,
    Answered,
    Chain,
    Post,
    RunEntry,
)
from ..core.history_store import (
    History,
    RunLog,
)
from ..core.kept_decisions import KeptDecision
from ..core.ports import Caller, CallTool, Observer, ResourceResolver, RunStore
from ..core.results.approval import Approval
from ..core.results.progress import Progress, progress_of
from ..core.results.record import RunRecord, TaskRecord, record_of
from ..core.results.result import RunResult, result_of
from ..core.scheduling.lanes import NO_DESK
from ..core.scheduling.limits import Limits
from ..core.scheduling.notices import (
    Changed,
    Finished,
    Notice,
    Progressed,
    Started,
    StoodBehind,
    Waiting,
)
from ..core.scheduling.run import Run
from ..core.scheduling.scheduler import Scheduler
from ..core.tools.catalog import Tool
from ..core.tools.output import Output
from ..core.tools.tool_stats import ToolStats
from ..core.values.principal import Principal, may_see
from ..core.values.problems import nearest, some_of
from ..errors import CallError, HistoryLost, StaleApproval, UnknownRun
from ..waiting import Signal
from .approvals import PYTHON, Approvals
from .auditing import Trail
from .comparing import Comparing
from .flows import Flows, RunFlows
from .lookups import AS_WRITTEN, Lookups
from .recalling import Recalling
from .runner import MAX_OUTPUT_BYTES, Runner
from .writing import Writing, is_end_of_task

log = logging.getLogger(__name__)

STOP_S = 5.0
"""Seconds for a cancelled run to end, and for what cleans up once the engine stops."""
LAST_S = 1.0
"""Least seconds of these that are left when the engine is closed, and those for servers to accept
the last cancellations."""
QUIET_S = 5.0
"""Longest pause between two reports to a follower of a run."""
BURST_S = 0.1
NO_SUCH_RUN = "Unknown run id."
"""The same message for an id that was never given and for a run that the principal may not see."""


class _LiveRun:
    """An active run, and the signals for its followers."""

    __slots__ = ("_approvals", "_record", "changed", "finished", "latest", "run", "writing")

    def __init__(self, run: Run, approvals: Approvals, writing: Writing | None = None) -> None:
        self.run = run
        self._approvals = approvals
        self.writing = writing
        self.finished = anyio.Event()
        self.changed = Signal()
        self.latest: str | None = None
        self._record: RunRecord | None = None

    def record(self) -> RunRecord:
        """Make the record of the run as it is now."""
        if self._record is None or not self._record.is_done:
            self._record = record_of(self.run, anyio.current_time(), self._record)
            approval = None if self._record.is_done else self._approvals.of(self.run.id)
            if approval is not None:
                self._record = replace(self._record, approval=approval.document())
        if self.is_lost:
            self._record = replace(self._record, history_lost=True)
        return self._record

    @property
    def is_lost(self) -> bool:
        """Whether something of it could not be written."""
        return self.writing is not None and self.writing.log.is_lost

    def output(self, task: str) -> Output | None:
        return self.run.states[task].output

    @property
    def is_held(self) -> bool:
        """Whether it only waits for a person, and that is written: so it can be left to others."""
        is_asked = self.run.is_waiting and self._approvals.of(self.run.id) is not None
        return is_asked and self.writing is not None and not self.writing.log.is_lost

    async def ended(self) -> None:
        """Wait for the end of the run, or until only somebody else can say yes to its calls."""
        while not self.finished.is_set():
            if self.run.is_waiting and self._approvals.is_left_to_others(self.run.id):
                return
            await self.changed.wait()

    async def committed(self) -> None:
        """Wait until what has happened to the run is in the history."""
        if self.writing is not None:
            await self.writing.log.committed()


class Engine:
    """Carries out runs and direct calls by *call_tool*, and keeps runs in *runs*. Use as an async
    context manager; leaving it cancels the runs that are still going.

    Every method that takes a run's id raises `UnknownRun` for a principal who may not see that run.
    """

    def __init__(
        self,
        call_tool: CallTool,
        runs: RunStore,
        *,
        learned: ToolStats | None = None,
        resolver: ResourceResolver | None = None,
        observers: Sequence[Observer] = (),
        limits: Limits | None = None,
        max_output_bytes: int = MAX_OUTPUT_BYTES,
        history: History | None = None,
    ) -> None:
        """*limits* and *max_output_bytes* are for what belongs to no desk. Runs are written to
        *history*, if there is one."""
        self.history: History | None = None
        self._recalling: Recalling | None = None
        self.learned = ToolStats(enabled=False) if learned is None else learned
        self.lookups = Lookups(resolver or AS_WRITTEN)
        self.flows = Flows()
        self.trail = Trail()
        self._call_tool = call_tool
        self._runs = runs
        self._observers = tuple(observers)
        self._scheduler = Scheduler(limits or Limits(), self.learned)
        self._max_output_bytes = max_output_bytes
        self._live: dict[str, _LiveRun] = {}
        self._ending: dict[str, RunLog] = {}
        """The runs that have ended, and whose end is being committed."""
        self._awaited: dict[str, RunLog | None] = {}
        """The runs that clients wait for, until the answer has left. Those of processes that died
        are written to no log."""
        self._is_listening = False
        """Whether it takes what other processes post to its runs."""
        self._numbers = 0
        self._tasks: TaskGroup | None = None
        if history is not None:
            self.write_to(history)
        self._stops_at: float | None = None
        """The time at which runs have to have ended, once the engine stops."""

    def __repr__(self) -> str:
        return f"<Engine with {self._scheduler!r}>"

    def write_to(self, history: History) -> None:
        """Write the runs that begin from now on to *history*."""
        self.history, self._recalling = (
            history,
            Recalling(history, self._runs, self._live.__contains__),
        )
        self.trail.history = history
        if self._tasks is not None:
            self.direct_calls.history = history

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._runner = Runner(
            self._scheduler,
            self._call_tool,
            self._tasks,
            (*self._observers, self._observe),
            asked=self._asked,
            lookups=self.lookups,
            max_output_bytes=self._max_output_bytes,
            trail=self.trail,
        )
        self.direct_calls = self._runner.direct_calls
        self.direct_calls.history = self.history
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._tasks is not None
        await self.end_runs()
        self.lookups.close()
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def end_runs(self) -> None:
        """Cancel all runs and wait until they have ended, within `STOP_S`."""
        self.cancel_all()
        left_s = max((self._stops_at or 0.0) - anyio.current_time(), LAST_S)
        with anyio.move_on_after(left_s, shield=True):
            await self._runner.idle()
        for run_id in list(self._scheduler.runs):  # they still clean up
            if run_id in self._live:
                self._runner.cancel(run_id, at_once=True)
        with anyio.move_on_after(LAST_S, shield=True):
            await self._runner.idle()

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler, to be read."""
        return self._scheduler

    def change_limits(self, limits: Limits, max_output_bytes: int, desk: str = NO_DESK) -> None:
        """Apply new limits of *desk*, which may be new, to active runs too."""
        self._runner.change_limits(limits, max_output_bytes, desk)

    def forget_limits(self, desk: str) -> None:
        """Forget the limits of *desk*, which has neither runs nor calls any more."""
        self._runner.forget_limits(desk)

    def start_soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start *work*, which is cancelled when the engine stops."""
        assert self._tasks is not None
        self._tasks.start_soon(work)

    def next_number(self) -> int:
        """Return a number for a new run or direct call, larger than all before."""
        self._numbers += 1
        return self._numbers

    def submit(
        self,
        run: Run,
        caller: Caller,
        writing: Writing | None = None,
        flows: RunFlows | None = None,
        comparing: Comparing | None = None,
    ) -> None:
        """Start *run* for *caller*; it is written with *writing*, its calls are checked with
        *flows*, and *comparing* shows what they would change."""
        self._live[run.id] = _LiveRun(run, self._runner.approvals, writing)
        if flows is not None:
            self.flows.begin(run.id, flows)
        self._runner.submit(run, caller, writing, flows, comparing)
        if writing is not None and not self._is_listening:
            self._is_listening = True
            self.start_soon(self._listen)

    def active(self, principal: Principal) -> list[Run]:
        """List the active runs of *principal*."""
        return [live.run for live in self._live.values() if live.run.principal == principal]

    async def wait(self, run_id: str, seconds: float | None, principal: Principal) -> RunResult:
        """Wait up to *seconds* for the end of the run; gives its result, or its state so far."""
        if (live := self._live_run(run_id, principal)) is None:
            if (ending := self._ending.get(run_id)) is not None:
                await ending.committed()
            elif self._recalling is not None:
                await self._recalling.wait(run_id, principal, seconds)
            return self.result(run_id, principal)
        with anyio.move_on_after(seconds):
            await live.ended()
        record = live.record()
        result = result_of(record, live.output)  # while all that it holds is committed
        await live.committed()
        if live.is_lost and not record.history_lost:
            result = result_of(replace(record, history_lost=True), live.output)
        return result

    async def follow(self, run_id: str, principal: Principal) -> AsyncIterator[Progress]:
        """Report the progress of the run: at once, then as tasks settle (at most ten times a
        second, at least every 5 s); the last one is `finished`."""
        if (live := self._live_run(run_id, principal)) is None:
            yield progress_of(self.record(run_id, principal))
            return
        while not live.finished.is_set():
            seen = live.changed.count
            yield progress_of(live.record(), live.latest)
            with anyio.move_on_after(QUIET_S):
                await live.changed.wait(seen)
                with anyio.move_on_after(BURST_S):
                    await live.finished.wait()
        yield progress_of(live.record())

    async def recall(self, run_id: str, principal: Principal) -> RunRecord:
        """Return the record of a run as it is now, also of one of another process. Raises
        `UnknownRun`."""
        if self._recalling is not None and self._live_run(run_id, principal) is None:
            await self._recalling.recall(run_id, principal)
        return self.record(run_id, principal)

    async def chain(self, run_id: str, principal: Principal) -> Chain | None:
        """Return what to go on from; None if the history does not have it."""
        return None if self.history is None else await self.history.chain(run_id, principal)

    async def left_over(
        self, principal: Principal, seconds: float, digest: Callable[[], str]
    ) -> RunEntry | None:
        """As `Recalling.left_over`."""
        if self._recalling is None:
            return None
        return await self._recalling.left_over(principal, seconds, digest)

    def await_answer(self, run_id: str, log: RunLog | None) -> None:
        """Note that a client waits for the answer of a run that is written to *log*, or that ended
        in another process."""
        self._awaited[run_id] = log

    def answered(self, run_id: str) -> None:
        """Write that the answer of a run has left, or that no client waits for it any more; nothing
        if none did."""
        if run_id not in self._awaited:
            return
        if (log := self._awaited.pop(run_id)) is not None:
            log.put(Answered())
        else:
            self.start_soon(partial(self._answered_elsewhere, run_id))

    async def _answered_elsewhere(self, run_id: str) -> None:
        assert self.history is not None
        try:
            await self.history.answered(run_id)
        except HistoryLost as lost:  # then the same document is answered with it once more
            log.warning("run.not_written", extra={"run": run_id, "error": str(lost)})

    def is_done(self, run_id: str, principal: Principal) -> bool:
        """Whether the run has ended."""
        return self._live_run(run_id, principal) is None and self.record(run_id, principal).is_done

    def is_live(self, run_id: str) -> bool:
        """Whether the run goes on in this process."""
        return run_id in self._live

    def ids(self, principal: Principal) -> list[str]:
        """List the ids of the kept runs of *principal*, the latest first; empty for `ANYONE`."""
        return self._runs.ids(principal)

    def find(self, run_id: str, principal: Principal) -> RunRecord | None:
        """Return the record of a run as it is now; None if *principal* may not see one."""
        live = self._live_run(run_id, principal)
        return self._runs.get(run_id, principal) if live is None else live.record()

    def record(self, run_id: str, principal: Principal) -> RunRecord:
        """Return the record of a run as it is now."""
        if (found := self.find(run_id, principal)) is None:
            hint = "Use the run_id of an earlier answer; the oldest runs are dropped."
            raise UnknownRun(f"{NO_SUCH_RUN} {hint}")
        return found

    def result(self, run_id: str, principal: Principal) -> RunResult:
        """Return the result of a run so far."""
        return result_of(self.record(run_id, principal), partial(self.kept_output, run_id))

    def output(self, run_id: str, task: str, principal: Principal) -> Output:
        """Return a task's whole output. Raises `CallError` if it has none."""
        record = self.record(run_id, principal)
        if task not in record.tasks:
            near = nearest(task, record.tasks)
            hint = (
                f'Did you mean "{near[0]}"?' if near else f"Its tasks: {some_of(record.tasks, 20)}."
            )
            raise CallError(f'{run_id} has no task "{task[:80]}"', hint=hint)
        if (output := self.kept_output(run_id, task)) is None:
            raise _no_output(record.tasks[task])
        return output

    def kept_output(self, run_id: str, task: str) -> Output | None:
        """Return a task's output, whoever's run it is; None if it has none."""
        live = self._live.get(run_id)
        return self._runs.output(run_id, task) if live is None else live.output(task)

    def cancel(self, run_id: str) -> None:
        """Cancel a run, if it is active."""
        self._runner.cancel(run_id)

    async def post(self, post: Post) -> bool:
        """Give *post* to its run, here or in another process of the user; returns whether it goes
        on. Raises `HistoryLost` if the other process cannot be reached."""
        if self._live_run(post.run, post.principal) is not None:
            self._receive(post)
            return True
        return self.history is not None and await self.history.post(post)

    async def _listen(self) -> None:
        """Take what other processes post to the runs of this one, while there are any."""
        try:
            while self._live and self.history is not None:
                for post in await self.history.posted():
                    self._receive(post)
        finally:
            self._is_listening = False

    def _receive(self, post: Post) -> None:
        if self._live_run(post.run, post.principal) is None:
            return  # it has ended meanwhile
        log.info("run.post_received", extra={"run": post.run, "kind": post.kind})
        if post.kind == CANCEL:
            self.cancel(post.run)
        elif post.kind == APPROVE:
            self._take_answer(post)
        else:  # of a newer version
            log.warning("run.post_unknown", extra={"run": post.run, "kind": post.kind})

    def cancel_all(self) -> None:
        """Cancel every active run, since the engine stops: what cleans up has `STOP_S` from the
        first time. Whoever waits for a run gets its result. A run that only waits for a person is
        left as it is written, for another process."""
        if self._stops_at is None:
            self._stops_at = anyio.current_time() + STOP_S
        for run_id in list(self._scheduler.runs):
            live = self._live.get(run_id)
            if live is not None and live.is_held:
                self._leave(live)
            elif live is not None:
                self._runner.cancel(run_id)

    def _leave(self, live: _LiveRun) -> None:
        """Leave the run of *live* to another process. Whoever waits for it gets it as it is."""
        run_id = live.run.id
        record = live.record()
        self._runner.leave(run_id)
        del self._live[run_id]
        self._runs.put(record, {})
        live.finished.set()
        live.changed.notify()

    async def _commit(self, run_id: str) -> None:
        """Wait until the end of a run is in the history."""
        await self._ending[run_id].committed()
        del self._ending[run_id]

    def _live_run(self, run_id: str, principal: Principal) -> _LiveRun | None:
        live = self._live.get(run_id)
        return live if live is not None and may_see(principal, live.run.principal) else None

    def approval(self, run_id: str, principal: Principal) -> Approval | None:
        """Return the open question of the run; None if there is none."""
        live = self._live_run(run_id, principal)
        return None if live is None else self._runner.approvals.of(run_id)

    def tools(self, run_id: str) -> list[Tool]:
        """List the tools that an active run calls, as they were defined when it was checked."""
        plan = self._live[run_id].run.plan
        return [task.tool for task in plan.all_tasks() if task.makes_calls]

    @property
    def approvals(self) -> Approvals:
        return self._runner.approvals

    def tools_changed(self) -> None:
        """Note that servers may describe tools otherwise: what is asked about them is withdrawn
        once their catalogues say so, too."""
        if self._tasks is not None and self._runner.approvals.has_open_questions:
            self.start_soon(self._look_at_tools)

    async def _look_at_tools(self) -> None:
        self._runner.approvals.look_at_tools()

    def approve(
        self,
        run_id: str,
        digest: str,
        places: Collection[str] | None,
        principal: Principal,
        by: str = PYTHON,
    ) -> None:
        """Say yes to the calls of *places* (None: to all) of the question of *digest*, and no to
        its others, in the way *by*. Raises `StaleApproval`, and `UnknownRun`."""
        self.record(run_id, principal)
        self._runner.approvals.answer(run_id, digest, places, by)

    def _take_answer(self, post: Post) -> None:
        """Take the answer of a person from another process."""
        match post.body:
            case {"digest": str(digest), "places": list() | None as places, **others}:
                yes = None if places is None else [str(place) for place in places]
                by = str(others.get("by", PYTHON))
                id = others.get("id")
                answer_id = id if isinstance(id, str) else None
                with suppress(StaleApproval):  # whoever posted it looks at the run
                    self._runner.approvals.answer(post.run, digest, yes, by, answer_id)

    async def has_taken(self, run_id: str, answer_id: str) -> bool:
        """Whether the run, of another process, was answered with what was posted as
        *answer_id*, not with another answer that came first."""
        events = [] if self.history is None else await self.history.events(run_id)
        return any(
            kept.event.kind == DECIDED
            and KeptDecision.read(kept.event.detail).answer_id == answer_id
            for kept in events
        )

    def _asked(self, run_id: str) -> None:
        if (live := self._live.get(run_id)) is not None:
            live.changed.notify()

    def _observe(self, notice: Notice) -> None:
        match notice:
            case StoodBehind():
                if (live := self._live.get(notice.run)) is not None and live.writing is not None:
                    live.writing.stand(notice)
            case Waiting(run_id):
                self._asked(run_id)
            case Changed():
                if (live := self._live.get(notice.key.run)) is not None:
                    live.changed.notify()
                    if live.writing is not None:
                        if is_end_of_task(notice):
                            state = live.run.states.get(notice.key.task)
                            if state is not None:  # else it is one of a group
                                live.writing.settle(notice, state.output, notice.at)
                        if notice.error is not None:
                            live.writing.decide(notice)
            case Started(run_id):
                self._runs.add(self._live[run_id].record())
            case Progressed(key, progress, total, message):
                if (live := self._live.get(key.run)) is not None:
                    done = f"{progress:g}/{total:g}" if total else f"{progress:g}"
                    live.latest = (
                        f"{key.task}: {' '.join(message.split())[:120] if message else done}"
                    )
                    live.changed.notify()
            case Finished(run_id):
                live = self._live.pop(run_id)
                if live.writing is not None:
                    live.writing.end(live.record())
                    self._ending[run_id] = live.writing.log
                    self.start_soon(partial(self._commit, run_id))
                states = live.run.states
                outputs = {
                    id: state.output for id, state in states.items() if state.output is not None
                }
                try:
                    self._runs.put(live.record(), outputs)
                finally:  # whoever waits has the result, also if it cannot be kept
                    live.finished.set()
                    live.changed.notify()


def _no_output(task: TaskRecord) -> CallError:
    if task.error is not None and task.error.retryable is not None:  # a call of it failed
        return CallError(task.error.message, hint=task.error.hint)
    why = None if task.error is None else task.error.message
    return CallError(f"{task.id} has no output: it is {task.status}", hint=why)
