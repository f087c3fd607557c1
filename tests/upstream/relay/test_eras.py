"""Requests, results and errors take the form of the client's era."""

from __future__ import annotations

import mcp_types as types
import pytest

from plait.core.values.strict import JsonObject
from plait.errors import RpcError

from ..conftest import LEGACY, MODERN
from .downstream import (
    ALL_CAPABILITIES,
    DONE,
    FakeDownstream,
    a_resource,
    a_tool,
    connected,
)

pytestmark = pytest.mark.virtual_time

ODD: JsonObject = {
    "content": [{"type": "hologram", "depth": 3}],
    "structuredContent": {"n": 10**30},
    "x-of-the-future": {"deep": [1, {"er": True}]},
    "_meta": {"example.com/trace": "t1"},
}
NOT_FOUND = {LEGACY: -32002, MODERN: types.INVALID_PARAMS}


@pytest.fixture
def downstream() -> FakeDownstream:
    made = FakeDownstream()
    made.add("a", tools=(a_tool("echo"),), resources=(a_resource("mem://one"),))
    made.on("a", "tools/call", DONE)
    return made


async def test_arguments_and_meta_reach_the_server_as_the_client_sent_them(
    downstream: FakeDownstream, era: str
):
    arguments: JsonObject = {"n": 10**30, "x": None, "deep": [[{}]], "uri": "plait://servers/b/x"}
    meta: JsonObject = {"example.com/trace": {"id": 1}, "progressToken": 7}
    async with connected(downstream, era, capabilities=ALL_CAPABILITIES) as peer:
        await peer.request(
            "tools/call", {"name": "a__echo", "arguments": arguments, "x-new": 1}, meta=meta
        )
    sent = downstream.requests[0]
    assert sent.params == {"name": "echo", "arguments": arguments, "x-new": 1}
    assert sent.meta == {"example.com/trace": {"id": 1}}
    assert sent.caller.capabilities == ALL_CAPABILITIES


async def test_results_carry_what_their_era_demands_and_no_more(downstream: FakeDownstream):
    downstream.on("a", "tools/call", {**ODD, "resultType": "complete"})
    async with connected(downstream, LEGACY) as peer:
        assert await peer.request("tools/call", {"name": "a__echo"}) == ODD
    async with connected(downstream, MODERN) as peer:
        result = await peer.request("tools/call", {"name": "a__echo"})
        read = await peer.request("resources/read", {"uri": "mem://one"})
    assert result["resultType"] == "complete"
    assert result["_meta"][types.SERVER_INFO_META_KEY]["name"] == "plait"
    assert result["_meta"]["example.com/trace"] == "t1"
    assert (read["ttlMs"], read["cacheScope"]) == (0, "private")


async def test_structured_content_that_an_older_client_cannot_read_is_left_out(
    downstream: FakeDownstream,
):
    downstream.on("a", "tools/call", {**DONE, "structuredContent": [1, 2]})
    async with connected(downstream, LEGACY) as peer:
        assert await peer.request("tools/call", {"name": "a__echo"}) == DONE
    async with connected(downstream, MODERN) as peer:
        assert (await peer.request("tools/call", {"name": "a__echo"}))["structuredContent"] == [
            1,
            2,
        ]


@pytest.mark.parametrize("code", [types.HEADER_MISMATCH, types.UNSUPPORTED_PROTOCOL_VERSION])
async def test_an_error_about_our_own_connection_is_not_blamed_on_the_client(
    downstream: FakeDownstream, era: str, code: int
):
    downstream.on("a", "tools/call", RpcError(code, "no"))
    async with connected(downstream, era) as peer:
        with pytest.raises(RpcError) as caught:
            await peer.request("tools/call", {"name": "a__echo"})
    assert caught.value.code == types.INTERNAL_ERROR


async def test_nothing_is_relayed_before_the_handshake(downstream: FakeDownstream):
    async with connected(downstream, LEGACY, greet=False) as peer:
        for method in ("tools/call", "prompts/get", "tools/list", "logging/setLevel"):
            with pytest.raises(RpcError) as caught:
                await peer.request(method, {"name": "a__echo", "level": "debug"})
            assert caught.value.code == types.INVALID_PARAMS
    assert downstream.requests == []


@pytest.mark.parametrize("said", NOT_FOUND.values())
async def test_an_error_for_an_unknown_resource_is_translated_to_the_clients_era(
    downstream: FakeDownstream, era: str, said: int
):
    downstream.on("a", "resources/read", RpcError(said, "Resource not found", {"uri": "mem://one"}))
    async with connected(downstream, era) as peer:
        with pytest.raises(RpcError) as caught:
            await peer.request("resources/read", {"uri": "mem://one"})
    assert caught.value.code == NOT_FOUND[era]


async def test_other_invalid_params_errors_of_a_read_stay_unchanged(
    downstream: FakeDownstream, era: str
):
    downstream.on("a", "resources/read", RpcError(types.INVALID_PARAMS, "no such page"))
    async with connected(downstream, era) as peer:
        with pytest.raises(RpcError) as caught:
            await peer.request("resources/read", {"uri": "mem://one"})
    assert caught.value.code == types.INVALID_PARAMS


async def test_what_a_server_says_of_its_own_connection_is_replaced_or_left_out(
    downstream: FakeDownstream, era: str
):
    stamp: JsonObject = {types.SERVER_INFO_META_KEY: {"name": "a", "version": "1"}}
    downstream.on("a", "tools/call", {**DONE, "_meta": stamp})
    async with connected(downstream, era) as peer:
        result = await peer.request("tools/call", {"name": "a__echo"})
    if era == LEGACY:
        assert result == DONE
    else:
        assert result["_meta"][types.SERVER_INFO_META_KEY]["name"] == "plait"


async def test_how_long_a_read_may_be_kept_is_what_its_server_says(downstream: FakeDownstream):
    kept: JsonObject = {"contents": [], "ttlMs": 5_000, "cacheScope": "public"}
    downstream.on("a", "resources/read", kept)
    async with connected(downstream, MODERN) as peer:
        read = await peer.request("resources/read", {"uri": "mem://one"})
    assert (read["ttlMs"], read["cacheScope"]) == (5_000, "public")
