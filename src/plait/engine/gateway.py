"""The verbs everyone calls: search, describe, plan, submit, wait, follow, cancel, output."""

from __future__ import annotations

import base64
import random
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import anyio
from anyio.abc import TaskGroup

from ..core.language.dag import Dag, read_dag
from ..core.planning.plan import Plan, PlannedTask
from ..core.ports import CallTool, Observer, ResourceResolver, RunStore, Servers, UpstreamClient
from ..core.results.progress import Progress, progress_of
from ..core.results.result import RunResult, result_of
from ..core.results.store import InMemoryRuns
from ..core.scheduling.conflicts import Conflicts, find_conflicts, planned_accesses
from ..core.scheduling.events import Changed, Finished, Notice, Progressed
from ..core.scheduling.limits import Limits
from ..core.scheduling.locating import PROMPT_S
from ..core.scheduling.run import Run
from ..core.scheduling.scheduler import Scheduler
from ..core.scheduling.visits import Visitors
from ..core.tools.catalog import Catalog, Tool
from ..core.tools.output import Output
from ..core.tools.policy import Policy
from ..core.tools.tool_stats import ToolStats
from ..core.values.principal import USER, Principal
from ..core.values.problems import Problem, nearest, some_of
from ..core.values.strict import Json, JsonObject
from ..errors import CallError, InvalidDag, UnknownRun
from ..waiting import Signal
from .lookups import AS_WRITTEN, Lookups
from .runner import Runner
from .visiting import Turn

if TYPE_CHECKING:  # what is needed once there is a DAG, or a search, is imported then: a start is to be quick
    from ..core.tools.search import SearchIndex, SearchResult

LONGEST_START_S = 35.0
"""How long a DAG waits for servers that are still being connected to."""
CATALOG_WAIT_S = 5.0
"""How long a search does."""
STOP_S = 5.0
QUIET_S = 5.0
"""Followers hear of a run at least so often, and at most ten times a second."""
BURST_S = 0.1
NO_SUCH_RUN = "Unknown run id."
"""The same message for an id that was never given and for a run that the principal may not see."""


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """What one gateway runs and keeps at most (`docs/configuration.md`, "Limits")."""

    concurrency: Limits = field(default_factory=Limits)
    timeout_s: float = 3600.0
    max_tasks: int = 10_000
    max_items: int = 1_000
    max_document_bytes: int = 4 * 2**20
    max_output_bytes: int = 10 * 2**20
    max_run_bytes: int = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Submitted:
    """A DAG that was accepted and runs."""

    run_id: str
    dag: Dag
    notes: tuple[str, ...]


class _Watch:
    """Who waits for news of one run."""

    __slots__ = ("changed", "finished", "said")

    def __init__(self) -> None:
        self.finished = anyio.Event()
        self.changed = Signal()
        self.said: str | None = None


class Gateway:
    """Runs DAGs over *servers* and *call_tool*. Use as `async with Gateway(...) as gateway:`; leaving it cancels
    the runs that are still going.

    A run belongs to the principal of the client that submitted it or, without a client, to the user.
    Every verb that takes a run's id raises `UnknownRun` for a principal who may not see that run.
    """

    def __init__(
        self,
        servers: Servers,
        call_tool: CallTool,
        *,
        policy: Policy | None = None,
        limits: GatewayLimits | None = None,
        runs: RunStore | None = None,
        learned: ToolStats | None = None,
        resolver: ResourceResolver | None = AS_WRITTEN,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._servers = servers
        self._call_tool = call_tool
        self._policy = policy or Policy()
        self._limits = limits or GatewayLimits()
        self._runs = InMemoryRuns() if runs is None else runs
        self.learned = ToolStats(enabled=False) if learned is None else learned
        self._resolver = resolver
        self._lookups = Lookups(resolver or AS_WRITTEN)
        self._observers = tuple(observers)
        self._scheduler = Scheduler(self._limits.concurrency, self.learned)
        self._watches: dict[str, _Watch] = {}
        self._visitors = Visitors(self._policy, detect_conflicts=resolver is not None)
        self._submitted = 0
        self._visits = 0
        self._index: tuple[Catalog, SearchIndex] | None = None
        self._tasks: TaskGroup | None = None

    def __repr__(self) -> str:
        return f"<Gateway with {self._scheduler!r}>"

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        observers = (*self._observers, self._observe)
        self._runner = Runner(
            self._scheduler,
            self._call_tool,
            self._tasks,
            observers,
            lookups=self._lookups,
            max_output_bytes=self._limits.max_output_bytes,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._tasks is not None
        for run_id in list(self._scheduler.runs):
            self._runner.cancel(run_id)
        with anyio.move_on_after(STOP_S, shield=True):
            await self._runner.idle()
        self._lookups.close()
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)
        if self._index is not None:
            self._index[1].close()

    def change(self, policy: Policy, limits: GatewayLimits, resolver: ResourceResolver | None) -> None:
        """New runs go by these from now on. Those under way keep their plans, and go by the new limits of what is in
        flight at once."""
        self._policy, self._limits, self._resolver = policy, limits, resolver
        self._lookups.resolver = resolver or AS_WRITTEN
        self._visitors = Visitors(policy, detect_conflicts=resolver is not None)
        self._runner.change_limits(limits.concurrency, limits.max_output_bytes)

    def visit(self, server: str, tool: str, arguments: Json) -> Turn:
        """A turn for one call of a tool that belongs to no run, to be sent by the caller. `async with` waits until the
        limits and rates allow it, and until no other call is under way that cannot go beside it."""
        self._visits += 1
        return self._runner.visit(self._visitors.visit(self._visits, self.catalog(), f"{server}:{tool}", arguments))

    def denied_by(self, server: str, tool: str) -> str | None:
        """The pattern of the policy that denies a tool; None where it is allowed."""
        return self._policy.denied_by(f"{server}:{tool}")

    def catalog(self) -> Catalog:
        """The servers and tools that are known now."""
        return self._servers.catalog()

    async def settled(self, seconds: float = LONGEST_START_S) -> None:
        """Wait until every server was connected to once, or was not there; at most so many *seconds*."""
        await self._reach(None, seconds)

    async def known(self) -> None:
        """Wait until every server of which no tool is known was connected to once, or was not there; five seconds at
        most."""
        unknown = [name for name, info in self.catalog().servers.items() if not info.tools]
        if unknown:
            with anyio.move_on_after(CATALOG_WAIT_S):
                await self._servers.settled(unknown)

    async def search(self, query: str, *, server: str | None = None, limit: int = 6) -> SearchResult:
        """Tools by words, for each need in *query* (`;` separates needs), best first; an empty query finds servers."""
        await self.known()
        return self._search_index().search(query, server=server, limit=limit)

    async def describe(self, names: Sequence[str]) -> tuple[list[Tool], list[Problem]]:
        """The tools of those names, and a problem for each name that none has."""
        await self._reach(names, CATALOG_WAIT_S)
        catalog = self.catalog()
        found = [(name, catalog.find(name)) for name in names]
        tools = [tool for _, tool in found if tool is not None and tool.listed]
        unknown = [
            catalog.unknown(f"names[{index}]", name)
            for index, (name, tool) in enumerate(found)
            if tool is None or not tool.listed
        ]
        return tools, unknown

    async def plan(self, document: object, principal: Principal = USER) -> JsonObject:
        """The answer to a dry run (contract, section 5). Raises `InvalidDag`."""
        from ..core.results.forecast import forecast
        from ..core.results.preview import plan_document

        plan, conflicts, done = await self._prepare(document, principal)
        expected = forecast(plan, conflicts, self._limits.concurrency, done.keys())
        return plan_document(plan, conflicts, expected, done.keys())

    async def submit(self, document: object, client: UpstreamClient | None = None) -> Submitted:
        """Check *document* (parsed JSON, JSON text, or a `Dag`) whole, and start it for *client*: the
        run belongs to its principal, and servers ask it what they want to know. Raises `InvalidDag`."""
        principal = USER if client is None else client.principal
        plan, conflicts, reused = await self._prepare(document, principal)
        self._submitted += 1
        run = Run(
            _new_id(),
            plan,
            principal=principal,
            number=self._submitted,
            conflicts=conflicts,
            reused=reused,
            jitter=random.random,
            timeout_s=plan.dag.timeout_s or self._limits.timeout_s,
            max_items=self._limits.max_items,
            max_bytes=self._limits.max_run_bytes,
        )
        self._runs.add(run)
        self._watches[run.id] = _Watch()
        self._runner.submit(run, client)
        return Submitted(run.id, plan.dag, plan.notes)

    async def execute(self, document: object, client: UpstreamClient | None = None) -> RunResult:
        """Check *document*, run it and wait to its end. A cancelled caller cancels the run. Raises `InvalidDag`."""
        submitted = await self.submit(document, client)
        try:
            return await self.wait(submitted.run_id, principal=USER if client is None else client.principal)
        finally:
            self._runner.cancel(submitted.run_id)

    async def wait(self, run_id: str, seconds: float | None = None, principal: Principal = USER) -> RunResult:
        """The result once the run has ended, or after *seconds* its state so far. Raises `UnknownRun`."""
        run = self._run(run_id, principal)
        if not run.is_done:
            with anyio.move_on_after(seconds):
                await self._watches[run_id].finished.wait()
        return result_of(run, anyio.current_time())

    async def follow(self, run_id: str, principal: Principal = USER) -> AsyncIterator[Progress]:
        """How far the run is: at once, then as tasks settle (at most ten times a second, at least every 5 s), the
        last one `finished`. Raises `UnknownRun`."""
        run = self._run(run_id, principal)
        watch = self._watches.get(run_id)
        while watch is not None and not run.is_done:
            seen = watch.changed.count
            yield self._progress(run)
            with anyio.move_on_after(QUIET_S):
                await watch.changed.wait(seen)
                with anyio.move_on_after(BURST_S):
                    await watch.finished.wait()
        yield self._progress(run)

    def is_done(self, run_id: str, principal: Principal = USER) -> bool:
        """Whether the run has come to its end. Raises `UnknownRun`."""
        return self._run(run_id, principal).is_done

    def runs(self, principal: Principal = USER) -> list[str]:
        """The ids of the runs of *principal* that are kept, the latest first; none for `ANYONE`."""
        return self._runs.ids(principal)

    def result(self, run_id: str, principal: Principal = USER) -> RunResult:
        """The state of a run as it is now. Raises `UnknownRun`."""
        return result_of(self._run(run_id, principal), anyio.current_time())

    async def cancel(self, run_id: str, principal: Principal = USER) -> RunResult:
        """Cancel a run, if it is still going, and give its result. Raises `UnknownRun`."""
        self._run(run_id, principal)
        self._runner.cancel(run_id)
        return await self.wait(run_id, STOP_S, principal)

    def cancel_all(self) -> None:
        """Cancel every run that goes on. Those that wait for one have its result."""
        for run_id in list(self._scheduler.runs):
            self._runner.cancel(run_id)

    def detail(self, run_id: str, principal: Principal = USER) -> str:
        """How much an answer says of a run, as its document wants it. Raises `UnknownRun`."""
        return self._run(run_id, principal).plan.dag.detail

    def output(self, run_id: str, task: str, principal: Principal = USER) -> Output:
        """A task's whole output. Raises `UnknownRun`, or `CallError` where there is none."""
        run = self._run(run_id, principal)
        if task not in run.states:
            near = nearest(task, run.states)
            hint = f'Did you mean "{near[0]}"?' if near else f"Its tasks: {some_of(run.states, 20)}."
            raise CallError(f'{run_id} has no task "{task[:80]}"', hint=hint)
        state = run.states[task]
        if state.output is None:
            raise state.error or CallError(f"{task} has no output: it is {state.status}", hint=state.message)
        return state.output

    async def _prepare(self, document: object, principal: Principal) -> tuple[Plan, Conflicts, dict[str, Output]]:
        from ..core.planning.check import check
        from ..core.results.resume import resume

        limits = self._limits
        reading = read_dag(document, max_tasks=limits.max_tasks, max_bytes=limits.max_document_bytes)
        await self._reach([task.tool for task in reading.dag.tasks], LONGEST_START_S)
        planned: dict[str, PlannedTask] = {}
        outputs: dict[str, Output] = {}
        if (run_id := reading.dag.resume_from) is not None:
            earlier = self._runs.get(run_id, principal)
            if earlier is None:
                hint = "Use the run_id of an earlier answer, or send all tasks without resume_from."
                unknown = Problem("resume_from", "unknown_run", NO_SUCH_RUN, hint)
                raise InvalidDag([*reading.problems, unknown], reading.notes)
            dag, planned, outputs = resume(reading.dag, earlier)
            reading = replace(reading, dag=dag)
        plan = check(
            reading,
            self.catalog(),
            self._policy,
            reused=planned,
            max_items=limits.max_items,
            learned_shape=self.learned.shape,
            cost=lambda task: self.learned.seconds(task.tool),
        )
        if self._resolver is None:
            return plan, Conflicts(), outputs
        accesses = planned_accesses(plan, outputs.keys())
        places = await self._lookups.locate(accesses.files(), PROMPT_S)
        return plan, find_conflicts(plan, accesses, places), outputs

    async def _reach(self, names: Iterable[str] | None, seconds: float) -> None:
        """Wait for the servers that *names* may be tools of (all, for None), if they are still being connected to."""
        catalog = self.catalog()
        servers: set[str] | None = None
        if names is not None:
            found = [(name, catalog.find(name)) for name in names]
            if all(tool is not None and tool.listed for _, tool in found):
                return
            known = {name.partition(":")[0] for name, tool in found if tool is None or not tool.listed}
            servers = known if known <= catalog.servers.keys() else None
        with anyio.move_on_after(seconds):
            await self._servers.settled(servers)

    def _search_index(self) -> SearchIndex:
        from ..core.tools.search import SearchIndex

        catalog = self.catalog()
        if self._index is None or self._index[0] is not catalog:
            if self._index is not None:
                self._index[1].close()
            self._index = (catalog, SearchIndex(catalog))
        return self._index[1]

    def _run(self, run_id: str, principal: Principal) -> Run:
        run = self._runs.get(run_id, principal)
        if run is None:
            hint = "Use the run_id of an earlier answer; the oldest runs are dropped."
            raise UnknownRun(f"{NO_SUCH_RUN} {hint}")
        return run

    def _observe(self, notice: Notice) -> None:
        match notice:
            case Changed():
                if (watch := self._watches.get(notice.key.run)) is not None:
                    watch.changed.notify()
            case Progressed(key, progress, total, message):
                if (watch := self._watches.get(key.run)) is not None:
                    done = f"{progress:g}/{total:g}" if total else f"{progress:g}"
                    watch.said = f"{key.task}: {' '.join(message.split())[:120] if message else done}"
                    watch.changed.notify()
            case Finished(run_id):
                watch = self._watches.pop(run_id)
                watch.finished.set()
                watch.changed.notify()
                self._runs.trim()

    def _progress(self, run: Run) -> Progress:
        watch = self._watches.get(run.id)
        return progress_of(run, anyio.current_time(), watch.said if watch is not None else None)


def _new_id() -> str:
    """128 random bits: whoever knows the id of a run of `ANYONE` may see it."""
    return "r_" + base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()
