"""The two protocol eras of a relayed request, its result and its error.

*The idea.* A client speaks one of two eras, and so does each server, which makes four pairs. Up to
2025-11-25 a session begins with a handshake: capabilities are declared once, and a server may send
requests (elicitation, sampling, roots) and notifications at any time. Since 2026-07-28 there is no
session: every request carries its own capabilities, a server asks by *answering* `input_required`,
and the client sends the request again with the answers. A relay needs one rule for each pair:

- *Client and server by handshake*: the server's requests go to the client at once.
- *Client by handshake, server of 2026-07-28*: its `input_required` becomes requests to the client,
  and the call is sent again with the answers.
- *Client of 2026-07-28, server by handshake*: the call waits in a task of ours (`pending.py`), and
  the server's requests become an `input_required` of ours.
- *Both of 2026-07-28*: `input_required` passes through, its state marked with the server's name.

Everything else is the same message in other words: members that one era requires (`resultType`,
cache hints, server info) are added for clients of that era, and error codes are mapped.

*The invariants.*

1. Results are JSON as the server sent them. They never pass through the SDK's models, which drop
   members they do not know; members are added only where the client's era requires them.
2. A client is asked only what it declared it can answer, in the form of its own era.
3. `_meta` that belongs to one connection (protocol version, client info, capabilities, progress
   token) is never passed on to another connection.
4. A state that a client sends back leads only to the server, or to the waiting call, that issued
   it.

*Why not the obvious way.* Letting every call wait in a task of ours would make one rule of the
four, but a client of 2026-07-28 in front of a server of 2026-07-28 would lose what that era is for:
its state would not survive a restart of the gateway. Translating everything into the newer era's
models would lose members, and cost more than the call itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import mcp_types as types
from mcp import MCPError
from mcp_types import methods
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ...core.values.strict import JsonObject
from ...errors import RpcError
from ..mcp_sdk import RequestContext
from ..resources import NOT_FOUND_BEFORE_2026

_CONNECTION_META: Final = frozenset(
    {
        types.PROTOCOL_VERSION_META_KEY,
        types.CLIENT_INFO_META_KEY,
        types.CLIENT_CAPABILITIES_META_KEY,
        "progressToken",
    }
)
_OF_ANOTHER_CONNECTION = frozenset({types.HEADER_MISMATCH, types.UNSUPPORTED_PROTOCOL_VERSION})
_UI: Final = "io.modelcontextprotocol/ui"
_INVALID = "Invalid request parameters"


def is_modern(ctx: RequestContext) -> bool:
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS


def meta_of(ctx: RequestContext) -> JsonObject:
    """Return the client's `_meta` as it sent it; empty if absent."""
    meta = (ctx.params or {}).get("_meta")
    return meta if isinstance(meta, dict) else {}


def meta_to_pass_on(ctx: RequestContext) -> JsonObject:
    """Return the client's `_meta` without the keys that belong to its own connection."""
    return {key: value for key, value in meta_of(ctx).items() if key not in _CONNECTION_META}


def declared_by(ctx: RequestContext, *, modern: bool) -> JsonObject:
    """Return the capabilities that the client of *ctx* declared; empty if none or unreadable."""
    has = ctx.session.client_capabilities
    if has is None:
        return {}
    declared = meta_of(ctx).get(types.CLIENT_CAPABILITIES_META_KEY) if modern else None
    return (
        declared
        if isinstance(declared, dict)
        else has.model_dump(by_alias=True, mode="json", exclude_none=True)
    )


def shows_apps(ctx: RequestContext, *, modern: bool) -> bool:
    """Return whether the client of *ctx* shows the pages of MCP Apps, and so hides from its model
    the tools that are only for those pages."""
    extensions = declared_by(ctx, modern=modern).get("extensions")
    return isinstance(extensions, dict) and _UI in extensions


def checked_params(ctx: RequestContext, *, modern: bool) -> JsonObject:
    """Return the params of a request, without `_meta`, once they are valid in the client's era.

    A `tools/call` is checked only as far as relaying needs it. Raises `MCPError` or
    `ValidationError`.
    """
    params = ctx.params or {}
    if not modern and ctx.session.client_params is None:
        raise MCPError(types.INVALID_PARAMS, _INVALID, "")
    if ctx.method != "tools/call":
        try:
            methods.validate_client_request(ctx.method, ctx.protocol_version, ctx.params)
        except KeyError:
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found", ctx.method) from None
    elif not (
        isinstance(params.get("name"), str)
        and isinstance(params.get("arguments", {}), dict | None)
        and isinstance(params.get("inputResponses", {}), dict | None)
        and (not modern or isinstance(meta_of(ctx).get(types.CLIENT_CAPABILITIES_META_KEY), dict))
    ):
        raise MCPError(types.INVALID_PARAMS, _INVALID, "")
    return {name: value for name, value in params.items() if name != "_meta"}


def shaped_result(
    method: str, result: JsonObject, server_info: Mapping[str, Any], *, modern: bool
) -> JsonObject:
    """Return *result* in the form of the client's era; members that need no change stay as they
    are."""
    meta = result.get("_meta")
    if modern:
        shaped: JsonObject = {"resultType": "complete", **result}
        shaped["_meta"] = {
            **(meta if isinstance(meta, dict) else {}),
            types.SERVER_INFO_META_KEY: dict(server_info),
        }
        if method in methods.CACHEABLE_METHODS and shaped["resultType"] == "complete":
            shaped.setdefault("ttlMs", 0)
            shaped.setdefault("cacheScope", "private")
        return shaped
    left_out = {"resultType"} & result.keys()
    # Structured content had to be an object then. Without it, the text remains.
    if method == "tools/call" and not isinstance(result.get("structuredContent", {}), dict):
        left_out.add("structuredContent")
    is_stamped = isinstance(meta, dict) and types.SERVER_INFO_META_KEY in meta
    if not left_out and not is_stamped:
        return result
    shaped = {name: value for name, value in result.items() if name not in left_out}
    if isinstance(meta, dict) and is_stamped:
        shaped["_meta"] = {
            key: value for key, value in meta.items() if key != types.SERVER_INFO_META_KEY
        }
        if not shaped["_meta"]:
            del shaped["_meta"]
    return shaped


def shaped_error(method: str, error: RpcError, *, modern: bool) -> MCPError:
    """Return the downstream server's *error* in the form of the client's era."""
    code = error.code
    if code in _OF_ANOTHER_CONNECTION:  # it concerns our request: the client's own was right
        code = types.INTERNAL_ERROR
    elif method == "resources/read" and modern:
        code = types.INVALID_PARAMS if code == NOT_FOUND_BEFORE_2026 else code
    elif method == "resources/read" and code == types.INVALID_PARAMS:
        is_not_found = isinstance(error.data, dict) and "uri" in error.data
        code = NOT_FOUND_BEFORE_2026 if is_not_found else code
    return MCPError(code, error.message, error.data)
