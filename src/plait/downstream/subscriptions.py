"""Subscriptions at one server: the resources that clients watch, and a log level. They outlive
connections.

A server of the handshake era gets requests, and the same again after each handshake. One of
2026-07-28 gets the resources with its change stream, and the level with each request.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

import anyio
import mcp_types as types
from mcp import MCPError

from ..core.values.strict import JsonObject
from ..errors import CallError, RpcError
from .change_stream import ChangeStream
from .eras.handshake import Era

log = logging.getLogger(__name__)

MOST_WATCHED = 1_000
"""Most resources of one server that may be watched at once."""

Send: TypeAlias = Callable[[str, JsonObject], Awaitable[JsonObject]]
"""Relays one request: its method and its params."""


class Subscriber(Protocol):
    """The part of a `ProtocolSession` that subscriptions need."""

    @property
    def era(self) -> Era: ...

    change_stream: ChangeStream | None

    async def request(self, method: str, params: JsonObject) -> JsonObject: ...


class ServerSubscriptions:
    """The watched resources of one server, in order, and the log level, None for the server's
    own."""

    def __init__(self) -> None:
        self.watched: dict[str, None] = {}
        self.level: str | None = None

    def __repr__(self) -> str:
        return f"<ServerSubscriptions: {len(self.watched)} resources, level {self.level}>"

    def handles(self, method: str) -> bool:
        """Whether requests of *method* go through `send`."""
        return method in {"resources/subscribe", "resources/unsubscribe", "logging/setLevel"}

    async def send(
        self, session: Subscriber, method: str, params: JsonObject, send: Send
    ) -> JsonObject:
        """Carry out a request of *method* on *session*; *send* relays one. Raises `RpcError`, and
        whatever *send* raises."""
        match method, params:
            case "resources/subscribe", {"uri": str(uri)}:
                return await self._watch(session.change_stream, uri, params, send)
            case "resources/unsubscribe", {"uri": str(uri)}:
                was_watched = uri in self.watched
                self.watched.pop(uri, None)
                if session.change_stream is None:
                    return await send(method, params)
                if was_watched:
                    await session.change_stream.reopen()
                return {}
            case "logging/setLevel", {"level": str(level)}:
                result = await send(method, params) if session.era is Era.LEGACY else {}
                self.level = level
                return result
        raise RpcError(types.INVALID_PARAMS, "Invalid request parameters")

    async def _watch(
        self, stream: ChangeStream | None, uri: str, params: JsonObject, send: Send
    ) -> JsonObject:
        if uri not in self.watched and len(self.watched) >= MOST_WATCHED:
            raise RpcError(
                types.INVALID_PARAMS,
                f"No more than {MOST_WATCHED:,} resources of a server can be watched.",
            )
        if stream is None:
            result = await send("resources/subscribe", params)
            self.watched[uri] = None
            return result
        was_watched = uri in self.watched
        self.watched[uri] = None
        try:
            if not was_watched or not stream.covers(uri):
                await stream.reopen()
            if not stream.covers(uri):
                raise RpcError(
                    types.INVALID_PARAMS, "The server does not report changes of this resource."
                )
        except BaseException:
            self.watched.pop(uri, None)
            raise
        return {}

    async def restore(self, session: Subscriber) -> None:
        """Subscribe again at a server of the handshake era that was reconnected. Refusals are only
        logged."""
        if session.era is not Era.LEGACY:
            return
        requests: list[tuple[str, JsonObject]] = [
            ("resources/subscribe", {"uri": uri}) for uri in self.watched
        ]
        if self.level is not None:
            requests.append(("logging/setLevel", {"level": self.level}))
        for method, params in requests:
            try:
                await session.request(method, params)
            except (
                MCPError,
                CallError,
                anyio.BrokenResourceError,
                anyio.ClosedResourceError,
            ) as error:
                log.debug("subscription.refused", extra={"method": method, "error": str(error)})
