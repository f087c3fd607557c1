"""Clients of a server, and of a gateway over it that serves all that it has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from .conftest import SERVERS, World
from .raw_client import Message, RawClient, Reply, connected

EVERYTHING = [server for server in SERVERS if server.startswith("everything")]
# What the gateway tells its servers that clients can do: some tools are only there for clients that
# can.
CAPABILITIES: Message = {
    "sampling": {"tools": {}},
    "elicitation": {"form": {}, "url": {}},
    "roots": {"listChanged": True},
}
# Servers of one gateway have no resource in common, so that every address stays as it is.
APART = {server: (server,) for server in EVERYTHING}
REST = tuple(server for server in SERVERS if server not in APART)


def sampled(params: Message) -> Message:
    asked = params["messages"][0]["content"]["text"]
    return {
        "role": "assistant",
        "content": {"type": "text", "text": f"heard: {asked}"},
        "model": "parrot-1",
        "stopReason": "endTurn",
        "_meta": {"example.com/kept": [1, None]},
    }


def elicited(params: Message) -> Message:
    if params.get("mode") == "url":
        return {"action": "accept"}
    return {
        "action": "accept",
        "content": {"name": "Ada", "check": True, "integer": 7, "number": 2.5},
    }


TOOLS_CHANGED = "notifications/tools/list_changed"
REPLIES: dict[str, Reply] = {
    "sampling/createMessage": sampled,
    "elicitation/create": elicited,
    "roots/list": lambda _: {"roots": [{"uri": "file:///home/ada", "name": "home"}]},
}


@asynccontextmanager
async def directly(world: World, server: str) -> AsyncIterator[RawClient]:
    async with connected(world.servers[server].transport(), CAPABILITIES, REPLIES) as peer:
        yield peer


async def listed(world: World, server: str) -> list[Message]:
    """The tools of *server*, as it lists them to a client that it can ask everything."""
    if server not in world.listed:
        async with directly(world, server) as direct:
            world.listed[server] = await direct.list_all("tools")
    return world.listed[server]


@asynccontextmanager
async def through(
    world: World, server: str, upstream: str = "door", replies: dict[str, Reply] | None = None
) -> AsyncIterator[RawClient]:
    """A client of a gateway over *server*, connected over *upstream*, once its tools are served.
    Over `own door`, the server is its own."""
    replies = REPLIES if replies is None else replies
    async with connected(to_gateway(world, server, upstream), CAPABILITIES, replies) as peer:
        await reached(peer, server)
        yield peer


async def reached(peer: RawClient, *servers: str) -> None:
    """Wait until the tools of *servers* are listed: a gateway serves those of a server that still
    starts when it has heard of them, and tells its clients."""
    for server in servers:
        while True:
            told = len(peer.heard_of(TOOLS_CHANGED))
            if any(tool["name"].startswith(f"{server}__") for tool in await peer.list_all("tools")):
                break
            await peer.wait_until(lambda told=told: len(peer.heard_of(TOOLS_CHANGED)) > told)  # type: ignore[misc]


def to_gateway(world: World, server: str, upstream: str) -> Any:
    names = APART.get(server, REST)
    match upstream:
        case "door":
            return world.door(names).transport()
        case "own door":
            return world.door(names, scope="client").transport()
        case "sse":
            return sse_client(f"{world.gateway(names, 'all')}/sse")
    return streamable_http_client(f"{world.gateway(names, 'all')}/mcp")
