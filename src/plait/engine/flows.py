"""The flows of runs and of calls by name, as they are made; and what those see who get the results.

A plan is checked when it is accepted (`preparing.py`). Here a call is checked once more when it is
sent: other runs may have written by then what it reads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from ..core.flows.knowledge import Knowledge, News, Owner
from ..core.flows.resources import Steps, steps_of
from ..core.flows.rules import FlowPolicy, Remember, Then, ToolBits
from ..core.flows.ways import BrokenFlow, Step
from ..core.results.record import RunRecord
from ..core.scheduling.events import CallRequested
from ..core.scheduling.locating import PROMPT_S
from ..core.tools.claims import ResourceClaim, access_rules_of
from ..errors import ApprovalRequired, CallError, FlowDenied
from ..waiting import Signal
from .lookups import Lookups

if TYPE_CHECKING:  # a start without rules for flows does not need them
    from ..core.flows.decision import PlanFlows

MOST_RUNS = 1_000
"""Most runs of which it is kept which tools their outputs come from. Of others, all their tools
count."""

AVOID = "Do without it, or ask the operator."


class RunFlows:
    """The flows of one run, *found* for its plan when there were *news* of resources. *sender* is
    who sent it, over a connection. A policy that only *observes* stops no call."""

    def __init__(
        self,
        found: PlanFlows,
        knowledge: Knowledge,
        sender: tuple[Owner, str | None],
        news: int,
        *,
        observes: bool = False,
    ) -> None:
        self.run = ""
        """The id of the run, once it has begun."""
        self._found: PlanFlows | None = found
        self._knowledge = knowledge
        self._owner, self._connection = sender
        self._news = news
        self._accessed = found.accessed
        self._observes = observes
        self._allowed = {(one.task, one.rule) for one in found.broken}
        """The broken rules with which it was accepted."""
        self._sources: Mapping[str, frozenset[str]] | None = None
        """The tools that the output of each task comes from, once they were asked for."""
        self._deciding: frozenset[str] = frozenset()
        """The tools that decide which tasks run; known together with those."""
        self._broken = self._by_task(found)

    def send(self, task: str, tool: str, claims: Iterable[ResourceClaim]) -> CallError | None:
        """Note that a call of *task*, by its whole id, is sent, with *claims*. Returns the reason
        if it may not be."""
        found = self._now()
        if found.can_break(tool):
            for one in self._broken.get(task, ()):
                if (task, one.rule) not in self._allowed and not self._observes:
                    return _refusal(one)
                if one.is_remembered and one.then is Then.ASK:  # it waited for a yes, which is here
                    self._knowledge.allow(self._owner, self._connection, one.rule)
        accesses = list(steps_of(claims)) or found.accesses_of(task)
        for steps, writes in accesses:
            if writes:
                self._knowledge.write(self._owner, steps, found.sources_of(task), self.run)
        return None

    def shown(self, tasks: Iterable[str]) -> frozenset[str]:
        """Return the tools whose data is seen by whoever sees how the run went, and the outputs or
        errors of *tasks*."""
        sources = self.sources()
        return self._deciding.union(*(sources.get(id, frozenset[str]()) for id in tasks))

    def sources(self) -> Mapping[str, frozenset[str]]:
        """Return the tools that the output of each task comes from."""
        found = None if self._found is None else self._now()
        if self._sources is None:
            assert found is not None
            self._sources, self._deciding = found.sources(), found.deciding()
        return self._sources

    def end(self) -> None:
        """Keep no more than what results show, now that the run has ended."""
        self.sources()
        self._found, self._broken = None, {}

    def _now(self) -> PlanFlows:
        """Return its flows with all that other runs have written by now."""
        assert self._found is not None
        knowledge, since = self._knowledge, self._news
        if (count := knowledge.count) != since:
            self._news = count
            news = knowledge.news_for(self.run, since, self._accessed)
            if news is None or news:
                self._found = self._found.with_written(self._written(self._found, news))
                self._broken, self._sources = self._by_task(self._found), None
        return self._found

    def _written(self, found: PlanFlows, news: list[News] | None) -> Mapping[Steps, Iterable[str]]:
        """Return what has been written by now, *news* included. What this run has written is known
        from its plan, with the order of its calls."""
        if news is None:
            return self._knowledge.held
        written = {steps: set(tools) for steps, tools in found.written.items()}
        for one in news:
            written.setdefault(one.steps, set()).update(one.tools)
        return written

    @staticmethod
    def _by_task(found: PlanFlows) -> dict[str, list[BrokenFlow]]:
        by_task: dict[str, list[BrokenFlow]] = {}
        for one in found.broken:
            by_task.setdefault(one.task, []).append(one)
        return by_task


class Flows:
    """The knowledge of the callers of all configurations, and the flows of their runs."""

    def __init__(self) -> None:
        self.changed = Signal()
        """Notified when anything became known, or was forgotten."""
        self.knowledge = Knowledge(self.changed.notify)
        self.keep: Callable[[], Awaitable[None]] = _keep_nothing
        """Writes down what has become known."""
        self._runs: dict[str, RunFlows] = {}

    def __repr__(self) -> str:
        return f"<Flows with {self.knowledge!r}>"

    def begin(self, run_id: str, flows: RunFlows) -> None:
        """Note that a run begins with *flows*."""
        flows.run = run_id
        self._runs[run_id] = flows
        if len(self._runs) > MOST_RUNS:
            del self._runs[next(iter(self._runs))]

    def of(self, run_id: str) -> RunFlows | None:
        """Return the flows of a run; None if they are unknown."""
        return self._runs.get(run_id)

    def see(self, owner: Owner, sources: Iterable[str]) -> None:
        """Note that *owner* sees data of *sources*."""
        self.knowledge.see(owner, sources)

    def see_run(self, owner: Owner, record: RunRecord, tasks: Iterable[str]) -> None:
        """Note that *owner* sees how the run of *record* went, and the outputs or errors of
        *tasks*, or of tasks in them."""
        if (flows := self._runs.get(record.id)) is None:
            self.see(owner, _tools_of(record))
        else:
            self.see(owner, flows.shown({_outermost(id, record) for id in tasks}))

    def taken_over(self, run_id: str, tasks: Iterable[str]) -> dict[str, Iterable[str] | None]:
        """Return the tools that the outputs of *tasks* of a run come from; None if that is
        unknown."""
        flows = self._runs.get(run_id)
        sources = {} if flows is None else flows.sources()
        return {id: sources.get(id) for id in tasks}


async def _keep_nothing() -> None:
    """Write nothing down."""


class CallFlows:
    """The flows of calls by name, under *policy*: all that they send may have been seen before."""

    def __init__(self, policy: FlowPolicy, knowledge: Knowledge) -> None:
        self._policy = policy
        self._knowledge = knowledge

    def broken(self, owner: Owner, connection: str | None, tool: str) -> BrokenFlow | None:
        """Return the rule that a call by *owner*, over *connection*, of the tool of that full name
        breaks."""
        policy, knowledge = self._policy, self._knowledge
        sends = policy.part_of(tool).sends
        if policy.remembers is Remember.OFF or not sends:
            return None
        tools = ToolBits(policy)
        seen = tools.bits(knowledge.seen_by(owner))
        allowed = knowledge.allowed(owner, connection)
        for index in sends:
            if tools.is_broken(index, seen) and (rule := policy.rules[index]) not in allowed:
                named = reduce(or_, tools.masks[index]) & seen
                names = ", ".join(sorted(tools.names(named)))
                way = (Step(f"what you have seen ({names})"), Step(tool))
                then = Then(policy.remembers.value)
                return BrokenFlow(rule, tool, tool, then, (way,), is_remembered=True)
        return None

    def send(self, owner: Owner, tool: str, claims: Sequence[ResourceClaim]) -> None:
        """Note that *owner* calls the tool of that full name, with *claims*."""
        accesses = list(steps_of(claims))
        there = self._knowledge.read_from([steps for steps, _ in accesses])
        for steps, writes in accesses:
            if writes:
                seen = self._knowledge.seen_by(owner)
                self._knowledge.write(owner, steps, {tool, *seen, *there}, "")

    def answer(self, owner: Owner, tool: str, claims: Sequence[ResourceClaim]) -> None:
        """Note that *owner* gets the answer: it may hold what is in these resources."""
        there = self._knowledge.read_from([steps for steps, _ in steps_of(claims)])
        self._knowledge.see(owner, {tool, *there})


async def claims_of(request: CallRequested, lookups: Lookups) -> tuple[ResourceClaim, ...]:
    """Return the claims of the call of *request*, also where conflicts are not looked for. A file
    that is not found in time is any file."""
    accesses = request.accesses
    if accesses is None and (rules := access_rules_of(request.tool, request.policy)) is not None:
        accesses = rules.accesses(request.arguments)
    if accesses is None:
        return ()
    places = await lookups.locate(accesses.files, PROMPT_S) if accesses.files else {}
    missing = {name.key for name in accesses.files if name not in places}
    keys = [("file:/" if key in missing else key, writes) for key, writes in accesses.keys]
    return replace(accesses, keys=tuple(keys)).claims(places)


def _refusal(broken: BrokenFlow) -> CallError:
    if broken.then is Then.DENY:
        return FlowDenied(broken.message, hint=AVOID)
    return ApprovalRequired(broken.message)


def _outermost(id: str, record: RunRecord) -> str:
    """Return the task of the run that *id* is, or is in: `close[3].comment` is in `close`."""
    if id in record.tasks:
        return id
    return next((each for each in record.tasks if id.startswith((f"{each}[", f"{each}."))), id)


def _tools_of(record: RunRecord) -> set[str]:
    """Return all tools that a run calls."""
    tools = [*[task.tool for task in record.tasks.values()], *[one.tool for one in record.inner]]
    return {tool for tool in tools if ":" in tool}
