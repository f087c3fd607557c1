"""Requests of 2026-07-28 over HTTP: each stands for itself, and says in headers and envelope what
it is.

What is checked, and in which order, is as the SDK has it (`mcp/server/_streamable_http_modern.py`).
A client that leaves cancels its request.
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
    Connection,
    InboundLadderRejection,
    InboundModernRoute,
    TransportContext,
    classify_inbound_request,
    find_duplicated_routing_header,
    serve_one,
    unsupported_protocol_version_rejection,
    validate_mcp_param_headers,
)
from .messages import Incoming, Notice, Request
from .raw_session import Inbound, Params, RawSession
from .streaming_response import StreamingResponse, refuse, respond

_PARAM = "mcp-param-"


class ModernRequests:
    """Answers such requests by *server*; each may be ended from outside, as all are at a stop."""

    def __init__(self, server: Server[Any], lifespan: Any) -> None:
        self._server = server
        self._lifespan = lifespan
        self._open: set[Inbound] = set()

    def __repr__(self) -> str:
        return f"<Exchanges: {len(self._open)} open>"

    def end_all(self) -> None:
        for inbound in list(self._open):
            inbound.abandon()

    async def answer(
        self, message: Incoming | None, headers: Headers, receive: Receive, send: Send
    ) -> None:
        """Answer a POST, whose body is *message*, or None if that is not a message."""
        match message:
            case Notice():
                await self._acknowledge(headers, send)
            case Request():
                verdict = self._verdict(message, headers)
                if isinstance(verdict, InboundLadderRejection):
                    await _reject(send, verdict, message.id)
                else:
                    await self._exchange(message, verdict, headers, receive, send)
            case _:
                wrong = "Body must be a single JSON-RPC request or notification object"
                await refuse(send, 400, types.INVALID_REQUEST, wrong)

    async def _acknowledge(self, headers: Headers, send: Send) -> None:
        """Notifications mean nothing here, and are taken; of a version that is not served they are
        not."""
        unsupported = unsupported_protocol_version_rejection(
            headers.get(MCP_PROTOCOL_VERSION_HEADER, "")
        )
        await (respond(send, 202) if unsupported is None else _reject(send, unsupported, None))

    def _verdict(
        self, request: Request, headers: Headers
    ) -> InboundModernRoute | InboundLadderRejection:
        if (twice := find_duplicated_routing_header(headers.items())) is not None:
            return InboundLadderRejection(
                types.HEADER_MISMATCH, f"{twice} header appears more than once"
            )
        body = {"method": request.method, "params": request.params}
        verdict = classify_inbound_request(body, headers=dict(headers))
        if isinstance(verdict, InboundModernRoute) and request.method == "tools/call":
            return self._mismatch(request.params, headers) or verdict
        return verdict

    def _mismatch(self, params: Params, headers: Headers) -> InboundLadderRejection | None:
        """Whether what a tool wants in headers is not there, or is there otherwise than in the
        arguments."""
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
        responding = StreamingResponse(statuses=True)

        async def put(message: JsonObject, related: types.RequestId | None) -> None:
            await responding.put(message, is_last="method" not in message)

        transport = TransportContext(
            kind="streamable-http", can_send_request=False, headers=headers
        )
        inbound = Inbound.of(request, transport, peer := RawSession(put))
        inbound.on_abandoned = responding.close
        self._open.add(inbound)
        answering = asyncio.ensure_future(
            peer.answer(inbound, request, _One(self._server, self._lifespan, route))
        )
        watching = asyncio.ensure_future(_watch(receive, inbound))
        try:
            await responding.run(send)
        finally:
            watching.cancel()
            inbound.abandon()
            self._open.discard(inbound)
            if not answering.done():
                with anyio.CancelScope(shield=True):
                    await answering


class _One:
    """Serves one request."""

    def __init__(self, server: Server[Any], lifespan: Any, route: InboundModernRoute) -> None:
        self._server = server
        self._lifespan = lifespan
        self._route = route

    async def on_request(self, inbound: Inbound, method: str, params: Params) -> dict[str, Any]:
        route = self._route
        connection = Connection.from_envelope(
            route.protocol_version, route.client_info, route.client_capabilities
        )
        return await serve_one(
            self._server,
            inbound,
            method,
            params,
            connection=connection,
            lifespan_state=self._lifespan,
        )

    async def on_notice(self, inbound: Inbound, method: str, params: Params) -> None:
        raise AssertionError(f"{method} was taken for a request")


async def _watch(receive: Receive, inbound: Inbound) -> None:
    """Wait until the client has left, and give its request up."""
    while (await receive())["type"] != "http.disconnect":
        pass
    inbound.abandon()


async def _reject(
    send: Send, rejection: InboundLadderRejection, id: types.RequestId | None
) -> None:
    status = ERROR_CODE_HTTP_STATUS.get(rejection.code, 200)
    await refuse(send, status, rejection.code, rejection.message, id, rejection.data)
