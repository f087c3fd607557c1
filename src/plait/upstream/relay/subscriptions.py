"""What each upstream client wishes to hear of, from its requests: log levels, and resources that it
watches."""

from __future__ import annotations

import logging
from functools import partial

import mcp_types as types

from ...core.ports import Downstream, RelayRequest, RpcError
from ...core.tools.naming import Entry
from ..mcp_sdk import connection_of
from ..resources import is_ours
from ..run_progress import RequestContext
from .eras import checked_params
from .input_requests import ask_for_roots, has_roots
from .interests import LogLevels, Send, Subscriptions
from .notifications import TransportState, transport_state_of
from .request_scope import LegacySession
from .router import Router

log = logging.getLogger(__name__)


class ClientSubscriptions:
    """The wishes of all clients, told by *send* to the servers that *owners* lead to."""

    def __init__(self, owners: Router, send: Send, downstream: Downstream) -> None:
        self._owners = owners
        self._send = send
        self._downstream = downstream
        self._levels = LogLevels()
        self._subscriptions = Subscriptions(send)

    def __repr__(self) -> str:
        return f"<Wishes: {self._levels!r}, {self._subscriptions!r}>"

    def session(self, ctx: RequestContext) -> LegacySession:
        """What is kept for the connection of *ctx*, which is of the handshake era, until it
        ends."""
        live = transport_state_of(ctx)
        connection = connection_of(ctx)
        if (session := live.sessions.get(connection)) is None:
            session = live.sessions[connection] = LegacySession(ctx, live.tasks)
            leave = self._downstream.join(
                partial(ask_for_roots, ctx.session) if has_roots(ctx) else None
            )

            async def end() -> None:
                session.has_left = True
                del live.sessions[connection]
                leave()
                self._tell_askers(live)
                self._levels.forget(session)
                await self._subscriptions.remove_all(list(session.watched))

            connection.exit_stack.push_async_callback(end)
            self._tell_askers(live)
        return session

    def set_level(self, ctx: RequestContext) -> None:
        """Answer `logging/setLevel`."""
        level = str(checked_params(ctx)["level"])
        session = self.session(ctx)
        session.level = level
        self._levels.want(session, level)
        self.tell_levels(transport_state_of(ctx))

    def tell_levels(self, live: TransportState) -> None:
        """Servers that were not there when a client set its log level hear of it now."""
        if not self._levels.are_wanted:
            return
        for request in self._levels.due(self._owners.directory().offers):
            live.tasks.start_soon(self._tell_level, request)

    async def subscribe(self, ctx: RequestContext) -> None:
        """Answer `resources/subscribe`. Raises `RpcError` and `MCPError`."""
        uri = str(checked_params(ctx)["uri"])
        if is_ours(uri):
            return
        session, entry = self.session(ctx), await self._owners.resource(ctx, uri)
        if entry in session.watched:
            return
        await self._subscriptions.add(entry)
        if entry in session.watched:  # the client asked for it twice at once
            await self._subscriptions.remove(entry)
        session.watched[entry] = uri

    async def unsubscribe(self, ctx: RequestContext) -> None:
        """Answer `resources/unsubscribe`. Raises `RpcError` and `MCPError`."""
        uri = str(checked_params(ctx)["uri"])
        watched = self.session(ctx).watched
        entry = next((entry for entry, name in watched.items() if name == uri), None)
        if entry is not None:
            del watched[entry]
            await self._subscriptions.remove(entry)

    async def listen(
        self, ctx: RequestContext, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Answer `subscriptions/listen`: its resources are watched while the stream is open."""
        live, watched = transport_state_of(ctx), list[Entry]()
        try:
            for uri in dict.fromkeys(params.notifications.resource_subscriptions or ()):
                entry = self._owners.of_address(uri)
                if entry is not None and await self._is_watched(entry):
                    watched.append(entry)
            return await live.listening(ctx, params)
        finally:
            await self._subscriptions.remove_all(watched)

    def _tell_askers(self, live: TransportState) -> None:
        """Servers that have asked for roots hear that there may be others: there is another client
        now, or one less."""
        if self._downstream.askers():
            live.tell_askers()

    async def _is_watched(self, entry: Entry) -> bool:
        """Watch *entry*, if its server can tell of changes: a stream hears of the others
        nothing."""
        if not self._owners.offers(entry[0], "resources", "subscribe"):
            return False
        try:
            await self._subscriptions.add(entry)
        except RpcError:
            return False
        return True

    async def _tell_level(self, request: RelayRequest) -> None:
        try:
            await self._send(request)
        except RpcError:
            log.debug("level.refused", extra={"server": request.server}, exc_info=True)
