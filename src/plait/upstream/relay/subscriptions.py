"""Subscriptions of upstream clients: resources that they watch, and log levels.

Servers are shared with other clients, also of other gateways of this process. So each watch of a
client is passed on by itself, and ended with its session or stream; `Downstream` asks a server to
send when the first one begins, and to stop after the last.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio
import mcp_types as types
from mcp import MCPError

from ...core.ports import Downstream
from ...core.tools.naming import Entry
from ...errors import RpcError
from ..mcp_sdk import RequestContext, connection_of
from ..resources import is_ours
from .input_requests import ask_for_roots
from .notifications import TransportState
from .request_caller import LegacySession, Watched
from .router import Router

MOST_WATCHED = 10_000
"""Most resources that one session or stream may watch."""
WATCH_S = 3_600.0
"""Time limit of a request to a server to send updates."""


class ClientSubscriptions:
    """Answers the requests with which clients subscribe, at the servers of *downstream* that
    *router* finds."""

    def __init__(self, router: Router, downstream: Downstream) -> None:
        self._router = router
        self._downstream = downstream

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

            def end() -> None:
                session.has_left = True
                del transport.sessions[connection]
                leave()
                transport.notify_roots_changed()
                self._downstream.set_level(session, None)
                for watched in session.watched.values():
                    watched.end()

            connection.exit_stack.callback(end)
            transport.notify_roots_changed()
        return session

    def set_level(self, ctx: RequestContext, level: str) -> None:
        """Answer `logging/setLevel`."""
        session = self.session_of(ctx)
        session.level = level
        self._downstream.set_level(session, level)

    async def subscribe(self, ctx: RequestContext, uri: str) -> None:
        """Answer `resources/subscribe` of a client of the handshake era. Raises `RpcError` and
        `MCPError`."""
        if is_ours(uri):
            return
        session, entry = self.session_of(ctx), await self._router.resource(uri, modern=False)
        if entry in session.watched:
            return
        _check_number(len(session.watched))
        end = await self._watch(entry)
        if entry in session.watched or session.has_left:  # the client has subscribed twice at once
            end()
        else:
            session.watched[entry] = Watched(uri, end)

    def unsubscribe(self, ctx: RequestContext, uri: str) -> None:
        """Answer `resources/unsubscribe`."""
        watched = self.session_of(ctx).watched
        entry = next((entry for entry, one in watched.items() if one.uri == uri), None)
        if entry is not None:
            watched.pop(entry).end()

    async def listen(
        self, ctx: RequestContext, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Answer `subscriptions/listen`: its resources are watched while the stream is open. Those
        whose server sends no updates are left out. Raises `MCPError` if there are too many."""
        transport: TransportState = ctx.lifespan_context
        watched: dict[Entry, Callable[[], None]] = {}
        try:
            for uri in dict.fromkeys(params.notifications.resource_subscriptions or ()):
                entry = self._router.find_resource(uri)
                if entry is None or not self._router.offers(entry[0], "resources", "subscribe"):
                    continue
                if entry in watched:
                    continue
                _check_number(len(watched))
                try:
                    watched[entry] = await self._watch(entry)
                except RpcError:
                    continue
            return await transport.listen(ctx, params)
        finally:
            for end in watched.values():
                end()

    async def _watch(self, entry: Entry) -> Callable[[], None]:
        """Watch the resource *entry*. Raises `RpcError`."""
        with anyio.move_on_after(WATCH_S):
            return await self._downstream.watch(*entry)
        raise RpcError(types.REQUEST_TIMEOUT, f"{entry[0]} did not answer within {WATCH_S:g} s")


def _check_number(watched: int) -> None:
    if watched >= MOST_WATCHED:
        raise MCPError(
            types.INVALID_PARAMS, f"No more than {MOST_WATCHED:,} resources can be watched."
        )
