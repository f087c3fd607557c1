"""Prepares a document to run: read, completed with the run that it goes on from, checked, and laid
out."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from ..core.flows.knowledge import NO_OWNER, Owner
from ..core.flows.rules import FlowPolicy
from ..core.history import INTERRUPTED, RUNNING, SAID, Beginning, Chain, Durable, Effect
from ..core.language.dag import Dag, Task
from ..core.language.reader import Reading, read_dag
from ..core.planning.plan import Plan, TakenOver
from ..core.results.record import RunRecord, RunStatus, record_of
from ..core.scheduling.conflicts import Conflicts, find_conflicts, planned_accesses
from ..core.scheduling.earlier_items import EarlierItems
from ..core.scheduling.locating import PROMPT_S
from ..core.scheduling.run import Run
from ..core.tools.catalog import Catalog
from ..core.tools.catalog import digest_of as digest_of_tools
from ..core.tools.output import Output
from ..core.tools.policy import Policy
from ..core.values.principal import Principal
from ..core.values.problems import Fix, Op, Problem
from ..core.values.strict import JsonObject, encode_sorted
from ..errors import HistoryLost, InvalidDag, UnknownRun
from .checking import Checking, names_of_tools
from .engine import NO_SUCH_RUN, Engine
from .flows import RunFlows

UNANSWERED = (
    "{0} had ended when its gateway died, and its answer may have been lost: this is it, and "
    "nothing was run. With again: true (or --again) the document is run once more."
)
WENT_ON = (
    "A run of an equal document was interrupted within the last hour, and {0} went on from it: "
    "this is its result, and nothing was run. With again: true (or --again) the document is run "
    "once more."
)
CUT_SHORT = (
    "{0}, a run of an equal document, was interrupted within the last hour: this is what there is "
    "of it, and nothing was run. Go on with resume_from (or plait resume {0}); with again: true "
    "(or --again) the document is run once more."
)
AGAIN_S = 3_600.0
"""Age in seconds of an interrupted run, or of one whose answer may be lost, up to which an equal
document is not run."""
_ABOUT_THE_ANSWER = {"wait_s", "detail", "again", "resume_from", "in_doubt", "dry_run", "apply"}
_IN_ORDER = ("id", "tool", "value", "arguments", "for_each", "select", "when", "timeout_s")
_KEPT_AS_JSON = frozenset(_IN_ORDER)
"""The fields of a task whose values are JSON as they are."""
LEAST_LEFT_S = 0.001
MAX_LOGGED = 500
"""Characters of the reason of a flow in the log."""
log = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """A document that was checked, and all that it takes over from an earlier run."""

    plan: Plan
    conflicts: Conflicts
    outputs: dict[str, Output]
    items: dict[str, EarlierItems]
    sent: Dag
    """The document as it was sent: of a run that goes on with that of an interrupted one, as it was
    sent for the first of these."""
    chain: Chain | None = None
    """The runs that it goes on from, as the history has them."""
    line: tuple[str, ...] = ()
    """The runs among them that had the same document."""
    left_s: float | None = None
    """The time that is left of its `timeout_s`, if some has passed."""
    flows: RunFlows | None = None
    """Which tools' data reaches which tasks; None without rules for that."""

    def beginning(
        self, run: Run, durable: Durable, origin: str, *, keeps_values: bool, is_awaited: bool
    ) -> Beginning:
        """Return the first row of *run* in the history."""
        began = time.time() if run.began is None else run.began
        timeout_s, dag, tools = run.limits.timeout_s, run.plan.dag, run.tools
        sent = document_of_dag(self.sent)
        lasts = Durable(self.plan.dag.durable or durable)
        document: JsonObject = {
            "sent": sent,
            "line": [*self.line, run.id],
            "record": record_of(run, run.started_at).document(with_dag=False),
        }
        if dag is not self.sent:
            document["dag"] = document_of_dag(dag)
        if order := run.conflicts.order():
            document["order"] = order
        if repeatable := repeatable_by_rule(run.plan):
            document["repeatable"] = repeatable
        asked: JsonObject = {
            task.tool.full_name: task.policy.decision.answer.value
            for task in run.plan.all_tasks()
            if task.policy.needs_yes
        }
        if asked:
            document["asked"] = asked
        if not keeps_values:
            for name in document.keys() & {"sent", "dag"}:
                document[name] = _without_values(dag)
        return Beginning(
            run.id,
            began,
            document,
            durable=lasts,
            principal=run.principal,
            client=run.client,
            desk=origin,
            name=self.plan.dag.name,
            document_digest=digest_of(sent),
            catalog_digest=run.digest,
            deadline=None if timeout_s is None else began + timeout_s,
            keeps_values=keeps_values,
            is_awaited=is_awaited and lasts is not Durable.OFF,
            definitions=lambda: [[tool.full_name, tool.definition, tool.listed] for tool in tools],
        )


class Preparing:
    """Prepares documents for one configuration of *engine*: over *catalog*, with *checking*,
    *policy* and the bounds of documents. *reach* waits for the servers of tools. Without
    *detects_conflicts*, calls claim nothing; with *only_reads*, no call may do more than read.
    *origin* names the settings, which only those runs go on with that began with them. *flows* are
    the rules on what data may reach which tools; *sender* sends the document,
    over a connection."""

    def __init__(
        self,
        engine: Engine,
        catalog: Callable[[], Catalog],
        checking: Checking,
        policy: Policy,
        reach: Callable[[Iterable[str]], Awaitable[None]],
        *,
        max_tasks: int,
        max_bytes: int,
        detects_conflicts: bool,
        origin: str,
        flows: FlowPolicy | None = None,
        sender: tuple[Owner, str | None] = (NO_OWNER, None),
        only_reads: bool = False,
    ) -> None:
        self._only_reads = only_reads
        self._engine = engine
        self._flows, self._sender = flows, sender
        self._catalog = catalog
        self._checking = checking
        self._policy = policy
        self._reach = reach
        self._max_tasks, self._max_bytes = max_tasks, max_bytes
        self._detects_conflicts = detects_conflicts
        self._origin = origin

    def read(self, document: object) -> Reading:
        """Read *document*. Raises `InvalidDag`."""
        return read_dag(document, max_tasks=self._max_tasks, max_bytes=self._max_bytes)

    async def chain(self, dag: Dag, principal: Principal) -> Chain | None:
        """Return what *dag* wants to go on from; None if that is nothing, or not in the history."""
        if dag.resume_from is None:
            return None
        return await self._engine.chain(dag.resume_from, principal)

    async def there_already(
        self, dag: Dag, principal: Principal, chain: Chain | None
    ) -> tuple[RunRecord | None, str | None]:
        """Return the run that is the answer to *dag* without running anything, and what there is to
        say of that: the last one of *chain*, which it wants to go on from, if that goes on already,
        or has ended and nothing is new; or a run of an equal document whose answer may be lost, or
        that was interrupted, or the last that went on from it. None if *dag* is to be run."""
        if dag.dry_run or self._engine.history is None:
            return None, None
        if dag.resume_from is None:
            return await self._left_over(dag, principal)
        if chain is None or dag.tasks:
            return None, None
        head = chain.head.entry
        is_decided = head.status != RUNNING and dag.in_doubt and _is_in_doubt(chain)
        if head.status == INTERRUPTED or is_decided:
            return None, None
        return await self._engine.recall(head.id, principal), None

    async def _left_over(
        self, dag: Dag, principal: Principal
    ) -> tuple[RunRecord | None, str | None]:
        history = self._engine.history
        if history is None or dag.again or self._only_reads:  # to read again does no harm
            return None, None
        left = await self._engine.left_over(
            principal, AGAIN_S, lambda: digest_of(document_of_dag(dag))
        )
        if left is None:
            return None, None
        last, said = left.id, UNANSWERED
        if left.status == INTERRUPTED:
            if await self._was_left_to_others(left.id, principal):
                return None, None
            last, said = (await history.links(left.id))[-1], WENT_ON
        there = await self._engine.recall(last, principal)
        if there.status is RunStatus.INTERRUPTED:
            said = CUT_SHORT
        return there, said.format(last) if there.is_done else None

    async def _was_left_to_others(self, run_id: str, principal: Principal) -> bool:
        """Return whether a run only waited for a person when its gateway ended, so that its client
        was answered, and it has ended since or began with other settings: then an equal document
        is a new one."""
        history = self._engine.history
        if history is None or await history.question(run_id) is None:
            return False
        chain = await self._engine.chain(run_id, principal)
        if chain is None:
            return False
        head = chain.head.entry
        return head.status not in {INTERRUPTED, RUNNING} or head.desk != self._origin

    async def prepare(
        self, reading: Reading, principal: Principal, chain: Chain | None
    ) -> Prepared:
        """Check the document in *reading*, and lay it out, as what goes on from *chain* if that is
        there. Raises `InvalidDag`."""
        dag = reading.dag
        if dag.resume_from is None:
            return await self._laid_out(reading, None)
        if chain is None:
            return await self._laid_out(
                reading, await self._record(reading, dag.resume_from, principal)
            )
        head = chain.head.entry
        is_decided = not dag.tasks and head.status != RUNNING and _is_in_doubt(chain)
        if head.status != INTERRUPTED and not is_decided:
            last = dag.model_copy(update={"resume_from": head.id})
            return await self._laid_out(
                replace(reading, dag=last), await self._record(reading, head.id, principal), chain
            )
        if (reason := head.why_final) is not None:
            raise InvalidDag([Problem("resume_from", "history_lost", reason)], reading.notes)
        if dag.tasks and digest_of(document_of_dag(dag)) != head.document_digest:
            raise InvalidDag([_first_as_it_was(head.id)], reading.notes)
        if head.desk != self._origin:
            raise InvalidDag([_other_settings(head.id, head.desk)], reading.notes)
        asked = {name: getattr(dag, name) for name in ("wait_s", "detail", "return_", "preview")}
        new = {name: value for name, value in asked.items() if name in dag.model_fields_set}
        sent = self.read(Dag.model_validate(chain.head.document["sent"]).model_copy(update=new))
        before = sent.dag.resume_from
        earlier = None if before is None else await self._record(sent, before, principal)
        prepared = await self._laid_out(sent, earlier, chain)
        tools = [task.tool for task in prepared.plan.all_tasks() if task.makes_calls]
        if digest_of_tools(tools) != head.catalog_digest:
            absent = sorted({tool.server for tool in tools if not tool.listed})
            changed = plan_changed("resume_from", head.id)
            raise InvalidDag([_not_there(head.id, absent) if absent else changed], reading.notes)
        left_s = None
        if head.deadline is not None and head.status == INTERRUPTED:
            left_s = max(head.deadline - time.time(), LEAST_LEFT_S)
        line = chain.head.document["line"]
        assert isinstance(line, list)
        return prepared._replace(line=tuple(map(str, line)), left_s=left_s)

    async def _record(self, reading: Reading, run_id: str, principal: Principal) -> RunRecord:
        """Return the record of a run to go on from. Raises `InvalidDag` if it is unknown."""
        try:
            return await self._engine.recall(run_id, principal)
        except UnknownRun:
            hint = "Use the run_id of an earlier answer, or send all tasks without resume_from."
            unknown = Problem("resume_from", "unknown_run", NO_SUCH_RUN, hint)
            raise InvalidDag([*reading.problems, unknown], reading.notes) from None
        except HistoryLost as error:
            lost = Problem("resume_from", error.code, str(error))
            raise InvalidDag([*reading.problems, lost], reading.notes) from error

    async def _laid_out(
        self, reading: Reading, earlier: RunRecord | None, chain: Chain | None = None
    ) -> Prepared:
        """Complete the document in *reading* with the run *earlier*, check it, and lay it out."""
        from ..core.results.resume import Tools, refuse_repeats, resume

        await self._reach([*names_of_tools(reading.dag.tasks)])
        sent = reading.dag
        taken_over: dict[str, TakenOver] = {}
        outputs: dict[str, Output] = {}
        items: dict[str, EarlierItems] = {}
        if earlier is not None:
            reading, taken_over, outputs, items = resume(
                reading,
                earlier,
                partial(self._engine.kept_output, earlier.id),
                Tools(self._full_name, self._may_repeat),
            )
        plan = await self._checking.plan(
            reading, self._catalog(), taken_over, only_reads=self._only_reads
        )
        if earlier is not None:
            refuse_repeats(plan, items, earlier)
        conflicts, flows, known = Conflicts(), None, self._engine.flows
        if self._detects_conflicts or self._flows:
            accesses = planned_accesses(plan, outputs.keys())
            places = await self._engine.lookups.locate(accesses.files(), PROMPT_S)
            if self._detects_conflicts:
                conflicts = find_conflicts(plan, accesses, places)
            if self._flows:
                claims = accesses.claims(places)
                taken_over_from = "" if earlier is None else earlier.id
                sources = known.taken_over(taken_over_from, [*taken_over, *items])
                news, knowledge = known.knowledge.count, known.knowledge
                found = await self._checking.flows(
                    self._flows, plan, claims, sources, knowledge, *self._sender
                )
                if self._policy.observes:
                    for one in found.broken:
                        log.warning("flow.observed", extra={"why": one.message[:MAX_LOGGED]})
                else:
                    if problems := found.problems(reading):
                        raise InvalidDag(problems, plan.notes)
                    found.ask()
                    plan = replace(plan, notes=(*plan.notes, *found.notes()))
                flows = RunFlows(
                    found, knowledge, self._sender, news, observes=self._policy.observes
                )
        return Prepared(plan, conflicts, outputs, items, sent, chain, flows=flows)

    def _full_name(self, tool: str) -> str:
        found = self._catalog().find(tool)
        return tool if found is None else found.full_name

    def _may_repeat(self, full_name: str) -> bool:
        found = self._catalog().tools.get(full_name)
        return found is not None and self._policy.of(found).may_repeat


def document_of_dag(dag: Dag) -> JsonObject:
    """Return *dag* as JSON, with the members that were sent."""
    document: JsonObject = dag.model_dump(
        mode="json", by_alias=True, exclude_unset=True, exclude={"tasks"}
    )
    document["tasks"] = [_document_of_task(task) for task in dag.tasks]
    return document


def _document_of_task(task: Task) -> JsonObject:
    """Return *task* as JSON. Of most it is made here, in a fifth of Pydantic's time, since there
    may be thousands."""
    names = task.model_fields_set
    if names <= _KEPT_AS_JSON:
        return {name: getattr(task, name) for name in _IN_ORDER if name in names}
    document: JsonObject = task.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return document


def digest_of(document: JsonObject) -> str:
    """Return a digest of what a DAG does: equal for equal documents, whatever is asked of the
    answer."""
    work = {name: value for name, value in document.items() if name not in _ABOUT_THE_ANSWER}
    return hashlib.sha256(encode_sorted(work)).hexdigest()[:32]


def repeatable_by_rule(plan: Plan) -> JsonObject:
    """Return whether the tools of *plan* may be called again, for those where the settings say it,
    and not their server."""
    return {
        task.tool.full_name: task.policy.may_repeat
        for task in plan.all_tasks()
        if task.makes_calls and task.policy.may_repeat is not task.tool.is_idempotent
    }


def _without_values(dag: Dag) -> JsonObject:
    """Return the tasks of *dag* by id and tool alone."""
    return {
        "tasks": [
            {"id": task.id, "value": None}
            if task.tool is None
            else {"id": task.id, "tool": task.tool}
            for task in dag.tasks
        ]
    }


def _is_in_doubt(chain: Chain) -> bool:
    """Whether a call may have taken effect, so that the word of the caller about it counts."""
    done = {
        kept.event.key.task: kept.number
        for kept in chain.events
        if kept.event.kind == SAID and kept.event.key is not None
        if isinstance(kept.event.detail, str | dict) and "done" in kept.event.detail
    }
    return chain.has_restarted or any(
        call.ended is None
        and call.effect is not Effect.READ
        and call.admitted > max(done.get(call.key.task, 0), done.get("*", 0))
        for call in chain.calls.values()
    )


def _first_as_it_was(run_id: str) -> Problem:
    return Problem(
        "tasks",
        "interrupted",
        f"{run_id} was interrupted, and this document is another one than its own.",
        "Go on with it as it was first: send resume_from alone. What failed can then be sent "
        "again, changed, with resume_from.",
        None,
        Fix(Op.REMOVE, None, "tasks"),
    )


def _other_settings(run_id: str, origin: str) -> Problem:
    return Problem(
        "resume_from",
        "plan_changed",
        f"{run_id} began with other settings: {origin}.",
        "Go on with it from there: with plait resume --config FILE, or from a client with them.",
    )


def _not_there(run_id: str, servers: list[str]) -> Problem:
    return Problem(
        "resume_from",
        "server_unavailable",
        f"{run_id} cannot go on while these servers of its tools cannot be reached: "
        f"{', '.join(servers)}.",
        "Go on with it when they are there again; plait servers shows their states.",
    )


def plan_changed(path: str, run_id: str) -> Problem:
    """Make the problem of a run that cannot go on as it was planned."""
    return Problem(
        path,
        "plan_changed",
        f"The tools that {run_id} calls are not defined as they were when it began.",
        "Look with get_run what it has done, and send what is left as a new document.",
    )
