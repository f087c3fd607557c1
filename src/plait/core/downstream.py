"""What relaying needs from the downstream servers: their lists as they sent them, and requests sent as they are.

Tools of a DAG are called by `CallTool` (`core/ports.py`); this is for everything else that a client may ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from .ports import Ask, OnLog, OnProgress, RpcError
from .values.strict import Json, JsonObject

__all__ = ["RENEWED", "Ask", "Downstream", "OnNotice", "RelayRequest", "RpcError", "ServerListing", "Turn", "Visit"]

OnNotice: TypeAlias = Callable[[str, str, JsonObject], None]
"""Told what a downstream server notifies of: its name, the method and the params. It must not block or raise."""

RENEWED: Final = "renewed"
"""The method of a notice that comes from no server: there are new settings, so that any list may be another."""


@dataclass(frozen=True, slots=True)
class ServerListing:
    """What one downstream server offers, each entry as it listed it, with all its members."""

    server: str
    capabilities: JsonObject = field(default_factory=dict)
    tools: tuple[JsonObject, ...] = ()
    """Those that the settings leave in."""
    resources: tuple[JsonObject, ...] = ()
    templates: tuple[JsonObject, ...] = ()
    prompts: tuple[JsonObject, ...] = ()
    instructions: str | None = None


@dataclass(frozen=True, slots=True)
class RelayRequest:
    """One request for a downstream server. `meta` is the client's `_meta`, without what belongs to its own connection
    (protocol version, client, capabilities, progress token)."""

    server: str
    method: str
    params: JsonObject = field(default_factory=dict)
    meta: JsonObject = field(default_factory=dict)
    on_progress: OnProgress | None = None
    ask: Ask | None = None
    """None where the upstream client can be asked for nothing."""
    capabilities: JsonObject = field(default_factory=dict)
    """What the upstream client said that it can do: for servers of 2026-07-28, which are told with each request."""
    on_log: OnLog | None = None
    """Told what the server logs that belongs to this request, or may; None where every listener is to be told."""


class Turn(Protocol):
    """The turn of one call that belongs to no run: it may be sent, and holds its room until the block is left."""

    def paused(self) -> AbstractContextManager[None]:
        """While that block runs, the client is asked something, and the call takes no room."""
        ...

    def went_well(self) -> None:
        """The call was answered as it should be: how long it took counts."""
        ...


Visit: TypeAlias = Callable[[str, str, Json], AbstractAsyncContextManager[Turn]]
"""Waits for the turn of one call, given its server, the server's name of the tool, and the arguments."""


class Downstream(Protocol):
    """The downstream servers, for relaying."""

    def offers(self) -> tuple[ServerListing, ...]:
        """Of every server that was reached, as they are now; equal (`is`) as long as nothing has changed."""
        ...

    async def request(self, request: RelayRequest, /) -> JsonObject:
        """The server's result as it came, members we do not know included. Raises `RpcError` as the server (or, with a
        code of ours, the way to it) said it. Cancelling the caller cancels the request at its server."""
        ...

    async def notify(self, server: str, method: str, params: JsonObject) -> None:
        """Tell one server something, such as `notifications/roots/list_changed`."""
        ...

    def listen(self, hear: OnNotice) -> Callable[[], None]:
        """From now on *hear* is told what servers notify of (lists that changed, resources that were updated, log
        messages that belong to no request); gives what ends that."""
        ...

    def join(self, ask: Ask | None) -> Callable[[], None]:
        """A client is connected. *ask* puts to it what servers ask outside of any request, which is for roots alone;
        None for a client that has none. Gives what says that it has left."""
        ...

    def askers(self) -> list[str]:
        """The servers that have asked for roots outside of any request, if there is a client to answer them now."""
        ...
