"""Everything that the core and the gateway need from the world, each a Protocol that a shell
implements.

Tools are called by `CallTool`. Everything else that a client may ask of a server goes through
`Downstream`, as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from ..errors import (
    CallError,
    CallTimeout,
    ConnectionLost,
    InvalidArguments,
    PolicyDenied,
    RpcError,
    ServerUnavailable,
)
from .scheduling.notices import Notice
from .tools.cached_listing import CachedListing
from .tools.catalog import Catalog, Tool
from .tools.claims import ResourceName
from .tools.output import Output
from .tools.policy import ToolPolicy
from .values.principal import USER, Principal
from .values.strict import JsonObject

if TYPE_CHECKING:  # most commands need no records
    from .results.record import RunRecord

OnProgress: TypeAlias = Callable[[JsonObject], None]
"""Takes the progress of a request: the params of a `notifications/progress` as the server sent
them, `progress` a number. It must not block or raise."""

Ask: TypeAlias = Callable[[str, JsonObject], Awaitable[JsonObject]]
"""Puts a request of a downstream server (`elicitation/create`, `sampling/createMessage`,
`roots/list`, with its params) to a client and gives the client's result. Raises `RpcError`."""

Observer: TypeAlias = Callable[[Notice], None]
"""Takes every notice, in order, and changes nothing. It must not block."""

OnNotice: TypeAlias = Callable[[str, str, JsonObject], None]
"""Takes a notification of a downstream server: the server's name, the method and the params. It
must not block or raise."""

RENEWED: Final = "renewed"
"""The method of a notification without a server: the settings are new, so any list may have
changed."""

METHOD_NOT_FOUND: Final = -32601
"""The JSON-RPC code of a request that the other side does not answer."""

UNDECLARED: Final[JsonObject] = {}
"""The capabilities of a client that declared none. It is never changed."""


def as_rpc_error(error: CallError) -> RpcError:
    """Make the JSON-RPC error of *error* for clients: the server's own if there is one, otherwise
    with the code CONNECTION_CLOSED (-32000) if the server could not be reached or was lost,
    REQUEST_TIMEOUT (-32001) if it did not answer in time, INVALID_PARAMS (-32602) if the request
    cannot be sent, and INTERNAL_ERROR (-32603) if the answer cannot be used."""
    if error.rpc_error is not None:
        return error.rpc_error
    match error:
        case ServerUnavailable(retry_after_s=float() as seconds):
            return RpcError(-32000, error.message, {"code": error.code, "retry_after_s": seconds})
        case ServerUnavailable() | ConnectionLost():
            return RpcError(-32000, error.message)
        case CallTimeout():
            return RpcError(-32001, error.message)
        case InvalidArguments():
            return RpcError(-32602, error.message)
        case PolicyDenied(denied_by=pattern):
            return RpcError(-32602, error.message, {"code": error.code, "denied_by": pattern})
    return RpcError(-32603, error.message)


class Caller(Protocol):
    """The origin of a request to a server: answers the server's questions, and gets its progress
    and log messages. Only `ask` blocks; `log` and `progress` never raise.
    """

    __slots__ = ()

    @property
    def principal(self) -> Principal:
        """The owner of its runs."""
        ...

    @property
    def client(self) -> object:
        """The client, equal for all of its callers: it gets a log message once, and any of its
        callers may answer a question. None without a client, as on the command line."""
        ...

    @property
    def connection(self) -> str | None:
        """The id of the client's connection. Calls that come over different connections take turns;
        None if the principal has one alone."""
        return None

    @property
    def capabilities(self) -> JsonObject:
        """The capabilities that the client declared; empty if it declared none."""
        ...

    @property
    def can_be_asked(self) -> bool:
        """Whether the client declared elicitation, sampling or roots; `ask` still refuses a
        question that needs one of them that it did not declare."""
        ...

    @property
    def takes_input_requests(self) -> bool:
        """Whether a server's result that asks for input goes to the client, which sends its call
        again. Such a client can be asked with `ask` all the same."""
        ...

    @property
    def wants_progress(self) -> bool: ...

    @property
    def is_out_of_time(self) -> bool:
        """Whether the call was sent, and its time is over: if it is cancelled then, that is
        why."""
        return False

    def progress(self, params: JsonObject, /) -> None:
        """Take the progress of the request (`OnProgress`)."""
        ...

    def log(self, params: JsonObject, /) -> bool:
        """Take a log message of the server, the params of a `notifications/message`, that belongs
        to the request, or may. Returns whether the client wants such messages."""
        ...

    def check_question(self, method: str, params: JsonObject, /) -> None:
        """Raise `RpcError` if the client may not be asked this, for a server that asks by its
        result; `ask` checks it anyway."""
        ...

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        """Put a question to the client (`Ask`), if `can_be_asked`: for a call of a run or by name,
        in either protocol era. While it waits, the timeout of the call is paused and its slots are
        free for others; the resources that it claims are not.

        For a yes or no, `ask("elicitation/create", {"message": …, "requestedSchema": {"type":
        "object", "properties": {}}})` gives an object whose `action` is `accept`, `decline` or
        `cancel`. Raises `RpcError` if the client did not declare what the question needs, or does
        not answer.
        """
        ...

    async def ask_person(self, method: str, params: JsonObject, /) -> JsonObject:
        """Put a question for a person to the client over a request of it that is open now, or the
        next one; if that is answered first, over the next. A request over which the question was
        dismissed (`action` is `cancel`) is not used again. Raises `RpcError` if the client cannot
        be asked."""
        raise RpcError(METHOD_NOT_FOUND, f"no client can be asked: {method}")

    @property
    def is_person_there(self) -> bool:
        """Whether a request is open over which `ask_person` puts its question."""
        return False

    @property
    def has_session(self) -> bool:
        """Whether the client has a session, which ends when it leaves."""
        return False

    def waiting(self) -> AbstractContextManager[None]:
        """Open a block for the time in which the request waits for its server to be reached."""
        return nullcontext()

    def not_sent(self, reason: str, /) -> None:
        """Note that the request was cancelled before anything of it was sent. *reason* says what it
        waited for, and goes on from "… was not sent in 5 s: "."""
        return

    @property
    def idempotency_key(self) -> str | None:
        """The same text for every time that one call of a run is sent, under `retries` and by runs
        that go on from another. None for a call that belongs to no run."""
        return None

    async def leave(self) -> None:
        """Wait until the request may be sent, now that its server is reached: one that changes
        something is sent only once its start is written. Raises `CallError` if it may not be
        sent."""
        return

    def answered_from_cache(self) -> None:
        """Note that the answer came from the cache."""
        return

    def tool_has_changed(self) -> None:
        """Note that the tool is not described as when it was first used, and is called all the
        same."""
        return


class NoClient(Caller):
    """The caller of requests without a client."""

    principal = USER
    client = None
    capabilities = UNDECLARED
    can_be_asked = False
    takes_input_requests = False
    wants_progress = False

    def progress(self, params: JsonObject, /) -> None:
        pass

    def log(self, params: JsonObject, /) -> bool:
        return False

    def check_question(self, method: str, params: JsonObject, /) -> None:
        pass

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        raise RpcError(METHOD_NOT_FOUND, f"no client can be asked: {method}")


NO_CLIENT: Final = NoClient()


class CallId(NamedTuple):
    """Names one attempt of one call: of a task or, with *item*, of one item of a `for_each` task.
    For a call by name, *run* is empty, *task* the tool's full name and *item* the number of the
    call."""

    run: str
    task: str
    item: int | None = None
    attempt: int = 1
    at: tuple[int, ...] = ()
    """The items of the groups around the task, the outermost first."""
    round: int = 0
    """The number of answers after which its `repeat` made it again."""


class ToolCall(NamedTuple):
    """One call of one downstream tool: a value, its arguments resolved and checked, and its
    caller."""

    id: CallId
    tool: Tool
    arguments: JsonObject
    policy: ToolPolicy = ToolPolicy()
    """The operator's settings of the tool, in the configuration of the caller."""
    max_age_s: float = 0.0
    """The greatest age of an earlier answer that may be used instead, in seconds; 0 for none."""
    caller: Caller = NO_CLIENT
    is_approved: bool = False
    """Whether a person said yes to it."""
    params: JsonObject | None = None
    """For a call by name, the params of its client's own request, which are sent unchanged: with
    `_meta`, and the client's answers to input requests."""


class CallTool(Protocol):
    """Calls a tool and gives its `CallToolResult` as the server sent it, a JSON object.

    Connections, a cache around them and the fake of the tests are each one. Raises `CallError` and
    nothing else: to refuse a call, such as `PolicyDenied`. Cancelling the task cancels the call at
    its server. The caller bounds the time.

    It is called for each attempt (`call.id.attempt`). When a client takes input requests itself
    (`takes_input_requests`), its call with the answers is another call, whose `params` have
    `inputResponses`: a wrapper that asks the client sees both, and would ask twice. So it keeps an
    answer for the call, not for the attempt; `inputResponses` alone prove no answer to its own
    question, as a client may send them with its first call.
    """

    def __call__(self, call: ToolCall, /) -> Awaitable[JsonObject]: ...


class ResourceResolver(Protocol):
    """Finds the file that a server means by a name: one key for each file, whatever its names."""

    def at_once(self, name: ResourceName, /) -> str | None:
        """Return the key, if no file system has to be asked for it; else None."""
        ...

    def look_up(self, name: ResourceName, /) -> str | None:
        """Ask the file system for the key; None if it would only wait where others wait already. It
        is called in a thread, since it may wait for a disk or a network. It never raises."""
        ...


class Servers(Protocol):
    """The downstream servers, connected in the background."""

    def catalog(self) -> Catalog:
        """Return every configured server, and the known tools."""
        ...

    async def settled(self, names: Iterable[str] | None = None) -> None:
        """Wait until the first attempt to connect to each of *names* (all, for None) has ended."""
        ...


class RunStore(Protocol):
    """Keeps the records and outputs of runs for `get_run` and `resume_from`. It is bounded: the
    oldest finished runs are dropped first.

    Its methods are called on the event loop, some while a step of the scheduler is carried out, and
    must not block: a store on a disk answers from memory and writes behind it, as `InMemoryRuns`
    with a journal would. It is loaded and saved where `app/parts.py` does so with `StatsFile`:
    before the servers start, and after they have stopped.

    It holds runs that have only begun, too; after a crash it is the store that ends them, as if
    they had been cancelled: `status` and `stopped_by` of the run, and the `status` of each task
    that was not final. Several gateways of a user may share a folder, so it ends those of a gateway
    that is gone, and no others.
    """

    def add(self, record: RunRecord) -> None:
        """Keep a run that has begun. It is called once for each run; what it raises is logged, and
        does not disturb the run."""
        ...

    def put(self, record: RunRecord, outputs: Mapping[str, Output]) -> None:
        """Keep the last record of a run, and the outputs that its tasks left. It is called once, at
        the end of the run; what it raises is logged, and does not disturb those who wait for it.

        A record is JSON (`RunRecord.document`, `from_document`), without the outputs. An output is
        a dataclass, and each of its fields is JSON.
        """
        ...

    def get(self, run_id: str, principal: Principal) -> RunRecord | None:
        """Return the latest record; None if the run is unknown, or *principal* may not see it. For
        an active run it is called only in the latter case."""
        ...

    def output(self, run_id: str, task: str) -> Output | None:
        """Return the output of a task; None if absent. It does not check the principal. It is
        called only for runs that have ended."""
        ...

    def ids(self, principal: Principal) -> list[str]:
        """List the ids of the runs of *principal*, the latest first; empty for `ANYONE`."""
        ...


@dataclass(frozen=True, slots=True)
class ServerListing:
    """The lists of one downstream server, each entry as it sent it, with all members."""

    server: str
    capabilities: JsonObject = field(default_factory=dict)
    tools: tuple[JsonObject, ...] = ()
    """Without the tools that the settings leave out."""
    resources: tuple[JsonObject, ...] = ()
    templates: tuple[JsonObject, ...] = ()
    prompts: tuple[JsonObject, ...] = ()
    instructions: str | None = None


@dataclass(frozen=True, slots=True)
class RelayRequest:
    """One request for a downstream server. `meta` is the client's `_meta`, without the members that
    belong to the client's own connection (protocol version, client, capabilities, progress
    token)."""

    server: str
    method: str
    params: JsonObject = field(default_factory=dict)
    meta: JsonObject = field(default_factory=dict)
    caller: Caller = NO_CLIENT


class Downstream(Protocol):
    """The downstream servers, for relaying: their lists as they sent them, and requests sent as
    they are."""

    def offers(self) -> tuple[ServerListing, ...]:
        """Return the lists of every known server; the same object (`is`) until something
        changes."""
        ...

    async def request(self, request: RelayRequest, /) -> JsonObject:
        """Return the server's result unchanged, unknown members included. Raises `RpcError`: the
        server's own, or the one of `as_rpc_error`. Cancelling the task cancels the request at its
        server."""
        ...

    async def notify(self, server: str, method: str, params: JsonObject) -> None:
        """Send one server a notification, such as `notifications/roots/list_changed`."""
        ...

    def listen(self, hear: OnNotice) -> Callable[[], None]:
        """Subscribe *hear* to the notifications of servers (changed lists, updated resources, log
        messages outside of requests); returns a function that ends it."""
        ...

    async def watch(self, server: str, uri: str) -> Callable[[], None]:
        """Let *server* send updates of its resource *uri*, as long as any client watches it.
        Returns a function that ends this watch. Raises `RpcError` as `request`."""
        ...

    def set_level(self, client: object, level: str | None) -> None:
        """Let servers send the log messages that *client* wants, from *level* on; None once it has
        left. They get the lowest level that any client asked for."""
        ...

    def join(self, ask: Ask | None) -> Callable[[], None]:
        """Add a connected client. *ask* puts questions to it that servers ask outside of any
        request, which is `roots/list` alone; None if it has no roots. Returns a function that
        removes it."""
        ...

    def askers(self) -> list[str]:
        """List the servers that have asked for roots outside of any request, if a client can answer
        them now."""
        ...


class ServerPins(Protocol):
    """The pinned definitions of the tools of one server, as hashes
    (`core/tools/definitions.py`)."""

    def has(self, tool: str, hash: str) -> bool:
        """Return whether the definition with that *hash* is known to be the pinned one."""
        ...

    async def settle(self, tool: str, hash: str, definition: JsonObject) -> bool:
        """Return whether *definition*, whose hash is *hash*, may be that of *tool*: it is the
        pinned one, or the first, which is pinned then."""
        ...

    def changed(self, hash_of: Callable[[str], str | None]) -> tuple[str, ...]:
        """Return the tools whose definition is not the pinned one. *hash_of* gives the hash of a
        tool, None for one that is not there."""
        ...


class Pins(Protocol):
    """Keeps the definitions of tools as they were when they were first used."""

    def of(self, key: str) -> ServerPins:
        """Return the pins of one server."""
        ...

    async def load(self) -> None:
        """Read the pins of servers that were not read yet; bounded in time."""
        ...

    async def keep(self) -> None:
        """Write what is new, until cancelled."""
        ...

    async def save(self) -> None:
        """Write what is new; bounded in time."""
        ...


class Listings(Protocol):
    """Keeps the lists of each server from one start to the next. Nothing depends on it."""

    def of(self, key: str) -> CachedListing:
        """Return the entry of one server; empty until it is loaded."""
        ...

    async def load(self) -> None:
        """Read the entries that `of` returned and that were not read yet; bounded in time."""
        ...

    async def keep(self) -> None:
        """Write what changes, until cancelled."""
        ...

    async def save(self) -> None:
        """Write what changed; bounded in time."""
        ...
