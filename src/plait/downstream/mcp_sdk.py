"""Names of the MCP SDK that the downstream side needs besides its public API (`mcp` and
`mcp_types`).

No other module here imports the SDK's inner modules or reads its private attributes, so a new
release of `mcp` concerns this file alone. `tests/downstream/test_mcp_sdk.py` states what we rely
on, name by name.
"""

from __future__ import annotations

from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import stream_within_origin
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.dispatcher import CallOptions, DispatchContext, coerce_request_id
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.message import SessionMessage
from mcp.shared.transport_context import TransportContext

__all__ = [
    "MCP_METHOD_HEADER",
    "MCP_NAME_HEADER",
    "MCP_PROTOCOL_VERSION_HEADER",
    "NAME_BEARING_METHODS",
    "CallOptions",
    "DispatchContext",
    "JSONRPCDispatcher",
    "ReadStream",
    "SessionMessage",
    "TransportContext",
    "WriteStream",
    "coerce_request_id",
    "encode_header_value",
    "find_invalid_x_mcp_header",
    "mcp_param_headers",
    "stream_within_origin",
    "streamable_http_client",
    "x_mcp_header_map",
]
