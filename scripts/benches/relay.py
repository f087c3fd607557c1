"""One tool call through a gateway, over pipes: compared with the direct call, and with the gateways
of others.

All of them have the same server and the same client, which use no SDK. They take turns, and the
best round of each counts.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from .figures import Figure
from .gateways import Way, direct, fastmcp, plait, sdk
from .lean import LeanClient, lean_client
from .processes import usage

GROUP = "relay"
ARGUMENTS = {"query": "open issues", "limit": 10, "labels": ["bug"]}
AT_ONCE = 16
ROUND_S = 0.6
"""Seconds of one round of one way."""
MOST_P50, MOST_ADDED_MS, LEAST_CALLS, MOST_CPU_US = 0.25, 0.6, 8.0, 300.0
MANY_TOOLS, MOST_FOR_MANY = 500, 1.15
"""With that many tools, a call may take at most that many times as long: no longer, except
noise."""


class Calls(Protocol):
    """A client over any transport."""

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]: ...


@dataclass
class Measured:
    """The best of the rounds of one way."""

    p50_ms: float = float("inf")
    per_s: float = 0.0
    cpu_us: float = float("inf")
    """Processor time of the gateway alone for each call, with 16 at once."""


def figures(rounds: int) -> Iterator[Figure]:
    yield from asyncio.run(measured(rounds))


async def measured(rounds: int) -> list[Figure]:
    async with AsyncExitStack() as stack:
        small, large = stack.enter_context(plait()), stack.enter_context(plait(tools=MANY_TOOLS))
        ways = {
            "direct": direct(),
            "plait": small,
            "many": large,
            "fastmcp": fastmcp(),
            "sdk": sdk(),
        }
        clients = {
            name: await stack.enter_async_context(reached(way)) for name, way in ways.items()
        }
        best = {name: Measured() for name in ways}
        for number in range(rounds + 1):
            for name, way in ways.items():
                await one_round(
                    clients[name], clients[name].pid, way.tool, best[name] if number else Measured()
                )
    return compared(best)


def compared(best: dict[str, Measured]) -> list[Figure]:
    plait, fastmcp = best["plait"], best["fastmcp"]
    shown = {name: best[name] for name in ("direct", "plait", "fastmcp", "sdk")}
    p50 = {f"{name}_ms": round(one.p50_ms, 3) for name, one in shown.items()}
    calls = {f"{name}_per_s": round(one.per_s) for name, one in shown.items()}
    cpu = {f"{name}_us": round(one.cpu_us) for name, one in shown.items() if name != "direct"}
    few_many = {"2_tools_us": round(plait.cpu_us), "500_tools_us": round(best["many"].cpu_us)}
    return [
        Figure(
            GROUP,
            "one call at a time, p50, of FastMCP's",
            round(plait.p50_ms / fastmcp.p50_ms, 3),
            "ratio",
            MOST_P50,
            parts=p50,
        ),
        Figure(
            GROUP,
            "the same, more than direct",
            round(plait.p50_ms - best["direct"].p50_ms, 3),
            "ms",
            MOST_ADDED_MS,
        ),
        Figure(
            GROUP,
            f"{AT_ONCE} calls at a time, calls a second, of FastMCP's",
            round(plait.per_s / fastmcp.per_s, 2),
            "ratio",
            least=LEAST_CALLS,
            parts=calls,
        ),
        Figure(
            GROUP, "CPU a call, in the gateway", round(plait.cpu_us), "us", MOST_CPU_US, parts=cpu
        ),
        Figure(
            GROUP,
            f"CPU a call with {MANY_TOOLS} tools, of that with 2",
            round(best["many"].cpu_us / plait.cpu_us, 2),
            "ratio",
            MOST_FOR_MANY,
            parts=few_many,
        ),
    ]


@asynccontextmanager
async def reached(way: Way) -> AsyncIterator[LeanClient]:
    """Yield a client of *way*, once the server behind it can be called."""
    async with lean_client(way.command, way.env) as client, asyncio.timeout(60):
        while way.tool not in await client.tools():
            await asyncio.sleep(0.05)
        assert (await client.call(way.tool, ARGUMENTS))["structuredContent"]["total"] == 2
        yield client


async def one_round(client: Calls, pid: int, tool: str, best: Measured) -> None:
    """Measure one round of *client*, whose gateway is the process *pid*; keep better values in
    *best*."""
    best.p50_ms = min(best.p50_ms, await alone(client, tool))
    began, cpu = time.perf_counter(), usage(pid).cpu_s
    count = await together(client, tool)
    took, used = time.perf_counter() - began, usage(pid).cpu_s - cpu
    best.per_s = max(best.per_s, count / took)
    best.cpu_us = min(best.cpu_us, used / count * 10**6)


async def alone(client: Calls, tool: str) -> float:
    """Return the p50 of calls one after the other, in milliseconds."""
    took: list[float] = []
    until = time.perf_counter() + ROUND_S / 2
    while (began := time.perf_counter()) < until:
        await client.call(tool, ARGUMENTS)
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


async def together(client: Calls, tool: str, seconds: float = ROUND_S) -> int:
    """Return the number of calls that were made in *seconds*, `AT_ONCE` at the same time."""
    until = time.perf_counter() + seconds
    count = 0

    async def go_on() -> None:
        nonlocal count
        while time.perf_counter() < until:
            await client.call(tool, ARGUMENTS)
            count += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(go_on())
    return count
