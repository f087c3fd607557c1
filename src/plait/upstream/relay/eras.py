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

from ...core.ports import RpcError
from ...core.values.strict import JsonObject
from ..resources import NOT_FOUND_BEFORE_2026
from ..run_progress import RequestContext

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
    """The client's `_meta`, as it came."""
    meta = (ctx.params or {}).get("_meta")
    return meta if isinstance(meta, dict) else {}


def meta_to_pass_on(meta: JsonObject) -> JsonObject:
    """*meta* without what belongs to the client's own connection."""
    return {key: value for key, value in meta.items() if key not in _CONNECTION_META}


def declared_by(ctx: RequestContext) -> JsonObject:
    """What the client of *ctx* said that it can do; empty where it said nothing, or nothing that is
    understood."""
    has = ctx.session.client_capabilities
    if has is None:
        return {}
    said = meta_of(ctx).get(types.CLIENT_CAPABILITIES_META_KEY) if is_modern(ctx) else None
    return (
        said
        if isinstance(said, dict)
        else has.model_dump(by_alias=True, mode="json", exclude_none=True)
    )


def shows_apps(ctx: RequestContext) -> bool:
    """Whether the client of *ctx* shows the pages of MCP Apps, and so keeps from its model the
    tools that are for those pages alone."""
    extensions = declared_by(ctx).get("extensions")
    return isinstance(extensions, dict) and _UI in extensions


def checked_params(ctx: RequestContext) -> JsonObject:
    """The params of a request, without `_meta`, once they are known to be what the client's era
    has.

    A `tools/call` is looked at no more closely than relaying it needs. Raises `MCPError` or
    `ValidationError`.
    """
    if not is_modern(ctx) and ctx.session.client_params is None:
        raise MCPError(types.INVALID_PARAMS, _INVALID, "")
    if ctx.method == "tools/call":
        _check_call(ctx)
    else:
        try:
            methods.validate_client_request(ctx.method, ctx.protocol_version, ctx.params)
        except KeyError:
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found", ctx.method) from None
    return {name: value for name, value in (ctx.params or {}).items() if name != "_meta"}


def _check_call(ctx: RequestContext) -> None:
    match ctx.params:
        case {"name": str(), **rest} if isinstance(rest.get("arguments", {}), dict | None):
            is_right = isinstance(rest.get("inputResponses", {}), dict | None)
        case _:
            is_right = False
    if is_modern(ctx):
        is_right = is_right and isinstance(
            meta_of(ctx).get(types.CLIENT_CAPABILITIES_META_KEY), dict
        )
    if not is_right:
        raise MCPError(types.INVALID_PARAMS, _INVALID, "")


def shaped_result(
    ctx: RequestContext, result: JsonObject, server_info: Mapping[str, Any]
) -> JsonObject:
    """*result* as the client's era has it; what it does not ask for is left as it came."""
    return (
        _modern(ctx.method, result, server_info) if is_modern(ctx) else _legacy(ctx.method, result)
    )


def _modern(method: str, result: JsonObject, server_info: Mapping[str, Any]) -> JsonObject:
    meta = result.get("_meta")
    shaped: JsonObject = {"resultType": "complete", **result}
    shaped["_meta"] = {
        **(meta if isinstance(meta, dict) else {}),
        types.SERVER_INFO_META_KEY: dict(server_info),
    }
    if method in methods.CACHEABLE_METHODS and shaped["resultType"] == "complete":
        shaped.setdefault("ttlMs", 0)
        shaped.setdefault("cacheScope", "private")
    return shaped


def _legacy(method: str, result: JsonObject) -> JsonObject:
    """Structured content was an object then; of anything else the text remains."""
    left_out = {"resultType"} & result.keys()
    if method == "tools/call" and not isinstance(result.get("structuredContent", {}), dict):
        left_out.add("structuredContent")
    meta = result.get("_meta")
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


def shaped_error(ctx: RequestContext, error: RpcError) -> MCPError:
    """The downstream server's *error* as the client's era has it."""
    return MCPError(_code(ctx, error), error.message, error.data)


def _code(ctx: RequestContext, error: RpcError) -> int:
    if (
        error.code in _OF_ANOTHER_CONNECTION
    ):  # said of our request to the server: the client's own was right
        return types.INTERNAL_ERROR
    if ctx.method != "resources/read":
        return error.code
    if is_modern(ctx):
        return types.INVALID_PARAMS if error.code == NOT_FOUND_BEFORE_2026 else error.code
    is_not_found = (
        error.code == types.INVALID_PARAMS and isinstance(error.data, dict) and "uri" in error.data
    )
    return NOT_FOUND_BEFORE_2026 if is_not_found else error.code
