"""One tool call through a gateway that serves over Streamable HTTP, compared with the gateways of
others.

The server behind them is the same, over pipes, and so is the client, which keeps its sockets open.
A client of the handshake era has a session; one of 2026-07-28 has none.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from .figures import Figure
from .gateways import Way, fastmcp, mcp_proxy, plait, sdk
from .lean_http import LeanHttpClient, lean_http_client
from .relay import ARGUMENTS, AT_ONCE, MANY_TOOLS, MOST_FOR_MANY, Measured, one_round

GROUP = "http"
LEAST_CALLS = 4.0
START_S = 60.0


@dataclass
class Served:
    """A gateway that serves, and its clients."""

    way: Way
    pid: int
    clients: dict[str, LeanHttpClient]
    best: dict[str, Measured] = field(default_factory=dict)


def figures(rounds: int) -> Iterator[Figure]:
    yield from asyncio.run(measured(rounds))


async def measured(rounds: int) -> list[Figure]:
    async with AsyncExitStack() as stack:
        served: dict[str, Served] = {}
        for name, make in {"fastmcp": fastmcp, "mcp_proxy": mcp_proxy, "sdk": sdk}.items():
            served[name] = await stack.enter_async_context(serving(make(port := free_port()), port))
        for name, tools in {"plait": 2, "many": MANY_TOOLS}.items():
            way = stack.enter_context(plait(port := free_port(), tools))
            served[name] = await stack.enter_async_context(serving(way, port))
        for number in range(rounds + 1):
            for one in served.values():
                for era, client in one.clients.items():
                    best = one.best.setdefault(era, Measured()) if number else Measured()
                    await one_round(client, one.pid, one.way.tool, best)
    return compared({name: one.best for name, one in served.items()})


def compared(best: dict[str, dict[str, Measured]]) -> list[Figure]:
    found = []
    for era in ("session", "modern"):
        shown = {name: of[era] for name, of in best.items() if era in of and name != "many"}
        plait, fastmcp = shown["plait"], shown["fastmcp"]
        per_s = {f"{name}_per_s": round(one.per_s) for name, one in shown.items()}
        cpu = {f"{name}_us": round(one.cpu_us) for name, one in shown.items()}
        p50 = {f"{name}_ms": round(one.p50_ms, 2) for name, one in shown.items()}
        many = best["many"][era]
        found += [
            Figure(
                GROUP,
                f"{era}: {AT_ONCE} calls at a time, calls a second, of FastMCP's",
                round(plait.per_s / fastmcp.per_s, 2),
                "ratio",
                least=LEAST_CALLS,
                parts=per_s,
            ),
            Figure(
                GROUP,
                f"{era}: one call at a time, p50, of FastMCP's",
                round(plait.p50_ms / fastmcp.p50_ms, 3),
                "ratio",
                parts=p50,
            ),
            Figure(
                GROUP, f"{era}: CPU a call, in the gateway", round(plait.cpu_us), "us", parts=cpu
            ),
            Figure(
                GROUP,
                f"{era}: CPU a call with {MANY_TOOLS} tools, of that with 2",
                round(many.cpu_us / plait.cpu_us, 2),
                "ratio",
                MOST_FOR_MANY,
                parts={"2_tools_us": round(plait.cpu_us), "500_tools_us": round(many.cpu_us)},
            ),
        ]
    return found


@asynccontextmanager
async def serving(way: Way, port: int) -> AsyncIterator[Served]:
    """Start *way*, and yield it with its clients, once the server behind it can be called."""
    async with started(way) as pid, AsyncExitStack() as stack:
        yield Served(way, pid, await clients(stack, way, port))


@asynccontextmanager
async def started(way: Way) -> AsyncIterator[int]:
    """Start *way*, yield the id of its process, and end it."""
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            *way.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **way.env},
            start_new_session=True,
        )
        try:
            yield process.pid
        except BaseException:
            output.seek(0)
            print(output.read()[-4_000:].decode("utf-8", "replace"))
            raise
        finally:
            if process.returncode is None:
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


async def clients(stack: AsyncExitStack, way: Way, port: int) -> dict[str, LeanHttpClient]:
    await listening(port)
    eras = ["session", "modern"] if way.is_modern else ["session"]
    found = {}
    for era in eras:
        client = await stack.enter_async_context(lean_http_client(port, is_modern=era == "modern"))
        async with asyncio.timeout(START_S):
            await reached(client, way.tool)
        found[era] = client
    return found


async def reached(client: LeanHttpClient, tool: str) -> None:
    while tool not in await client.tools():
        await asyncio.sleep(0.05)
    assert (await client.call(tool, ARGUMENTS))["structuredContent"]["total"] == 2


async def listening(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port
