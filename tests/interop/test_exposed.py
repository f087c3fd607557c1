"""What servers that others wrote list and answer is the same through the gateway as it is
directly."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from mcp.client.streamable_http import streamable_http_client

from .clients import inspect, run_inspector
from .comparing import answers, as_object, as_text
from .conftest import SERVERS, World
from .exposing import CAPABILITIES, EVERYTHING, REPLIES, directly, listed, reached, through
from .places import HERE
from .raw_client import Message, RawClient, Refused, connected
from .samples import Call, restore, samples
from .servers import Process, gateway_over_http, write_settings

LISTS = {
    **{server: ["resources", "resourceTemplates", "prompts"] for server in EVERYTHING},
    "fetch": ["prompts"],
}


def named(server: str, calls: list[Call]) -> list[Call]:
    return [(f"{server}__{tool}", arguments) for tool, arguments in calls]


@pytest.mark.parametrize("server", SERVERS)
async def test_definitions_of_tools_are_served_as_they_are_but_for_the_name(
    server: str, world: World
):
    expected = await listed(world, server)
    async with through(world, server) as peer:
        served = await peer.list_all("tools")
    ours = [tool for tool in served if tool["name"].startswith(f"{server}__")]
    assert as_object(ours) == as_object(
        [{**tool, "name": f"{server}__{tool['name']}"} for tool in expected]
    )


@pytest.mark.parametrize("server", SERVERS)
async def test_an_exposed_tool_answers_to_the_byte_as_its_server_does(server: str, world: World):
    calls = samples(server, world.pages)
    restore(world.folder)
    async with directly(world, server) as direct:
        expected = await answers(direct, calls)
    restore(world.folder)
    async with through(world, server) as peer:
        got = await answers(peer, named(server, calls))
    for call, one, other in zip(calls, got, expected, strict=True):
        assert as_text(one) == as_text(other), call


@pytest.mark.parametrize("server", LISTS)
async def test_other_lists_are_served_as_they_are(server: str, world: World):
    async with directly(world, server) as direct, through(world, server) as peer:
        for what in LISTS[server]:
            expected, served = await direct.list_all(what), await peer.list_all(what)
            assert expected
            theirs = [entry for entry in served if not is_ours(entry) and not is_passing(entry)]
            assert as_object(theirs) == as_object(expected)


def is_ours(entry: Message) -> bool:
    """Whether the gateway serves it for itself."""
    address = entry.get("uri") or entry.get("uriTemplate") or ""
    return str(address).startswith("plait:") or entry["name"] in {"plan", "explain_run"}


def is_passing(entry: Message) -> bool:
    """Whether a call made it, for as long as the session lasts."""
    return str(entry.get("uri")).startswith("demo://resource/session/")


PROMPTS: list[tuple[str, Message]] = [
    ("simple-prompt", {}),
    ("args-prompt", {"city": "Oslo"}),
    ("args-prompt", {}),
    ("completable-prompt", {"department": "Sales", "name": "Eve"}),
    ("resource-prompt", {"resourceType": "Text", "resourceId": "2"}),
    ("resource-prompt", {"resourceType": "Blob", "resourceId": "3"}),
    ("resource-prompt", {"resourceType": "Blob", "resourceId": "0"}),
]
URIS = [
    "demo://resource/static/document/features.md",
    "demo://resource/dynamic/text/4",
    "demo://resource/dynamic/blob/5",
    "demo://resource/dynamic/text/none",
    "demo://nowhere",
]
DEPARTMENT = {"type": "ref/prompt", "name": "completable-prompt"}
COMPLETIONS: list[Message] = [
    {"ref": DEPARTMENT, "argument": {"name": "department", "value": "S"}},
    {
        "ref": DEPARTMENT,
        "argument": {"name": "name", "value": ""},
        "context": {"arguments": {"department": "Sales"}},
    },
    {
        "ref": {"type": "ref/resource", "uri": "demo://resource/dynamic/text/{resourceId}"},
        "argument": {"name": "resourceId", "value": "12"},
    },
    {
        "ref": {"type": "ref/prompt", "name": "simple-prompt"},
        "argument": {"name": "none", "value": ""},
    },
]
REQUESTS: list[tuple[str, Message]] = [
    *(("prompts/get", {"name": name, "arguments": arguments}) for name, arguments in PROMPTS),
    *(("resources/read", {"uri": uri}) for uri in URIS),
    *(("completion/complete", params) for params in COMPLETIONS),
]


async def outcome(peer: RawClient, method: str, params: Message) -> Message:
    try:
        return await peer.request(method, params)
    except Refused as refused:
        return {"refused": refused.error}


@pytest.mark.parametrize("server", EVERYTHING)
async def test_prompts_resources_and_completions_are_answered_as_directly(
    server: str, world: World
):
    async with directly(world, server) as direct, through(world, server) as peer:
        for method, params in REQUESTS:
            expected = await outcome(direct, method, params)
            assert as_text(await outcome(peer, method, params)) == as_text(expected), (
                method,
                params,
            )


async def test_a_prompt_of_a_page_is_answered_as_directly(world: World):
    params = {"name": "fetch", "arguments": {"url": f"{world.pages}/page.html"}}
    async with directly(world, "fetch") as direct, through(world, "fetch") as peer:
        assert as_text(await peer.request("prompts/get", params)) == as_text(
            await direct.request("prompts/get", params)
        )


# The Inspector.


async def test_the_inspector_finds_an_app_as_directly_and_all_schemas_portable(tmp_path: Path):
    server = Process([sys.executable, str(HERE / "app_server.py")], tmp_path)
    settings = write_settings(tmp_path / "servers.toml", {"app": server}, {"expose": "all"})
    probe = ["--method", "tools/list", "--app-info"]
    direct = await run_inspector("stdio", server.command, *probe, home=tmp_path)
    with gateway_over_http(settings) as url:
        at = [f"{url}/mcp"]
        async with connected(streamable_http_client(*at)) as peer:
            await reached(peer, "app")
        [app] = [json.loads(line) for line in direct.stdout.splitlines()]
        assert app["csp"] == {"connectDomains": ["https://time.example.com"]}
        for era in ("legacy", "modern"):
            found = await run_inspector("http", at, *probe, home=tmp_path, era=era)
            listed, said = await inspect(
                "http", at, "--method", "tools/list", "--strict", home=tmp_path, era=era
            )
            apps = [json.loads(line) for line in found.stdout.splitlines()]
            assert {**app, "toolName": "app__clock"} in apps
            assert "app__clock" in [tool["name"] for tool in listed["tools"]]
            assert said == ""


# Servers that have the same.


async def test_servers_with_the_same_resources_and_prompts_are_all_served(world: World):
    door = world.door(tuple(EVERYTHING))
    async with (
        directly(world, "everything") as direct,
        connected(door.transport(), CAPABILITIES, REPLIES) as peer,
    ):
        await reached(peer, *EVERYTHING)
        expected = {
            resource["name"]: resource["uri"] for resource in await direct.list_all("resources")
        }
        served = [one for one in await peer.list_all("resources") if one["name"] in expected]
        assert len({one["uri"] for one in served}) == len(served) == 3 * len(expected)
        for resource in served:
            read = await peer.request("resources/read", {"uri": resource["uri"]})
            same = await direct.request("resources/read", {"uri": expected[resource["name"]]})
            assert read["contents"][0].pop("uri") == resource["uri"]
            assert same["contents"][0].pop("uri") == expected[resource["name"]]
            assert as_text(read) == as_text(same)
        for prompt in (f"{server}__simple-prompt" for server in EVERYTHING):
            got = await peer.request("prompts/get", {"name": prompt})
            assert got == await direct.request("prompts/get", {"name": "simple-prompt"})
