"""The traces of many calls: the gateway holds after 10,000 calls what it held after 100.

Relayed calls and runs, over a pipe, and over HTTP in sessions that are begun and ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from .dag import run, settled
from .figures import Figure
from .gateways import plait
from .graphs import wide
from .http import free_port, serving
from .lean import lean_client
from .lean_http import lean_http_client
from .processes import Usage, usage
from .relay import ARGUMENTS, AT_ONCE, Calls

GROUP = "soak"
FIRST, LAST = 100, 10_000
MOST_GROWTH_MB = 4.0
"""The promised growth over 9,900 more calls: nothing but what allocators keep."""
RUN_TASKS = 20
SESSIONS = 200

Calling = Callable[[int], Awaitable[None]]


def figures(rounds: int) -> Iterator[Figure]:
    for name, growth in (
        ("relayed calls", relayed),
        ("calls of runs", run_calls),
        ("calls in sessions", in_sessions),
    ):
        before, after = asyncio.run(growth())
        yield from compared(name, before, after)


def compared(name: str, before: Usage, after: Usage) -> list[Figure]:
    parts = {
        f"mb_after_{FIRST}": round(before.rss_mb, 1),
        f"mb_after_{LAST}": round(after.rss_mb, 1),
    }
    held = {"descriptors": after.fds - before.fds, "threads": after.threads - before.threads,
            "children": after.children - before.children}  # fmt: skip
    grown = round(after.rss_mb - before.rss_mb, 1)
    return [
        Figure(
            GROUP,
            f"{LAST:,} {name} beside {FIRST}: memory",
            grown,
            "MB more",
            MOST_GROWTH_MB,
            parts=parts,
        ),
        Figure(
            GROUP,
            f"{LAST:,} {name} beside {FIRST}: all else",
            max(held.values()),
            "more",
            0,
            parts=held,
        ),
    ]


async def relayed() -> tuple[Usage, Usage]:
    with plait() as way:
        async with lean_client(way.command, way.env) as client:
            while way.tool not in await client.tools():
                await asyncio.sleep(0.05)
            return await measured(client.pid, lambda count: calls(client, way.tool, count))


async def run_calls() -> tuple[Usage, Usage]:
    document = wide(RUN_TASKS)
    limits = "[gateway.limits]\nmax_runs = 4\n"
    with plait(expose="dag", settings=limits) as way:
        async with lean_client(way.command, way.env) as client:
            await settled(client)

            async def runs(count: int) -> None:
                for _ in range(count // RUN_TASKS):
                    await run(client, document)

            return await measured(client.pid, runs)


async def in_sessions() -> tuple[Usage, Usage]:
    port = free_port()
    with plait(port) as way:
        async with serving(way, port) as served:

            async def begun_and_ended(count: int) -> None:
                each = max(1, count // SESSIONS)
                for _ in range(count // each):
                    async with lean_http_client(port) as client:
                        await calls(client, way.tool, each)
                        await client.leave()

            return await measured(served.pid, begun_and_ended)


async def measured(pid: int, calling: Calling) -> tuple[Usage, Usage]:
    await calling(FIRST)
    await asyncio.sleep(1.0)
    before = usage(pid)
    await calling(LAST - FIRST)
    await asyncio.sleep(1.0)
    return before, usage(pid)


async def calls(client: Calls, tool: str, count: int) -> None:
    """Make *count* calls, some at once."""
    left = count

    async def go_on() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await client.call(tool, ARGUMENTS)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(AT_ONCE, count)):
            tasks.create_task(go_on())
