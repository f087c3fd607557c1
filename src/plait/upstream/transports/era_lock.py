"""The protocol era of one connection, which its client's first request decides.

A request with the envelope of 2026-07-28 opens a connection of that era, anything else one of the
handshake era. Later requests of the other era are refused. The SDK does the same
(`mcp/server/runner.py`).
"""

from __future__ import annotations

from typing import Any

import mcp_types as types
from mcp import MCPError
from mcp.server import Server
from mcp_types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS

from ..mcp_sdk import (
    Connection,
    InboundLadderRejection,
    NotifyOnlyOutbound,
    Outbound,
    ServerRunner,
    TransportContext,
    aclose_shielded,
    classify_inbound_request,
    serve_alone,
)
from .raw_session import Inbound, Params

MOST_EARLY = 8
"""Most notifications before the first request that are kept until the era is decided."""
_NO_QUESTIONS = TransportContext(kind="jsonrpc", can_send_request=False)


class EraLock:
    """Serves one connection by *server*; *outbound* leads to its client. Close it when the
    connection has ended."""

    def __init__(self, server: Server[Any], lifespan: Any, outbound: Outbound) -> None:
        self._server = server
        self._lifespan = lifespan
        self._outbound = outbound
        self._era: _Handshake | _Modern | None = None
        self._early: list[tuple[Inbound, str, Params]] = []

    @property
    def is_handshake(self) -> bool:
        """Whether the connection was opened in the handshake era."""
        return isinstance(self._era, _Handshake)

    async def on_request(self, inbound: Inbound, method: str, params: Params) -> dict[str, Any]:
        if self._era is None:
            is_modern = method != "initialize" and _is_enveloped(params)
            era = _Modern if is_modern else _Handshake
            self._era = era(self._server, self._lifespan, self._outbound)
            for notice in self._early:
                await self._era.on_notice(*notice)
            self._early.clear()
        return await self._era.on_request(inbound, method, params)

    async def on_notice(self, inbound: Inbound, method: str, params: Params) -> None:
        if self._era is not None:
            await self._era.on_notice(inbound, method, params)
        elif len(self._early) < MOST_EARLY:
            self._early.append((inbound, method, params))

    async def aclose(self) -> None:
        if isinstance(self._era, _Handshake):
            await aclose_shielded(self._era.connection)


class _Handshake:
    """A connection of the handshake era, up to 2025-11-25."""

    def __init__(self, server: Server[Any], lifespan: Any, outbound: Outbound) -> None:
        self.connection = Connection.for_loop(outbound)
        options = server.create_initialization_options()
        self._runner = ServerRunner(server, self.connection, lifespan, init_options=options)

    async def on_request(self, inbound: Inbound, method: str, params: Params) -> dict[str, Any]:
        if method != "initialize" and _is_enveloped(params):
            message = (
                "This connection was opened in the handshake era; requests of 2026-07-28 "
                "are not taken on it."
            )
            raise MCPError(types.INVALID_REQUEST, message)
        return await self._runner.on_request(inbound, method, params)

    async def on_notice(self, inbound: Inbound, method: str, params: Params) -> None:
        await self._runner.on_notify(inbound, method, params)


class _Modern:
    """A connection of 2026-07-28: each request names its client, which is sent no requests."""

    def __init__(self, server: Server[Any], lifespan: Any, outbound: Outbound) -> None:
        self._server = server
        self._lifespan = lifespan
        self._outbound = NotifyOnlyOutbound(outbound)

    async def on_request(self, inbound: Inbound, method: str, params: Params) -> dict[str, Any]:
        inbound.transport = _NO_QUESTIONS
        if method == "initialize":
            data: dict[str, Any] = {"supported": list(MODERN_PROTOCOL_VERSIONS)}
            if isinstance(requested := (params or {}).get("protocolVersion"), str):
                data["requested"] = requested
            message = "This connection was opened in the era of 2026-07-28, which has no handshake."
            raise MCPError(types.UNSUPPORTED_PROTOCOL_VERSION, message, data)
        route = classify_inbound_request({"method": method, "params": params})
        if isinstance(route, InboundLadderRejection):
            raise MCPError(route.code, route.message, route.data)
        return await serve_alone(
            self._server,
            inbound,
            method,
            params,
            route,
            lifespan=self._lifespan,
            outbound=self._outbound,
        )

    async def on_notice(self, inbound: Inbound, method: str, params: Params) -> None:
        inbound.transport = _NO_QUESTIONS
        connection = Connection.from_envelope(
            LATEST_MODERN_VERSION, None, None, outbound=self._outbound
        )
        try:
            await ServerRunner(self._server, connection, self._lifespan).on_notify(
                inbound, method, params
            )
        finally:
            await aclose_shielded(connection)


def _is_enveloped(params: Params) -> bool:
    meta = (params or {}).get("_meta")
    return isinstance(meta, dict) and types.PROTOCOL_VERSION_META_KEY in meta
