"""The MCP server that upstream clients talk to, over any transport and in both protocol eras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import mcp_types as types
from mcp.server import Server
from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult

from .. import __version__
from ..gateway import Gateway
from .calls import OpenCalls
from .following import Context
from .requests import AS_SENT
from .resources import Resources
from .schemas import TOOLS, ToolText
from .texts import instructions
from .tools import Tools

NAME = "plait"
LISTS_LAST_MS = 3_600_000
"""Our tools, prompts and resources never change while we run."""


def build_server(
    gateway: Gateway, *, max_chars: int = 24_000, wait_s: float | None = None, calls: OpenCalls | None = None
) -> Server[Any]:
    """The server over *gateway*. Answers have at most *max_chars*; *wait_s* is how long `execute_dag` waits, for
    None as long as the client is known to. *calls* are counted, and refused once they are closed."""
    calls = calls or OpenCalls()
    tools = Tools(gateway, max_chars=max_chars, wait_s=wait_s, calls=calls)
    resources = Resources(gateway, max_chars=max_chars)
    lasting = CacheHint(ttl_ms=LISTS_LAST_MS, scope="private")
    server: Server[Any] = Server(
        NAME,
        version=__version__,
        title="Plait",
        description="Runs DAGs of tool calls of other MCP servers, in parallel.",
        get_tool_input_schema=_schemas().get,
        cache_hints={"tools/list": lasting, "prompts/list": lasting, "resources/templates/list": lasting},
        on_list_tools=_list_tools,
        on_call_tool=tools.call,
        on_list_resources=resources.list,
        on_list_resource_templates=resources.templates,
        on_read_resource=resources.read,
        on_list_prompts=resources.prompts,
        on_get_prompt=resources.prompt,
    )

    async def introduce(ctx: Context, call_next: CallNext) -> HandlerResult:
        """The instructions name the servers as they stand when a client connects, in either era."""
        if ctx.method not in {"initialize", "server/discover"}:
            return await call_next(ctx)
        calls.check()
        result = await call_next(ctx)
        if isinstance(result, dict):
            return {**result, "instructions": instructions(gateway.catalog().servers.values())}
        return result

    server.middleware += [introduce, _take_any_arguments]
    return server


async def _take_any_arguments(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Arguments that are no object reach the tool, which can tell the model what to mend."""
    params = ctx.params
    if ctx.method == "tools/call" and params is not None and not isinstance(params.get("arguments", {}), dict | None):
        return await call_next(replace(ctx, params={**params, "arguments": {AS_SENT: params["arguments"]}}))
    return await call_next(ctx)


async def _list_tools(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[listed(tool) for tool in TOOLS])


def listed(tool: ToolText) -> types.Tool:
    """One of our tools as `tools/list` gives it."""
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


def _schemas() -> Mapping[str, Mapping[str, Any]]:
    return {tool.name: tool.input_schema for tool in TOOLS}
