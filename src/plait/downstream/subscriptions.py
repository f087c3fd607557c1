"""Subscriptions at one server: the resources that are watched, and a log level. They outlive
connections.

All clients of all configurations that have the server share its subscriptions, so they are counted
here. A server is asked for the updates of a resource when its first watch begins, and asked to stop
after its last has ended.

*The invariants.*

1. A watch counts before anything is sent for it, until it is refused or ended. Its end only counts:
   it cannot fail, wait or be cancelled, so no client that leaves is counted for ever.
2. One request about a resource is under way at a time.
3. Whatever else is due is sent by `keep`, which runs as long as a session: what is watched already
   when it begins, what has moved here from another connection, and the end of what has no watch
   any more.

A server of the handshake era gets requests. One of 2026-07-28 gets the resources with its change
stream, and the level with each request.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias, get_args

import anyio
import mcp_types as types
from mcp import MCPError

from ..core.values.strict import JsonObject
from ..errors import CallError, RpcError
from ..waiting import Signal
from .change_stream import ChangeStream
from .eras.handshake import Era, Greeting

log = logging.getLogger(__name__)

MOST_WATCHED = 1_000
"""Most resources of one server that may be watched at once."""
SEND_S = 4.0
"""Longest wait for the answer to a request of `keep`."""
_RANKS: Final = {level: rank for rank, level in enumerate(get_args(types.LoggingLevel))}

Send: TypeAlias = Callable[[str, JsonObject], Awaitable[JsonObject]]
"""Sends one request: its method and its params."""


def lowest(levels: Iterable[str | None]) -> str | None:
    """Return the log level that gives the most messages"""
    return min((level for level in levels if level), key=_RANKS.__getitem__, default=None)


class Subscriber(Protocol):
    """The part of a `ProtocolSession` that subscriptions need."""

    @property
    def era(self) -> Era: ...

    greeting: Greeting | None
    change_stream: ChangeStream | None

    async def request(self, method: str, params: JsonObject) -> JsonObject: ...


@dataclass(eq=False, slots=True)
class _Resource:
    watches: int = 0
    at: Subscriber | None = None
    """The session on which the server was asked last to send updates."""
    lock: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def is_unused(self) -> bool:
        return not self.watches and self.at is None and not self.lock.locked()


class ServerSubscriptions:
    """The watched resources of one server, and the log level that its clients want, None for its
    own."""

    def __init__(self) -> None:
        self.level: str | None = None
        self._resources: dict[str, _Resource] = {}
        self._changed = Signal()

    def __repr__(self) -> str:
        return f"<ServerSubscriptions: {len(self.watched)} resources, level {self.level}>"

    @property
    def watched(self) -> list[str]:
        """The resources that are watched."""
        return [uri for uri, resource in self._resources.items() if resource.watches]

    def set_level(self, level: str | None) -> None:
        """Want log messages from *level* on. Without one, a server keeps what it was sent."""
        self.level = level
        self._changed.notify()

    def watch(self, uri: str) -> None:
        """Count one more watch of the resource *uri*, until `unwatch`. Raises `RpcError` above
        `MOST_WATCHED`."""
        resource = self._resources.get(uri)
        if (resource is None or not resource.watches) and len(self.watched) >= MOST_WATCHED:
            raise RpcError(
                types.INVALID_PARAMS,
                f"No more than {MOST_WATCHED:,} resources of a server can be watched.",
            )
        self._resources.setdefault(uri, _Resource()).watches += 1

    def unwatch(self, uri: str) -> None:
        """Count one watch of *uri* less."""
        self._resources[uri].watches -= 1
        self._drop_unused(uri)
        self._changed.notify()

    def move_in(self, uri: str) -> None:
        """Count one more watch of *uri*, which was at another connection before. Raises `RpcError`
        as `watch`."""
        self.watch(uri)
        self._changed.notify()

    async def subscribe(self, session: Subscriber, uri: str, send: Send) -> None:
        """Ask for the updates of *uri*, which is watched, unless that was done on *session*; *send*
        sends a request. Raises `RpcError`, and whatever *send* raises."""
        async with self._alone(uri) as resource:
            stream = session.change_stream
            is_sent = resource.at is session and (stream is None or stream.covers(uri))
            if is_sent or not resource.watches:
                return
            resource.at = session
            try:
                if stream is None:
                    await send("resources/subscribe", {"uri": uri})
                    return
                if not stream.covers(uri):
                    await stream.reopen()
                if not stream.covers(uri):
                    raise RpcError(
                        types.INVALID_PARAMS, "The server does not report changes of this resource."
                    )
            except BaseException:
                resource.at = None
                raise

    async def keep(self, session: Subscriber) -> None:
        """Send what is due on *session*, until cancelled. Refusals are only logged, and what was
        refused is not sent again."""
        refused: set[str] = set()
        sent_level: str | None = None
        try:
            while True:
                seen = self._changed.count
                if self.level != sent_level and self.level is not None:
                    sent_level = self.level
                    await self._send_level(session, sent_level)
                refused &= self._resources.keys()
                for uri, resource in list(self._resources.items()):
                    if resource.watches and resource.at is not session and uri not in refused:
                        if not await _is_sent(self.subscribe(session, uri, session.request), uri):
                            refused.add(uri)
                    elif not resource.watches and resource.at is session:
                        await _is_sent(self._unsubscribe(session, uri), uri)
                await self._changed.wait(seen)
        finally:
            for uri, resource in list(self._resources.items()):
                if resource.at is session:
                    resource.at = None
                self._drop_unused(uri)

    async def _send_level(self, session: Subscriber, level: str) -> None:
        has_levels = session.greeting is not None and session.greeting.has("logging")
        if session.era is Era.LEGACY and has_levels:
            await _is_sent(session.request("logging/setLevel", {"level": level}), level)

    async def _unsubscribe(self, session: Subscriber, uri: str) -> None:
        async with self._alone(uri) as resource:
            if resource.watches or resource.at is not session:
                return
            resource.at, stream = None, session.change_stream
            if stream is None:
                await session.request("resources/unsubscribe", {"uri": uri})
            elif stream.covers(uri):
                await stream.reopen()

    @asynccontextmanager
    async def _alone(self, uri: str) -> AsyncIterator[_Resource]:
        """Wait until no other request about *uri* is under way."""
        resource = self._resources.setdefault(uri, _Resource())
        try:
            async with resource.lock:
                yield resource
        finally:
            self._drop_unused(uri)

    def _drop_unused(self, uri: str) -> None:
        if uri in self._resources and self._resources[uri].is_unused:
            del self._resources[uri]


async def _is_sent(request: Awaitable[object], subject: str) -> bool:
    """Wait for the answer to *request*, at most `SEND_S`; return whether it was a result."""
    with anyio.move_on_after(SEND_S):
        try:
            await request
        except (
            MCPError,
            CallError,
            RpcError,
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
        ) as error:
            log.debug("subscription.refused", extra={"subject": subject, "error": str(error)})
            return False
        return True
    return False
