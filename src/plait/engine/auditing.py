"""Writes the audit: what is decided about calls, and the calls that change something, as they
leave and end.

A call that only reads and is allowed is in no row, so it costs a look at its tool. The row of a
call that leaves is put in the same turn of the event loop as its start, and committed with it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from ..core.audit import AuditRow, AuditSink, Reply, What
from ..core.history import (
    Chain,
    Effect,
)
from ..core.history_store import Journal
from ..core.language.dag import Dag, Task
from ..core.ports import Caller
from ..core.results.approval import Approval, AskedCall, place_of
from ..core.results.figures import SUCCESS
from ..core.scheduling.events import (
    Aborted,
    Call,
    CallRequested,
    Decided,
    Event,
    Failed,
    Key,
    Status,
    Succeeded,
)
from ..core.scheduling.notices import Changed
from ..core.scheduling.run import Run
from ..core.tools.catalog import Catalog, Tool
from ..core.tools.policy import ToolPolicy
from ..core.tools.rules import Answer
from ..core.values.principal import USER
from ..core.values.problems import Problem
from ..core.values.strict import Json, JsonObject, present
from ..errors import ApprovalRequired, CallError, FlowDenied, PolicyDenied, ToolChanged

log = logging.getLogger(__name__)

DENIALS: Final = frozenset({PolicyDenied.code, FlowDenied.code, ToolChanged.code})
"""The codes of the errors with which rules and pins refuse a call."""
Leaving: TypeAlias = Callable[[bool], None]
"""Called before a call leaves, with whether its tool is not described as when it was first used."""
MOST_KNOWN = 1_000
"""The most texts of which it is remembered how they read without secrets."""
APPLY = "apply"
"""The way in which a preview goes on."""


@dataclass(frozen=True, slots=True)
class DeskAudit:
    """The places of the rows of one configuration."""

    is_kept: bool = True
    """Whether its runs are written to the history, and so its rows."""
    file: AuditSink | None = None
    redact: Callable[[str], str] | None = None
    """Takes secrets out of a text."""
    _known: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def redacted(self, text: str) -> str:
        """Return *text* without secrets. The same few texts come again and again."""
        if self.redact is None:
            return text
        if (known := self._known.get(text)) is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            known = self._known[text] = self.redact(text)
        return known


_EVERYWHERE: Final = DeskAudit()


class Party(NamedTuple):
    """The caller or the run that a row is about."""

    desk: str
    principal: str
    client: str | None
    run: str | None = None

    @classmethod
    def of_run(cls, run: Run) -> Party:
        return cls(run.desk, str(run.principal), run.client, run.id)

    @classmethod
    def of(cls, caller: Caller, desk: str, call_id: str | None = None) -> Party:
        """Return *caller*, who makes a call by name with the id *call_id*, if that has one."""
        return cls(desk, str(caller.principal), caller.connection, call_id)


class Trail:
    """Takes the rows of all configurations."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.history: Journal | None = None
        self._now = now
        self._desks: dict[str, DeskAudit] = {}
        self._sent: dict[Key, tuple[Party, AuditRow]] = {}
        """The calls that left and have not ended."""
        self._runs: dict[str, Run] = {}
        self._questions: dict[Key, tuple[Party, Approval]] = {}
        """The questions that were not answered."""
        self._unkept: set[str] = set()
        """The desks of which the log says that their rows are kept nowhere."""

    def __repr__(self) -> str:
        return f"<Trail: {len(self._sent)} calls under way>"

    def adopt(self, desk: str, audit: DeskAudit) -> None:
        """Write the rows of *desk* as *audit* says from now on."""
        self._desks[desk] = audit
        self._unkept.discard(desk)

    def forget(self, desk: str) -> None:
        self._desks.pop(desk, None)
        self._unkept.discard(desk)

    def _put(
        self,
        party: Party,
        what: What,
        tool: str | None,
        arguments: JsonObject | None,
        task: str | None = None,
        **detail: Json,
    ) -> AuditRow:
        audit = self._desks.get(party.desk, _EVERYWHERE)
        if (why := detail.get("why")) is not None:
            detail["why"] = audit.redacted(str(why))
        row = AuditRow(
            self._now(),
            what,
            party.principal,
            party.client,
            party.run,
            None if task is None else audit.redacted(task),
            tool,
            arguments,
            present(**detail),
        )
        self._write(party.desk, audit, row)
        return row

    def _write(self, desk: str, audit: DeskAudit, row: AuditRow) -> None:
        history = self.history if audit.is_kept else None
        if history is not None:
            history.audit(row)
        if audit.file is not None:
            audit.file.audit(row)
        elif (history is None or history.lease is None) and desk not in self._unkept:
            self._unkept.add(desk)
            why = "there is no history" if history is None else "the history is in memory alone"
            log.info("audit.not_kept", extra={"desk": desk, "why": why})

    # Calls.

    def begin(self, run: Run) -> None:
        """Note that *run* begins, or goes on."""
        self._runs[run.id] = run

    def finish(self, run_id: str) -> None:
        """Note that all notices of a run were given, or that it is left to another process."""
        self._runs.pop(run_id, None)
        for key in [key for key in self._questions if key.run == run_id]:
            del self._questions[key]

    def leaving(self, call: Call, party: Party | None = None) -> Leaving | None:
        """Return what to do when *call* leaves, by name for *party* or else of its run; None if it
        is in no row."""
        if not _is_audited(call.tool, call.policy):
            return None
        if party is not None:
            return partial(self._leave, call, party, None)
        if (run := self._runs.get(call.key.run)) is None:  # it has ended
            return None
        return partial(self._leave, call, Party.of_run(run), place_of(run, call.key))

    def _leave(self, call: Call, party: Party, place: str | None, is_changed: bool) -> None:
        if call.key not in self._sent:  # else it is sent once more, with the input of its client
            row = self._put(
                party,
                What.SENT,
                call.tool.full_name,
                call.arguments,
                place,
                why=call.policy.decision.why,
                attempt=call.attempt if call.attempt > 1 else None,
                approved=True if call.is_approved else None,
                changed=True if is_changed else None,
            )
            self._sent[call.key] = party, row

    def handle(self, event: Event) -> None:
        """Write that a call ended, or that a question was answered, if *event* says so."""
        if not self._sent and not self._questions:
            return
        match event:
            case Succeeded(key):
                self._end(key, SUCCESS)
            case Failed(key, error):
                self._end(key, error.code)
            case Aborted(key, code):
                self._end(key, code)
                self._questions.pop(key, None)
            case Decided():
                self._decide(event)

    def _end(self, key: Key, code: str) -> None:
        if (left := self._sent.pop(key, None)) is not None:
            party, row = left
            self._put(party, What.ENDED, row.tool, None, row.task, code=code)

    # Refusals.

    def refused(
        self, call: Call | CallRequested, error: CallError, party: Party | None = None
    ) -> None:
        """Write that *call*, by name for *party* or else of its run, was refused with *error*, if a
        rule or a pin did that."""
        if error.code not in DENIALS:
            return
        place = None
        if party is None:
            if (run := self._runs.get(call.key.run)) is None:  # it has ended
                return
            party, place = Party.of_run(run), place_of(run, call.key)
        self.denied(party, call.tool.full_name, call.arguments, error.code, str(error), place)

    def changed(self, change: Changed) -> None:
        """Write that a task was refused before its calls were made, if *change* says so."""
        error, run = change.error, self._runs.get(change.run)
        if run is None or error is None or error.code not in DENIALS or change.attempt:
            return
        if change.after is Status.FAILED:
            place = place_of(run, change.key)
            self.denied(Party.of_run(run), change.tool, None, error.code, error.message, place)

    def refused_plan(
        self, party: Party, problems: Iterable[Problem], dag: Dag, catalog: Catalog
    ) -> None:
        """Write for which calls *dag* was refused by a rule."""
        denied = [problem for problem in problems if problem.code in DENIALS]
        tools = dict(_tools_of(dag.tasks)) if denied else {}
        for problem in denied:
            if (tool := tools.get(problem.id or "")) is not None:
                found = catalog.find(tool)
                tool = tool if found is None else found.full_name
            self.denied(party, tool, None, problem.code, problem.message, problem.id)

    def denied(
        self,
        party: Party,
        tool: str | None,
        arguments: JsonObject | None,
        code: str,
        why: str,
        task: str | None = None,
    ) -> None:
        """Write that a call was denied."""
        self._put(party, What.DENIED, tool, arguments, task, code=code, why=why)

    def accepted(self, tool: str, definition: str) -> None:
        """Write that the user accepted the changed *tool*; *definition* is its digest now."""
        party = Party("", USER, None)
        self._put(party, What.ACCEPTED, tool, None, None, definition=definition)

    def trusted(self, file: str, settings: str) -> None:
        """Write that the user trusts the settings *file*, whose digest is *settings*."""
        self._put(Party("", USER, None), What.TRUSTED, None, None, file=file, settings=settings)

    def resolved(self, run: Run, chain: Chain, says: Mapping[str, Json]) -> None:
        """Write what the caller of *run*, which goes on from *chain*, *says* of its calls in
        doubt: each call that a word is about is a row, or the word where none is known."""
        party = Party.of_run(run)
        doubtful = [
            call
            for call in chain.calls.values()
            if call.ended is None and call.effect is not Effect.READ
        ]
        left = {*says}
        for call in doubtful:
            task = call.key.task
            if (named := task if task in says else "*") not in says:
                continue
            left.discard(named)
            place, word = place_of(run, Key(run.id, *call.key[:3])), _word(says[named])
            self._put(party, What.RESOLVED, call.tool, call.arguments, place, word=word)
        for named in sorted(left):
            self._put(party, What.RESOLVED, None, None, named, word=_word(says[named]))

    # Questions.

    def asked(self, run: Run, approval: Approval, *, is_granted: bool) -> None:
        """Write that a person is asked the question *approval* of *run*, unless the answer
        *is_granted*."""
        party = Party.of_run(run)
        self._questions[approval.question] = party, approval
        ways: list[Json] = [APPLY] if approval.is_preview else [*sorted(run.approving.ways)]
        for call in approval.calls if not is_granted else ():
            self._put_asked(party, What.ASKED, call, approval, why=call.why, ways=ways)

    def _decide(self, decided: Decided) -> None:
        if (found := self._questions.pop(decided.key, None)) is None:
            return
        party, approval = found
        is_answered = decided.code not in {ApprovalRequired.code, ToolChanged.code}
        about = decided.about
        for call in approval.calls if about is None else _only(about, approval.calls):
            answer = Reply.of(call.key in decided.approved if is_answered else None)
            by = decided.by or None
            self._put_asked(party, What.ANSWERED, call, approval, answer=str(answer), by=by)

    def _put_asked(
        self, party: Party, what: What, call: AskedCall, approval: Approval, **detail: Json
    ) -> None:
        tool, question = call.tool.full_name, approval.digest
        self._put(party, what, tool, call.arguments, call.place, question=question, **detail)

    def asked_by_name(self, request: CallRequested, caller: Caller, way: str) -> None:
        """Write that the person of *caller* is asked for a call by name."""
        why = request.policy.decision.why
        self._put_request(What.ASKED, request, caller, why=why, ways=[way])

    def answered_by_name(
        self, request: CallRequested, caller: Caller, is_yes: bool | None, way: str
    ) -> None:
        """Write the answer to that, None if there was none, which came by *way*."""
        answer, by = str(Reply.of(is_yes)), None if is_yes is None else way
        self._put_request(What.ANSWERED, request, caller, answer=answer, by=by)

    def _put_request(
        self, what: What, request: CallRequested, caller: Caller, **detail: Json
    ) -> None:
        party = Party.of(caller, request.slots.desk)
        self._put(party, what, request.tool.full_name, request.arguments, None, **detail)


def _word(said: Json) -> str:
    """Return the word about a call in doubt, without the output that may come with it."""
    return "done" if isinstance(said, dict) else str(said)


def _only(keys: Container[Key], calls: Iterable[AskedCall]) -> list[AskedCall]:
    return [call for call in calls if call.key in keys]


def _tools_of(tasks: Iterable[Task], group: str = "") -> Iterator[tuple[str, str]]:
    """Yield the whole id of each of *tasks*, with the tool as it is written."""
    for task in tasks:
        if task.tool is not None:
            yield f"{group}{task.id}", task.tool
        yield from _tools_of(task.tasks or (), f"{group}{task.id}.")


def _is_audited(tool: Tool, policy: ToolPolicy) -> bool:
    """Return whether a call may change something, or a rule is not simply to allow it."""
    if not tool.is_read_only:
        return True
    decision = policy.decision
    return decision.answer is not Answer.ALLOW or decision.observed is not None
