"""The MCP server that upstream clients talk to, over any transport and in both protocol eras."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import mcp_types as types
from mcp.server import CacheHint, Server
from pydantic import BaseModel

from .. import __version__
from ..core.values.strict import JsonObject
from ..engine.gateway import Gateway
from .calls import OpenCalls
from .instructions import capabilities, introduction
from .mcp_sdk import (
    CallNext,
    HandlerResult,
    RequestContext,
    RequestStateBoundary,
    RequestStateSecurity,
    remove_tracing,
)
from .principals import BySession, PrincipalOf
from .relay.input_requests import ASK_S
from .relay.listings import RelayConfig
from .relay.passthrough import Passthrough
from .requests import AS_SENT
from .resources import Resources, own_prompts, own_resources, own_templates
from .schemas import TOOLS, ToolText
from .tools import Tools

NAME = "plait"
MARK_KEY = "plait/gateway"
"""Where a gateway of the same state folder looks, so that it does not take us for a server."""
LISTS_LAST_MS = 3_600_000
"""Time for which clients may reuse our own lists, which never change while the gateway runs."""


def build_server(
    gateway: Gateway,
    *,
    max_chars: int = 24_000,
    wait_s: float | None = None,
    calls: OpenCalls | None = None,
    relaying: RelayConfig | None = None,
    principal_of: PrincipalOf | None = None,
    connection: str | None = None,
) -> Server[Any]:
    """Build the server over *gateway*.

    Answers have at most *max_chars* characters. `execute_dag` waits *wait_s* seconds, or if None,
    as long as the client is known to wait. Calls are counted in *calls*, and refused once it is
    closed. With *relaying*, the tools, prompts and resources of its servers are served in addition
    to our own. *principal_of* gives the owner of the runs of a request; by default its session.
    *connection* names the only client of this server, where one principal has several.
    """
    calls, principal_of = calls or OpenCalls(), principal_of or BySession()

    def address_of(server: str, uri: str) -> str:
        return uri if passthrough is None else passthrough.router.address_in_result(server, uri)

    tools = Tools(
        gateway,
        principal_of,
        max_chars=max_chars,
        wait_s=wait_s,
        calls=calls,
        address_of=address_of,
    )
    resources = Resources(gateway, principal_of, max_chars=max_chars, address_of=address_of)
    lasting = CacheHint(ttl_ms=LISTS_LAST_MS, scope="private")
    server: Server[Any] = Server(
        NAME,
        version=__version__,
        title="Plait",
        description="Runs DAGs of tool calls of other MCP servers, in parallel.",
        get_tool_input_schema={tool.name: tool.input_schema for tool in TOOLS}.get,
        cache_hints={
            "tools/list": lasting,
            "prompts/list": lasting,
            "resources/templates/list": lasting,
        },
        on_list_tools=_list_tools,
        on_call_tool=tools.call,
        on_list_resources=resources.list,
        on_list_resource_templates=resources.templates,
        on_read_resource=resources.read,
        on_list_prompts=resources.prompts,
        on_get_prompt=resources.prompt,
    )

    passthrough = (
        _relay(server, gateway, relaying, calls, principal_of, connection)
        if relaying is not None
        else None
    )

    async def introduce(ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        """Add capabilities and instructions, which name the servers as they are when a client
        connects."""
        if ctx.method not in {"initialize", "server/discover"}:
            return await call_next(ctx)
        calls.check()
        result = await call_next(ctx)
        if isinstance(result, dict):
            introduced = {**result, **_introduction(gateway, relaying, passthrough)}
            meta: JsonObject = {"_meta": {**(result.get("_meta") or {}), MARK_KEY: gateway.mark}}
            return {**introduced, **meta} if gateway.mark else introduced
        return result

    if find_spec("opentelemetry.sdk") is None:  # else spans would be made that nothing records
        remove_tracing(server)
    server.middleware.append(introduce)
    if passthrough is not None:
        # The states of results that ask for input are sealed: bound to their request and principal,
        # and valid for ten minutes.
        security = RequestStateSecurity(
            keys=[secrets.token_bytes(32)], ttl=ASK_S, bind_principal=principal_of
        )
        server.middleware += [RequestStateBoundary(security, default_audience=NAME), passthrough]
    server.middleware.append(_take_any_arguments)
    return server


def read_only_tools(server: Server[Any], gateway: Gateway) -> Callable[[str], bool]:
    """Return whether a tool of *server*, which `build_server` built over *gateway*, changes
    nothing, by the name that its clients know."""
    relay = next((each for each in server.middleware if isinstance(each, Passthrough)), None)
    own = {tool.name: tool.is_read_only for tool in TOOLS}

    def is_read_only(name: str) -> bool:
        if relay is None or name in relay.own_tools:
            return own.get(name, False)
        server_name, tool = relay.router.listing().tools.means.get(name, ("", ""))
        found = gateway.catalog().tools.get(f"{server_name}:{tool}")
        return found is not None and found.is_read_only

    return is_read_only


def _relay(
    server: Server[Any],
    gateway: Gateway,
    relaying: RelayConfig,
    calls: OpenCalls,
    principal_of: PrincipalOf,
    connection: str | None,
) -> Passthrough:
    """Make *server* relay to the downstream servers. Returns the middleware for it, which is not
    added yet."""
    tools = TOOLS if relaying.expose != "tools" else ()
    own = {
        "tools/list": _written(map(listed, tools)),
        "resources/list": _written(own_resources()),
        "resources/templates/list": _written(own_templates()),
        "prompts/list": _written(own_prompts()),
    }
    passthrough = Passthrough(
        relaying, gateway.call, own, calls, principal_of, server.server_info_stamp, connection
    )
    schemas = {tool.name: tool.input_schema for tool in tools}
    server.lifespan = passthrough.lifespan
    server.get_tool_input_schema = lambda name: (
        schemas.get(name) or passthrough.router.listing().schemas.get(name)
    )
    server.add_request_handler(
        "subscriptions/listen",
        types.SubscriptionsListenRequestParams,
        passthrough.subscriptions.listen,
    )
    return passthrough


def _introduction(
    gateway: Gateway, relaying: RelayConfig | None, passthrough: Passthrough | None
) -> JsonObject:
    servers = gateway.catalog().servers
    if relaying is None or passthrough is None:
        return {"instructions": introduction("dag", servers.values(), (), gateway.notice)}
    listing = passthrough.router.listing()
    all_reached = servers.keys() <= listing.servers.keys()
    return {
        "capabilities": capabilities(listing, relaying.expose, all_reached=all_reached),
        "instructions": introduction(
            relaying.expose, servers.values(), listing.offers, gateway.notice
        ),
    }


def _written(models: Iterable[BaseModel]) -> list[JsonObject]:
    return [model.model_dump(mode="json", by_alias=True, exclude_none=True) for model in models]


async def _take_any_arguments(ctx: RequestContext, call_next: CallNext) -> HandlerResult:
    """Let arguments that are not an object reach the tool, whose answer says how to fix them."""
    params = ctx.params
    if (
        ctx.method == "tools/call"
        and params is not None
        and not isinstance(params.get("arguments", {}), dict | None)
    ):
        return await call_next(
            replace(ctx, params={**params, "arguments": {AS_SENT: params["arguments"]}})
        )
    return await call_next(ctx)


async def _list_tools(
    ctx: RequestContext, params: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[listed(tool) for tool in TOOLS])


def listed(tool: ToolText) -> types.Tool:
    """Return one of our tools as an entry of `tools/list`."""
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.is_read_only,
            destructive_hint=not tool.is_read_only,
            idempotent_hint=tool.is_idempotent,
            open_world_hint=tool.is_open_world,
        ),
        _meta=tool.meta or None,
    )
