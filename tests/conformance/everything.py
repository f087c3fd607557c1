"""A server with all the fixtures that the official conformance suite expects by name, in both
protocol eras.

    python -m tests.conformance.everything stdio
    python -m tests.conformance.everything http

Over HTTP it picks a free port of 127.0.0.1 and prints its URL as the first line.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
import uvicorn
from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.lowlevel.server import NotificationOptions
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import ListenHandler
from mcp.shared.exceptions import MCPDeprecationWarning

from . import documents, interactive, tools
from .asking import InputNeeded, Request
from .replay import Replay
from .state import State, session_of

Context = ServerRequestContext[State]
TOOLS = {fixture.name: fixture for fixture in [*tools.FIXTURES, *interactive.FIXTURES]}
PROMPTS = {prompt.name: prompt for prompt in documents.PROMPTS}
FRESH: dict[CacheableMethod, CacheHint] = {
    "tools/list": CacheHint(ttl_ms=5_000, scope="public"),
    "prompts/list": CacheHint(ttl_ms=5_000, scope="public"),
    "resources/list": CacheHint(ttl_ms=5_000, scope="public"),
    "resources/templates/list": CacheHint(ttl_ms=5_000, scope="public"),
    "resources/read": CacheHint(ttl_ms=1_000, scope="private"),
}


class Everything(Server[State]):
    """Announces changes in the handshake era too, which the SDK's HTTP application leaves out."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        everything = NotificationOptions(
            prompts_changed=True, resources_changed=True, tools_changed=True
        )
        return super().create_initialization_options(
            everything, experimental_capabilities, extensions
        )


def build() -> Everything:
    state = State()

    @asynccontextmanager
    async def lifespan(_: Server[State]) -> AsyncIterator[State]:
        yield state

    server = Everything(
        "everything",
        version="1.0.0",
        lifespan=lifespan,
        cache_hints=FRESH,
        get_tool_input_schema=schema_of,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_subscribe_resource=subscribe,
        on_unsubscribe_resource=unsubscribe,
        on_subscriptions_listen=ListenHandler(state.bus),
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_completion=complete,
    )
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, set_level)
    server.middleware.append(
        RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience="everything")
    )
    return server


def schema_of(name: str) -> Mapping[str, Any] | None:
    return TOOLS[name].schema if name in TOOLS else None


async def list_tools(
    _: Context, params: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[fixture.listed for fixture in TOOLS.values()])


async def call_tool(
    context: Context, params: types.CallToolRequestParams
) -> types.CallToolResult | types.InputRequiredResult:
    if params.name not in TOOLS:
        raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
    try:
        return await TOOLS[params.name].call(Request.of(context, params))
    except InputNeeded as needed:
        return needed.result


async def list_resources(
    _: Context, params: types.PaginatedRequestParams | None
) -> types.ListResourcesResult:
    return types.ListResourcesResult(resources=documents.RESOURCES)


async def list_templates(
    _: Context, params: types.PaginatedRequestParams | None
) -> types.ListResourceTemplatesResult:
    return types.ListResourceTemplatesResult(resource_templates=documents.TEMPLATES)


async def read_resource(
    context: Context, params: types.ReadResourceRequestParams
) -> types.ReadResourceResult:
    return documents.read(params.uri, context.protocol_version)


async def subscribe(context: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
    context.lifespan_context.watched.add((session_of(context), params.uri))
    return types.EmptyResult()


async def unsubscribe(
    context: Context, params: types.UnsubscribeRequestParams
) -> types.EmptyResult:
    context.lifespan_context.watched.discard((session_of(context), params.uri))
    return types.EmptyResult()


async def list_prompts(
    _: Context, params: types.PaginatedRequestParams | None
) -> types.ListPromptsResult:
    return types.ListPromptsResult(prompts=[prompt.listed for prompt in PROMPTS.values()])


async def get_prompt(
    context: Context, params: types.GetPromptRequestParams
) -> types.GetPromptResult | types.InputRequiredResult:
    if params.name not in PROMPTS:
        raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")
    try:
        return await PROMPTS[params.name].get(Request.of(context, params))
    except InputNeeded as needed:
        return needed.result


async def complete(_: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
    return types.CompleteResult(completion=documents.complete(params.argument.value))


async def set_level(context: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
    context.lifespan_context.levels[session_of(context)] = params.level
    return types.EmptyResult()


async def serve_stdio() -> None:
    server = build()
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


async def serve_http() -> None:
    # Bound before the URL is told, so that who reads it can connect at once.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
        app = build().streamable_http_app(event_store=Replay(), retry_interval=100)
        # httptools, which uvicorn prefers where it is installed, leaves the blanks behind a
        # header's value.
        config = uvicorn.Config(app, http="h11", log_level="warning", timeout_graceful_shutdown=1)
        await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    # The handshake era is served on purpose.
    warnings.filterwarnings("ignore", category=MCPDeprecationWarning)
    asyncio.run(serve_http() if sys.argv[1:] == ["http"] else serve_stdio())
