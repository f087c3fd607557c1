"""The client of FastMCP 4, run in an environment of its own: lists the tools, makes calls, prints
what came.

client_fastmcp.py ERA stdio COMMAND ARG...  |  client_fastmcp.py ERA http URL  |  client_fastmcp.py
ERA sse URL

ERA is auto or legacy. On stdin are the calls, as JSON: [[tool, arguments], ...]."""

import asyncio
import json
import os
import sys
from typing import Any

from fastmcp import Client  # type: ignore[import-not-found]  # it is in another environment
from fastmcp.client.transports import (  # type: ignore[import-not-found]  # likewise
    SSETransport,
    StdioTransport,
    StreamableHttpTransport,
)


def transport(kind: str, target: list[str]) -> Any:
    match kind:
        case "stdio":
            return StdioTransport(target[0], target[1:], env=dict(os.environ), keep_alive=False)
        case "sse":
            return SSETransport(target[0])
    return StreamableHttpTransport(target[0])


async def main() -> None:
    era, kind, *target = sys.argv[1:]
    heard = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append([progress, total, message])

    async with Client(transport(kind, target), mode=era, progress_handler=on_progress) as client:
        tools = await client.list_tools()
        resources = await client.list_resources()
        templates = await client.list_resource_templates()
        prompts = await client.list_prompts()
        results = [
            (await client.call_tool_mcp(tool, arguments)).model_dump(
                mode="json", by_alias=True, exclude_none=True
            )
            for tool, arguments in json.load(sys.stdin)
        ]
        told = {
            "protocol": client.protocol_version,
            "server": client.server_info.name,
            "tools": [tool.name for tool in tools],
            "resources": [str(resource.uri) for resource in resources],
            "templates": [template.uri_template for template in templates],
            "prompts": [prompt.name for prompt in prompts],
            "results": results,
            "progress": heard,
        }
    print(json.dumps(told))


asyncio.run(main())
