"""Capabilities and instructions match what is served."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.tools.catalog import ServerInfo, ServerState
from plait.core.values.strict import JsonObject
from plait.upstream.texts import MAX_TEXT

from ..fakes import FakeServers
from .conftest import MODERN
from .relay.downstream import (
    EVERYTHING,
    FakeDownstream,
    RawClient,
    a_resource,
    a_tool,
    joined,
    relaying_server,
)

pytestmark = pytest.mark.virtual_time

UI: JsonObject = {"extensions": {"io.modelcontextprotocol/ui": {}}}


@pytest.fixture
def downstream() -> FakeDownstream:
    return FakeDownstream()


async def greeting(
    downstream: FakeDownstream, era: str, servers: FakeServers | None = None, **options: Any
) -> Any:
    async with (
        relaying_server(downstream, servers, **options) as server,
        joined(server, era, greet=False) as peer,
    ):
        return await peer.greet()


async def test_a_capability_of_no_server_is_not_declared(downstream: FakeDownstream, era: str):
    downstream.add(
        "a", capabilities={"tools": {}, "resources": {}, "completions": 5, "logging": None}
    )
    told = (await greeting(downstream, era))["capabilities"]
    assert told == {
        "tools": {"listChanged": True},
        "resources": {"listChanged": True, "subscribe": False},
        "prompts": {"listChanged": True},
    }


async def test_a_capability_of_any_server_is_declared(downstream: FakeDownstream, era: str):
    downstream.add("a", capabilities={"tools": {}})
    downstream.add("b", capabilities={**EVERYTHING, **UI})
    told = (await greeting(downstream, era))["capabilities"]
    assert told["resources"]["subscribe"] is True
    assert {"completions", "logging", "extensions"} <= told.keys()
    assert told["extensions"] == UI["extensions"]


@pytest.mark.parametrize("era", [MODERN], indirect=True)
async def test_an_unknown_extension_is_not_declared(downstream: FakeDownstream, era: str):
    downstream.add(
        "a", capabilities={"extensions": {"com.example/x": {}}, "experimental": {"y": {}}}
    )
    assert (await greeting(downstream, era))["capabilities"].keys() == {
        "tools",
        "resources",
        "prompts",
    }


async def test_capabilities_of_servers_that_were_not_reached_yet_are_declared(
    downstream: FakeDownstream, era: str
):
    servers = FakeServers()
    servers.add_server(ServerInfo("late", ServerState.CONNECTING))
    told = (await greeting(downstream, era, servers))["capabilities"]
    assert told["resources"]["subscribe"] is True
    assert {"completions", "logging"} <= told.keys()


async def test_our_own_tools_never_change_and_say_so(downstream: FakeDownstream, era: str):
    downstream.add("a", capabilities={**EVERYTHING, **UI})
    told = (await greeting(downstream, era, expose="dag"))["capabilities"]
    assert told["tools"] == {"listChanged": False}
    assert "extensions" not in told


async def test_instructions_of_servers_are_passed_on_where_their_tools_are_served(
    downstream: FakeDownstream, era: str
):
    downstream.add("a", instructions="Call x first.\x1b[31m\nThen y.")
    downstream.add("b", instructions="long " * 1_000)
    for expose in ("all", "tools"):
        said = (await greeting(downstream, era, expose=expose))["instructions"]
        assert "a: Call x first." in said
        assert "\x1b" not in said
        assert len(said) <= MAX_TEXT
    assert "Call x first" not in (await greeting(downstream, era, expose="dag"))["instructions"]


async def test_instructions_stay_within_bounds_whatever_servers_say(
    downstream: FakeDownstream, era: str
):
    servers = FakeServers()
    for n in range(200):
        downstream.add(f"s{n}", instructions="x" * 5_000)
        servers.add_server(ServerInfo(f"s{n}", ServerState.READY))
    said = {
        expose: (await greeting(downstream, era, servers, expose=expose))["instructions"]
        for expose in ("dag", "all", "tools")
    }
    assert all(len(text) <= MAX_TEXT for text in said.values())
    assert said["tools"].endswith("x…")  # what a server says is passed on as a whole, or not at all


async def lists_of(peer: RawClient) -> list[Any]:
    return [
        await peer.request(method) for method in ("tools/list", "resources/list", "prompts/list")
    ]


async def test_declared_capabilities_are_served(downstream: FakeDownstream, era: str):
    downstream.add(
        "a", tools=(a_tool("x"),), resources=(a_resource("mem://r"),), prompts=({"name": "p"},)
    )
    async with relaying_server(downstream) as server, joined(server, era) as peer:
        served = str(await lists_of(peer))
    assert all(
        name in served for name in ("a__x", "mem://r", "'p'", "plait://guide", "execute_dag")
    )
