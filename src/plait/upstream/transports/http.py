"""The HTTP app: Streamable HTTP for both protocol eras, legacy SSE, and the health of the process
(`health.py`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server import Server
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ...engine.gateway import Gateway
from ..calls import OpenCalls
from ..mcp_sdk import SseServerTransport
from .admission import Admission, AdmissionGuard
from .bodies import MAX_BODY_BYTES, OpenRequests, Stoppable, StrictBodies
from .health import health_routes
from .hosts import Allowed, HostGuard
from .profiles import ByProfile, Profiles
from .shares import ADDRESS_STREAMS, FairRequests, address_of, too_many

PATH = "/mcp"


def build_app(
    gateway: Gateway,
    server: Server[Any],
    allowed: Allowed,
    admission: Admission,
    *,
    profiles: Profiles | None = None,
    calls: OpenCalls | None = None,
    requests: OpenRequests | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Starlette:
    """Build the app over *server*, and those of *profiles*. *allowed* guards every route, and
    *admission* every route except that for health. A closed *calls* means that we are stopping;
    *requests* then ends the open requests."""
    requests = requests or OpenRequests()
    endpoint = ByProfile(server, requests, profiles)
    sse = _LegacySse(endpoint, max_body_bytes)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with endpoint.running():
            yield

    guards = [
        Middleware(HostGuard, allowed=allowed),
        Middleware(AdmissionGuard, admission=admission),
        Middleware(FairRequests),
        Middleware(Stoppable, requests=requests),
        Middleware(StrictBodies, limit=max_body_bytes),
        Middleware(_Shortcut, endpoint=endpoint),
    ]
    if allowed.origins:
        guards.insert(1, _cross_origin(allowed))
    return Starlette(
        routes=[
            *health_routes(gateway, lambda: calls is not None and calls.is_closed),
            Route(PATH, endpoint),
            Route("/sse", sse, methods=["GET"]),
            Mount("/messages/", app=sse.post),
        ],
        middleware=guards,
        lifespan=lifespan,
    )


class _Shortcut:
    """Calls the endpoint without the router, whose work for paths and errors costs as much as a
    relayed call."""

    def __init__(self, app: ASGIApp, endpoint: ByProfile) -> None:
        self._app = app
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] == "http" and scope["path"] == PATH
        await (self._endpoint if is_ours else self._app)(scope, receive, send)


class _LegacySse:
    """The transport of 2024: a stream of events, and a URL to post to. The stream is the session;
    when it ends, the calls in flight are cancelled."""

    def __init__(self, by_profile: ByProfile, max_body_bytes: int) -> None:
        self._by_profile = by_profile
        self._transport = SseServerTransport("/messages/", max_request_body_size=max_body_bytes)
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (chosen := await self._by_profile.choose(scope, send)) is None:
            return
        address = address_of(scope)
        if self._open[address] >= ADDRESS_STREAMS:
            await too_many("streams")(scope, receive, send)
            return
        self._open[address] += 1
        try:
            async with self._transport.connect_sse(scope, receive, send) as (read, write):
                server = chosen.server
                await server.run(read, write, server.create_initialization_options())
        finally:
            self._open[address] -= 1

    async def post(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._transport.handle_post_message(scope, receive, send)


def _cross_origin(allowed: Allowed) -> Middleware:
    """Answer the preflight requests of browsers for pages of the allowed origins."""
    return Middleware(
        CORSMiddleware,
        allow_origins=list(allowed.origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["Mcp-Session-Id"],
    )
