"""Verifies runs that are kept: they are made again from what the history has of them, without a
call, and have to come to the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from glob import escape

from ..core.history import (
    SAID,
    CallKey,
    Chain,
    KeptCall,
    KeptEvent,
    KeptRun,
    Kind,
)
from ..core.history_store import History
from ..core.language.dag import Dag
from ..core.language.reader import read_dag
from ..core.planning.plan import Plan
from ..core.ports import RunStore
from ..core.replay import Differs, Replay, Verified
from ..core.results.record import RunRecord
from ..core.scheduling.conflicts import Conflicts
from ..core.scheduling.earlier_items import EarlierItems
from ..core.scheduling.events import RunLimits
from ..core.scheduling.run import Run
from ..core.tools.catalog import Catalog, ServerInfo, ServerState, Tool
from ..core.tools.output import Output
from ..core.tools.policy import Policy, Rule
from ..core.tools.rules import Answer, Rules
from ..core.values.strict import Json, JsonObject
from ..errors import InvalidDag
from .recalling import Recalling, kept_record
from .writing import Earlier

MANY = 2**62
"""No limit: what was accepted once is not refused for its size."""


class NotVerifiable(Exception):
    """A run cannot be made again from what is kept of it; the message says why."""


class Verifying:
    """Verifies runs of *history*. *runs* takes the runs that others went on from."""

    def __init__(self, history: History, runs: RunStore) -> None:
        self._history = history
        self._runs = runs

    def __repr__(self) -> str:
        return f"<Verifying of {self._history!r}>"

    async def verify(self, run_id: str) -> Verified:
        """Verify a run. Raises `Differs`, and `NotVerifiable`."""
        links = await self._history.links(run_id)
        links = links[: 1 + links.index(run_id)]
        for id in links:
            if (damage := await self._history.damage(id)) is not None:
                raise Differs(damage if id == run_id else f"in {id}, {damage}")
        runs = [run for id in links if (run := await self._history.run(id)) is not None]
        kept = runs[-1]
        entry = kept.entry
        if (reason := _why_not(kept)) is not None:
            raise NotVerifiable(reason)
        definitions = await self._history.definitions(entry.id)
        if definitions is None:
            raise NotVerifiable("the definitions of its tools are not kept")
        tools = [_tool(one) for one in definitions]
        begun = kept_record(kept, kept.document["record"])
        calls = await self._history.calls(entry.id, values=True)
        events = await self._history.events(entry.id)
        earlier = await self._earlier(runs, events)
        plan, outputs, items = await self._planned(kept, tools, begun.limits)
        conflicts = Conflicts.of_order(kept.document.get("order", {}))
        make = partial(_make, begun, plan, conflicts, outputs, items)
        replay = (
            Replay(calls, events)
            if earlier is None
            else Replay(calls, events, earlier.answer, earlier.known)
        )
        if make(lambda: 0.5).digest != entry.catalog_digest:
            raise Differs("the definitions of its tools are not those that it began with")
        record = None if kept.record is None else kept_record(kept, kept.record)
        return replay.verify(make, await self._history.settled(entry.id), record)

    async def _earlier(self, runs: list[KeptRun], events: list[KeptEvent]) -> Earlier | None:
        """Return what the last of *runs*, which has *events*, had from the runs with the same
        document before it; None if there were none."""
        *before, kept = runs
        line = _line(kept)[:-1]
        if not line:
            return None
        if not before:
            raise NotVerifiable(f"it went on from {line[-1]}, which is not kept")
        known: dict[CallKey, KeptCall] = {}
        happened: list[KeptEvent] = []
        for run in before:
            calls = await self._history.calls(run.entry.id, values=True)
            known |= {call.key: call for call in calls}
            happened += await self._history.events(run.entry.id)
        said = {
            one.event.key.task: one.event.detail
            for one in events
            if one.event.kind == SAID and one.event.key is not None
        }
        chain = Chain(
            runs[0].entry.id,
            before[-1],
            known,
            frozenset(),
            {},
            tuple(happened),
            kept.is_uncertain,
        )
        return Earlier(chain, line, said, kept.entry.began)

    async def _planned(
        self, kept: KeptRun, tools: list[Tool], limits: RunLimits
    ) -> tuple[Plan, dict[str, Output], dict[str, EarlierItems]]:
        """Check the document of *kept* again, completed with the run that it went on from."""
        from ..core.planning.check import check
        from ..core.results.resume import Resumed, Tools, resume

        asked = asked_rules(kept.document.get("asked"))
        policy = Policy(tuple(_rules(kept.document.get("repeatable"))), asked)
        servers = {tool.server for tool in tools}
        catalog = Catalog(
            [tool for tool in tools if tool.listed],
            [
                ServerInfo(name, ServerState.READY, tools=1)
                if any(tool.listed for tool in tools if tool.server == name)
                else ServerInfo(name, ServerState.CONNECTING)
                for name in servers
            ],
        )

        def full_name(name: str) -> str:
            found = catalog.find(name)
            return name if found is None else found.full_name

        def may_repeat(name: str) -> bool:
            found = catalog.tools.get(name)
            return found is not None and policy.of(found).may_repeat

        dag = Dag.model_validate(kept.document["sent"])
        reading = read_dag(dag, max_tasks=MANY, max_bytes=MANY)
        made = Resumed(reading, {}, {}, {})
        try:
            if dag.resume_from is not None:
                earlier = await self._record(kept, dag.resume_from)
                output = partial(self._runs.output, earlier.id)
                made = resume(reading, earlier, output, Tools(full_name, may_repeat))
            plan = check(
                made.reading,
                catalog,
                policy,
                reused=made.taken_over,
                max_items=limits.max_items,
                max_calls=limits.max_calls,
            )
        except InvalidDag as error:
            raise Differs(f"its document is refused now: {error}") from None
        return plan, made.outputs, made.items

    async def _record(self, kept: KeptRun, run_id: str) -> RunRecord:
        """Return the record of the run that *kept* went on from."""
        principal = kept.entry.principal
        await Recalling(self._history, self._runs, lambda _: False).recall(run_id, principal)
        record = self._runs.get(run_id, principal)
        if record is None:
            raise NotVerifiable(f"it took outputs from {run_id}, which is not kept any more")
        return record


def _why_not(kept: KeptRun) -> str | None:
    """Return the reason why *kept* cannot be made again; None if it can."""
    entry = kept.entry
    if entry.kind is Kind.CALL:
        return "a call by name decides nothing that could be replayed"
    if entry.is_lost:
        return "not all that it did was written in time"
    if not entry.has_values:
        return "its arguments and outputs were not kept"
    return None


def _line(kept: KeptRun) -> list[str]:
    """Return the runs of its chain with the same document, up to *kept*."""
    line = kept.document["line"]
    assert isinstance(line, list)
    return list(map(str, line))


def _tool(definition: Json) -> Tool:
    assert isinstance(definition, list)
    full_name, members, listed = definition
    assert isinstance(members, dict)
    server, _, name = str(full_name).partition(":")
    return Tool(server, name, members, listed=bool(listed))


def _rules(repeatable: Json) -> list[Rule]:
    names: JsonObject = repeatable if isinstance(repeatable, dict) else {}
    return [Rule(escape(name), idempotent=bool(may)) for name, may in names.items()]


def asked_rules(asked: Json) -> tuple[Rules, ...]:
    """Return the rules by which the tools *asked*, with their kinds of answers, are asked for."""
    if not isinstance(asked, dict):
        return ()
    single = [escape(name) for name, kind in asked.items() if kind == Answer.ASK_EACH]
    together = [escape(name) for name, kind in asked.items() if kind == Answer.ASK]
    return (Rules(ask_each=tuple(single), ask=tuple(together)),)


def _make(
    begun: RunRecord,
    plan: Plan,
    conflicts: Conflicts,
    outputs: dict[str, Output],
    items: dict[str, EarlierItems],
    jitter: Callable[[], float],
) -> Run:
    limits = begun.limits
    return Run(
        begun.id,
        plan,
        principal=begun.principal,
        client=begun.client,
        conflicts=conflicts,
        reused=outputs,
        earlier_items=items,
        began=begun.began,
        jitter=jitter,
        timeout_s=limits.timeout_s,
        max_items=limits.max_items,
        max_bytes=limits.max_bytes,
        max_calls=limits.max_calls,
    )
