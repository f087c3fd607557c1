"""The parts of the MCP SDK that the upstream side uses besides its public API (`mcp`, `mcp.server`
and `mcp_types`).

No other module here imports the SDK's inner modules or reads its private attributes, so a new
release of `mcp` is the business of this file. `tests/upstream/test_mcp_sdk.py` states what we rely
on, name by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from mcp.server import Server, ServerRequestContext
from mcp.server._otel import OpenTelemetryMiddleware
from mcp.server.connection import Connection, NotifyOnlyOutbound
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.runner import ServerRunner, aclose_shielded, modern_error_data, serve_one
from mcp.server.sse import SseServerTransport
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from mcp.shared.dispatcher import CallOptions, DispatchContext, Outbound, coerce_request_id
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    InboundModernRoute,
    classify_inbound_request,
    find_duplicated_routing_header,
    unsupported_protocol_version_rejection,
    validate_mcp_param_headers,
)
from mcp.shared.jsonrpc_dispatcher import (
    cancelled_request_id_from_params,
    progress_token_from_params,
)
from mcp.shared.message import MessageMetadata, ServerMessageMetadata
from mcp.shared.transport_context import TransportContext

__all__ = [
    "ERROR_CODE_HTTP_STATUS",
    "MCP_PROTOCOL_VERSION_HEADER",
    "CallNext",
    "CallOptions",
    "Connection",
    "HandlerResult",
    "InMemorySubscriptionBus",
    "InboundLadderRejection",
    "InboundModernRoute",
    "ListenHandler",
    "MessageMetadata",
    "NoBackChannelError",
    "NotifyOnlyOutbound",
    "Outbound",
    "PromptsListChanged",
    "RequestContext",
    "RequestStateBoundary",
    "RequestStateSecurity",
    "ResourceUpdated",
    "ResourcesListChanged",
    "ServerEvent",
    "ServerMessageMetadata",
    "ServerMiddleware",
    "ServerRunner",
    "SseServerTransport",
    "ToolsListChanged",
    "TransportContext",
    "aclose_shielded",
    "cancelled_request_id_from_params",
    "classify_inbound_request",
    "coerce_request_id",
    "connection_of",
    "find_duplicated_routing_header",
    "modern_error_data",
    "progress_token_from_params",
    "remove_tracing",
    "serve_alone",
    "unsupported_protocol_version_rejection",
    "validate_mcp_param_headers",
]

RequestContext: TypeAlias = ServerRequestContext[Any, Any]


def connection_of(ctx: RequestContext) -> Connection:
    """Return the connection that the request of *ctx* came on."""
    return ctx.session._connection  # noqa: SLF001  # no public handle lasts longer than a request


def remove_tracing(server: Server[Any]) -> None:
    """Remove the middleware that opens an OpenTelemetry span around each request of *server*."""
    server.middleware[:] = [
        each for each in server.middleware if not isinstance(each, OpenTelemetryMiddleware)
    ]


async def serve_alone(
    server: Server[Any],
    request: DispatchContext[TransportContext],
    method: str,
    params: Mapping[str, Any] | None,
    route: InboundModernRoute,
    *,
    lifespan: Any,
    outbound: Outbound | None = None,
) -> dict[str, Any]:
    """Answer one request of 2026-07-28, on a connection of its own: *route* says what its envelope
    names, the version and the client. *outbound* takes notifications outside of its answer."""
    options = {} if outbound is None else {"outbound": outbound}
    connection = Connection.from_envelope(
        route.protocol_version, route.client_info, route.client_capabilities, **options
    )
    return await serve_one(
        server, request, method, params, connection=connection, lifespan_state=lifespan
    )
