"""The gateway's verbs: search, describe, call, plan, submit, wait, follow, cancel, output."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, cast

from ..core.flows.knowledge import Owner
from ..core.flows.rules import FlowPolicy
from ..core.history import (
    CANCEL,
    INTERRUPTED,
    Durable,
    Kind,
    Post,
    RunQuery,
)
from ..core.history_store import History
from ..core.language.dag import Dag
from ..core.planning.plan import MAX_CALLS
from ..core.ports import NO_CLIENT, Caller, CallTool, Observer, ResourceResolver, RunStore, Servers
from ..core.results.approval import Approval
from ..core.results.progress import Progress
from ..core.results.record import RunRecord, RunStatus
from ..core.results.result import RunResult
from ..core.scheduling.lanes import NO_DESK
from ..core.scheduling.limits import Limits
from ..core.scheduling.run import Run
from ..core.tools.approving import Approving
from ..core.tools.catalog import Catalog, Tool
from ..core.tools.output import Output
from ..core.tools.policy import Policy
from ..core.tools.tool_stats import ToolStats
from ..core.values.principal import USER, Principal
from ..core.values.problems import Problem
from ..core.values.strict import Json, JsonObject
from ..errors import HistoryLost, InvalidDag
from .approvals import PYTHON
from .auditing import Party
from .calls_by_name import CallsByName
from .checking import Checking
from .comparing import Comparing
from .consent import Consent
from .engine import STOP_S, Engine
from .flows import CallFlows
from .known_tools import LONGEST_START_S, KnownTools
from .lookups import AS_WRITTEN
from .preparing import Prepared, Preparing
from .writing import Kept, Writing, begin, has_doubt, new_id

if (
    TYPE_CHECKING
):  # what is needed once there is a DAG, or a search, is imported then: a start is to be quick
    from ..core.results.graph import Graph
    from ..core.tools.search import SearchResult

log = logging.getLogger(__name__)

MAX_LIVE_RUNS = 1_000
MAX_LIVE_TASKS = 50_000
"""The most of one principal that may be under way at one time."""


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """Limits of one gateway (`docs/configuration.md`, "Limits")."""

    concurrency: Limits = field(default_factory=Limits)
    timeout_s: float = 3600.0
    max_tasks: int = 10_000
    max_items: int = 1_000
    max_document_bytes: int = 4 * 2**20
    max_output_bytes: int = 10 * 2**20
    max_run_bytes: int = 256 * 2**20
    max_calls: int = MAX_CALLS
    durable: Durable = Durable.PROCESS
    kept: Kept = Kept.WHOLE
    approving: Approving = field(default_factory=Approving)


@dataclass(frozen=True, slots=True)
class Submitted:
    """A DAG that was accepted and runs."""

    run_id: str
    dag: Dag
    notes: tuple[str, ...]
    is_own: bool = True
    """False if it is the run of another caller, who goes on with the same runs or did."""
    remark: str | None = None
    """A note for the answer, besides those of the run."""


class Gateway:
    """Runs DAGs over *servers* and *call_tool*, and keeps them in *runs*. Use as `async with
    Gateway(...) as gateway:`; leaving it cancels the runs that are still going.

    A run belongs to the principal of the client that submitted it or, without a client, to the
    user. Every verb that takes a run's id raises `UnknownRun` for a principal who may not see that
    run.
    """

    def __init__(
        self,
        servers: Servers,
        call_tool: CallTool,
        runs: RunStore,
        *,
        policy: Policy | None = None,
        flows: FlowPolicy | None = None,
        limits: GatewayLimits | None = None,
        learned: ToolStats | None = None,
        resolver: ResourceResolver | None = AS_WRITTEN,
        observers: Sequence[Observer] = (),
        engine: Engine | None = None,
        history: History | None = None,
        desk: str = NO_DESK,
    ) -> None:
        """With *engine*, which others share, this is the configuration *desk* of it; *call_tool*,
        *runs*, *learned*, *observers* and *history* are the engine's then."""
        self.notice = ""
        """A message to clients about the settings as a whole; empty if there is none."""
        self.origin = ""
        """The settings that it was made from; empty if none."""
        self.mark = ""
        """The mark by which gateways of one state folder know one another; empty without one."""
        self.place = ""
        """The folder of its clients, or their settings where these depend on none: what one of them
        has seen, all have."""
        self._policy, self._flows = policy or Policy(), flows
        self._tools = KnownTools(servers, self._policy)
        self._limits = limits or GatewayLimits()
        self._resolver = resolver
        self.desk = desk
        self._is_sharing = engine is not None
        self.engine = engine or Engine(
            call_tool,
            runs,
            learned=learned,
            resolver=resolver,
            observers=observers,
            limits=self._limits.concurrency,
            max_output_bytes=self._limits.max_output_bytes,
            history=history,
        )
        self.learned = self.engine.learned
        self._consent = Consent(self.engine, self.catalog, self._submitted, self.wait)
        self._checking = self._checking_now()
        self._by_name = self._calls_by_name_now()
        self._comparing = self._comparing_now()

    def __repr__(self) -> str:
        return f"<Gateway with {self.engine!r}>"

    async def __aenter__(self) -> Self:
        if self._is_sharing:
            limits = self._limits
            self.engine.change_limits(limits.concurrency, limits.max_output_bytes, self.desk)
        else:
            await self.engine.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if not self._is_sharing:
            await self.engine.__aexit__(*exc)
        elif self.desk != NO_DESK:
            self.engine.forget_limits(self.desk)
        self._tools.close()

    def change(
        self,
        policy: Policy,
        limits: GatewayLimits,
        resolver: ResourceResolver | None,
        flows: FlowPolicy | None = None,
    ) -> None:
        """Apply new settings. Active runs keep their plans but obey the new concurrency limits."""
        self._policy, self._limits, self._resolver = policy, limits, resolver
        self._flows = flows
        self._checking = self._checking_now()
        self._tools.change(policy)
        self._by_name = self._calls_by_name_now()
        self._comparing = self._comparing_now()
        if not self._is_sharing:
            self.engine.lookups.resolver = resolver or AS_WRITTEN
        self.engine.change_limits(limits.concurrency, limits.max_output_bytes, self.desk)

    async def call(
        self, server: str, tool: str, params: JsonObject, caller: Caller = NO_CLIENT
    ) -> JsonObject:
        """Call a tool by name. *params* are those of a `tools/call`, with the server's own name of
        the tool; they are sent unchanged. Returns the server's result unchanged, unknown members
        included. Raises `CallError`.
        """
        return await self._by_name.call(f"{server}:{tool}", params, caller)

    def see(self, principal: Principal, sources: Iterable[str]) -> None:
        """Note that the clients of *principal* see data of *sources*: of tools by their full names,
        or of anything else of servers, as `server:resources/read`."""
        if self._flows:
            self.engine.flows.see(self._owner(principal), sources)

    def _owner(self, principal: Principal) -> Owner:
        return Owner(principal, self.place)

    def _show(self, principal: Principal, record: RunRecord, tasks: Iterable[str] = ()) -> None:
        """Note that *principal* sees how the run of *record* went, and what *tasks* gave."""
        if self._flows:
            failed = [id for id, task in record.tasks.items() if task.error is not None]
            approval = self.engine.approval(record.id, principal)
            asked = [] if approval is None else [call.key.task for call in approval.calls]
            owner = self._owner(principal)
            self.engine.flows.see_run(owner, record, [*failed, *asked, *tasks])

    def denied_by(self, server: str, tool: str) -> str | None:
        """Return the rule of the policy that denies a tool; None if no rule does."""
        return self._tools.denied_by(server, tool)

    def history_trouble(self) -> str | None:
        """Return the reason why runs cannot be written that are to survive power cuts; None if they
        can, or if nothing asks for that."""
        history = self.engine.history
        if self._limits.kept is Kept.NOT or self._limits.durable is not Durable.POWER:
            return None
        return "nothing keeps it" if history is None else history.trouble

    def catalog(self) -> Catalog:
        """Return the servers and tools that are known now."""
        return self._tools.catalog()

    async def settled(
        self, servers: Iterable[str] | None = None, seconds: float = LONGEST_START_S
    ) -> None:
        """Start *servers* (None: all), and wait up to *seconds* until the first attempt to connect
        to each has finished."""
        await self._tools.settled(servers, seconds)

    async def known(self) -> None:
        """Wait up to five seconds until the first connection attempt to every server without known
        tools has finished."""
        await self._tools.known()

    async def search(
        self, query: str, *, server: str | None = None, limit: int = 6
    ) -> SearchResult:
        """Search the tools that the policy allows by words, for each need in *query* (`;` separates
        needs), best first. An empty query finds servers."""
        return await self._tools.search(query, server=server, limit=limit)

    async def describe(self, names: Sequence[str]) -> tuple[list[Tool], list[Problem]]:
        """Find the tools of these *names*, and a problem for each unknown name."""
        return await self._tools.describe(names)

    async def plan(
        self, document: object, principal: Principal = USER, *, only_reads: bool = False
    ) -> JsonObject:
        """Make the answer to a dry run (docs/contract.md, section 5). Raises `InvalidDag`."""
        prepared = await self._planned(document, principal, only_reads=only_reads)
        plan, conflicts, done = prepared.plan, prepared.conflicts, prepared.outputs.keys()
        return await self._checking.dry_run(plan, conflicts, self._limits.concurrency, done)

    async def graph(self, document: object, principal: Principal = USER) -> Graph:
        """Check *document* as `plan` does, and return its graph. Raises `InvalidDag`."""
        prepared = await self._planned(document, principal)
        plan, conflicts, done = prepared.plan, prepared.conflicts, prepared.outputs.keys()
        return await self._checking.graph(plan, conflicts, self._limits.concurrency, done)

    async def _planned(
        self, document: object, principal: Principal, *, only_reads: bool = False
    ) -> Prepared:
        preparing = self._preparing(principal, only_reads=only_reads)
        reading = preparing.read(document)
        chain = await preparing.chain(reading.dag, principal)
        return await preparing.prepare(reading, principal, chain)

    async def submit(
        self,
        document: object,
        caller: Caller = NO_CLIENT,
        *,
        only_reads: bool = False,
        is_awaited: bool = False,
    ) -> Submitted:
        """Check *document* (parsed JSON, JSON text, or a `Dag`) whole, and start it for *caller*:
        the run belongs to its principal. Where it goes on from a run that another caller goes on
        with already, or that has ended, that is the run. If it *is_awaited*, *caller* learns of the
        run by its answer alone, and says with `answered` that it has left. Raises `InvalidDag`,
        also for a dry run, which `plan` answers, and with *only_reads* for a call that may do more
        than read."""
        preparing = self._preparing(caller.principal, caller.connection, only_reads=only_reads)
        reading = preparing.read(document)
        if reading.dag.apply is not None:
            if only_reads:
                message = "To apply a preview is to let it change something."
                problem = Problem("apply", "not_read_only", message, "Use execute_dag for it.")
                raise InvalidDag([problem], reading.notes)
            applied = await self._consent.apply(reading.dag, reading.dag.apply, caller)
            return Submitted(*applied)
        try:
            chain = await preparing.chain(reading.dag, caller.principal)
            there, remark = await preparing.there_already(reading.dag, caller.principal, chain)
        except HistoryLost as error:
            raise InvalidDag([_damaged(reading.dag, error)], reading.notes) from error
        if there is not None:
            is_left = there.status is RunStatus.WAITING and not self.engine.is_live(there.id)
            if is_left and reading.dag.resume_from is None:  # so that its person is asked
                asked = {name: getattr(reading.dag, name) for name in ("wait_s", "detail")}
                again = Dag(tasks=(), resume_from=there.id, **asked)
                return await self.submit(again, caller, only_reads=only_reads)
            if is_awaited and there.status is not RunStatus.INTERRUPTED and remark is not None:
                self.engine.await_answer(there.id, None)
            return Submitted(there.id, there.dag, there.notes, is_own=False, remark=remark)
        try:
            prepared = await preparing.prepare(reading, caller.principal, chain)
        except InvalidDag as error:
            party = Party.of(caller, self.desk)
            self.engine.trail.refused_plan(party, error.problems, reading.dag, self.catalog())
            raise
        plan = prepared.plan
        if plan.dag.dry_run:
            message = "A dry run was asked for, and nothing was run."
            raise InvalidDag([Problem("dry_run", "not_run", message, "Gateway.plan answers it.")])
        self._check_share(caller.principal, len(plan.tasks))
        run = Run(
            new_id("r_"),
            plan,
            principal=caller.principal,
            client=caller.connection,
            desk=self.desk,
            number=self.engine.next_number(),
            conflicts=prepared.conflicts,
            reused=prepared.outputs,
            earlier_items=prepared.items,
            began=time.time(),
            jitter=random.random,
            timeout_s=prepared.left_s or plan.dag.timeout_s or self._limits.timeout_s,
            max_items=self._limits.max_items,
            max_bytes=self._limits.max_run_bytes,
            max_calls=self._limits.max_calls,
            approving=self._limits.approving,
        )
        writing: Writing | None = None
        history = self.engine.history
        kept = self._limits.kept
        if history is not None and kept is not Kept.NOT:
            beginning = prepared.beginning(
                run,
                self._limits.durable,
                self.origin,
                keeps_values=kept is Kept.WHOLE,
                is_awaited=is_awaited,
            )
            says = cast("dict[str, Json]", reading.dag.in_doubt or {})
            begun = await begin(history, beginning, prepared.chain, prepared.line, says)
            if says and prepared.chain is not None and not isinstance(begun, str):
                self.engine.trail.resolved(run, prepared.chain, says)
            if isinstance(begun, str):  # another caller was faster
                record = await self.engine.recall(begun, caller.principal)
                return Submitted(record.id, record.dag, record.notes, is_own=False)
            writing = begun
            if beginning.is_awaited:
                self.engine.await_answer(run.id, writing.log)
            if beginning.durable is Durable.POWER and not await begun.log.committed():
                raise InvalidDag([_unwritten(history.trouble)])
        self.engine.submit(run, caller, writing, prepared.flows, self._comparing)
        return Submitted(run.id, plan.dag, plan.notes)

    def answered(self, run_id: str) -> None:
        """Write that the answer of a run that was awaited has left, or that no client waits for it
        any more."""
        self.engine.answered(run_id)

    @property
    def approving(self) -> Approving:
        """How a person is asked, as the settings say."""
        return self._limits.approving

    def approval(self, run_id: str, principal: Principal = USER) -> Approval | None:
        """Return the open question of a run of this process; None if there is none."""
        return self.engine.approval(run_id, principal)

    async def approve(
        self,
        run_id: str,
        digest: str,
        places: Collection[str] | None = None,
        caller: Caller = NO_CLIENT,
        *,
        by: str = PYTHON,
    ) -> str:
        """Say yes, for a person, to the calls of *places* (None: to all; empty: to none) of the
        question of *digest*, and no to its others; *by* is the way of the answer, for the audit. A
        run of a process that has ended is taken over.
        Returns the id of the run that goes on. Raises `UnknownRun`, `InvalidDag` if the run cannot
        be taken over, `HistoryLost` if its process cannot be reached, and `StaleApproval` if that
        question is not open, or a tool is not defined as it was when it was asked."""
        return await self._consent.approve(run_id, digest, places, caller, by)

    async def go_on_with_interrupted(self) -> list[str]:
        """Go on with the interrupted runs of the user that began with these settings and have
        nothing in doubt; gives the ids of the runs that go on from them."""
        if (history := self.engine.history) is None:
            return []
        begun: list[str] = []
        query = RunQuery(MAX_LIVE_RUNS, USER, Kind.DAG, INTERRUPTED)
        for entry in reversed(await history.runs(query)):
            try:
                chain = await history.chain(entry.id, USER) if entry.desk == self.origin else None
                if chain is None or chain.head.entry.id != entry.id or has_doubt(chain):
                    continue
                submitted = await self.submit({"tasks": [], "resume_from": entry.id})
            except (InvalidDag, HistoryLost) as error:
                log.warning("run.not_resumed", extra={"run": entry.id, "error": str(error)})
            else:
                log.info("run.resumed", extra={"run": submitted.run_id, "from": entry.id})
                begun.append(submitted.run_id)
        return begun

    async def _submitted(self, dag: Dag, caller: Caller) -> str:
        """Submit *dag* and return the id of its run."""
        return (await self.submit(dag, caller)).run_id

    def _check_share(self, principal: Principal, tasks: int) -> None:
        """Raise `InvalidDag` if *principal* has so much under way that others would suffer."""
        live = self.engine.active(principal)
        unsettled = sum(run.root.unsettled for run in live)
        if len(live) < MAX_LIVE_RUNS and unsettled + tasks <= MAX_LIVE_TASKS:
            return
        message = (
            f"{len(live):,} runs with {unsettled:,} unfinished tasks are under way; at most "
            f"{MAX_LIVE_RUNS:,} with {MAX_LIVE_TASKS:,} are accepted."
        )
        hint = "Wait for them with get_run, or cancel some with cancel_run."
        raise InvalidDag([Problem("$", "limit_exceeded", message, hint)])

    async def execute(self, document: object, caller: Caller = NO_CLIENT) -> RunResult:
        """Check *document*, run it and wait to its end, or until somebody else has to say yes to
        its calls (`approve`). A cancelled caller cancels the run. Raises `InvalidDag`."""
        submitted = await self.submit(document, caller)
        is_left = not submitted.is_own
        try:
            result = await self.wait(submitted.run_id, principal=caller.principal)
            is_left |= result.status is RunStatus.WAITING
            return result
        finally:
            if not is_left:
                self.engine.cancel(submitted.run_id)

    async def wait(
        self, run_id: str, seconds: float | None = None, principal: Principal = USER
    ) -> RunResult:
        """Wait up to *seconds* for the end of the run; gives its result, or its state so far.
        Raises `UnknownRun`."""
        result = await self.engine.wait(run_id, seconds, principal)
        self._show(principal, result.record, result.outputs)
        await self.engine.flows.keep()  # before the answer goes out
        return result

    def follow(self, run_id: str, principal: Principal = USER) -> AsyncIterator[Progress]:
        """Report the progress of the run: at once, then as tasks settle (at most ten times a
        second, at least every 5 s); the last one is `finished`. Raises `UnknownRun`."""
        reports = self.engine.follow(run_id, principal)
        return self._shown(reports, run_id, principal) if self._flows else reports

    async def _shown(
        self, reports: AsyncIterator[Progress], run_id: str, principal: Principal
    ) -> AsyncIterator[Progress]:
        """Pass *reports* on, and note what they show: also the message of a call."""
        async for progress in reports:
            reporting = (progress.latest or "").partition(":")[0]
            self._show(principal, self.engine.record(run_id, principal), [reporting])
            yield progress

    def is_done(self, run_id: str, principal: Principal = USER) -> bool:
        """Whether the run has ended. Raises `UnknownRun`."""
        return self.engine.is_done(run_id, principal)

    def runs(self, principal: Principal = USER) -> list[str]:
        """List the ids of the kept runs of *principal*, the latest first; empty for `ANYONE`."""
        return self.engine.ids(principal)

    async def recall(self, run_id: str, principal: Principal = USER) -> RunRecord:
        """Return the record of a run as it is now, also of one of another process, and let the
        other verbs know it. Raises `UnknownRun`."""
        return await self.engine.recall(run_id, principal)

    def record(self, run_id: str, principal: Principal = USER) -> RunRecord:
        """Return the record of a run as it is now. Raises `UnknownRun`."""
        record = self.engine.record(run_id, principal)
        self._show(principal, record)
        return record

    def result(self, run_id: str, principal: Principal = USER) -> RunResult:
        """Return the result of a run so far. Raises `UnknownRun`."""
        result = self.engine.result(run_id, principal)
        self._show(principal, result.record, result.outputs)
        return result

    def output(self, run_id: str, task: str, principal: Principal = USER) -> Output:
        """Return a task's whole output. Raises `UnknownRun`, or `CallError` if it has none."""
        output = self.engine.output(run_id, task, principal)
        self._show(principal, self.engine.record(run_id, principal), [task])
        return output

    async def cancel(
        self, run_id: str, principal: Principal = USER, *, seconds: float = STOP_S
    ) -> RunResult:
        """Cancel a run, if it is still active, here or in another process of the user; gives its
        result, or after *seconds*, if tasks that clean up still run, its state so far. Raises
        `UnknownRun`, and `HistoryLost` if the other process cannot be reached."""
        await self.engine.recall(run_id, principal)
        await self.engine.post(Post(run_id, CANCEL, principal))
        return await self.wait(run_id, seconds, principal)

    def cancel_all(self) -> None:
        """Cancel every active run, since the gateway stops: what cleans up has five seconds from
        the first time. Whoever waits for a run gets its result."""
        self.engine.cancel_all()

    def _preparing(
        self, principal: Principal, connection: str | None = None, *, only_reads: bool = False
    ) -> Preparing:
        return Preparing(
            self.engine,
            self.catalog,
            self._checking,
            self._policy,
            self._tools.reach,
            max_tasks=self._limits.max_tasks,
            max_bytes=self._limits.max_document_bytes,
            detects_conflicts=self._resolver is not None,
            origin=self.origin,
            flows=self._flows,
            sender=(self._owner(principal), connection),
            only_reads=only_reads,
        )

    def _checking_now(self) -> Checking:
        limits = self._limits
        return Checking(
            self._policy, self.learned, max_items=limits.max_items, max_calls=limits.max_calls
        )

    def _calls_by_name_now(self) -> CallsByName:
        flows = CallFlows(self._flows, self.engine.flows.knowledge) if self._flows else None
        return CallsByName(
            self.engine,
            self.catalog,
            self._owner,
            self._policy,
            kept=self._limits.kept,
            approving=self._limits.approving,
            detects_conflicts=self._resolver is not None,
            flows=flows,
            desk=self.desk,
        )

    def _comparing_now(self) -> Comparing:
        return Comparing(self.engine, self.catalog, self._policy, self._flows, self.desk)


def _damaged(dag: Dag, error: HistoryLost) -> Problem:
    """Refuse *dag*: the run that it goes on from, or an interrupted one that it equals, cannot be
    read."""
    if dag.resume_from is not None:
        hint = "Look what it has done with plait history, and send what is left as a new document."
        return Problem("resume_from", error.code, str(error), hint)
    message = f"An equal document was interrupted within the last hour. {error}"
    return Problem("$", error.code, message, "With again: true (or --again) it is run once more.")


def _unwritten(trouble: str | None) -> Problem:
    return Problem(
        "durable",
        "history_unavailable",
        f"The run is to survive a power cut, and it cannot be written: {trouble or 'no time'}.",
        'Send it again later, or with durable: "process".',
    )
