"""Subscriptions of upstream clients: resources that they watch, and log levels.

Each server has one connection for all clients. It is asked to send when the first client wants
something, and to stop when no client does any more.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

import anyio
import mcp_types as types
from mcp import MCPError

from ...core.ports import Downstream, RelayRequest, ServerListing
from ...core.tools.naming import Entry
from ...core.values.strict import JsonObject
from ...errors import RpcError
from ..mcp_sdk import RequestContext, connection_of
from ..resources import is_ours
from .input_requests import ask_for_roots
from .listings import offers_capability
from .notifications import TransportState
from .request_caller import LEVELS, LegacySession
from .router import Router

log = logging.getLogger(__name__)

MOST_WATCHED = 10_000
UNSUBSCRIBE_S = 4.0
"""Time to withdraw the subscriptions of a client that has left."""

Send: TypeAlias = Callable[[RelayRequest], Awaitable[JsonObject]]


@dataclass(slots=True)
class _Watch:
    clients: int = 0
    is_on: bool = False
    """Whether the server was asked last to send updates."""
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class WatchedResources:
    """The resources that clients watch, each subscribed once at its server with *send*."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._watches: dict[Entry, _Watch] = {}

    def __repr__(self) -> str:
        return f"<WatchedResources: {len(self._watches)}>"

    async def add(self, entry: Entry) -> None:
        """Count one more client that watches the resource *entry*. Raises `RpcError` where the
        server refuses, and `MCPError` above `MOST_WATCHED`."""
        if entry not in self._watches and len(self._watches) >= MOST_WATCHED:
            raise MCPError(
                types.INVALID_PARAMS, f"No more than {MOST_WATCHED:,} resources can be watched."
            )
        watch = self._watches.setdefault(entry, _Watch())
        watch.clients += 1
        try:
            await self._settle(entry, watch)
        except BaseException:
            watch.clients -= 1
            self._drop_unused(entry, watch)
            raise

    async def remove(self, entry: Entry) -> None:
        """Count one client less. Raises `RpcError` where the server refuses to unsubscribe."""
        watch = self._watches[entry]
        watch.clients -= 1
        await self._settle(entry, watch)

    async def remove_all(self, entries: Iterable[Entry]) -> None:
        """Remove *entries* for a client that has left. A server that does not answer in time may
        go on sending updates."""
        watches = {entry: self._watches[entry] for entry in entries}
        for watch in watches.values():
            watch.clients -= 1

        async def settle(entry: Entry, watch: _Watch) -> None:
            try:
                await self._settle(entry, watch)
            except RpcError:
                log.debug("unsubscribe.failed", exc_info=True)

        with anyio.move_on_after(UNSUBSCRIBE_S, shield=True):
            async with anyio.create_task_group() as tasks:
                for entry, watch in watches.items():
                    tasks.start_soon(settle, entry, watch)

    async def _settle(self, entry: Entry, watch: _Watch) -> None:
        """Subscribe or unsubscribe at the server if that has changed; one request at a time."""
        try:
            async with watch.lock:
                is_wanted = watch.clients > 0
                if is_wanted != watch.is_on:
                    method = "resources/subscribe" if is_wanted else "resources/unsubscribe"
                    watch.is_on = is_wanted
                    await self._send(RelayRequest(entry[0], method, {"uri": entry[1]}))
        except BaseException:
            watch.is_on = False
            raise
        finally:
            self._drop_unused(entry, watch)

    def _drop_unused(self, entry: Entry, watch: _Watch) -> None:
        if not watch.clients and not watch.is_on and self._watches.get(entry) is watch:
            del self._watches[entry]


class LogLevels:
    """The log levels that clients of the handshake era asked for. Servers are sent the lowest."""

    def __init__(self) -> None:
        self.wanted: dict[LegacySession, str] = {}
        self._sent: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<LogLevels of {len(self.wanted)} clients>"

    def due(self, offers: Iterable[ServerListing]) -> list[RelayRequest]:
        """Return the requests to send now; each is returned once."""
        if not self.wanted:
            return []
        lowest = min(self.wanted.values(), key=lambda level: LEVELS[level])
        late = [
            offer.server
            for offer in offers
            if offers_capability(offer, "logging") and self._sent.get(offer.server) != lowest
        ]
        self._sent.update(dict.fromkeys(late, lowest))
        return [RelayRequest(server, "logging/setLevel", {"level": lowest}) for server in late]


class ClientSubscriptions:
    """Answers the requests with which clients subscribe. *send* sends requests to the servers that
    *router* finds."""

    def __init__(self, router: Router, send: Send, downstream: Downstream) -> None:
        self._router = router
        self._send = send
        self._downstream = downstream
        self._levels = LogLevels()
        self._resources = WatchedResources(send)

    def __repr__(self) -> str:
        return f"<ClientSubscriptions: {self._levels!r}, {self._resources!r}>"

    def session_of(self, ctx: RequestContext) -> LegacySession:
        """Return the session of the connection of *ctx*, which is of the handshake era. It is made
        at the first call, and lasts until the connection ends."""
        transport: TransportState = ctx.lifespan_context
        connection = connection_of(ctx)
        if (session := transport.sessions.get(connection)) is None:
            session = transport.sessions[connection] = LegacySession(ctx, transport.tasks)
            has = ctx.session.client_capabilities
            has_roots = has is not None and has.roots is not None
            leave = self._downstream.join(
                partial(ask_for_roots, ctx.session) if has_roots else None
            )

            async def end() -> None:
                session.has_left = True
                del transport.sessions[connection]
                leave()
                transport.notify_roots_changed()
                self._levels.wanted.pop(session, None)
                await self._resources.remove_all(list(session.watched))

            connection.exit_stack.push_async_callback(end)
            transport.notify_roots_changed()
        return session

    def set_level(self, ctx: RequestContext, level: str) -> None:
        """Answer `logging/setLevel`."""
        session = self.session_of(ctx)
        session.level = self._levels.wanted[session] = level
        self.send_levels(ctx.lifespan_context)

    def send_levels(self, transport: TransportState) -> None:
        """Send the log level to servers that have connected since it was set."""
        if not self._levels.wanted:
            return

        async def send(request: RelayRequest) -> None:
            try:
                await self._send(request)
            except RpcError:
                log.debug("level.refused", extra={"server": request.server}, exc_info=True)

        for request in self._levels.due(self._router.listing().offers):
            transport.tasks.start_soon(send, request)

    async def subscribe(self, ctx: RequestContext, uri: str) -> None:
        """Answer `resources/subscribe` of a client of the handshake era. Raises `RpcError` and
        `MCPError`."""
        if is_ours(uri):
            return
        session, entry = self.session_of(ctx), await self._router.resource(uri, modern=False)
        if entry in session.watched:
            return
        await self._resources.add(entry)
        if entry in session.watched:  # the client subscribed twice at the same time
            await self._resources.remove(entry)
        session.watched[entry] = uri

    async def unsubscribe(self, ctx: RequestContext, uri: str) -> None:
        """Answer `resources/unsubscribe`. Raises `RpcError` and `MCPError`."""
        watched = self.session_of(ctx).watched
        entry = next((entry for entry, name in watched.items() if name == uri), None)
        if entry is not None:
            del watched[entry]
            await self._resources.remove(entry)

    async def listen(
        self, ctx: RequestContext, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Answer `subscriptions/listen`: its resources are watched while the stream is open. Those
        whose server sends no updates are left out."""
        transport: TransportState = ctx.lifespan_context
        watched: list[Entry] = []
        try:
            for uri in dict.fromkeys(params.notifications.resource_subscriptions or ()):
                entry = self._router.find_resource(uri)
                if entry is None or not self._router.offers(entry[0], "resources", "subscribe"):
                    continue
                try:
                    await self._resources.add(entry)
                except RpcError:
                    continue
                watched.append(entry)
            return await transport.listen(ctx, params)
        finally:
            await self._resources.remove_all(watched)
