"""Requests of 2026-07-28 over HTTP. Each stands alone: headers and envelope describe it.

The checks and their order are the SDK's (`mcp/server/_streamable_http_modern.py`). A client that
leaves cancels its request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server
from starlette.datastructures import Headers
from starlette.types import Receive, Send

from ...core.values.strict import JsonObject
from ..mcp_sdk import (
    ERROR_CODE_HTTP_STATUS,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    InboundModernRoute,
    TransportContext,
    classify_inbound_request,
    find_duplicated_routing_header,
    serve_alone,
    unsupported_protocol_version_rejection,
    validate_mcp_param_headers,
)
from .messages import Incoming, Notice, Request
from .raw_session import Inbound, Params, RawSession
from .streaming_response import StreamingResponse, refuse, respond

_PARAM = "mcp-param-"


class ModernRequests:
    """Answers these requests with *server*; `end_all` ends the open ones."""

    def __init__(self, server: Server[Any], lifespan: Any) -> None:
        self._server = server
        self._lifespan = lifespan
        self._open: set[Inbound] = set()

    def __repr__(self) -> str:
        return f"<ModernRequests: {len(self._open)} open>"

    def end_all(self) -> None:
        for inbound in list(self._open):
            inbound.abandon()

    async def answer(
        self, message: Incoming | None, headers: Headers, receive: Receive, send: Send
    ) -> None:
        """Answer a POST. *message* is its body, None if that is not a message."""
        match message:
            case Notice():
                # Notifications have no effect here, but are accepted in a version that is served.
                version = headers.get(MCP_PROTOCOL_VERSION_HEADER, "")
                rejection = unsupported_protocol_version_rejection(version)
                await (respond(send, 202) if rejection is None else _reject(send, rejection, None))
            case Request():
                route = self._route(message, headers)
                if isinstance(route, InboundLadderRejection):
                    await _reject(send, route, message.id)
                else:
                    await self._exchange(message, route, headers, receive, send)
            case _:
                wrong = "Body must be a single JSON-RPC request or notification object"
                await refuse(send, 400, types.INVALID_REQUEST, wrong)

    def _route(
        self, request: Request, headers: Headers
    ) -> InboundModernRoute | InboundLadderRejection:
        if (twice := find_duplicated_routing_header(headers.items())) is not None:
            return InboundLadderRejection(
                types.HEADER_MISMATCH, f"{twice} header appears more than once"
            )
        body = {"method": request.method, "params": request.params}
        route = classify_inbound_request(body, headers=dict(headers))
        if isinstance(route, InboundModernRoute) and request.method == "tools/call":
            return self._mismatch(request.params, headers) or route
        return route

    def _mismatch(self, params: Params, headers: Headers) -> InboundLadderRejection | None:
        """Return a rejection if a header that the tool's schema asks for is missing, or differs
        from the argument."""
        name, arguments = (params or {}).get("name"), (params or {}).get("arguments") or {}
        lookup = self._server.get_tool_input_schema
        if lookup is None or not isinstance(name, str) or not isinstance(arguments, Mapping):
            return None
        if not arguments and not any(header.startswith(_PARAM) for header in headers):
            return None
        schema = lookup(name)
        return None if schema is None else validate_mcp_param_headers(schema, arguments, headers)

    async def _exchange(
        self,
        request: Request,
        route: InboundModernRoute,
        headers: Headers,
        receive: Receive,
        send: Send,
    ) -> None:
        response = StreamingResponse(statuses=True)

        async def put(message: JsonObject, related: types.RequestId | None) -> None:
            await response.put(message, is_last="method" not in message)

        transport = TransportContext(
            kind="streamable-http", can_send_request=False, headers=headers
        )
        session = RawSession(put)
        inbound = Inbound.of(request, transport, session)
        inbound.on_abandoned = response.close

        async def abandon_when_left() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            inbound.abandon()

        self._open.add(inbound)
        answering = asyncio.ensure_future(
            session.answer(inbound, request, _Exchange(self._server, self._lifespan, route))
        )
        watching = asyncio.ensure_future(abandon_when_left())
        try:
            await response.run(send)
        finally:
            watching.cancel()
            inbound.abandon()
            self._open.discard(inbound)
            if not answering.done():
                with anyio.CancelScope(shield=True):
                    await answering


class _Exchange:
    """The `Handler` of one request."""

    def __init__(self, server: Server[Any], lifespan: Any, route: InboundModernRoute) -> None:
        self._server = server
        self._lifespan = lifespan
        self._route = route

    async def on_request(self, inbound: Inbound, method: str, params: Params) -> dict[str, Any]:
        return await serve_alone(
            self._server, inbound, method, params, self._route, lifespan=self._lifespan
        )

    async def on_notice(self, inbound: Inbound, method: str, params: Params) -> None:
        raise AssertionError(f"{method} was taken for a request")


async def _reject(
    send: Send, rejection: InboundLadderRejection, id: types.RequestId | None
) -> None:
    status = ERROR_CODE_HTTP_STATUS.get(rejection.code, 200)
    await refuse(send, status, rejection.code, rejection.message, id, rejection.data)
