"""The history: what runs write down as they go, and what is read from it, as values.

A `RunLog` (`history_store.py`) is one run that is being written. What happens to the run is put
into it in the order in which it happens, and *before* the scheduler handles it. A store commits
beginnings of that order, never a later row without the earlier ones, so the commit of the intent of
a call is the commit of all that decided the call: outcomes behind its arguments, its conditions and
its lists, cancels, answers of people. Nothing is searched for it. What follows from these rows by
pure code (which tasks are skipped, how many items there are) need not be in the history for a run
to go on.

A run and the runs that went on from it are one chain. Calls belong to the chain: what any run of it
sent or finished counts for all of them.

Times in rows are in seconds since their run began (`at`, `…_s`), except where it says since 1970.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from .results.figures import SUCCESS
from .scheduling.events import Failure, Status
from .tools.output import Output
from .values.principal import USER, Principal
from .values.strict import Json, JsonObject, encode

RUNNING = "running"
WAITING = "waiting"
"""For a person: in the history it runs, or is interrupted, with an open question."""
INTERRUPTED = "interrupted"
"""The status of a run whose gateway died; any other is a `RunStatus`."""
SAID = "said"
"""The kind of the event that keeps the word of a caller about a task in doubt."""
BACKED_OFF = "backed_off"
"""The kind of the event that a failed call is to be tried again; its detail is the random share of
the pause."""
REFUSED = "refused"
"""The kind of the event that a ready call cannot be sent; its detail is the error."""
CANCEL = "cancel"
APPROVE = "approve"
"""The kind of a post with the answer of a person: `digest` of the question, and the `places` of the
calls that are approved, null for all."""
"""The kind of the post that cancels a run."""


class Durable(StrEnum):
    """The events that a run survives."""

    OFF = "off"
    """Nothing: it is written when it has ended."""
    PROCESS = "process"
    """The death of its process."""
    POWER = "power"
    """A power cut, too."""


class Effect(StrEnum):
    """The harm of a second call of a tool, as far as annotations and settings say."""

    READ = "read"
    IDEMPOTENT = "idempotent"
    WRITE = "write"


class Kind(StrEnum):
    """The request that a run carries out."""

    DAG = "dag"
    CALL = "call"
    """A call by name: its own run, of one call, whose task is the tool's full name."""


class CallKey(NamedTuple):
    """Names one call of a chain, whichever of its runs makes it. The attempts at it share it."""

    task: str
    item: int | None = None
    at: tuple[int, ...] = ()
    """The items of the groups around the task, the outermost first."""
    round: int = 0
    """The number of answers after which its `repeat` made it again."""


# Rows: what a run writes down, as values.


@dataclass(frozen=True, slots=True)
class Beginning:
    """A run that begins, with all that is needed to go on with it."""

    id: str
    began: float
    """In seconds since 1970."""
    document: JsonObject
    """The DAG and whatever else it is planned from. The store does not read it."""
    kind: Kind = Kind.DAG
    durable: Durable = Durable.PROCESS
    principal: Principal = USER
    client: str | None = None
    desk: str = ""
    name: str | None = None
    """Its label."""
    document_digest: str = ""
    """Equal for equal documents, as clients sent them."""
    catalog_digest: str = ""
    """The digest of the definitions of the tools that it calls."""
    deadline: float | None = None
    """In seconds since 1970."""
    keeps_values: bool = True
    """Whether arguments and outputs are kept. No run goes on from it without."""
    is_taken_in: bool = False
    """Whether it ran elsewhere, and its lines were taken in: no run goes on from it here."""
    is_awaited: bool = False
    """Whether a client waits for its answer, and `Answered` says when that is over."""
    definitions: Callable[[], list[Json]] = list
    """Gives the definitions of these tools. A store that has those of `catalog_digest` does not
    ask; another may ask in any thread."""


class Admission(NamedTuple):
    """The scheduler lets a call start."""

    key: CallKey
    attempt: int
    at: float
    tool: str
    """Its full name."""
    effect: Effect
    arguments: JsonObject
    arguments_digest: str | None = None
    """The digest of the arguments, if these themselves are unknown: it ran elsewhere."""


class Intent(NamedTuple):
    """An admitted call that is not read-only is about to leave. The outcome of a read says when it
    left."""

    key: CallKey
    attempt: int
    at: float


class Outcome(NamedTuple):
    """An admitted call ended: with an output, or with an error (which may leave an output, too)."""

    key: CallKey
    attempt: int
    at: float
    output: Output | None = None
    error: Failure | None = None
    cached: bool = False
    """Whether its output is an earlier answer."""
    sent_at: float | None = None
    """The time at which it left, if it had no `Intent`."""

    @property
    def code(self) -> str:
        return SUCCESS if self.error is None else self.error.code


class Happened(NamedTuple):
    """An event that is the end of no call: a pause that ended, a cancel, an answer of a person."""

    at: float
    kind: str
    key: CallKey | None = None
    detail: Json = None


class Settled(NamedTuple):
    """A task ended. It is put only where that, or the output, is not the end and the output of its
    one call: after `select`, `repeat`, `for_each`, and for what made no call."""

    task: str
    at: float
    status: Status
    error: Failure | None = None
    output: Output | None = None


class Ending(NamedTuple):
    """The run ended."""

    at: float | None
    """None if it ran elsewhere, and was interrupted there."""
    status: str
    record: JsonObject | None
    """The document of its `RunRecord`; None as well then."""
    calls: int = 0
    """The number of attempts."""
    failed: int = 0
    """The number of tasks that failed."""


class Answered(NamedTuple):
    """The answer to whoever began the run has left, or no client waits for it any more."""


Row: TypeAlias = Admission | Intent | Outcome | Happened | Settled | Ending | Answered


# What is read.


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A run as lists show it."""

    id: str
    kind: Kind
    status: str
    began: float
    """In seconds since 1970, as `ended`."""
    ended: float | None
    """None while it runs, and for an interrupted run."""
    durable: Durable
    principal: Principal
    client: str | None
    desk: str
    name: str | None
    document_digest: str
    catalog_digest: str
    deadline: float | None
    resumed_from: str | None
    """The run of its chain before it."""
    calls: int
    failed: int
    is_lost: bool
    """Whether something of it could not be written in time: it cannot be resumed."""
    has_values: bool
    """Whether outputs and arguments were kept: it cannot be resumed without."""
    is_taken_in: bool = False
    """Whether it ran elsewhere."""

    @property
    def why_final(self) -> str | None:
        """The reason why no run can go on from it; None if one can."""
        if self.is_lost:
            return f"{self.id} cannot be resumed: not all that it did was written in time."
        if not self.has_values:
            return f"{self.id} cannot be resumed: its outputs were not kept."
        if self.is_taken_in:
            return f"{self.id} cannot be resumed here: it ran elsewhere, and could go on there too."
        return None


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run with what it was made of, and its record once it has ended."""

    entry: RunEntry
    document: JsonObject
    record: JsonObject | None = None
    is_uncertain: bool = False
    """Whether the machine had started anew within its chain before it began."""


@dataclass(frozen=True, slots=True)
class KeptCall:
    """One attempt of one call. Its numbers are its places among the events of its chain."""

    run: str
    key: CallKey
    attempt: int
    tool: str
    effect: Effect
    admitted: int
    admitted_at: float
    sent_at: float | None
    """None if it did not leave: it was answered from the cache, or refused."""
    ended: int | None
    """None while it is in the air, and for good if its gateway died then: it is in doubt."""
    ended_at: float | None
    arguments_digest: str
    arguments: JsonObject | None = None
    """None if values were not kept, or not asked for; so are outputs."""
    output: Output | None = None
    error: Failure | None = None
    cached: bool = False

    @property
    def code(self) -> str | None:
        """`success`, or the code of its error; None while it is in the air."""
        if self.ended is None:
            return None
        return SUCCESS if self.error is None else self.error.code


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event that is the end of no call, at its place among those of its chain."""

    run: str
    number: int
    event: Happened


@dataclass(frozen=True, slots=True)
class Chain:
    """All that a run can go on from: what the runs of a chain wrote, up to the last."""

    root: str
    """The first run: keys that make calls idempotent are made of it."""
    head: KeptRun
    """The last run. If it is running, it runs in a living gateway."""
    calls: Mapping[CallKey, KeptCall]
    """The last attempt of each call."""
    uncertain: frozenset[CallKey]
    """The calls that were made after the machine had started anew. What they found need not be what
    was found before: it does not decide what may have been sent then."""
    settled: Mapping[str, Settled]
    events: tuple[KeptEvent, ...]
    has_restarted: bool
    """Whether the machine has started anew since the chain began, and its last commits may be gone:
    a call that is not read-only may have been sent, also if it looks not started or would be
    skipped now. True for good, unless each commit reached the disk (`Durable.POWER`)."""

    @property
    def said(self) -> dict[str, Json]:
        """The words of callers about tasks in doubt, the last for each task."""
        return {
            event.key.task: event.detail
            for event in (kept.event for kept in self.events)
            if event.kind == SAID and event.key is not None
        }


class RunQuery(NamedTuple):
    """Which runs to list, the latest first."""

    limit: int = 50
    principal: Principal | None = None
    """None for all."""
    kind: Kind | None = None
    status: str | None = None
    failed: bool = False
    """Only those that did not succeed."""
    since: float | None = None
    """The time after which they began, in seconds since 1970."""
    tool: str | None = None
    """A glob of the full name of a tool that they called."""
    document_digest: str | None = None
    is_unanswered: bool = False
    """Only those that changed something, and ended, and whose gateway died before their answer is
    known to have left."""
    prefix: str = ""
    """The beginning of their ids."""


class Limits(NamedTuple):
    """Bounds of what is kept."""

    keep_days: float = 30.0
    keep_runs: int = 10_000
    keep_calls: int = 10_000
    """Calls by name."""
    keep_bytes: int = 2 * 2**30
    """Bytes of all but the audit."""
    keep_audit_days: float = 365.0


def digest_of_arguments(arguments: Json) -> str:
    """Return the digest of the arguments of a call, as rows have it."""
    return hashlib.sha256(encode(arguments)).hexdigest()


ASKED = "asked"
"""The kind of the event that a run asks for calls; its detail is the question."""
DECIDED = "decided"
"""The kind of the answer to it."""
BEHIND = "behind"
"""The kind of the event that a ready call comes after a held call of its run, since they use one
resource; with the detail false, that it does so no more."""
OUTDATED = "outdated"
"""The kind of the event that an approved call is asked for again, since what was shown of it is not
so any more."""


class Post(NamedTuple):
    """A request to a run that goes on in another process."""

    run: str
    kind: str
    principal: Principal
    """The one who asks for it."""
    body: Json = None
