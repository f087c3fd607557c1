"""The share of one address in what may be open, so that no client keeps the others out.

Requests, sessions and connections are bounded, because each takes memory and a descriptor. One
bound for all would let a single client use it up. So each address may open a part of it: what is
idle gives way to what is new, and beyond that the new one is refused. Programs of one machine share
the address of the loopback. Health is answered in any case.
"""

from __future__ import annotations

from collections import Counter

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .admission import FOR_ALL, PEER
from .peers import Peer

MAX_CONNECTIONS = 1_000
MAX_REQUESTS = 900
"""Open requests and streams, of all addresses: fewer than connections, so that some are idle."""
ADDRESS_CONNECTIONS = 600
ADDRESS_REQUESTS = 400
ADDRESS_SESSIONS = 400
ADDRESS_STREAMS = 200
"""Streams of legacy SSE."""
RETRY_S = 5
"""The wait that a refused client is asked for, in seconds."""


def address_of(scope: Scope) -> str:
    """Return the address that a request came from; empty if unknown. It is that of the connection:
    what a proxy says about its clients may be made up."""
    peer = scope.get("state", {}).get(PEER)
    return peer.host if isinstance(peer, Peer) else ""


class FairRequests:
    """Passes on requests as long as their address has not too many open."""

    def __init__(
        self, app: ASGIApp, most: int = MAX_REQUESTS, of_address: int = ADDRESS_REQUESTS
    ) -> None:
        self._app = app
        self._most = most
        self._of_address = of_address
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in FOR_ALL:
            await self._app(scope, receive, send)
            return
        address = address_of(scope)
        if self._open[address] >= self._of_address or self._open.total() >= self._most:
            await too_many("requests")(scope, receive, send)
            return
        self._open[address] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]


def too_many(things: str) -> JSONResponse:
    """Return the answer for a client that has too many *things* open."""
    message = f"Too many open {things}: close some of them, or try again later."
    return JSONResponse({"error": message}, 503, {"retry-after": str(RETRY_S)})
