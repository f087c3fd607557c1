"""The smallest gateway that relays tools with the official SDK: its `Server` over its `Client`.
`scripts/bench` compares with it.

    python scripts/sdk_gateway.py PORT COMMAND [ARGUMENT ...]

It serves over HTTP on that port, or on its pipes if the port is 0.
"""

from __future__ import annotations

import sys
from typing import Any

import anyio
import mcp_types as types
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server


async def serve(port: int, command: str, args: list[str]) -> None:
    async with Client(
        stdio_client(StdioServerParameters(command=command, args=args)), mode="legacy"
    ) as client:
        await (serve_http(relay(client), port) if port else serve_pipes(relay(client)))


def relay(client: Client) -> Server[Any]:
    async def list_tools(
        ctx: ServerRequestContext[Any, Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return await client.list_tools()

    async def call_tool(
        ctx: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        return await client.call_tool(params.name, params.arguments)

    return Server("sdk", on_list_tools=list_tools, on_call_tool=call_tool)


async def serve_pipes(server: Server[Any]) -> None:
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


async def serve_http(server: Server[Any], port: int) -> None:
    import uvicorn

    config = uvicorn.Config(
        server.streamable_http_app(), port=port, log_level="error", timeout_graceful_shutdown=2
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    anyio.run(serve, int(sys.argv[1]), sys.argv[2], sys.argv[3:])
