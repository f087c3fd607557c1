"""What servers that others wrote ask and tell reaches the client of the gateway as it does a client
of theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from .comparing import as_text
from .conftest import World
from .exposing import CAPABILITIES, EVERYTHING, REPLIES, directly, through
from .raw_client import Message, RawClient, connected
from .samples import Call

Ask: TypeAlias = tuple[str, Message]

SAMPLING: Call = ("trigger-sampling-request", {"prompt": "say something", "maxTokens": 12})


def asking(visit: str) -> list[Call]:
    """Calls of tools that ask something. A server that refused a call until something is done at a
    URL lets the same one pass the next time: each *visit* has a URL of its own."""
    url = {"url": f"https://example.com/{visit}", "message": "Open it"}
    return [
        SAMPLING,
        ("trigger-elicitation-request", {}),
        ("trigger-url-elicitation", {**url, "elicitationId": "one"}),
        ("trigger-url-elicitation", {**url, "errorPath": True}),
        ("get-roots-list", {}),
    ]


@pytest.mark.parametrize("upstream", ["http", "own door", "sse"])
@pytest.mark.parametrize("server", EVERYTHING)
async def test_a_client_is_asked_what_its_server_asks(server: str, upstream: str, world: World):
    async with directly(world, server) as direct, through(world, server, upstream) as peer:
        for tool, arguments in asking(upstream):
            expected, got = (
                await direct.call(tool, arguments),
                await peer.call(f"{server}__{tool}", arguments),
            )
            assert as_text(got) == as_text(expected), tool
    assert as_text(asked(peer)) == as_text(with_name(server, asked(direct)))
    assert len(asked(peer)) == 3


def with_name(server: str, asked: list[Ask]) -> list[Ask]:
    """The same questions with the name of their server, which is all that the gateway adds."""
    named = []
    for method, params in asked:
        message = {"message": f"[{server}] {params['message']}"} if "message" in params else {}
        meta = {**params.get("_meta", {}), "plait/server": server}
        named.append((method, {**params, **message, "_meta": meta}))
    return named


def asked(peer: RawClient) -> list[Ask]:
    """What *peer* was asked; a server may ask for roots whenever it likes."""
    return [(method, params) for method, params in peer.asked if method != "roots/list"]


@pytest.mark.parametrize("server", EVERYTHING)
async def test_a_client_is_asked_what_a_server_asks_in_a_run(server: str, world: World):
    dag = {
        "tasks": [{"id": "ask", "tool": f"{server}:{SAMPLING[0]}", "arguments": SAMPLING[1]}],
        "return": ["ask"],
    }
    async with directly(world, server) as direct, through(world, server) as peer:
        expected = await direct.call(*SAMPLING)
        answer = await peer.call("execute_dag", dag)
    assert answer["structuredContent"]["outputs"]["ask"] == expected["content"][0]["text"]
    assert as_text(asked(peer)) == as_text(with_name(server, asked(direct)))


async def test_a_refusal_of_a_client_reaches_the_server(world: World):
    def decline(_: Message) -> Message:
        return {"action": "decline"}

    replies = {**REPLIES, "elicitation/create": decline}
    async with (
        connected(world.servers["everything"].transport(), CAPABILITIES, replies) as direct,
        through(world, "everything", replies=replies) as peer,
    ):
        expected = await direct.call("trigger-elicitation-request", {})
        assert as_text(await peer.call("everything__trigger-elicitation-request", {})) == as_text(
            expected
        )


@pytest.mark.parametrize("server", EVERYTHING)
async def test_progress_comes_under_the_token_of_the_client(server: str, world: World):
    call = ("trigger-long-running-operation", {"duration": 0.3, "steps": 3})
    async with directly(world, server) as direct, through(world, server) as peer:
        await direct.call(*call, progressToken="mine")
        await peer.call(f"{server}__{call[0]}", call[1], progressToken="mine")
        expected = direct.heard_of("notifications/progress")
        assert len(expected) == 3
        assert peer.heard_of("notifications/progress") == expected


@pytest.mark.parametrize("server", EVERYTHING)
async def test_log_messages_and_updates_of_resources_reach_the_client_that_wants_them(
    server: str, world: World
):
    uri = "demo://resource/dynamic/text/7"
    async with through(world, server) as peer, through(world, server) as other:
        await peer.request("logging/setLevel", {"level": "debug"})
        await peer.request("resources/subscribe", {"uri": uri})
        await heard(peer, "notifications/message", lambda params: uri in str(params.get("data")))
        started = await peer.call(f"{server}__toggle-subscriber-updates", {})
        assert "Started simulated resource updated" in str(started)
        await heard(peer, "notifications/resources/updated", lambda params: params == {"uri": uri})
        await peer.request("resources/unsubscribe", {"uri": uri})
        await peer.call(f"{server}__toggle-subscriber-updates", {})
    assert other.heard_of("notifications/resources/updated") == []


async def heard(peer: RawClient, method: str, is_it: Callable[[Message], bool]) -> None:
    await peer.wait_until(lambda: any(is_it(params) for params in peer.heard_of(method)))


LIST_CHANGED = "notifications/resources/list_changed"


@pytest.mark.parametrize("server", EVERYTHING)
async def test_a_resource_that_a_call_made_is_told_of_listed_and_read(server: str, world: World):
    name = f"made-{server}.gz"
    uri = f"demo://resource/session/{name}"
    async with through(world, server) as peer:
        made = await peer.call(
            f"{server}__gzip-file-as-resource", {"name": name, "data": "data:text/plain,hello"}
        )
        assert made["content"][0]["uri"] == uri
        listed: set[str] = set()
        seen = 0
        while uri not in listed:  # the first changes may be those of servers that have started
            await peer.wait_until(lambda: len(peer.heard_of(LIST_CHANGED)) > seen)  # noqa: B023
            seen = len(peer.heard_of(LIST_CHANGED))
            listed = {resource["uri"] for resource in await peer.list_all("resources")}
        read = await peer.request("resources/read", {"uri": uri})
    assert read["contents"][0]["mimeType"] == "application/gzip"
