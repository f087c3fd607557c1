"""One active run as it is written to the history, and the calls of earlier runs of its chain.

The runner writes each event before the scheduler handles it, so that a commit holds all that
decided what is sent next. A call that an earlier run of the chain finished is answered as it was
then, and is not sent; one that was in the air when that run was interrupted is made again if that
changes nothing, else it is in doubt.
"""

from __future__ import annotations

import base64
import math
import secrets
import time
from collections.abc import Collection, Mapping
from enum import Enum, auto
from operator import itemgetter
from typing import TypeAlias

import anyio

from ..core.history import (
    ASKED,
    BACKED_OFF,
    BEHIND,
    DECIDED,
    INTERRUPTED,
    OUTDATED,
    REFUSED,
    SAID,
    Admission,
    Beginning,
    CallKey,
    Chain,
    Effect,
    Ending,
    Happened,
    Intent,
    KeptCall,
    Outcome,
    Settled,
    digest_of_arguments,
)
from ..core.history_store import (
    Journal,
    RunLog,
    TakenOver,
)
from ..core.kept_decisions import DecidedCall, KeptDecision
from ..core.results.approval import Approval
from ..core.results.record import RunRecord
from ..core.scheduling.attempts import Known
from ..core.scheduling.events import (
    FINAL,
    Aborted,
    Call,
    CancelRequested,
    Confirmed,
    Decided,
    Event,
    Failed,
    Failure,
    Key,
    Located,
    Paused,
    Resumed,
    Sent,
    Status,
    Succeeded,
    Woke,
)
from ..core.scheduling.notices import Changed, StoodBehind
from ..core.tools.catalog import Tool
from ..core.tools.output import Output
from ..core.tools.overwriting import Reading
from ..core.tools.policy import ToolPolicy
from ..core.values.problems import Problem
from ..core.values.strict import Json
from ..errors import (
    CallTimeout,
    HistoryLost,
    InDoubt,
    InvalidDag,
    InvalidOutput,
)


class Kept(Enum):
    """The part of a run or call that the history keeps."""

    NOT = auto()
    WITHOUT_VALUES = auto()
    WHOLE = auto()


ENDING_S = 15.0
"""Longest wait for the guard of a gateway that died to end its servers."""
LOOK_S = 0.1
CANCELLED = "cancelled"
"""The kind of the event that a run was cancelled."""
Answer: TypeAlias = Succeeded | Failed


def effect_of(tool: Tool, policy: ToolPolicy) -> Effect:
    """Return the effect of a second call of *tool*."""
    if tool.is_read_only:
        return Effect.READ
    return Effect.IDEMPOTENT if policy.may_repeat else Effect.WRITE


class Earlier:
    """The calls of the runs *line* of *chain*, which had the same document. *says* is the word of
    the caller about tasks in doubt."""

    def __init__(
        self,
        chain: Chain,
        line: Collection[str],
        says: Mapping[str, Json] | None = None,
        began: float | None = None,
    ) -> None:
        """*began* is the time at which a run goes on from them, if that is not now."""
        head = chain.head.entry
        began = time.time() if began is None else began
        is_due = head.deadline is not None and began >= head.deadline
        self._is_late = is_due and head.status == INTERRUPTED
        """Whether the time of the run is over, so that nothing more is sent."""
        self._chain = chain
        self._line = frozenset(line)
        self._says: dict[str, tuple[Json, float]] = {
            kept.event.key.task: (kept.event.detail, kept.number)
            for kept in chain.events
            if kept.event.kind == SAID and kept.event.key is not None
        } | {task: (word, math.inf) for task, word in (says or {}).items()}
        """By task, with its place among the events of the chain: a word is about the calls before
        it."""

    def __repr__(self) -> str:
        return f"<Earlier: {len(self._chain.calls)} calls>"

    @property
    def is_cancelled(self) -> bool:
        """Whether the last of the runs was cancelled before it was interrupted."""
        head = self._chain.head.entry
        return head.status == INTERRUPTED and any(
            kept.run == head.id and kept.event.kind == CANCELLED for kept in self._chain.events
        )

    @property
    def known(self) -> Known:
        """All that a run knows that goes on from these."""
        decided = [
            KeptDecision.read(kept.event.detail)
            for kept in self._chain.events
            if kept.event.kind == DECIDED and kept.run in self._line
        ]
        is_yes: dict[DecidedCall, bool] = {}
        """The last answer for each call."""
        readings: dict[DecidedCall, Reading] = {}
        for one in decided:
            is_yes.update(dict.fromkeys([] if one.is_preview else one.approved, True))
            is_yes.update(dict.fromkeys(one.denied, False))
            readings.update(one.readings)
        is_applied = any(one.is_preview and one.approved for one in decided)

        def as_decided(call: Call) -> DecidedCall:
            return DecidedCall(_call_key(call), digest_of_arguments(call.arguments))

        def word(call: Call) -> bool | None:
            was_sent = _call_key(call) in self._chain.calls
            return None if was_sent else is_yes.get(as_decided(call))

        def reading(call: Call) -> Reading | None:
            return readings.get(as_decided(call))

        return Known(lambda call: self.answer(call) is not None, word, reading, is_applied)

    def answer(self, call: Call) -> tuple[float, Answer] | None:
        """Return the answer of *call* if it is not sent any more, with its place among the events
        of the chain, infinite if it had none there; None if it is to be sent."""
        key = _call_key(call)
        kept = self._of(key)
        if kept is not None and kept.ended is not None and call.attempt <= kept.attempt:
            return kept.ended, _as_then(call.key, kept)
        if (decided := self._decided(call, key)) is not None:
            return math.inf, decided
        if self._is_late:
            message = f"{call.tool.full_name} was not sent: the time of its run is over"
            return math.inf, Failed(call.key, CallTimeout(message, was_sent=False))
        return None

    def _decided(self, call: Call, key: CallKey) -> Answer | None:
        """Return the answer of *call* if it is in doubt and is not sent again; None if it is to be
        sent."""
        kept, effect = self._of(key), effect_of(call.tool, call.policy)
        if effect is Effect.READ or (kept is None and not self._chain.has_restarted):
            return None
        if kept is not None and kept.ended is not None:
            return None
        match self._word(key.task, kept):
            case "retry":
                return None
            case "done":
                return Succeeded(call.key, Output.of(None))
            case {"done": output}:
                return Succeeded(call.key, Output.of(output))
            case "skip":
                return Failed(call.key, InDoubt(f"{call.tool.full_name} was left out, as was said"))
        if effect is Effect.IDEMPOTENT:
            return None
        why = (
            "was sent, and the gateway ended before its answer was written"
            if kept is not None
            else "may have been sent: the machine has started anew since, and the last that was "
            "written before may be gone"
        )
        hint = (
            "Look whether it took effect; then go on with resume_from (or plait resume) and "
            f'in_doubt {{"{key.task}": "retry" or "done" or "skip"}}.'
        )
        return Failed(call.key, InDoubt(f"{call.tool.full_name} {why}", hint=hint))

    def _word(self, task: str, kept: KeptCall | None) -> Json:
        """Return the last word about *task* that was said after its call; None if absent."""
        said = [
            self._says[name]
            for name in (task, "*")
            if name in self._says and (kept is None or kept.admitted < self._says[name][1])
        ]
        return max(said, key=itemgetter(1))[0] if said else None

    def _of(self, key: CallKey) -> KeptCall | None:
        kept = self._chain.calls.get(key)
        return kept if kept is not None and kept.run in self._line else None


def has_doubt(chain: Chain) -> bool:
    """Whether a call of *chain*, idempotent or not, may have been sent and has no answer."""
    return chain.has_restarted or any(
        call.ended is None and call.effect is not Effect.READ for call in chain.calls.values()
    )


async def begin(
    history: Journal,
    beginning: Beginning,
    chain: Chain | None,
    line: Collection[str],
    says: Mapping[str, Json],
) -> Writing | str:
    """Write that a run begins, or that it goes on from *chain*: with the document of the runs
    *line*, or with another one if there is none. Returns the id of the run that has gone on from
    there, if another caller was faster. Raises `InvalidDag` if nothing can go on from there."""
    now = anyio.current_time()
    if chain is None:
        return Writing(history.begin(beginning), now)
    try:
        taken = await _take_over(history, chain, beginning, says, anew=not line)
        deadline = now + ENDING_S
        while (
            taken.log is None
            and taken.run_id == chain.head.entry.id
            and chain.head.entry.status == INTERRUPTED
            and anyio.current_time() < deadline
        ):  # the guard of its gateway still ends the servers
            await anyio.sleep(LOOK_S)
            taken = await _take_over(history, chain, beginning, says, anew=not line)
    except HistoryLost as error:
        problem = Problem("resume_from", error.code, str(error))
        raise InvalidDag([problem]) from error
    if taken.log is None:
        return taken.run_id
    return Writing(taken.log, now, Earlier(chain, line, says) if line else None)


async def _take_over(
    history: Journal,
    chain: Chain,
    beginning: Beginning,
    says: Mapping[str, Json],
    *,
    anew: bool,
) -> TakenOver:
    taken: TakenOver
    with anyio.CancelScope(shield=True):  # a run that was taken over is there, and must end
        taken = await history.go_on(chain, beginning, says, anew=anew)
    return taken


def _as_then(key: Key, kept: KeptCall) -> Answer:
    if kept.error is None:
        return Succeeded(key, kept.output or Output.of(None), kept.cached)
    return Failed(key, kept.error.error(kept.output))


class Writing:
    """One active run that began at *began*, on the clock of its runner, and is written to *log*."""

    __slots__ = ("_began", "_earlier", "_ends", "_left", "_open", "_question", "log")

    def __init__(self, log: RunLog, began: float, earlier: Earlier | None = None) -> None:
        self.log = log
        self._began = began
        self._earlier = earlier
        self._open: dict[Key, Admission] = {}
        """The calls that may be in the air."""
        self._left: dict[Key, float] = {}
        """The times at which they left."""
        self._question: Approval | None = None
        """The last question that was asked."""
        self._ends: dict[str, Output | str] = {}
        """The end of the last call of each task without items: its output, or the code of its
        error."""

    def __repr__(self) -> str:
        return f"<Writing of {self.log.id}: {len(self._open)} calls>"

    @property
    def is_cancelled(self) -> bool:
        """Whether it goes on from a run that was cancelled: then it only cleans up."""
        return self._earlier is not None and self._earlier.is_cancelled

    @property
    def known(self) -> Known | None:
        """All that its run knows from the one that it goes on from; None if there is none."""
        return None if self._earlier is None else self._earlier.known

    def admit(self, call: Call, now: float) -> tuple[float, Answer] | None:
        """Write that *call* may start; returns the answer that it has without being sent, with its
        place among these, None if it is to be sent."""
        if self._earlier is not None and (known := self._earlier.answer(call)) is not None:
            place, answer = known
            if not math.isinf(place):
                end = answer.output if isinstance(answer, Succeeded) else answer.error.code
                if end is not None:
                    self._note(answer.key, end)
            return known
        tool = call.tool
        self._open[call.key] = admission = Admission(
            _call_key(call),
            call.attempt,
            now - self._began,
            tool.full_name,
            effect_of(tool, call.policy),
            call.arguments,
        )
        self.log.put(admission)
        return None

    def leave(self, key: Key, now: float) -> bool:
        """Write that the call of *key* is about to leave; returns whether it has to wait until the
        log is secure."""
        admission, at = self._open[key], now - self._began
        is_read = admission.effect is Effect.READ
        if key not in self._left:
            self._left[key] = at
            if not is_read:
                self.log.put(Intent(admission.key, admission.attempt, at))
        return not is_read

    def asked(self, approval: Approval, now: float) -> None:
        """Write the question that the run asks."""
        self._question = approval
        self.log.put(Happened(now - self._began, ASKED, None, approval.document()))

    def write(self, event: Event, now: float) -> None:
        """Write *event*, before it is handled."""
        at = now - self._began
        match event:
            case Succeeded(key, output, cached):
                if self._end(key, at, output, cached=cached) and output is not None:
                    self._note(key, output)
            case Failed(key, error):
                left = error.output if isinstance(error, InvalidOutput) else None
                output = None if left is None else Output.of(left)
                if self._end(key, at, output, Failure.of(error)):
                    self._note(key, error.code)
            case Aborted(key):
                self._end(key, at, None, Failure(CANCELLED, "the call was cancelled"))
            case Decided():
                kept = KeptDecision.of(event, self._question)
                self.log.put(Happened(at, DECIDED, None, kept.document()))
            case Woke(key) | Paused(key) | Resumed(key) | Sent(key):
                self.log.put(Happened(at, type(event).__name__.lower(), _named(key)))
            case Located(key, places):
                found: list[Json] = [[*name, place] for name, place in places.items()]
                self.log.put(Happened(at, "located", _named(key), found))
            case Confirmed(key, is_outdated=True):
                self.log.put(Happened(at, OUTDATED, _named(key)))
            case CancelRequested(_, at_once):
                self.log.put(Happened(at, CANCELLED, None, at_once or None))

    def decide(self, change: Changed) -> None:
        """Write *change*, which has an error, if it does not follow from what has happened to its
        run alone: a retry takes from the budget of its server, and a ready call may be refused
        because its file is not found in time."""
        key, at = _named(change.key), change.at - self._began
        if change.jitter is not None:
            self.log.put(Happened(at, BACKED_OFF, key, change.jitter))
        elif change.before is Status.READY and change.after is Status.FAILED:
            assert change.error is not None
            self.log.put(Happened(at, REFUSED, key, change.error.document()))

    def stand(self, stood: StoodBehind) -> None:
        """Write that a ready call comes after a held call, or does so no more: the places of files
        decide that, and other processes may not find them."""
        at = stood.at - self._began
        self.log.put(Happened(at, BEHIND, _named(stood.key), stood.is_behind))

    def settle(self, change: Changed, output: Output | None, now: float) -> None:
        """Write the end of a task, if it is not the end of its one call."""
        end = self._ends.pop(change.key.task, None)
        code = None if change.error is None else change.error.code
        if end is None or (end is not output if code is None else end != code):
            at = now - self._began
            self.log.put(Settled(change.key.task, at, change.after, change.error, output))

    def end(self, record: RunRecord) -> None:
        """Write the end of the run, whose last record this is."""
        for key in list(self._open):  # no caller waits for their answers any more
            self._end(key, record.elapsed_s, None, Failure(CANCELLED, "the run has ended"))
        calls = sum(task.attempts for task in record.tasks.values())
        failed = sum(task.status.is_final and not task.is_well for task in record.tasks.values())
        at = record.elapsed_s
        self.log.put(
            Ending(at, record.status.value, record.document(with_dag=False), calls, failed)
        )
        self.log.flush()  # its result is made meanwhile

    def end_call(self, status: str, now: float) -> None:
        """Write the end of a call by name."""
        self.log.put(Ending(now - self._began, status, {}, 1, int(status == "failed")))

    def _end(
        self,
        key: Key,
        at: float,
        output: Output | None,
        error: Failure | None = None,
        *,
        cached: bool = False,
    ) -> bool:
        """Write the end of the call of *key*; returns False if it was not admitted."""
        if (admission := self._open.pop(key, None)) is None:
            return False
        named, attempt, *_ = admission
        self.log.put(Outcome(named, attempt, at, output, error, cached, self._left.pop(key, None)))
        return True

    def _note(self, key: Key, end: Output | str) -> None:
        if key.item is None and not key.at:
            self._ends[key.task] = end


def is_end_of_task(change: Changed) -> bool:
    """Whether *change* is the end of a task, of which there are no others for other items."""
    return change.after in FINAL and change.key.item is None and not change.key.at


def new_id(prefix: str) -> str:
    """Make an id of 128 random bits: whoever knows the id of a run of `ANYONE` may see it."""
    return prefix + base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def _call_key(call: Call) -> CallKey:
    key = call.key
    return CallKey(key.task, key.item if key.run else None, key.at, call.round)


def _named(key: Key) -> CallKey:
    return CallKey(key.task, key.item, key.at)
