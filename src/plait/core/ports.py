"""What the core and the gateway need from the world, each a Protocol that a shell implements."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol, TypeAlias

from .results.record import RunRecord
from .scheduling.events import Notice
from .tools.catalog import Catalog, Tool
from .tools.claims import ResourceName
from .tools.output import Output
from .values.principal import Principal
from .values.strict import Json, JsonObject

OnProgress: TypeAlias = Callable[[JsonObject], None]
"""Told a call's own progress: the params of a `notifications/progress` as the server sent them, `progress` a number.
It must not block or raise."""

OnLog: TypeAlias = Callable[[JsonObject], None]
"""Told a log message of a server that belongs to a call, or may: the params of a `notifications/message` as they came.
Two that are equal tell the same client, which hears it once. It must not block or raise."""

Ask: TypeAlias = Callable[[str, JsonObject], Awaitable[JsonObject]]
"""Puts a request of a downstream server (`elicitation/create`, `sampling/createMessage`, `roots/list`, with its params)
to the upstream client on whose behalf it was called, and gives the client's result. Raises `RpcError`."""

Waiting: TypeAlias = Callable[[], AbstractContextManager[None]]
"""Opens a block for as long as a call waits for its server to be there: that is not the time of the call."""

Observer: TypeAlias = Callable[[Notice], None]
"""Told everything that changes, in order; changes nothing. It must not block."""


class RpcError(Exception):
    """A JSON-RPC error as one side sent it, to be given to the other as it is."""

    def __init__(self, code: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


UNDECLARED: JsonObject = {}
"""What a client can do that said nothing of it. It is never changed."""


class ToolCall(NamedTuple):
    """One call of one downstream tool, with its arguments resolved and checked."""

    tool: Tool
    arguments: JsonObject
    on_progress: OnProgress | None = None
    cache_s: float = 0.0
    """How old an answer may be that is used again instead of a call, in seconds; 0 for none."""
    cache_stat: str | None = None
    """The argument that names a file: such an answer is good only as long as that file has not changed."""
    on_cached: Callable[[], None] | None = None
    """Told if the answer is an earlier one."""
    ask: Ask | None = None
    """None where there is nobody to be asked."""
    capabilities: JsonObject = UNDECLARED
    """What the client that is asked said that it can do, as it said it."""
    on_log: OnLog | None = None
    """None where nobody in particular is told: then every client is."""
    waiting: Waiting = nullcontext


class UpstreamClient(Protocol):
    """The client on whose behalf a run is made: servers may ask it something while their calls are open, and what they
    log meanwhile is for it alone."""

    @property
    def principal(self) -> Principal:
        """The owner of its runs."""
        ...

    @property
    def can_be_asked(self) -> bool: ...

    @property
    def on_log(self) -> OnLog: ...

    @property
    def capabilities(self) -> JsonObject:
        """What it said that it can do, as it said it; nothing where there is nobody to be asked."""
        ...

    async def ask(self, method: str, params: JsonObject, /) -> JsonObject:
        """As `Ask`."""
        ...


class CallTool(Protocol):
    """Calls a tool and gives its `CallToolResult` as the server sent it, a JSON object.

    Connections do, a cache around them does, and a fake in tests. Raises `CallError` and nothing else. Cancelling
    the caller cancels the call at its server. The caller bounds the time.
    """

    def __call__(self, call: ToolCall, /) -> Awaitable[JsonObject]: ...


class ResourceResolver(Protocol):
    """Finds the file that a server means by a name: one key for each, whatever the server calls it."""

    def at_once(self, name: ResourceName, /) -> str | None:
        """The key, if no file system has to be asked for it."""
        ...

    def look_up(self, name: ResourceName, /) -> str | None:
        """The key, by the file system as it is now; None if it would only wait where others wait already. Called in a
        thread, for it may wait for a disk or a network. It never raises."""
        ...


class Servers(Protocol):
    """The downstream servers, connected in the background."""

    def catalog(self) -> Catalog:
        """What is known now: every configured server, and the tools of those that were reached."""
        ...

    async def settled(self, names: Iterable[str] | None = None) -> None:
        """Wait until the first attempt to connect to each of *names* (all, for None) has come to something."""
        ...


class RunStore(Protocol):
    """Keeps runs for `get_run` and `resume_from`: their records, and beside them the outputs. It is bounded: the oldest
    finished runs go first."""

    def add(self, record: RunRecord) -> None:
        """Keep a run that has begun."""
        ...

    def put(self, record: RunRecord, outputs: Mapping[str, Output]) -> None:
        """Keep the last record of a run, and the outputs that its tasks left."""
        ...

    def get(self, run_id: str, principal: Principal) -> RunRecord | None:
        """The record that was kept last; None if the run is unknown, or *principal* may not see it."""
        ...

    def output(self, run_id: str, task: str) -> Output | None:
        """The output that a task left, for whoever may see the run."""
        ...

    def ids(self, principal: Principal) -> list[str]:
        """The ids of the runs of *principal*, the latest first; none for `ANYONE`."""
        ...
