"""A client built on SDK 1.30, run in an environment of its own: lists what there is, makes calls,
prints what came.

client_v1.py stdio COMMAND ARG...  |  client_v1.py http URL  |  client_v1.py sse URL

On stdin are the calls, as JSON: [[tool, arguments], ...]."""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager

from mcp import ClientSession, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client


@asynccontextmanager
async def streams(kind, target):
    if kind == "stdio":
        async with stdio_client(
            StdioServerParameters(command=target[0], args=target[1:], env=dict(os.environ))
        ) as (
            read,
            write,
        ):
            yield read, write
    elif kind == "http":
        async with streamablehttp_client(target[0]) as (read, write, _):
            yield read, write
    else:
        async with sse_client(target[0]) as (read, write):
            yield read, write


async def main():
    kind, *target = sys.argv[1:]
    heard = []

    async def on_progress(progress, total, message):
        heard.append([progress, total, message])

    async with streams(kind, target) as (read, write), ClientSession(read, write) as session:
        started = await session.initialize()
        tools = await session.list_tools()
        resources = await session.list_resources()
        templates = await session.list_resource_templates()
        prompts = await session.list_prompts()
        results = [
            (await session.call_tool(tool, arguments, progress_callback=on_progress)).model_dump(
                mode="json", by_alias=True, exclude_none=True
            )
            for tool, arguments in json.load(sys.stdin)
        ]
    print(
        json.dumps(
            {
                "protocol": started.protocolVersion,
                "server": started.serverInfo.name,
                "tools": [tool.name for tool in tools.tools],
                "resources": [str(resource.uri) for resource in resources.resources],
                "templates": [template.uriTemplate for template in templates.resourceTemplates],
                "prompts": [prompt.name for prompt in prompts.prompts],
                "results": results,
                "progress": heard,
            }
        )
    )


asyncio.run(main())
