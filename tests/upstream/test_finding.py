"""`search_tools` and `describe_tools` show learned shapes where servers declare no output."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client

from plait.core.tools.tool_stats import ToolStats
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.server import build_server

from ..fakes import FakeServers, text, tool
from .conftest import LEGACY, Connect, first_text, in_memory, structured

ISSUES = {"items": [{"number": 1, "title": "It breaks"}], "total": 1}
DECLARED: dict[str, Any] = {"type": "object", "properties": {"items": {"type": "array"}}}
WRAPPER: dict[str, Any] = {"type": "object", "properties": {"result": {"type": "string"}}}
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


async def test_a_notice_about_the_settings_is_in_every_search_and_in_the_instructions():
    async with Gateway(FakeServers(), FakeServers(), InMemoryRuns()) as gateway:
        gateway.notice = "These settings are not used yet."
        async with Client(build_server(gateway), mode=LEGACY) as client:
            listed = await client.call_tool("search_tools", {"query": ""})
            found = await client.call_tool("search_tools", {"query": "read a file"})
            instructions = client.instructions
    for answer in (listed, found):
        assert structured(answer)["notes"] == [gateway.notice]
        assert gateway.notice in first_text(answer)
    assert instructions is not None
    assert instructions.startswith(gateway.notice)


@asynccontextmanager
async def connected() -> AsyncIterator[Client]:
    servers = FakeServers()
    servers.add(tool("github:list_issues", readOnlyHint=True), lambda: ISSUES)
    servers.add(tool("github:find_issues", output=DECLARED, readOnlyHint=True), lambda: ISSUES)
    servers.add(tool("build:logs", readOnlyHint=True), lambda: text("one line"))
    servers.add(tool("build:last_line", output=WRAPPER, readOnlyHint=True), lambda: {"result": "x"})
    async with Gateway(servers, servers, InMemoryRuns(), learned=ToolStats()) as gateway:
        server = build_server(gateway, max_chars=24_000)
        async with Client(in_memory(server), mode=LEGACY) as client:
            yield client


async def run(client: Client, *tools: str) -> None:
    tasks = [{"id": f"t{number}", "tool": tool} for number, tool in enumerate(tools)]
    assert (
        structured(await client.call_tool("execute_dag", {"tasks": tasks}))["status"] == "success"
    )


async def test_a_signature_shows_the_shape_that_outputs_had():
    async with connected() as client:
        before = await client.call_tool("search_tools", {"query": "list_issues", "limit": 1})
        await run(client, "github:list_issues")
        after = await client.call_tool("search_tools", {"query": "list_issues", "limit": 1})
    assert first_text(before).startswith("github:list_issues()\n")
    assert first_text(after).startswith(
        "github:list_issues() -> {items: [{number, title}], total} (seen)\n"
    )
    assert structured(after)["tools"][0]["signature"].endswith(
        " -> {items: [{number, title}], total} (seen)"
    )


async def test_tools_that_give_text_say_so():
    async with connected() as client:
        await run(client, "build:logs")
        found = await client.call_tool("search_tools", {"query": "build", "server": "build"})
    signatures = {tool["signature"] for tool in structured(found)["tools"]}
    assert signatures == {"build:logs() -> text (seen)", "build:last_line() -> text"}


async def test_a_declared_output_is_shown_instead_of_a_learned_one():
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


@pytest.mark.parametrize("max_chars", [1_000, 3_000, 24_000])
async def test_a_search_that_does_not_fit_says_how_much_of_it_is_shown(
    connect: Connect, servers: FakeServers, max_chars: int
):
    for number in range(150):
        servers.add(tool(f"s:read_{number}", description="Reads a thing"), dict)
    async with connect(max_chars=max_chars) as client:
        for query in ("read thing", "; ".join(["read thing"] * 3)):
            found = await client.call_tool("search_tools", {"query": query, "limit": 100})
            *lines, last = first_text(found).split("\n")
            shown = {line.partition("(")[0].strip() for line in lines if line.startswith("s:")}
            assert last == f"{len(shown)} of 157 tools shown."
            assert len(first_text(found)) <= max_chars
            entries = len(structured(found)["tools"]) + structured(found).get("omitted", {}).get(
                "tools", 0
            )
            assert entries == 100 * (query.count(";") + 1)


async def test_needs_that_are_not_searched_are_named(connect: Connect):
    needs = [f"post number {number}" for number in range(12)]
    async with connect() as client:
        within = await client.call_tool("search_tools", {"query": "; ".join(needs[:10])})
        above = await client.call_tool("search_tools", {"query": "; ".join(needs)})
    note = 'Not searched, because a query has at most 10 needs: "post number 10", "post number 11".'
    assert first_text(above).endswith(f" tools shown. {note}")
    assert structured(above)["notes"] == [note]
    assert "Not searched" not in first_text(within)
    assert "notes" not in structured(within)


async def test_tools_that_are_not_described_are_counted(connect: Connect, servers: FakeServers):
    for number in range(10):
        servers.add(tool(f"s:read_{number}", description="x" * 400), dict)
    names = [f"s:read_{number}" for number in range(10)]
    async with connect(max_chars=2_000) as client:
        told = structured(await client.call_tool("describe_tools", {"names": names}))
    assert [one["name"] for one in told["tools"]] == names[: len(told["tools"])]
    assert len(told["tools"]) + told["omitted"]["tools"] == 10
