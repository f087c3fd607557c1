"""What `search_tools` and `describe_tools` tell of outputs that their servers do not declare."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp import Client

from plait.core.tools.tool_stats import ToolStats
from plait.engine.gateway import Gateway
from plait.upstream.server import build_server

from ..fakes import FakeServers, tool
from .conftest import LEGACY, first_text, in_memory, structured

ISSUES = {"items": [{"number": 1, "title": "It breaks"}], "total": 1}
DECLARED: dict[str, Any] = {"type": "object", "properties": {"items": {"type": "array"}}}
SHAPE = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"number": {"type": "integer"}, "title": {"type": "string"}},
            },
        },
        "total": {"type": "integer"},
    },
}


@asynccontextmanager
async def connected() -> AsyncIterator[Client]:
    servers = FakeServers()
    servers.add(tool("github:list_issues", readOnlyHint=True), lambda: ISSUES)
    servers.add(tool("github:find_issues", output=DECLARED, readOnlyHint=True), lambda: ISSUES)
    async with Gateway(servers, servers, learned=ToolStats()) as gateway:
        server = build_server(gateway, max_chars=24_000)
        async with Client(in_memory(server), mode=LEGACY) as client:
            yield client


async def run(client: Client, *tools: str) -> None:
    tasks = [{"id": f"t{number}", "tool": tool} for number, tool in enumerate(tools)]
    assert structured(await client.call_tool("execute_dag", {"tasks": tasks}))["status"] == "success"


async def test_a_signature_shows_the_shape_that_outputs_had():
    async with connected() as client:
        before = await client.call_tool("search_tools", {"query": "list_issues", "limit": 1})
        await run(client, "github:list_issues")
        after = await client.call_tool("search_tools", {"query": "list_issues", "limit": 1})
    assert first_text(before).startswith("github:list_issues()\n")
    assert first_text(after).startswith("github:list_issues() -> {items: [{number, title}], total} (seen)\n")
    assert structured(after)["tools"][0]["signature"].endswith(" -> {items: [{number, title}], total} (seen)")


async def test_a_declared_output_goes_before_what_was_seen():
    async with connected() as client:
        await run(client, "github:find_issues")
        found = await client.call_tool("search_tools", {"query": "github:find_issues"})
        described = await client.call_tool("describe_tools", {"names": ["github:find_issues"]})
    assert "-> {items}" in first_text(found)
    assert "(seen)" not in first_text(found)
    assert "outputShape" not in structured(described)["tools"][0]


async def test_describing_a_tool_gives_the_shape_of_its_outputs_once_one_was_seen():
    async with connected() as client:
        names = {"names": ["github:list_issues"]}
        before = await client.call_tool("describe_tools", names)
        await run(client, "github:list_issues")
        after = await client.call_tool("describe_tools", names)
    assert "outputShape" not in structured(before)["tools"][0]
    assert structured(after)["tools"][0]["outputShape"] == SHAPE
