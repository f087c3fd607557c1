"""What the clients want one server to tell of: resources that they watch, and a log level. It
outlives connections.

A server of the handshake era is told by requests, and told again after each handshake. One of
2026-07-28 hears of the resources in its stream of changes, and of the level with each request.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio
import mcp_types as types
from mcp import MCPError

from ...core.ports import RpcError
from ...core.values.strict import JsonObject
from ...errors import CallError
from ..eras.handshake import Era
from ..listening import Wanted
from ..session import ProtocolSession

log = logging.getLogger(__name__)

MOST_WATCHED = 1_000
"""How many resources of one server may be watched at once."""

Send = Callable[[str, JsonObject], Awaitable[JsonObject]]


class ServerSubscriptions(Wanted):
    """What is wanted of one server, and how it is told."""

    def __repr__(self) -> str:
        return f"<Interests: {len(self.watched)} resources, level {self.level}>"

    def are_told_by(self, method: str) -> bool:
        """Whether a request of *method* says what is wanted, and so is for `tell`."""
        return method in {"resources/subscribe", "resources/unsubscribe", "logging/setLevel"}

    async def tell(
        self, wire: ProtocolSession, method: str, params: JsonObject, send: Send
    ) -> JsonObject:
        """Carry out a request of *method* on *wire*; *send* relays one. Raises `RpcError` and what
        *send* raises."""
        match method, params:
            case "resources/subscribe", {"uri": str(uri)}:
                return await self._watch(wire, uri, params, send)
            case "resources/unsubscribe", {"uri": str(uri)}:
                return await self._leave(wire, uri, params, send)
            case "logging/setLevel", {"level": str(level)}:
                result = await send(method, params) if wire.era is Era.LEGACY else {}
                self.level = level
                return result
        raise RpcError(types.INVALID_PARAMS, "Invalid request parameters")

    async def restore(self, wire: ProtocolSession) -> None:
        """Tell a server that was connected to again what it was told before; what it refuses is
        only logged."""
        if wire.era is not Era.LEGACY:
            return
        told: list[tuple[str, JsonObject]] = [
            ("resources/subscribe", {"uri": uri}) for uri in self.watched
        ]
        if self.level is not None:
            told.append(("logging/setLevel", {"level": self.level}))
        for method, params in told:
            try:
                await wire.request(method, params)
            except (
                MCPError,
                CallError,
                anyio.BrokenResourceError,
                anyio.ClosedResourceError,
            ) as error:
                log.debug("interest.refused", extra={"method": method, "error": str(error)})

    async def _watch(
        self, wire: ProtocolSession, uri: str, params: JsonObject, send: Send
    ) -> JsonObject:
        if uri not in self.watched and len(self.watched) >= MOST_WATCHED:
            raise RpcError(
                types.INVALID_PARAMS,
                f"No more than {MOST_WATCHED:,} resources of a server can be watched.",
            )
        if wire.listening is None:
            result = await send("resources/subscribe", params)
            self.watched[uri] = None
            return result
        was_watched = uri in self.watched
        self.watched[uri] = None
        try:
            if not was_watched or not wire.listening.tells_of(uri):
                await wire.listening.renew()
            if not wire.listening.tells_of(uri):
                raise RpcError(
                    types.INVALID_PARAMS, "The server does not tell of changes of this resource."
                )
        except BaseException:
            self.watched.pop(uri, None)
            raise
        return {}

    async def _leave(
        self, wire: ProtocolSession, uri: str, params: JsonObject, send: Send
    ) -> JsonObject:
        was_watched = uri in self.watched
        self.watched.pop(uri, None)
        if wire.listening is None:
            return await send("resources/unsubscribe", params)
        if was_watched:
            await wire.listening.renew()
        return {}
