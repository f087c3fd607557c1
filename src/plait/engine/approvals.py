"""The open questions of runs: each is put to the client that waits for the run, and answered by
whoever is first, there or elsewhere.

A yes is bound to the digest of the question that was shown. Nothing that a model can call leads
here: the answer comes from the client's own question to its person (`Caller.ask_person`), or from
the verbs of the gateway that only programs of the user reach.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from math import ceil
from weakref import WeakKeyDictionary

import anyio

from ..core.ports import Caller
from ..core.results.approval import Approval, AskedCall, approval_of
from ..core.results.approval_text import NO, YES, YES_FROM_NOW_ON, call_question, question
from ..core.scheduling.events import Ask, CallRequested, Decided
from ..core.scheduling.run import Run
from ..core.tools.approving import Approving
from ..core.tools.catalog import Catalog, Tool, digest_of
from ..core.tools.rules import Answer
from ..core.values.strict import JsonObject, dumps
from ..errors import ApprovalDenied, ApprovalRequired, RpcError, StaleApproval, ToolChanged
from .auditing import Trail
from .comparing import Comparing
from .writing import Writing

ELICITATION = "elicitation"
GRANTED = "granted"
"""The way of a yes that was given before, for all calls of a tool until its client leaves."""
PYTHON = "python"
WAYS_OF_COMMANDS = frozenset({"terminal", "flag"})
"""The ways of commands, which count only where the settings of the run say so."""
METHOD = "elicitation/create"
MOST_GOING_ON = 500
FEW_QUESTIONS = 6
"""Most questions of a run that a client without a session is asked one after the other: its person
sees one at a time, and clients come back a limited number of times for one request."""
MOST_AT_ONCE = 16
"""Most that it is asked at once where there are more."""


class _Question:
    """One open question."""

    def __init__(
        self,
        approval: Approval,
        caller: Caller,
        approving: Approving,
        catalog: Callable[[], Catalog],
    ) -> None:
        self.approval = approval
        self._catalog = catalog
        self.caller = caller
        self.ways = approving.ways
        self.is_put_to_client = False
        """Whether the client is asked, if a request of it is open."""
        self.answer: Decided | None = None
        self._covers_later = approving.covers_later
        self._answered = anyio.Event()

    def approve(self, calls: Collection[AskedCall], by: str, answer_id: str | None = None) -> None:
        """Say yes to *calls*, and no to the others, in the way *by*. Only the first answer counts.
        *answer_id* names one that came from another process."""
        if self.answer is not None:
            return
        approval = self.approval
        is_whole = len(calls) == len(approval.calls)
        covered = [task.task for task in approval.later if task.may_be_covered]
        self.answer = Decided(
            approval.question,
            frozenset(call.key for call in calls),
            ApprovalDenied.code,
            frozenset(covered) if self._covers_later and is_whole else frozenset(),
            by,
            answer_id,
            readings=tuple(
                [
                    (call.key, call.compared.reading)
                    for call in calls
                    if call.compared is not None and call.compared.reading is not None
                ]
            ),
        )
        self._answered.set()

    def look_at_tools(self) -> None:
        """Withdraw the question if tools of it are defined anew: their calls fail, and the others
        are asked for again."""
        now = self._catalog().tools
        changed = [call for call in self.approval.calls if is_defined_anew(call.tool, now)]
        if changed and self.answer is None:
            about = frozenset([call.key for call in changed])
            question = self.approval.question
            self.answer = Decided(question, frozenset(), ToolChanged.code, about=about)
            self._answered.set()

    async def wait(self) -> Decided:
        await self._answered.wait()
        assert self.answer is not None
        return self.answer


class Approvals:
    """The open questions of all runs. *changed* is called with the id of a run whose question has
    opened. The questions and answers are written to *trail*."""

    def __init__(self, changed: Callable[[str], None], trail: Trail) -> None:
        self._changed = changed
        self._trail = trail
        self._open: dict[str, _Question] = {}
        self._going_on: dict[tuple[str, str, str], bool] = {}
        """The calls by name that were approved and that their clients are to make again."""
        self._granted: WeakKeyDictionary[object, set[tuple[str, str]]] = WeakKeyDictionary()
        """The tools that a client's person said yes to until it leaves, with the digests of their
        definitions."""

    def __repr__(self) -> str:
        return f"<Approvals: {len(self._open)} questions>"

    @property
    def has_open_questions(self) -> bool:
        return bool(self._open)

    def of(self, run_id: str) -> Approval | None:
        """Return the open question of a run; None if absent."""
        found = self._unanswered(run_id)
        return None if found is None else found.approval

    def is_left_to_others(self, run_id: str) -> bool:
        """Whether a question of a run is open, and its client asks no person now."""
        found = self._unanswered(run_id)
        return found is not None and not (found.is_put_to_client and found.caller.is_person_there)

    def look_at_tools(self) -> None:
        """Withdraw the open questions about tools that are defined anew."""
        for asked in [*self._open.values()]:
            asked.look_at_tools()

    async def ask(
        self,
        run: Run,
        command: Ask,
        caller: Caller,
        writing: Writing | None,
        comparing: Comparing | None = None,
    ) -> Decided:
        """Ask for the calls of *command*: of the client of *caller*, and of whoever calls `answer`.
        The question has what *comparing* finds out, is written before it is shown, and is withdrawn
        if tools of it are defined anew. The caller of this bounds the time."""
        approval = approval_of(run, command, secrets.token_hex(16))
        is_granted = self._has_granted(caller, approval)
        if comparing is not None and not is_granted:
            found = await comparing.compared(run, approval.calls, caller)
            approval = approval.compared(found)
        catalog = Catalog if comparing is None else comparing.catalog
        asked = _Question(approval, caller, run.approving, catalog)
        self._trail.asked(run, approval, is_granted=is_granted)
        if writing is not None:
            writing.asked(approval, anyio.current_time())
            await writing.log.committed()
        if is_granted:
            asked.approve(approval.calls, GRANTED)
            return await asked.wait()
        asked.is_put_to_client = ELICITATION in run.approving.ways and not approval.is_preview
        self._open[run.id] = asked
        self._changed(run.id)
        try:
            async with anyio.create_task_group() as tasks:
                if asked.is_put_to_client:
                    tasks.start_soon(self._elicit, asked)
                answer = await asked.wait()
                tasks.cancel_scope.cancel()
        finally:
            if self._open.get(run.id) is asked:  # else the run, stopped meanwhile, asks again
                del self._open[run.id]
        return answer

    async def ask_by_name(
        self, request: CallRequested, params: JsonObject, caller: Caller, approving: Approving
    ) -> None:
        """Ask the person of *caller* for one call by name, while its request is open. Raises
        `ApprovalDenied`, and `ApprovalRequired` if there is no answer."""
        tool, why = request.tool, request.policy.decision.why
        is_single = request.policy.decision.answer is Answer.ASK_EACH
        may_last = caller.has_session and caller.client is not None and not is_single
        if may_last and _named(tool) in self._granted.get(caller.client, ()):
            self._trail.answered_by_name(request, caller, True, GRANTED)
            return
        if "requestState" in params and self._going_on.pop(_call_of(request, caller), False):
            return
        name, word = tool.full_name, None
        hint = f"It was {why}. Nothing was sent."
        if ELICITATION in approving.ways and caller.can_be_asked:
            text = call_question(tool, request.arguments, why)
            self._trail.asked_by_name(request, caller, ELICITATION)
            with suppress(RpcError), anyio.move_on_after(approving.seconds):
                word = _word(await caller.ask(METHOD, _form(text, may_last=may_last)))
        is_yes = None if word is None else word in {YES, YES_FROM_NOW_ON}
        self._trail.answered_by_name(request, caller, is_yes, ELICITATION)
        if word is None:
            raise ApprovalRequired(f"{name} was not called: there was no yes", hint=hint)
        if not is_yes:
            raise ApprovalDenied(f"{name} was not called: a person said no", hint=hint)
        if word == YES_FROM_NOW_ON and may_last:
            self._granted.setdefault(caller.client, set()).add(_named(tool))

    def goes_on(self, request: CallRequested, caller: Caller) -> None:
        """Note that the server of an approved call by name asks its client for input: the client
        makes the same call again with it, which is approved once."""
        self._going_on[_call_of(request, caller)] = True
        while len(self._going_on) > MOST_GOING_ON:
            del self._going_on[next(iter(self._going_on))]

    def answer(
        self,
        run_id: str,
        digest: str,
        places: Collection[str] | None,
        by: str = PYTHON,
        answer_id: str | None = None,
    ) -> None:
        """Say yes to the calls of *places* (None: to all), and no to the others, in the way *by*.
        *answer_id* names an answer that came from another process.
        Raises `StaleApproval` if the question of *digest* is not open any more."""
        asked = self._unanswered(run_id)
        if asked is None or not secrets.compare_digest(asked.approval.digest, digest):
            raise StaleApproval("It was answered, or it asks for something else by now.")
        calls = asked.approval.calls
        yes = [call for call in calls if places is None or call.place in places]
        if yes and by in WAYS_OF_COMMANDS and by not in asked.ways:
            raise StaleApproval(f'A yes by "{by}" does not count here: see [policy] approve.')
        asked.approve(yes, by, answer_id)

    def _unanswered(self, run_id: str) -> _Question | None:
        found = self._open.get(run_id)
        return found if found is not None and found.answer is None else None

    async def _elicit(self, asked: _Question) -> None:
        """Ask the person of the client: for all calls at once, then for each that needs a yes of
        its own. If it cannot be asked, the question stays open."""
        approval, caller = asked.approval, asked.caller
        together = [call for call in approval.calls if not call.is_single]
        rounds = [together] if together else []
        rounds += [[call] for call in approval.calls if call.is_single]
        approved: list[AskedCall] = []
        size = 1 if caller.has_session else _at_once(len(rounds))
        for start in range(0, len(rounds), size):
            async with anyio.create_task_group() as tasks:
                for calls in rounds[start : start + size]:
                    tasks.start_soon(self._elicit_one, asked, calls, approved)
            if not asked.is_put_to_client:
                return
            self._changed(approval.run_id)  # the request may be one that asks no more
        asked.approve(approved, ELICITATION)

    async def _elicit_one(
        self, asked: _Question, calls: list[AskedCall], approved: list[AskedCall]
    ) -> None:
        """Ask the person of the client for *calls*, and add them to *approved* after a yes."""
        approval, caller = asked.approval, asked.caller
        may_last = caller.has_session and not calls[0].is_single
        params = _form(question(approval, calls), may_last=may_last)
        word: str | None = None
        try:
            while asked.is_put_to_client and word is None:
                if (word := _word(await caller.ask_person(METHOD, params))) is None:
                    self._changed(approval.run_id)  # it was dismissed
        except RpcError:
            asked.is_put_to_client = False
            self._changed(approval.run_id)
        if word in {YES, YES_FROM_NOW_ON}:
            approved += calls
        if word == YES_FROM_NOW_ON and may_last and caller.client is not None:
            granted = self._granted.setdefault(caller.client, set())
            granted.update(_named(call.tool) for call in calls)

    def _has_granted(self, caller: Caller, approval: Approval) -> bool:
        """Whether the person of *caller* has said yes to all these tools until it leaves."""
        if caller.client is None or approval.is_preview or not caller.has_session:
            return False
        granted = self._granted.get(caller.client, set())
        return all(not call.is_single and _named(call.tool) in granted for call in approval.calls)


def _call_of(request: CallRequested, caller: Caller) -> tuple[str, str, str]:
    owner = caller.connection or str(caller.principal)
    return owner, request.tool.full_name, dumps(request.arguments)


def is_defined_anew(tool: Tool, now: Mapping[str, Tool]) -> bool:
    """Return whether *tool* is defined otherwise among the tools that are known *now*."""
    known = now.get(tool.full_name)
    return known is not None and known.definition != tool.definition


def _at_once(count: int) -> int:
    """Return how many of *count* questions a client without a session is asked at once."""
    return min(MOST_AT_ONCE, ceil(count / FEW_QUESTIONS))


def _named(tool: Tool) -> tuple[str, str]:
    return tool.full_name, digest_of([tool])


def _form(message: str, *, may_last: bool) -> JsonObject:
    """Return the params of an elicitation with *message* and the words of an answer."""
    words = [YES, NO, *([YES_FROM_NOW_ON] if may_last else [])]
    return {
        "message": message,
        "requestedSchema": {
            "type": "object",
            "properties": {
                "answer": {"type": "string", "title": "Make these calls?", "enum": [*words]}
            },
            "required": ["answer"],
        },
    }


def _word(given: JsonObject) -> str | None:
    """Return the word of a person, None if the question was dismissed: what is not a yes is a
    no."""
    if given.get("action") == "cancel":
        return None
    content = given.get("content")
    if given.get("action") != "accept" or not isinstance(content, dict):
        return NO
    word = content.get("answer")
    return word if isinstance(word, str) else NO
