"""All connections as one `Downstream`: what they offer, requests to any of them, and what they tell
of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import mcp_types as types

from ..core.ports import RENEWED, Ask, Caller, OnNotice, RelayRequest, RpcError, ServerListing
from ..core.values.strict import JsonObject, NotStrict, measure
from .connection import Connection
from .server_requests.roots import Roots

log = logging.getLogger(__name__)


class DownstreamRelay:
    """A `Downstream` over all *connections*; *reach* gives that to one server, for something to be
    sent to it."""

    def __init__(
        self,
        connections: Callable[[], Iterable[Connection]],
        reach: Callable[[str], Connection | None],
    ) -> None:
        self._connections = connections
        self._reach = reach
        self._offers: tuple[ServerListing, ...] = ()
        self._listeners: dict[object, OnNotice] = {}
        self._roots = Roots()

    def __repr__(self) -> str:
        return f"<Relays of {len(self._offers)} servers to {len(self._listeners)} listeners>"

    def offers(self) -> tuple[ServerListing, ...]:
        now = tuple(one.offers for one in self._connections() if one.offers is not None)
        if len(now) != len(self._offers) or any(
            new is not old for new, old in zip(now, self._offers, strict=True)
        ):
            self._offers = now
        return self._offers

    async def request(self, request: RelayRequest, /) -> JsonObject:
        """As `Downstream.request`. The codes of ours: CONNECTION_CLOSED (-32000) where the server
        cannot be reached or went away, INVALID_PARAMS (-32602) for what cannot be sent,
        INTERNAL_ERROR (-32603) for an answer that cannot be used. Nothing here bounds the time but
        that for a server which is being started."""
        return await self._connection(request.server).request(request)

    async def notify(self, server: str, method: str, params: JsonObject) -> None:
        """As `Downstream.notify`; a server that is not there is not told. Raises `RpcError` if
        there is no such."""
        await self._connection(server).notify(method, params)

    def listen(self, hear: OnNotice) -> Callable[[], None]:
        key = object()
        self._listeners[key] = hear

        def deafen() -> None:
            self._listeners.pop(key, None)

        return deafen

    def join(self, ask: Ask | None) -> Callable[[], None]:
        """As `Downstream.join`."""
        return self._roots.join(ask)

    def askers(self) -> list[str]:
        """As `Downstream.askers`."""
        return self._roots.askers()

    def roots_for(self, server: str) -> Caller:
        """Who answers when *server* asks for roots outside of any request."""
        return self._roots.asked_by(server)

    def tell(self, server: str, method: str, params: JsonObject) -> None:
        """*server* notifies of something. What cannot be passed on is dropped."""
        try:
            measure(params)
        except NotStrict as error:
            log.debug(
                "notice.dropped", extra={"server": server, "method": method, "error": str(error)}
            )
            return
        for hear in list(self._listeners.values()):
            try:
                hear(server, method, params)
            except Exception:  # or it would end the connection that is being read
                log.exception("notice.failed", extra={"server": server, "method": method})

    def renew(self) -> None:
        """There are new settings: what is offered is to be looked at anew, and any list may be
        another."""
        self._offers = ()
        self.tell("", RENEWED, {})

    def _connection(self, server: str) -> Connection:
        if (connection := self._reach(server)) is None:
            raise RpcError(types.CONNECTION_CLOSED, f"there is no server {server[:100]}")
        return connection
