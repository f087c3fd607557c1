"""Requests for one server: they reach it as they came, and its answer comes back as it gave it, in
both eras."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client

from plait.core.ports import RelayRequest
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.core.values.strict import Json, JsonObject
from plait.engine.gateway import Gateway, GatewayLimits
from plait.errors import RpcError
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.calls import OpenCalls
from plait.upstream.relay.listings import RelayConfig
from plait.upstream.server import build_server

from ...fakes import FakeServers, tool
from ..conftest import LEGACY, MODERN, in_memory
from .downstream import (
    DONE,
    FakeDownstream,
    a_resource,
    a_template,
    a_tool,
    by_origin,
    connected,
    joined,
    relaying_server,
)

pytestmark = pytest.mark.virtual_time

ODD: JsonObject = {
    "content": [
        {"type": "text", "text": "é\u2028", "annotations": {"audience": ["user"], "x-new": 1}},
        {"type": "image", "data": "AA==", "mimeType": "image/png", "x-new": [None]},
        {"type": "hologram", "depth": 3},
        {"type": "resource", "resource": {"uri": "mem://one", "text": "1", "x-new": {}}},
    ],
    "structuredContent": {"n": 10**30, "f": 1e-7, "null": None, "": {"a": []}},
    "isError": False,
    "x-of-the-future": {"deep": [1, {"er": True}]},
    "_meta": {"example.com/trace": "t1"},
}


@pytest.fixture
def downstream() -> FakeDownstream:
    made = FakeDownstream()
    made.add(
        "a",
        tools=(a_tool("echo"), a_tool("slow")),
        resources=(a_resource("mem://one"),),
        templates=(a_template("mem://n/{n}"),),
        prompts=({"name": "greet"},),
    )
    made.add(
        "b",
        tools=(a_tool("echo"),),
        resources=(a_resource("mem://two"),),
        prompts=({"name": "part"},),
    )
    made.on("a", "tools/call", DONE)
    return made


def unstamped(result: Any) -> Any:
    """*result* without what the era adds to every one."""
    meta = {
        key: value
        for key, value in result.get("_meta", {}).items()
        if key != types.SERVER_INFO_META_KEY
    }
    own = {"resultType", "_meta", "ttlMs", "cacheScope"}
    return {
        **{name: value for name, value in result.items() if name not in own},
        **({"_meta": meta} if meta else {}),
    }


async def test_a_result_comes_back_with_every_member_that_it_has(
    downstream: FakeDownstream, era: str
):
    downstream.on("a", "tools/call", ODD)
    async with connected(downstream, era) as peer:
        result = await peer.request("tools/call", {"name": "a__echo", "arguments": {}})
    assert unstamped(result) == ODD


async def test_a_call_without_arguments_is_sent_without(downstream: FakeDownstream, era: str):
    async with connected(downstream, era) as peer:
        await peer.request("tools/call", {"name": "a__echo"})
    assert downstream.requests[0].params == {"name": "echo"}


async def test_the_sdks_client_gets_the_servers_result(downstream: FakeDownstream, era: str):
    downstream.on("a", "tools/call", {**DONE, "structuredContent": {"n": 1}, "isError": True})
    async with relaying_server(downstream) as server, Client(in_memory(server), mode=era) as client:
        result = await client.call_tool("a__echo", {"x": 1})
        prompts = await client.list_prompts()
    assert (result.is_error, result.structured_content) == (True, {"n": 1})
    assert [prompt.name for prompt in prompts.prompts][-2:] == ["greet", "part"]


async def test_an_error_of_the_server_goes_to_the_client_unchanged(
    downstream: FakeDownstream, era: str
):
    downstream.on("a", "tools/call", RpcError(-31999, "Out of ink", {"cartridge": "cyan"}))
    async with connected(downstream, era) as peer:
        with pytest.raises(RpcError) as caught:
            await peer.request("tools/call", {"name": "a__echo"})
    assert (caught.value.code, caught.value.message, caught.value.data) == (
        -31999,
        "Out of ink",
        {"cartridge": "cyan"},
    )


async def test_an_unexpected_error_of_ours_is_not_shown_to_the_client(
    downstream: FakeDownstream, era: str
):
    downstream.on("a", "tools/call", RuntimeError("/etc/secret"))
    async with connected(downstream, era) as peer:
        with pytest.raises(RpcError) as caught:
            await peer.request("tools/call", {"name": "a__echo"})
    assert caught.value.code == types.INTERNAL_ERROR
    assert re.fullmatch("an internal error; the log names it [0-9a-f]{8}", caught.value.message)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"name": "a__nothing"}, types.INVALID_PARAMS),
        ({"name": "c__echo"}, types.INVALID_PARAMS),
        ({"name": "echo"}, types.INVALID_PARAMS),
        ({"name": "a:echo"}, types.INVALID_PARAMS),
        ({"name": 5}, types.INVALID_PARAMS),
        ({"name": ["a__echo"]}, types.INVALID_PARAMS),
        ({}, types.INVALID_PARAMS),
        ({"name": "a__echo", "arguments": [1]}, types.INVALID_PARAMS),
        ({"name": "a__echo", "arguments": "{}"}, types.INVALID_PARAMS),
        ({"name": "a__echo", "inputResponses": [1]}, types.INVALID_PARAMS),
    ],
)
async def test_an_invalid_call_reaches_no_server(
    downstream: FakeDownstream, era: str, params: JsonObject, code: int
):
    async with connected(downstream, era) as peer:
        with pytest.raises(RpcError) as caught:
            await peer.request("tools/call", params)
    assert caught.value.code == code
    assert downstream.requests == []


async def test_our_own_tools_work_together_with_those_of_servers(
    downstream: FakeDownstream, era: str
):
    servers = FakeServers()
    servers.add(tool("s:echo", {}, closed=False), lambda **arguments: arguments)
    async with connected(downstream, era, servers=servers) as peer:
        tasks: list[Json] = [{"id": "t", "tool": "s:echo", "arguments": {"x": 1}}]
        result = await peer.call("execute_dag", {"tasks": tasks})
    assert result["structuredContent"]["outputs"]["t"] == {"x": 1}
    assert downstream.requests == []


@pytest.mark.parametrize(
    ("expose", "ours", "theirs"),
    [("dag", True, False), ("all", True, True), ("tools", False, True)],
)
async def test_a_tool_that_is_not_exposed_cannot_be_called(
    downstream: FakeDownstream, era: str, expose: str, ours: bool, theirs: bool
):
    async with connected(downstream, era, expose=expose) as peer:
        for name, is_served in (("search_tools", ours), ("a__echo", theirs)):
            with (
                nullcontext()
                if is_served
                else pytest.raises(RpcError, match=f"Unknown tool: {name}")
            ):
                await peer.call(name, {"query": "x"})


async def test_a_denied_tool_is_not_listed_and_is_refused(downstream: FakeDownstream, era: str):
    async with connected(downstream, era, policy=Policy(tables=(Rules(deny=("a:e*",)),))) as peer:
        listed = [tool["name"] for tool in (await peer.request("tools/list"))["tools"]]
        with pytest.raises(RpcError) as caught:
            await peer.request("tools/call", {"name": "a__echo"})
    assert caught.value.data == {"code": "policy_denied", "denied_by": "a:e*"}
    assert [name for name in listed if "__" in name] == ["a__slow", "b__echo"]
    assert downstream.requests == []


async def test_a_call_that_needs_a_yes_and_gets_none_is_answered_as_an_error_of_the_tool(
    downstream: FakeDownstream, era: str
):
    async with connected(downstream, era, policy=Policy(tables=(Rules(ask=("a:e*",)),))) as peer:
        result = await peer.request("tools/call", {"name": "a__echo"})
    assert result["isError"] is True
    assert result["_meta"]["plait/code"] == "approval_required"
    assert "a:echo was not called: there was no yes. It was asked" in result["content"][0]["text"]
    assert "structuredContent" not in result
    assert downstream.requests == []


async def test_a_new_denial_applies_at_once(downstream: FakeDownstream, era: str):
    servers = FakeServers()
    async with Gateway(servers, by_origin(servers, downstream), InMemoryRuns()) as gateway:
        relaying = RelayConfig(downstream, "all", denied_by=gateway.denied_by)
        async with joined(build_server(gateway, relaying=relaying), era) as peer:
            for name in ("slow", "echo"):
                gateway.change(Policy(tables=(Rules(deny=(f"a:{name}",)),)), GatewayLimits(), None)
                listed = [tool["name"] for tool in (await peer.request("tools/list"))["tools"]]
                assert f"a__{name}" not in listed
                with pytest.raises(RpcError, match="The policy denies"):
                    await peer.request("tools/call", {"name": f"a__{name}"})
            gateway.change(Policy(), GatewayLimits(), None)
            assert "a__slow" in str(await peer.request("tools/list"))
            await peer.request("tools/call", {"name": "a__slow"})


# Prompts, resources and completions.


async def test_a_prompt_is_requested_from_its_server(downstream: FakeDownstream, era: str):
    messages: list[Json] = [{"role": "user", "content": {"type": "text", "text": "hi", "x-new": 1}}]
    downstream.on("b", "prompts/get", {"messages": messages, "description": "d"})
    async with connected(downstream, era) as peer:
        result = await peer.request("prompts/get", {"name": "part", "arguments": {"to": "Ada"}})
        ours = await peer.request("prompts/get", {"name": "plan", "arguments": {"task": "tidy"}})
    assert unstamped(result) == {"messages": messages, "description": "d"}
    assert downstream.sent("prompts/get") == [("b", {"name": "part", "arguments": {"to": "Ada"}})]
    assert ours["messages"]


@pytest.mark.parametrize("name", ["nothing", "a__nothing", "", "x" * 10_000])
async def test_an_unknown_prompt_is_refused(downstream: FakeDownstream, era: str, name: str):
    async with connected(downstream, era) as peer:
        with pytest.raises(RpcError, match="Unknown prompt") as caught:
            await peer.request("prompts/get", {"name": name})
    assert caught.value.code == types.INVALID_PARAMS
    assert len(caught.value.message) < 200


async def test_a_resource_is_read_from_the_server_that_has_it(downstream: FakeDownstream, era: str):
    contents = {"contents": [{"uri": "mem://two", "text": "2", "x-new": 1}]}
    downstream.on("b", "resources/read", contents)
    async with connected(downstream, era) as peer:
        assert unstamped(await peer.request("resources/read", {"uri": "mem://two"})) == contents
        await peer.request("resources/read", {"uri": "mem://n/7"})
        await peer.request("resources/read", {"uri": "plait://servers/b/mem://n/7"})
        ours = await peer.request("resources/read", {"uri": "plait://guide"})
    assert downstream.sent("resources/read") == [
        ("b", {"uri": "mem://two"}),
        ("a", {"uri": "mem://n/7"}),
        ("b", {"uri": "mem://n/7"}),
    ]
    assert ours["contents"][0]["uri"] == "plait://guide"


async def test_who_gets_a_prompt_or_a_resource_is_noted_to_have_seen_it(
    downstream: FakeDownstream, era: str
):
    noted: list[str] = []
    downstream.on("b", "prompts/get", {"messages": []})
    async with connected(downstream, era, shown=lambda _, source: noted.append(source)) as peer:
        await peer.request("prompts/get", {"name": "part"})
        await peer.request("resources/read", {"uri": "mem://two"})
        await peer.request("resources/read", {"uri": "plait://guide"})
        await peer.request("tools/call", {"name": "a__echo", "arguments": {}})
    assert noted == ["b:prompts/get", "b:resources/read"]


async def test_a_relayed_call_that_outlasts_the_drain_is_cancelled_with_an_error(
    downstream: FakeDownstream, era: str
):
    async def hang(request: RelayRequest) -> JsonObject:
        await anyio.sleep_forever()
        raise AssertionError

    calls = OpenCalls()
    downstream.on("a", "tools/call", hang)
    async with connected(downstream, era, calls=calls, capabilities={"roots": {}}) as peer:
        call = await peer.begin("tools/call", {"name": "a__slow"})
        await downstream.until(lambda: len(downstream.requests) == 1)
        await calls.drain(5)
        with pytest.raises(RpcError, match="shutting down"):
            await peer.answer_to(call)
    assert [request.params["name"] for request in downstream.aborted] == ["slow"]


async def test_a_result_of_a_read_has_the_requested_uri(downstream: FakeDownstream, era: str):
    def contents(request: RelayRequest) -> JsonObject:
        return {
            "contents": [
                {"uri": request.params["uri"], "text": "7"},
                {"uri": "mem://part", "text": "8"},
            ]
        }

    downstream.on("b", "resources/read", contents)
    async with connected(downstream, era) as peer:
        for uri in ("mem://two", "plait://servers/b/mem://n/7"):
            read = await peer.request("resources/read", {"uri": uri})
            assert [content["uri"] for content in read["contents"]] == [uri, "mem://part"]


LINKS: list[Json] = [
    {"type": "resource_link", "uri": "mem://unlisted", "name": "unlisted"},
    {"type": "resource_link", "uri": "mem://both", "name": "both"},
    {"type": "resource", "resource": {"uri": "mem://embedded", "text": "x"}},
]


@pytest.mark.parametrize("expose", ["dag", "all"])
async def test_what_an_output_of_a_run_links_to_can_be_read(
    downstream: FakeDownstream, era: str, expose: str
):
    for server in "ab":
        downstream.add(server, resources=(a_resource("mem://both"),))
        downstream.on(server, "resources/read", {"contents": []})
    servers = FakeServers()
    servers.add(tool("b:link", {}), lambda: {"content": LINKS, "isError": False})
    dag: JsonObject = {"tasks": [{"id": "x", "tool": "b:link"}], "detail": "full"}
    async with connected(downstream, era, servers=servers, expose=expose) as peer:
        ran = (await peer.call("execute_dag", dag))["structuredContent"]
        run_id = ran["run_id"]
        shown = (await peer.call("get_run", {"run_id": run_id, "task": "x"}))["structuredContent"]
        whole = await peer.request("resources/read", {"uri": f"plait://runs/{run_id}/tasks/x"})
        part = await peer.request("resources/read", {"uri": f"plait://runs/{run_id}"})
        output = ran["outputs"]["x"]
        addresses = [output[0]["uri"], output[1]["uri"], output[2]["resource"]["uri"]]
        for uri in addresses:
            await peer.request("resources/read", {"uri": uri})
    assert addresses == ["mem://unlisted", "plait://servers/b/mem://both", "mem://embedded"]
    assert shown["value"] == output == json.loads(whole["contents"][0]["text"])
    assert json.loads(part["contents"][0]["text"])["outputs"]["x"] == output
    assert downstream.sent("resources/read") == [
        ("b", {"uri": uri}) for uri in ("mem://unlisted", "mem://both", "mem://embedded")
    ]


NOT_FOUND = {LEGACY: -32002, MODERN: types.INVALID_PARAMS}


@pytest.mark.parametrize("uri", ["mem://none", "plait://servers/zz/mem://one", "ui://plait/zz/x"])
async def test_an_unknown_resource_has_the_error_code_of_its_era(
    downstream: FakeDownstream, era: str, uri: str
):
    async with connected(downstream, era) as peer:
        with pytest.raises(RpcError) as caught:
            await peer.request("resources/read", {"uri": uri})
    assert caught.value.code == NOT_FOUND[era]
    assert caught.value.data == {"uri": uri}


async def test_addresses_that_two_servers_share_are_wrapped_in_results_and_lead_back(
    downstream: FakeDownstream, era: str
):
    downstream.add("b", resources=(a_resource("mem://one"),))
    link = {"type": "resource_link", "uri": "mem://one", "name": "n"}
    other = {"type": "resource_link", "uri": "mem://elsewhere", "name": "n"}
    downstream.on(
        "a", "tools/call", {"content": [link, other], "structuredContent": {"uri": "mem://one"}}
    )
    async with connected(downstream, era) as peer:
        result = await peer.request("tools/call", {"name": "a__echo"})
        links = [block["uri"] for block in result["content"]]
        for uri in links:
            await peer.request("resources/read", {"uri": uri})
    assert links == ["plait://servers/a/mem://one", "mem://elsewhere"]
    assert result["structuredContent"] == {"uri": "mem://one"}
    assert downstream.sent("resources/read") == [
        ("a", {"uri": "mem://one"}),
        ("a", {"uri": "mem://elsewhere"}),
    ]


@pytest.mark.parametrize(
    ("ref", "sent"),
    [
        ({"type": "ref/prompt", "name": "part"}, ("b", {"type": "ref/prompt", "name": "part"})),
        ({"type": "ref/prompt", "name": "b__part"}, ("b", {"type": "ref/prompt", "name": "part"})),
        (
            {"type": "ref/resource", "uri": "mem://n/{n}"},
            ("a", {"type": "ref/resource", "uri": "mem://n/{n}"}),
        ),
    ],
)
async def test_a_completion_goes_to_the_server_of_its_reference(
    downstream: FakeDownstream, era: str, ref: JsonObject, sent: tuple[str, JsonObject]
):
    server, own = sent
    downstream.on(
        server,
        "completion/complete",
        {"completion": {"values": ["x"], "hasMore": False, "x-new": 1}},
    )
    argument: JsonObject = {"name": "n", "value": "1"}
    async with connected(downstream, era) as peer:
        result = await peer.request("completion/complete", {"ref": ref, "argument": argument})
    assert unstamped(result) == {"completion": {"values": ["x"], "hasMore": False, "x-new": 1}}
    assert downstream.sent("completion/complete") == [(server, {"ref": own, "argument": argument})]


@pytest.mark.parametrize(
    "ref", [{"type": "ref/prompt", "name": "plan"}, {"type": "ref/prompt", "name": "part"}]
)
async def test_a_server_without_completions_gives_no_values(
    downstream: FakeDownstream, era: str, ref: JsonObject
):
    downstream.add("b", capabilities={"prompts": {}}, prompts=({"name": "part"},))
    async with connected(downstream, era) as peer:
        result = await peer.request(
            "completion/complete", {"ref": ref, "argument": {"name": "n", "value": ""}}
        )
    assert result["completion"] == {"values": []}
    assert downstream.requests == []


# Progress, cancellation and the end.


@pytest.mark.parametrize("answers", [None, {"roots/list": {"roots": []}}])
async def test_a_request_that_the_client_cancels_is_cancelled_at_its_server(
    downstream: FakeDownstream, era: str, answers: Any
):
    downstream.on("a", "tools/call", lambda request: anyio.sleep_forever())
    async with connected(downstream, era, answers=answers) as peer:
        call = await peer.begin("tools/call", {"name": "a__slow"})
        await downstream.until(lambda: len(downstream.requests) == 1)
        await peer.cancel(call)
        await downstream.until(lambda: len(downstream.aborted) == 1)
        await peer.request("tools/list")
        assert call not in peer.log  # a cancelled request is not answered


@pytest.mark.parametrize("answers", [None, {"roots/list": {"roots": []}}])
async def test_a_client_that_leaves_cancels_its_requests(
    downstream: FakeDownstream, era: str, answers: Any
):
    downstream.on("a", "tools/call", lambda request: anyio.sleep_forever())
    async with connected(downstream, era, answers=answers) as peer:
        await peer.begin("tools/call", {"name": "a__slow"})
        await downstream.until(lambda: len(downstream.requests) == 1)
        await peer.leave()
        await downstream.until(lambda: len(downstream.aborted) == 1)
    assert downstream.listeners == []


async def test_a_request_without_an_answer_fails_after_an_hour(
    downstream: FakeDownstream, era: str
):
    downstream.on("a", "tools/call", lambda request: anyio.sleep_forever())
    async with connected(downstream, era) as peer:
        began = anyio.current_time()
        with pytest.raises(RpcError, match="3600 s") as caught:
            await peer.request("tools/call", {"name": "a__slow"})
        assert anyio.current_time() - began == pytest.approx(3600)
    assert caught.value.code == types.REQUEST_TIMEOUT


async def test_relayed_calls_are_counted_and_refused_once_the_gateway_stops(
    downstream: FakeDownstream, era: str
):
    calls = OpenCalls()
    go = anyio.Event()

    async def held(request: RelayRequest) -> JsonObject:
        await go.wait()
        return DONE

    downstream.on("a", "tools/call", held)
    async with connected(downstream, era, calls=calls) as peer:
        call = await peer.begin("tools/call", {"name": "a__slow"})
        await downstream.until(lambda: len(downstream.requests) == 1)
        assert calls.count == 1
        go.set()
        await calls.drain(5)
        assert calls.count == 0
        assert unstamped(await peer.answer_to(call)) == DONE
        with pytest.raises(RpcError, match="shutting down"):
            await peer.request("tools/call", {"name": "a__slow"})
    assert len(downstream.requests) == 1


async def test_no_server_gets_the_reads_of_another_by_naming_an_address(
    downstream: FakeDownstream, era: str
):
    """`a` has the template mem://n/{n}; `b` names an address that fits it."""
    link = {"type": "resource_link", "uri": "mem://n/1", "name": "n"}
    downstream.on("b", "tools/call", {"content": [link]})
    downstream.add("b", tools=(a_tool("echo"),))
    async with connected(downstream, era) as peer:
        result = await peer.request("tools/call", {"name": "b__echo"})
        [named] = [block["uri"] for block in result["content"]]
        for uri in ("mem://n/1", named):
            await peer.request("resources/read", {"uri": uri})
    assert named == "plait://servers/b/mem://n/1"
    assert downstream.sent("resources/read") == [
        ("a", {"uri": "mem://n/1"}),
        ("b", {"uri": "mem://n/1"}),
    ]
