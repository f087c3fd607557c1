"""The cost of a shared gateway: clients come through doors, compared with a gateway of their own.

Doors and isolated gateways take turns, and the best of each counts. A hop is compared with that of
a bare pump in Python, which only passes bytes on; how fast either is depends on how many processors
are free. The servers answer at once, so that nothing hides the cost of the way.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .figures import Figure
from .lean import LeanClient, lean_client
from .processes import usage
from .servers import ARGS, COMMAND

GROUP = "doors"
MOST_START_MS = 60.0
MOST_STARTS = 2.0
"""The promised multiple of a bare Python's start, where that is slower."""
MOST_CALL_MS = 100.0
MOST_MB = 12.0
MOST_HOP_MS = 0.1
MOST_PUMPS = 3.0
"""The promised multiple of a bare pump's hop, where that is slower."""
LEAST_IN_FLIGHT = 0.9
LEAST_TOGETHER = 0.6
LEAST_TOGETHER_BUSY = 0.9
"""The same for calls that keep their server busy for `BUSY_MS`."""
BUSY_MS = 0.4
MOST_GATEWAY_MB = 250.0
PLAIT = str(Path(sys.executable).with_name("plait"))
BARE = [sys.executable, "-c", "pass"]
PUMP = """
import os, select, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
ways = {0: child.stdin.fileno(), child.stdout.fileno(): 1}
while ways:
    for fd in select.select(list(ways), [], [])[0]:
        if data := os.read(fd, 65536):
            os.write(ways[fd], data)
        elif fd:
            sys.exit()
        else:
            child.stdin.close()
            del ways[0]
"""
PINGS = 400
TYPED = 20
"""Calls that a person types."""
CALLS = 1_500
IN_FLIGHT = 16
TOGETHER = 10
CLIENTS, SERVERS = 40, 20
FIND: Mapping[str, Any] = {"name": "s0__find", "arguments": {"query": "x"}}
WORK: Mapping[str, Any] = {"name": "s0__work", "arguments": {"ms": BUSY_MS}}


@dataclass(frozen=True)
class Home:
    """A folder with settings, and the ways to serve a client with them."""

    folder: Path
    servers: int

    @property
    def settings(self) -> Path:
        file = self.folder / f"{self.servers}.toml"
        server = f"command = {json.dumps(COMMAND)}\nargs = {json.dumps(ARGS)}\ncwd = '/'\n"
        servers = "".join(f"[servers.s{number}]\n{server}" for number in range(self.servers))
        file.write_text(f'[gateway]\nexpose = "all"\n{servers}', encoding="utf-8")
        return file

    @property
    def environ(self) -> dict[str, str]:
        return {"PLAIT_STATE_DIR": str(self.folder / "state"), "PLAIT_ISOLATED": ""}

    @property
    def door(self) -> list[str]:
        return [PLAIT, "serve", "--config", str(self.settings)]

    @property
    def isolated(self) -> list[str]:
        return [*self.door, "--isolated"]

    def status(self) -> dict[str, Any]:
        """Return what `plait ps` shows."""
        shown = self._plait("ps", "--json")
        status: dict[str, Any] = json.loads(shown)
        return status

    def stop(self) -> None:
        self._plait("stop")

    def _plait(self, *words: str) -> bytes:
        environ = {**os.environ, **self.environ}
        return subprocess.run(
            [PLAIT, *words], env=environ, check=True, stdout=subprocess.PIPE
        ).stdout


def figures(rounds: int) -> Iterator[Figure]:
    found = asyncio.run(_measured(rounds))
    bare, start = found["bare"], found["start"]
    yield Figure(
        GROUP,
        "first answer of a further client",
        round(start, 1),
        "ms",
        round(max(MOST_START_MS, MOST_STARTS * bare), 1),
        parts={"bare Python ms": round(bare, 1)},
    )
    typed = found["typed"] / found["typed_bare"]
    yield Figure(
        GROUP,
        "plait call, from start to end",
        round(typed, 2),
        "x bare Python",
        round(max(MOST_CALL_MS / found["typed_bare"], MOST_STARTS), 2),
        parts={"ms": round(found["typed"], 1), "bare Python ms": round(found["typed_bare"], 1)},
    )
    yield Figure(GROUP, "memory of a door", round(found["door_mb"], 1), "MB", MOST_MB)
    hop, pump = found["door_ping"] - found["ping"], found["pump_ping"] - found["ping"]
    yield Figure(
        GROUP,
        "a hop (ping at p50)",
        round(hop, 3),
        "ms",
        round(max(MOST_HOP_MS, MOST_PUMPS * pump), 3),
        parts={"isolated ms": round(found["ping"], 3), "pump's hop ms": round(pump, 3)},
    )
    for name, count, least in (
        ("one", f"{IN_FLIGHT} in flight over a door", LEAST_IN_FLIGHT),
        ("ten", "ten doors together", LEAST_TOGETHER),
        ("busy", f"ten doors, calls of {BUSY_MS:g} ms", LEAST_TOGETHER_BUSY),
    ):
        mine, alone = found[f"{name}_door"], found[f"{name}_isolated"]
        yield Figure(
            GROUP,
            f"calls a second, {count}",
            round(mine / alone, 3),
            "x isolated",
            least=least,
            parts={"calls/s": round(mine), "isolated": round(alone)},
        )
    yield Figure(
        GROUP, f"servers of {CLIENTS} clients with {SERVERS} each", found["children"], "processes",
        SERVERS,
    )  # fmt: skip
    yield Figure(
        GROUP, f"memory of the gateway of {CLIENTS} clients", round(found["gateway_mb"], 1), "MB",
        MOST_GATEWAY_MB,
    )  # fmt: skip


async def _measured(rounds: int) -> dict[str, float]:
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="pb", dir="/tmp") as folder:
        home = Home(Path(folder), 1)
        try:
            async with lean_client(home.door, home.environ) as first:
                await first.call(FIND["name"], FIND["arguments"])
                await _single(home, first, rounds, found)
        finally:
            home.stop()
    with tempfile.TemporaryDirectory(prefix="pb", dir="/tmp") as folder:
        home = Home(Path(folder), SERVERS)
        try:
            await _many(home, found)
        finally:
            home.stop()
    return found


async def _single(home: Home, first: LeanClient, rounds: int, found: dict[str, float]) -> None:
    """Measure further clients, hops and calls, while *first* keeps the gateway."""
    starts, bares = [], []
    for _ in range(4 * rounds):
        began = time.perf_counter()
        async with lean_client(home.door, home.environ):
            starts.append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        await (await asyncio.create_subprocess_exec(*BARE)).wait()
        bares.append((time.perf_counter() - began) * 1e3)
    found["start"], found["bare"] = statistics.median(starts), statistics.median(bares)
    found["door_mb"] = usage(first.pid).rss_mb
    await _type(home, found)
    async with _client(home.isolated, home) as alone:
        async with _client([sys.executable, "-c", PUMP, *home.isolated], home) as pumped:
            ways = {"door_ping": first, "ping": alone, "pump_ping": pumped}
            pings = {
                name: [await _ping_ms(one) for _ in range(rounds)] for name, one in ways.items()
            }
            found |= {name: min(times) for name, times in pings.items()}
        for name, count, each, call in (
            ("one", 1, IN_FLIGHT, FIND),
            ("ten", TOGETHER, 2, FIND),
            ("busy", TOGETHER, 2, WORK),
        ):
            async with AsyncExitStack() as stack:
                doors = [
                    await stack.enter_async_context(_client(home.door, home)) for _ in range(count)
                ]
                rates = [
                    (await _rate(doors, each, call), await _rate([alone], count * each, call))
                    for _ in range(rounds)
                ]
            found[f"{name}_door"] = max(rate for rate, _ in rates)
            found[f"{name}_isolated"] = max(rate for _, rate in rates)


async def _type(home: Home, found: dict[str, float]) -> None:
    """Measure `plait call`, in turns with an interpreter that does nothing."""
    environ = {**os.environ, **home.environ, "PLAIT_CONFIG": str(home.settings)}
    commands = {"typed": [PLAIT, "call", "s0:find", "query=x"], "typed_bare": BARE}
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(TYPED):
        for name, command in commands.items():
            began = time.perf_counter()
            process = await asyncio.create_subprocess_exec(
                *command, env=environ, stdout=asyncio.subprocess.DEVNULL
            )
            assert await process.wait() == 0
            taken[name].append((time.perf_counter() - began) * 1e3)
    found |= {name: statistics.median(times) for name, times in taken.items()}


async def _many(home: Home, found: dict[str, float]) -> None:
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(lean_client(home.door, home.environ))
            for _ in range(CLIENTS)
        ]
        for number in range(SERVERS):
            await clients[number].call(f"s{number}__find", FIND["arguments"])
        status = home.status()
        used = usage(status["pid"])
        found["gateway_mb"] = used.rss_mb
        found["children"] = len(
            {server["pid"] for desk in status["desks"] for server in desk["servers"]}
        )


@asynccontextmanager
async def _client(command: list[str], home: Home) -> AsyncIterator[LeanClient]:
    """Start *command*, and call it once, so that its server has started."""
    async with lean_client(command, home.environ) as client:
        await client.call(FIND["name"], FIND["arguments"])
        yield client


async def _ping_ms(client: LeanClient) -> float:
    times = []
    for _ in range(PINGS):
        began = time.perf_counter()
        await client.ask("ping", {})
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


async def _rate(clients: list[LeanClient], each: int, call: Mapping[str, Any]) -> float:
    """Return the calls a second of *clients*, each with that number in flight."""
    count = CALLS // (len(clients) * each)

    async def work(client: LeanClient) -> None:
        for _ in range(count):
            await client.call(call["name"], call["arguments"])

    began = time.perf_counter()
    await asyncio.gather(*(work(client) for client in clients for _ in range(each)))
    return count * each * len(clients) / (time.perf_counter() - began)
