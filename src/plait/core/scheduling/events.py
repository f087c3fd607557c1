"""The words of a run, all values: events go into the scheduler, commands come out of it, and notices tell
observers what has changed. The moves that a task may make stand in one table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from ...errors import CallError
from ..tools.catalog import Tool
from ..tools.claims import Accesses, Places, ResourceName
from ..tools.output import Output
from ..values.strict import JsonObject
from .lanes import SlotRequest


class Status(StrEnum):
    PENDING = "pending"  # waits for the end of other tasks
    READY = "ready"  # may start; there is no room yet
    RUNNING = "running"
    BACKING_OFF = "backing_off"  # failed; will be tried again
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
    Status.PENDING: frozenset({Status.READY, Status.FAILED, Status.SKIPPED, Status.CANCELLED}),
    Status.READY: frozenset({Status.RUNNING, Status.SUCCESS, Status.FAILED, Status.SKIPPED, Status.CANCELLED}),
    Status.RUNNING: frozenset({Status.SUCCESS, Status.FAILED, Status.TIMEOUT, Status.BACKING_OFF, Status.CANCELLED}),
    Status.BACKING_OFF: frozenset({Status.READY, Status.CANCELLED}),
    Status.SUCCESS: frozenset(),
    Status.FAILED: frozenset(),
    Status.TIMEOUT: frozenset(),
    Status.SKIPPED: frozenset(),
    Status.CANCELLED: frozenset(),
}

FINAL = frozenset(status for status, moves in MOVES.items() if not moves)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task, or one item of it, did not succeed."""

    code: str
    message: str
    hint: str | None = None
    retryable: bool | None = None
    """Whether the same call may succeed later; None where no call failed."""
    rpc_code: int | None = None
    """The server's own JSON-RPC code."""
    caused_by: str | None = None
    """The task at the root, for what was skipped or stopped because of another."""

    @classmethod
    def of(cls, error: CallError) -> Failure:
        return cls(error.code, error.message, error.hint, error.retryable, error.rpc_code)


class Key(NamedTuple):
    """Names one call of one run: a task, or one item of a `for_each` task. `task` is empty for the run itself. For a
    direct call, `run` is empty, `task` the tool, and `item` the number of the call."""

    run: str
    task: str
    item: int | None = None


class TaskOutline(NamedTuple):
    """What is known of a task before anything runs. Times are in seconds."""

    id: str
    tool: str
    layer: int
    needs: tuple[str, ...]
    """The tasks whose end it waits for."""
    drew_on: tuple[str, ...]
    """Those that it needed in an earlier run, for a task that was taken over from there."""
    expected_s: float | None
    """What one call of it is expected to take; None where nothing is known of its tool."""
    remaining_s: float
    """What the longest chain that starts at it is expected to take, itself included."""


class CacheRule(NamedTuple):
    """When an earlier answer may be used instead of a call."""

    max_age_s: float = 0.0
    """How old it may be, in seconds; 0 for never."""
    stat: str | None = None
    """The argument that names a file: the answer is good only as long as that file has not changed."""


NEVER_CACHED: Final = CacheRule()


# Commands: what to do outside. Each `Locate`, `Call` and `Sleep` is answered by exactly one event.


class Locate(NamedTuple):
    """Find where the files of these names are, and answer `Located` with all that are found within the time."""

    key: Key
    """The first of the calls that are to be sent once this is known."""
    names: tuple[ResourceName, ...]
    timeout_s: float


class Call(NamedTuple):
    key: Key
    tool: Tool
    arguments: JsonObject
    timeout_s: float
    attempt: int = 1
    cache: CacheRule = NEVER_CACHED


class Sleep(NamedTuple):
    """Answer `Woke` after so many seconds."""

    key: Key
    seconds: float


class Abort(NamedTuple):
    """End the search, the call or the sleep of this key early: `Aborted` is then its answer, unless another is under
    way."""

    key: Key


class Refuse(NamedTuple):
    """The direct call of this key, which had to wait, cannot be made: it has ended with *error*."""

    key: Key
    error: CallError


Command: TypeAlias = Locate | Call | Sleep | Abort | Refuse


# Events: what has happened outside.


class CallRequested(NamedTuple):
    """A client calls a tool by its name, outside of any run. `Call` follows once the call may be sent, or `Refuse`."""

    key: Key
    tool: Tool
    arguments: JsonObject
    slots: SlotRequest
    cache: CacheRule
    accesses: Accesses | None
    """The resources that the call accesses; None if it accesses none."""
    timeout_s: float


class Located(NamedTuple):
    """The answer to `Locate`; a name that *places* lacks was not found in time."""

    key: Key
    places: Places


class Succeeded(NamedTuple):
    key: Key
    output: Output | None
    """None for a direct call: only its client reads it."""
    cached: bool = False
    """Whether the answer was kept from an earlier call."""


class Failed(NamedTuple):
    key: Key
    error: CallError


class Woke(NamedTuple):
    key: Key


class Aborted(NamedTuple):
    key: Key
    code: str = "cancelled"
    """Why, for a direct call: `input_required` if its client sends it again with what its server asked for."""


class Paused(NamedTuple):
    """The call waits for its client, which is asked something: it takes no room until `Resumed`, or its answer."""

    key: Key


class Resumed(NamedTuple):
    key: Key


class Sent(NamedTuple):
    """The call is on its way to its server only now: until now it waited for that to be there."""

    key: Key


class CancelRequested(NamedTuple):
    run: str


Event: TypeAlias = (
    CallRequested | Located | Succeeded | Failed | Woke | Aborted | Paused | Resumed | Sent | CancelRequested
)


# Notices: what observers are told. `at` is in seconds, on the clock of whoever drives the scheduler.


class Started(NamedTuple):
    """A run began."""

    run: str
    tasks: int
    at: float


class Changed(NamedTuple):
    """A task, or one item of a `for_each` task, moved from one status to another."""

    key: Key
    tool: str
    before: Status
    after: Status
    attempt: int
    at: float
    code: str | None = None
    """Why, where it did not succeed."""


class Progressed(NamedTuple):
    """A call in flight told of its own progress."""

    key: Key
    progress: float
    total: float | None
    message: str | None


class Finished(NamedTuple):
    """Every task of the run has come to its end."""

    run: str
    status: str
    at: float


Notice: TypeAlias = Started | Changed | Progressed | Finished


class Step(NamedTuple):
    commands: list[Command]
    notices: list[Notice]
