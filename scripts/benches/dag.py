"""A whole `execute_dag` against the official SDK's own client: the same calls, one stdio server each, both warm.

The gateway reads, checks, schedules, calls, holds every answer to its rules and makes the result; the SDK's client
sends the calls from one task group and reads the answers. They take turns, and the best of each counts.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp import Client, ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client

from plait import Gateway
from plait.server.upstream import build_server

from .figures import Figure
from .graphs import Document, wide
from .servers import ARGS, COMMAND, gateway

GROUP = "dag"
CALLS = 1_000
AT_ONCE = 32
"""Calls in flight, as the gateway has it by default."""
MOST = 0.7
"""Promised: the time of a run over that of the SDK's client."""

Round = Callable[[], Awaitable[None]]


def figures(rounds: int) -> Iterator[Figure]:
    yield from anyio.run(measured, 2 * rounds)


async def measured(rounds: int) -> list[Figure]:
    document = wide(CALLS)
    async with gateway(AT_ONCE) as plait, sdk_session() as session, Client(build_server(plait)) as client:
        ways = {
            "the SDK's client": lambda: by_sdk(session, document),
            "the gateway": lambda: by_gateway(plait, document),
            "execute_dag from a client": lambda: by_tool(client, document),
        }
        best = await alternate(list(ways.values()), rounds)
    sdk = best[0]
    took = {
        name: round(seconds * 1000, 1) for name, seconds in zip(("sdk_ms", "plait_ms", "tool_ms"), best, strict=True)
    }
    return [
        Figure(GROUP, f"{CALLS:,} calls, the gateway beside the SDK's client", round(best[1] / sdk, 3), "ratio", MOST,
               parts={"sdk_ms": took["sdk_ms"], "plait_ms": took["plait_ms"]}),
        Figure(GROUP, "the same as one execute_dag of a client in memory", round(best[2] / sdk, 3), "ratio", MOST,
               parts={"sdk_ms": took["sdk_ms"], "plait_ms": took["tool_ms"]}),
    ]  # fmt: skip


async def alternate(ways: list[Round], rounds: int) -> list[float]:
    """The best time of each of *ways*, in seconds, after one round of each that does not count."""
    best = [float("inf")] * len(ways)
    for number in range(rounds + 1):
        for index, way in enumerate(ways):
            began = time.perf_counter()
            await way()
            took = time.perf_counter() - began
            best[index] = min(best[index], took if number else best[index])
    return best


async def by_gateway(plait: Gateway, document: Document) -> None:
    result = await plait.execute(document)
    assert result.status == "success"


async def by_tool(client: Client, document: Document) -> None:
    result = await client.call_tool("execute_dag", document)
    assert not result.is_error


async def by_sdk(session: ClientSession, document: Document) -> None:
    results: list[Any] = []

    async def call(arguments: Document) -> None:
        results.append(await session.call_tool("find", arguments))

    async with anyio.create_task_group() as tasks:
        for task in document["tasks"]:
            tasks.start_soon(call, task["arguments"])
    assert len(results) == CALLS
    assert not any(result.is_error for result in results)


@asynccontextmanager
async def sdk_session() -> AsyncIterator[ClientSession]:
    async with (
        stdio_client(StdioServerParameters(command=COMMAND, args=ARGS)) as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        await session.list_tools()
        yield session
