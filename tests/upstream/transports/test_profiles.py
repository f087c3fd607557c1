"""Clients of one port choose a profile by the query of the URL; each profile has a server of its
own."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import mcp_types as types
import pytest
from mcp.server import Server, ServerRequestContext

from plait.upstream.transports.bodies import OpenRequests, StrictBodies
from plait.upstream.transports.profiles import ByProfile
from plait.upstream.transports.sessions import Room

from .http_gateway import ACCEPT, INITIALIZE, SessionClient, modern, request

URL = "http://localhost/mcp"


def server_of(*tools: str) -> Server[Any]:
    """A server that lists *tools*."""

    async def list_tools(
        context: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        listed = [types.Tool(name=name, input_schema={"type": "object"}) for name in tools]
        return types.ListToolsResult(tools=listed)

    return Server("test", on_list_tools=list_tools)


class Profiles:
    """Profiles with their tools. One without tools cannot be opened."""

    def __init__(self, **tools: str) -> None:
        self.tools: Mapping[str, str] = tools
        self.opened: list[str] = []

    def names(self) -> list[str]:
        return list(self.tools)

    async def open(self, name: str) -> Server[Any]:
        self.opened.append(name)
        await anyio.lowlevel.checkpoint()
        if not self.tools[name]:
            raise OSError("it cannot be opened")
        return server_of(*self.tools[name].split())


@asynccontextmanager
async def served(
    profiles: Profiles | None, room: Room | None = None
) -> AsyncIterator[httpx2.AsyncClient]:
    app = ByProfile(server_of("all"), OpenRequests(), profiles, room)
    async with (
        app.running(),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=StrictBodies(app))) as http,
    ):
        yield http
        assert repr(app).startswith("<ByProfile: ")


async def session_at(http: httpx2.AsyncClient, url: str) -> SessionClient:
    opened = await http.post(url, json=INITIALIZE, headers=ACCEPT)
    headers = {**ACCEPT, "mcp-session-id": opened.headers["mcp-session-id"]}
    client = SessionClient(http, url, headers)
    await client.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
    return client


async def tools_at(http: httpx2.AsyncClient, url: str, era: str) -> list[str]:
    """The tools that a client of this era finds."""
    if era == "legacy":
        answer = await (await session_at(http, url)).post(request("tools/list"))
    else:
        message, headers = modern("tools/list", {})
        answer = await http.post(url, json=message, headers=headers)
    assert answer.status_code == 200, answer.text
    return [tool["name"] for tool in answer.json()["result"]["tools"]]


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_each_profile_has_a_server_of_its_own_that_is_opened_once(era: str):
    profiles = Profiles(a="one two", b="three")
    async with served(profiles) as http:
        assert await tools_at(http, URL, era) == ["all"]
        assert profiles.opened == []
        found: dict[str, list[str]] = {}

        async def look(query: str) -> None:
            found[query] = await tools_at(http, f"{URL}?{query}", era)

        async with anyio.create_task_group() as tasks:
            for query in ("profile=a", "x=1&profile=a", "profile=b", "profile=%61"):
                tasks.start_soon(look, query)
    assert found == {
        "profile=a": ["one", "two"],
        "x=1&profile=a": ["one", "two"],
        "profile=%61": ["one", "two"],
        "profile=b": ["three"],
    }
    assert sorted(profiles.opened) == ["a", "b"]


@pytest.mark.parametrize(
    ("profiles", "query", "said"),
    [
        (
            Profiles(reading="x", writing="y"),
            "profile=raeding",
            'Unknown profile "raeding". Did you mean "reading"? The profiles: reading, writing.',
        ),
        (Profiles(a="x"), "profile=", 'Unknown profile "". The profiles: a.'),
        (Profiles(a="x"), "profile=a&profile=a", "The URL names more than one profile."),
        (Profiles(a="x"), "profile=%1b", 'Unknown profile "\\x1b". The profiles: a.'),
        (Profiles(), "profile=a", 'Unknown profile "a": the settings have no profiles.'),
        (None, "profile=a", 'Unknown profile "a": the settings have no profiles.'),
    ],
)
async def test_an_unknown_profile_is_refused_with_those_that_there_are(
    profiles: Profiles | None, query: str, said: str
):
    message, headers = modern("tools/list", {})
    async with served(profiles) as http:
        for answer in (
            await http.post(f"{URL}?{query}", json=INITIALIZE, headers=ACCEPT),
            await http.post(f"{URL}?{query}", json=message, headers=headers),
        ):
            assert answer.status_code == 404
            assert answer.json()["error"]["message"] == said


async def test_a_session_belongs_to_its_profile():
    async with served(Profiles(a="one")) as http:
        client = await session_at(http, f"{URL}?profile=a")
        elsewhere = SessionClient(http, URL, client.headers)
        answer = await elsewhere.post(request("tools/list"))
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "Session not found"


async def test_a_profile_that_is_gone_takes_no_more_requests():
    profiles = Profiles(a="one")
    async with served(profiles) as http:
        client = await session_at(http, f"{URL}?profile=a")
        profiles.tools = {}
        answer = await client.post(request("tools/list"))
    assert answer.status_code == 404
    assert "the settings have no profiles" in answer.json()["error"]["message"]


async def test_a_profile_that_cannot_be_opened_harms_no_other_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
):
    profiles = Profiles(a="one", broken="")
    async with served(profiles) as http:
        refused = await http.post(f"{URL}?profile=broken", json=INITIALIZE, headers=ACCEPT)
        assert refused.status_code == 500
        assert "the log says why" in refused.json()["error"]["message"]
        assert "it cannot be opened" in caplog.text
        assert await tools_at(http, f"{URL}?profile=a", "legacy") == ["one"]
        profiles.tools = {"broken": "two"}
        assert await tools_at(http, f"{URL}?profile=broken", "legacy") == ["two"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_the_bound_on_sessions_counts_over_all_profiles():
    async with served(Profiles(a="one", b="two"), Room(of_address=2)) as http:
        first, *_ = [
            await session_at(http, url) for url in (URL, f"{URL}?profile=a", f"{URL}?profile=b")
        ]
        answer = await first.post(request("tools/list"))
    assert answer.status_code == 404
