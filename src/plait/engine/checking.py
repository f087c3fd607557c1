"""The check and the dry run of a document, which for a large one take seconds.

They are done in a thread then, one at a time: the calls of other clients go on meanwhile. The
thread sees what was known when a check began. A small document, as most, is checked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import to_thread

from ..core.flows.knowledge import Knowledge, Owner
from ..core.flows.rules import FlowPolicy
from ..core.language.dag import Task
from ..core.language.reader import Reading
from ..core.planning.plan import Plan, TakenOver
from ..core.scheduling.conflicts import Conflicts
from ..core.scheduling.limits import Limits
from ..core.tools.catalog import Catalog, Tool
from ..core.tools.policy import Policy
from ..core.tools.tool_stats import ToolStats
from ..core.values.strict import JsonObject

if TYPE_CHECKING:  # a start without rules for flows does not need them
    from ..core.flows.decision import PlanFlows
    from ..core.flows.nodes import TakenOver as SourcesTakenOver
    from ..core.flows.resources import Claims
    from ..core.results.graph import Graph

LARGE_BYTES = 64 * 1024
LARGE_CALLS = 1_000

Fact = TypeVar("Fact")
Work = TypeVar("Work")


class Checking:
    """Checks documents by what *learned* knows of their tools."""

    def __init__(
        self, policy: Policy, learned: ToolStats, *, max_items: int, max_calls: int
    ) -> None:
        self._policy = policy
        self._learned = learned
        self._max_items = max_items
        self._max_calls = max_calls
        self._turn = anyio.CapacityLimiter(1)

    async def plan(
        self,
        reading: Reading,
        catalog: Catalog,
        reused: Mapping[str, TakenOver],
        *,
        only_reads: bool = False,
    ) -> Plan:
        """Check the DAG in *reading* and lay it out. Raises `InvalidDag`, with *only_reads* also
        for calls that may do more."""
        from ..core.planning.check import check

        is_large = reading.size_bytes >= LARGE_BYTES
        tools = _tools_of(reading.dag.tasks, catalog) if is_large else None
        shape = _as_now(self._learned.shape, tools)
        seconds = _as_now(self._learned.seconds, tools)
        alone = _as_now(self._learned.seconds_alone, tools)
        checked = partial(
            check,
            reading,
            catalog,
            self._policy,
            reused=reused,
            max_items=self._max_items,
            max_calls=self._max_calls,
            learned_shape=shape,
            cost=lambda task: seconds(task.tool),
            alone=lambda task: alone(task.tool),
            only_reads=only_reads,
        )
        return await self._done(checked, is_large=is_large)

    async def flows(
        self,
        policy: FlowPolicy,
        plan: Plan,
        claims: Claims,
        taken_over: SourcesTakenOver,
        knowledge: Knowledge,
        owner: Owner,
        connection: str | None,
    ) -> PlanFlows:
        """Find the flows of *plan* under *policy*, with what *owner* knows, for one client."""
        from ..core.flows.decision import PlanFlows

        found = partial(
            PlanFlows,
            policy,
            plan,
            seen=knowledge.seen_by(owner),
            claims=claims,
            written=knowledge.held,
            taken_over=taken_over,
            allowed=knowledge.allowed(owner, connection),
        )
        return await self._done(found, is_large=len(plan.tasks) > LARGE_CALLS)

    async def dry_run(
        self, plan: Plan, conflicts: Conflicts, limits: Limits, done: Collection[str]
    ) -> JsonObject:
        """Make the answer to a dry run of *plan*, without the tasks that are *done*."""
        from ..core.results.forecast import calls_of, forecast
        from ..core.results.preview import plan_document

        def predicted() -> JsonObject:
            expected = forecast(plan, conflicts, limits, done, self._learned.has_met_others)
            return plan_document(plan, conflicts, expected, done)

        return await self._done(predicted, is_large=calls_of(plan) > LARGE_CALLS)

    async def graph(
        self, plan: Plan, conflicts: Conflicts, limits: Limits, done: Collection[str]
    ) -> Graph:
        """Return the graph of *plan*, with the critical path that a dry run would name."""
        from ..core.results.forecast import calls_of, forecast
        from ..core.results.graph import graph_of_plan

        def drawn() -> Graph:
            expected = forecast(plan, conflicts, limits, done, self._learned.has_met_others)
            path = expected.metrics.critical_path or plan.critical_path
            return graph_of_plan(plan, conflicts, path)

        return await self._done(drawn, is_large=calls_of(plan) > LARGE_CALLS)

    async def _done(self, work: Callable[[], Work], *, is_large: bool) -> Work:
        return await to_thread.run_sync(work, limiter=self._turn) if is_large else work()


def names_of_tools(tasks: Iterable[Task]) -> Iterator[str]:
    """Yield the names of the tools that *tasks* call, those in groups too."""
    for task in tasks:
        if task.tool is not None:
            yield task.tool
        yield from names_of_tools(task.tasks or ())


def _tools_of(tasks: Iterable[Task], catalog: Catalog) -> dict[str, Tool]:
    found = (catalog.find(name) for name in set(names_of_tools(tasks)))
    return {tool.full_name: tool for tool in found if tool is not None}


def _as_now(
    known: Callable[[Tool], Fact | None], tools: Mapping[str, Tool] | None
) -> Callable[[Tool], Fact | None]:
    """Return *known* as it is now for *tools*: it may change while a thread asks it."""
    if tools is None:
        return known
    facts = {name: known(tool) for name, tool in tools.items()}
    return lambda tool: facts.get(tool.full_name)
