"""The vocabulary of the scheduler, all values: events go into it, and commands come out of it.
`notices.py` has those for observers. The legal moves of a task are one table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ...errors import CallError, CallTimeout, InvalidOutput, PolicyDenied, error_class
from ..planning.plan import MAX_CALLS
from ..tools.catalog import Tool
from ..tools.claims import Accesses, Places, ResourceName
from ..tools.output import Output
from ..tools.overwriting import Reading
from ..tools.policy import ToolPolicy
from ..tools.rules import Decision
from ..values.strict import JsonObject
from .lanes import SlotRequest

if TYPE_CHECKING:
    pass


class Status(StrEnum):
    PENDING = "pending"  # waits for other tasks to finish
    READY = "ready"  # may start; waits for a slot
    RUNNING = "running"
    WAITING = "waiting"  # for a person to say yes to its calls
    BACKING_OFF = "backing_off"  # will be tried again after a failure, or polls
    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    __hash__ = str.__hash__  # an enum's own is slow, and statuses are looked up at every move

    @property
    def is_final(self) -> bool:
        return self in FINAL


MOVES: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset(
        {Status.READY, Status.SUCCESS, Status.FAILED, Status.SKIPPED, Status.CANCELLED}
    ),
    Status.READY: frozenset(
        {
            Status.RUNNING,
            Status.WAITING,
            Status.SUCCESS,
            Status.FAILED,
            Status.SKIPPED,
            Status.CANCELLED,
        }
    ),
    Status.WAITING: frozenset({Status.READY, Status.FAILED, Status.SKIPPED, Status.CANCELLED}),
    Status.RUNNING: frozenset(
        {
            Status.SUCCESS,
            Status.FAILED,
            Status.TIMEOUT,
            Status.BACKING_OFF,
            Status.READY,  # for the next page
            Status.CANCELLED,
        }
    ),
    Status.BACKING_OFF: frozenset({Status.READY, Status.CANCELLED}),
    Status.SUCCESS: frozenset(),
    Status.FAILED: frozenset(),
    Status.TIMEOUT: frozenset(),
    Status.SKIPPED: frozenset(),
    Status.CANCELLED: frozenset(),
}

PENDING: Final = Status.PENDING
READY: Final = Status.READY
RUNNING: Final = Status.RUNNING
WAITING: Final = Status.WAITING
SUCCESS: Final = Status.SUCCESS
"""Names of their own for what is asked at every move: a member costs much more by its enum."""

FINAL = frozenset(status for status, moves in MOVES.items() if not moves)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task, or one item of it, did not succeed."""

    code: str
    message: str
    hint: str | None = None
    retryable: bool | None = None
    """Whether the same call may succeed later; None if no call failed."""
    rpc_code: int | None = None
    """The server's own JSON-RPC code."""
    caused_by: str | None = None
    """The task at the root, for a task that was skipped or stopped because of another."""
    retry_after_s: float | None = None
    """The seconds after which the same call may succeed, where they are known."""

    @classmethod
    def of(cls, error: CallError) -> Failure:
        return cls(
            error.code, error.message, error.hint, error.retryable, error.rpc_code,
            retry_after_s=error.retry_after_s,
        )  # fmt: skip

    def document(self) -> JsonObject:
        """Return it as JSON, without members that it lacks."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def error(self, output: Output | None = None) -> CallError:
        """Return the error that it was made of, with the *output* that was invalid."""
        kind = error_class(self.code)
        error: CallError
        if issubclass(kind, InvalidOutput):
            error = kind(self.message, output=None if output is None else output.value)
        elif issubclass(kind, PolicyDenied):
            error = kind(self.message, denied_by="")
        elif issubclass(kind, CallTimeout):
            error = kind(self.message)
        else:
            error = kind(self.message, rpc_code=self.rpc_code)
        error.hint, error.retry_after_s = self.hint, self.retry_after_s
        return error


class Key(NamedTuple):
    """Names one call of one run: a task, or one item of a `for_each` task. Others are named in the
    same way: the run itself with an empty `task`, with `item` 0 as well its next step, and with
    other numbers its times and its questions, and with `at` the places of its held calls; a direct
    call with an empty `run`, its tool as `task` and its number as `item`; the wake-up of a rate
    limit with an empty `run` and the server as `task`."""

    run: str
    task: str
    item: int | None = None
    at: tuple[int, ...] = ()
    """The items of the groups around the task, the outermost first."""


class Why(StrEnum):
    """The reason why a call is held until a person has said yes."""

    POLICY = "policy"
    PREVIEW = "preview"


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Limits of one run as a whole."""

    timeout_s: float | None
    max_items: int
    """Items of one `for_each` task."""
    max_bytes: int
    """Bytes of memory that all its outputs take."""
    max_calls: int = MAX_CALLS
    """Calls of all its tasks and their items."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A time in which a call could have started but for one thing. `why` is `conflict`, `limit`,
    `location`, `server` or `approval`; `on` is the task, limit, file, server or question that it
    waited for."""

    why: str
    on: str
    seconds: float
    resource: str | None = None
    """The resource that both use, in a conflict."""


# Commands: what to do outside. Each `Locate`, `Call`, `Confirm`, `Sleep` and `Ask` is answered by
# exactly one event.


class Locate(NamedTuple):
    """Find the places of these files, and answer `Located` with all that are found within the
    time."""

    key: Key
    """The first of the calls that wait for this."""
    names: tuple[ResourceName, ...]
    timeout_s: float


class Call(NamedTuple):
    key: Key
    tool: Tool
    arguments: JsonObject
    timeout_s: float
    attempt: int = 1
    policy: ToolPolicy = ToolPolicy()
    max_age_s: float = 0.0
    """As those of `ToolCall`."""
    round: int = 0
    """As in `CallId`."""
    is_approved: bool = False
    """Whether a person said yes to it."""


class HeldCall(NamedTuple):
    """A call that is made only once a person has said yes."""

    key: Key
    tool: Tool
    arguments: JsonObject
    decision: Decision
    round: int


class Ask(NamedTuple):
    """Ask a person for these calls, in document order, and answer `Decided`. A preview is shown
    without asking: it ends when it is applied."""

    key: Key
    calls: tuple[HeldCall, ...]
    timeout_s: float
    is_preview: bool


class Confirm(NamedTuple):
    """Look whether the reading to which a person was shown the difference of this call, which has
    its resources, is still so, and answer `Confirmed`."""

    key: Key
    call: Call
    """As it is made once that is so."""
    reading: Reading


class Sleep(NamedTuple):
    """Answer `Woke` after `seconds`."""

    key: Key
    seconds: float


class Abort(NamedTuple):
    """End the search, the call or the sleep of this key early: `Aborted` is then its answer, unless
    another is under way."""

    key: Key


class Refuse(NamedTuple):
    """Fail the direct call of this key, which had to wait and cannot be made, with *error*."""

    key: Key
    error: CallError


Command: TypeAlias = Locate | Call | Confirm | Ask | Sleep | Abort | Refuse


# Events: what has happened outside.


class CallRequested(NamedTuple):
    """A client calls a tool by its name, outside of any run. `Call` follows once the call may be
    sent, or `Refuse`."""

    key: Key
    tool: Tool
    arguments: JsonObject
    slots: SlotRequest
    policy: ToolPolicy
    max_age_s: float
    """As those of `ToolCall`."""
    accesses: Accesses | None
    """The resources that the call accesses; None if absent."""
    timeout_s: float


class Located(NamedTuple):
    """The answer to `Locate`; a name that *places* lacks was not found in time."""

    key: Key
    places: Places


class Succeeded(NamedTuple):
    key: Key
    output: Output | None
    """None for a direct call: its client alone reads it."""
    cached: bool = False
    """Whether the answer was kept from an earlier call."""


class Failed(NamedTuple):
    key: Key
    error: CallError


class Woke(NamedTuple):
    key: Key


class Decided(NamedTuple):
    """The answer to `Ask`: a yes to the calls of these keys, and to those that the tasks *covered*
    will make. The other calls fail with *code*, `approval_denied`, `approval_required` or
    `tool_changed`."""

    key: Key
    approved: frozenset[Key]
    code: str
    covered: frozenset[str] = frozenset()
    by: str = ""
    """The way in which the answer came; empty if there was none."""
    answer_id: str | None = None
    """Names the answer, if it came from another process."""
    about: frozenset[Key] | None = None
    """The calls that it answers for, if not for all: the others are asked for again."""
    readings: tuple[tuple[Key, Reading], ...] = ()
    """The readings to which a person was shown differences, by approved call: that they are still
    so is confirmed before these are made."""


class Confirmed(NamedTuple):
    """The answer to `Confirm`: a call that *is_outdated* is not made, but asked for again."""

    key: Key
    is_outdated: bool


class Aborted(NamedTuple):
    key: Key
    code: str = "cancelled"
    """The reason, for a direct call: `input_required` if its client will send it again with the
    input that its server asks for."""


class Paused(NamedTuple):
    """The call waits for its client to answer a question: it takes no slot until `Resumed`, or its
    answer."""

    key: Key


class Resumed(NamedTuple):
    key: Key


class Sent(NamedTuple):
    """The call is sent only now: until now it waited for its server to be reached."""

    key: Key


class CancelRequested(NamedTuple):
    run: str
    at_once: bool = False
    """Whether tasks that clean up are ended too."""


Event: TypeAlias = (
    CallRequested
    | Located
    | Succeeded
    | Failed
    | Woke
    | Decided
    | Confirmed
    | Aborted
    | Paused
    | Resumed
    | Sent
    | CancelRequested
)
