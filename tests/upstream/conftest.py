"""A gateway over tools in memory, and a client of the real SDK in front of it, in either protocol
era."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.server import Server
from mcp.shared.memory import create_client_server_memory_streams

from plait.core.history_store import History
from plait.core.tools.policy import Policy
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.calls import OpenCalls
from plait.upstream.principals import always_user
from plait.upstream.server import build_server

from ..fakes import FakeServers, text, tool

LEGACY, MODERN = "legacy", "2026-07-28"
Connect: TypeAlias = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(params=[LEGACY, MODERN])
def era(request: pytest.FixtureRequest) -> str:
    """Each test that names it runs in both eras."""
    era: str = request.param
    return era


@pytest.fixture
def servers() -> FakeServers:
    made = FakeServers()

    async def sleep(seconds: float = 1) -> dict[str, Any]:
        await anyio.sleep(seconds)
        return {"slept": seconds}

    seconds = {"seconds": {"type": "number"}}
    made.add(tool("s:sleep", seconds, description="Wait for some time", readOnlyHint=True), sleep)
    made.add(
        tool("s:echo", {}, closed=False, description="Give the arguments back"),
        lambda **arguments: arguments,
    )
    made.add(tool("s:many", {"n": {"type": "integer"}}, ["n"]), lambda n: {"items": list(range(n))})
    made.add("s:text", lambda **_: text("line\n" * 20_000))
    made.add("s:fail", lambda **_: text("EACCES: /x", is_error=True))
    made.add(
        "s:image",
        lambda **_: {"content": [PICTURE, {"type": "text", "text": "a dot"}], "isError": False},
    )
    made.add("chat:post", lambda **_: {"ok": True})
    return made


PICTURE = {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}


@pytest.fixture
def connect(servers: FakeServers, era: str) -> Connect:
    """`async with connect() as client`, with the arguments of `build_server` and of the client."""

    @asynccontextmanager
    async def connected(
        name: str = "test",
        max_chars: int = 24_000,
        wait_s: float | None = None,
        calls: OpenCalls | None = None,
        policy: Policy | None = None,
        history: History | None = None,
    ) -> AsyncIterator[Client]:
        async with Gateway(
            servers, servers, InMemoryRuns(), policy=policy, history=history
        ) as gateway:
            server = build_server(
                gateway,
                max_chars=max_chars,
                wait_s=wait_s,
                calls=calls,
                principal_of=None if history is None else always_user,
            )
            info = types.Implementation(name=name, version="1")
            async with Client(in_memory(server), mode=era, client_info=info) as client:
                yield client

    return connected


@asynccontextmanager
async def in_memory(server: Server[Any]) -> AsyncIterator[Any]:
    """A transport to *server* over streams, as stdio has them, so that every message takes its
    whole way."""
    async with (
        create_client_server_memory_streams() as ((read, write), (server_read, server_write)),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(
            server.run, server_read, server_write, server.create_initialization_options()
        )
        yield read, write
        tasks.cancel_scope.cancel()


def task(id: str, tool: str = "s:echo", **more: Any) -> dict[str, Any]:
    """A task of a DAG, as a client writes it."""
    return {"id": id, "tool": tool, **more}


def sleep(id: str, seconds: float = 1, **more: Any) -> dict[str, Any]:
    return task(id, "s:sleep", arguments={"seconds": seconds}, **more)


def structured(result: types.CallToolResult) -> Any:
    return result.structured_content


def first_text(result: types.CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, types.TextContent)
    return block.text
