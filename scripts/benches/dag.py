"""A whole `execute_dag` against the official SDK's own client: the same calls, one stdio server
each, both warm.

The gateway is a process of its own, whose client uses no SDK: it reads the document, checks it,
schedules, calls, checks every answer and writes the result. The SDK's client sends the calls from
one task group and reads the answers. They take turns, and the best round of each counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client

from .figures import Figure
from .gateways import plait
from .graphs import Document, wide
from .lean import LeanClient, lean_client
from .processes import usage
from .servers import ARGS, COMMAND

GROUP = "dag"
CALLS, FEW = 1_000, 50
MOST = 0.4
"""The promised ratio of the time of a run to that of the SDK's client."""
MOST_FEW_MS = 15.0
MOST_CPU_US = 120.0
"""Promised processor time of the gateway for each task."""
FOR_CPU = 5
"""Runs of many calls for one figure of processor time, which the system counts in hundredths of a
second."""
FEW_AT_ONCE = 20
"""Runs of few calls, one after the other, in each round."""

Round = Callable[[], Awaitable[None]]


def figures(rounds: int) -> Iterator[Figure]:
    yield from asyncio.run(measured(2 * rounds))


async def measured(rounds: int) -> list[Figure]:
    many, few = wide(CALLS), wide(FEW)
    with plait(expose="dag") as way:
        async with sdk_session() as session, lean_client(way.command, way.env) as client:
            await settled(client)
            cpu: list[float] = []
            few_ms: list[float] = []

            async def run_many() -> None:
                await run(client, many)

            async def run_for_cpu() -> None:
                before = usage(client.pid).cpu_s
                for _ in range(FOR_CPU):
                    await run(client, many)
                cpu.append((usage(client.pid).cpu_s - before) / CALLS / FOR_CPU * 10**6)

            async def run_few() -> None:
                for _ in range(FEW_AT_ONCE):
                    began = time.perf_counter()
                    await run(client, few)
                    few_ms.append((time.perf_counter() - began) * 1000)

            best = await alternate(
                [lambda: by_sdk(session, many), run_many, run_few, run_for_cpu], rounds
            )
    sdk_ms, plait_ms = round(best[0] * 1000, 1), round(best[1] * 1000, 1)
    return [
        Figure(
            GROUP,
            f"{CALLS:,} calls, execute_dag against the SDK's client",
            round(best[1] / best[0], 3),
            "ratio",
            MOST,
            parts={"sdk_ms": sdk_ms, "plait_ms": plait_ms},
        ),
        Figure(GROUP, "CPU a task of it, in the gateway", round(min(cpu[1:])), "us", MOST_CPU_US),
        Figure(
            GROUP,
            f"{FEW} calls, execute_dag, p50",
            round(sorted(few_ms)[len(few_ms) // 2], 1),
            "ms",
            MOST_FEW_MS,
            parts={"best_ms": round(min(few_ms), 1)},
        ),
    ]


async def alternate(ways: list[Round], rounds: int) -> list[float]:
    """Return the best time of each of *ways*, in seconds, after one round of each that does not
    count."""
    best = [float("inf")] * len(ways)
    for number in range(rounds + 1):
        for index, way in enumerate(ways):
            began = time.perf_counter()
            await way()
            took = time.perf_counter() - began
            best[index] = min(best[index], took if number else best[index])
    return best


async def settled(client: LeanClient) -> None:
    """Wait until the server of the gateway can be called."""
    async with asyncio.timeout(60):
        while (await result_of(client, wide(1))).get("status") != "success":
            await asyncio.sleep(0.05)


async def run(client: LeanClient, document: Document) -> None:
    result = await result_of(client, document)
    assert result["status"] == "success", result


async def result_of(client: LeanClient, document: Document) -> dict[str, Any]:
    answer = await client.ask("tools/call", {"name": "execute_dag", "arguments": document})
    found: dict[str, Any] = answer["result"].get("structuredContent") or {}
    return found


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
