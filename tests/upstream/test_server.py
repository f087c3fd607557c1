"""The server introduces itself, lists our tools and refuses calls while it stops."""

from __future__ import annotations

import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.shared.message import SessionMessage

from plait.core.tools.catalog import ServerInfo, ServerState
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.calls import OpenCalls
from plait.upstream.relay.listings import RelayConfig
from plait.upstream.server import MARK_KEY, build_server, read_only_tools
from plait.upstream.texts import INSTRUCTIONS

from ..fakes import FakeServers
from .conftest import LEGACY, MODERN, Connect, in_memory, task
from .relay.downstream import FakeDownstream


async def test_the_six_tools_are_listed_with_titles_annotations_and_hints(connect: Connect):
    async with connect() as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert list(listed) == [
        "execute_dag",
        "search_tools",
        "describe_tools",
        "get_run",
        "cancel_run",
        "query_dag",
    ]
    assert all(tool.title and tool.output_schema for tool in listed.values())
    execute = listed["execute_dag"]
    assert execute.annotations is not None
    assert execute.annotations.destructive_hint is True
    assert execute.annotations.open_world_hint is True
    assert (execute.meta or {})["anthropic/alwaysLoad"] is True
    assert "parallel" in (execute.meta or {})["anthropic/searchHint"]
    read_only = {
        name
        for name, tool in listed.items()
        if tool.annotations and tool.annotations.read_only_hint
    }
    assert read_only == {"search_tools", "describe_tools", "get_run", "query_dag"}
    query = listed["query_dag"]
    assert query.annotations is not None
    assert query.annotations.destructive_hint is False
    assert query.annotations.idempotent_hint is True
    assert query.annotations.open_world_hint is True


async def test_the_instructions_name_the_servers_as_they_are_when_a_client_connects(
    servers: FakeServers, era: str
):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        server = build_server(gateway)
        servers.add_server(ServerInfo("late", ServerState.READY, tools=1_200))
        async with Client(in_memory(server), mode="auto" if era != "legacy" else era) as client:
            said = client.instructions
    assert said == f"{INSTRUCTIONS}s, chat, late (1,200 tools)"


async def test_an_unknown_tool_is_a_protocol_error(connect: Connect):
    async with connect() as client:
        with pytest.raises(MCPError, match="Unknown tool: frobnicate") as raised:
            await client.call_tool("frobnicate", {})
    assert raised.value.error.code == types.INVALID_PARAMS


async def test_calls_are_refused_while_shutting_down(connect: Connect):
    calls = OpenCalls()
    async with connect(calls=calls) as client:
        await calls.drain(0)
        with pytest.raises(MCPError, match="shutting down"):
            await client.call_tool("execute_dag", {"tasks": [task("a")]})


async def test_a_client_that_connects_while_we_stop_is_refused(servers: FakeServers, era: str):
    calls = OpenCalls()
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        server = build_server(gateway, calls=calls)
        await calls.drain(0)
        async with in_memory(server) as (read, write):
            info = {"name": "test", "version": "1"}
            handshake = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
            meta = {
                types.PROTOCOL_VERSION_META_KEY: MODERN,
                types.CLIENT_CAPABILITIES_META_KEY: {},
                types.CLIENT_INFO_META_KEY: info,
            }
            method, params = (
                ("initialize", handshake) if era == LEGACY else ("server/discover", {"_meta": meta})
            )
            message = types.JSONRPCRequest(jsonrpc="2.0", id=1, method=method, params=params)
            await write.send(SessionMessage(message))
            refused = (await read.receive()).message
    assert isinstance(refused, types.JSONRPCError)
    assert "shutting down" in refused.error.message


@pytest.mark.parametrize("expose", ["all", "tools"])
async def test_tools_that_change_nothing_are_known_by_the_names_that_clients_use(
    servers: FakeServers, expose: str
):
    downstream = FakeDownstream()
    downstream.add("s", tools=servers_tools("sleep", "echo"))
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        relaying = RelayConfig(downstream, expose=expose)  # type: ignore[arg-type]  # one of them
        is_read_only = read_only_tools(build_server(gateway, relaying=relaying), gateway)
        assert is_read_only("s__sleep")
        assert not is_read_only("s__echo")
        assert not is_read_only("s__unknown")
        assert is_read_only("get_run") is (expose == "all")
        assert not is_read_only("execute_dag")


async def test_without_servers_by_name_only_our_own_tools_are_known(servers: FakeServers):
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        is_read_only = read_only_tools(build_server(gateway), gateway)
        names = ("search_tools", "query_dag", "cancel_run", "s__sleep")
        assert [is_read_only(name) for name in names] == [True, True, False, False]


def servers_tools(*names: str) -> tuple[dict[str, object], ...]:
    """What a server lists, in its own words."""
    return tuple({"name": name, "inputSchema": {"type": "object"}} for name in names)


async def test_a_hello_has_the_mark_of_the_gateway(servers: FakeServers, era: str):
    mode = "auto" if era != "legacy" else era
    marks: list[object] = []
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        for mark in ("", "the-mark"):
            gateway.mark = mark
            async with Client(in_memory(build_server(gateway)), mode=mode) as client:
                result = client.session.initialize_result or client.session.discover_result
                assert result is not None
                marks.append((result.meta or {}).get(MARK_KEY))
    assert marks == [None, "the-mark"]
