"""Ten clients with six servers on one machine: a gateway for each client, and one for all.

    scripts/desk [--clients N] [--servers N] [--json]

Each client starts `plait serve` as a client's entry does, and calls every server once. Then all
processes are counted, with their memory: what a process has alone, and its part of what it shares
(PSS). The first answer is that of the last clients, in the median. At the end two clients write the
same file at once, 0.7 s each: one after the other takes 1.4 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from benches.lean import LeanClient, lean_client

ROOT = Path(__file__).parents[1]
PLAIT = str(ROOT / ".venv" / "bin" / "plait")
WRITE_MS = 700
FIRST = 2
"""Clients whose start is not counted: the first one starts what the others find."""


@dataclass(frozen=True)
class Desk:
    """The figures of one way to serve the clients."""

    processes: int
    memory_mb: float
    first_answer_ms: float
    two_writers_s: float


def write_settings(folder: Path, servers: int) -> Path:
    """Write settings with that number of servers. A call of the first one writes a file, as they
    say."""
    server = [sys.executable, str(ROOT / "scripts" / "lean_server.py")]
    lines = []
    for number in range(1, servers + 1):
        lines += [f"[servers.s{number}]", f"command = {json.dumps(server[0])}"]
        lines += [f"args = {json.dumps(server[1:])}", f"cwd = {json.dumps(str(folder))}"]
    lines += ['[tools."s1:sleep"]', 'writes = ["file:notes.txt"]']
    file = folder / "servers.toml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


async def measure(folder: Path, clients: int, servers: int, *words: str) -> Desk:
    """Serve the clients with `plait serve` and these *words*."""
    state = folder / "state"
    environ = {"PLAIT_STATE_DIR": str(state), "PLAIT_ISOLATED": ""}
    command = [PLAIT, "serve", "--config", str(write_settings(folder, servers)), *words]
    firsts: list[float] = []
    async with AsyncExitStack() as stack:
        joined: list[LeanClient] = []
        for _ in range(clients):
            began = time.perf_counter()
            client = await stack.enter_async_context(lean_client(command, environ))
            firsts.append(time.perf_counter() - began)
            joined.append(client)
            if len(joined) == 1:
                await call_all(client, servers)
        for client in joined[1:]:
            await call_all(client, servers)
        pids = [*processes_of([client.pid for client in joined], state)]
        memory = sum(map(memory_mb, pids))
        began = time.perf_counter()
        await asyncio.gather(*(client.call("execute_dag", writing()) for client in joined[:2]))
        writers_s = time.perf_counter() - began
    if not words:
        await stop(environ)
    later = statistics.median(firsts[FIRST:] or firsts) * 1000
    return Desk(len(pids), round(memory, 1), round(later, 1), round(writers_s, 2))


def writing() -> dict[str, object]:
    task = {"id": "write", "tool": "s1:sleep", "arguments": {"ms": WRITE_MS}}
    return {"tasks": [task]}


async def call_all(client: LeanClient, servers: int) -> None:
    tasks = [
        {"id": f"t{number}", "tool": f"s{number}:sleep", "arguments": {"ms": 0}}
        for number in range(1, servers + 1)
    ]
    await client.call("execute_dag", {"tasks": tasks})


async def stop(environ: dict[str, str]) -> None:
    """End the shared gateway."""
    ending = await asyncio.create_subprocess_exec(
        PLAIT, "stop", env={**os.environ, **environ}, stdout=asyncio.subprocess.DEVNULL
    )
    if await ending.wait():
        raise SystemExit("plait stop failed")


def processes_of(roots: list[int], state: Path) -> Iterator[int]:
    """Yield *roots*, the shared gateway of the folder *state*, and all processes below them."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            status = Path(f"/proc/{name}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        parents[int(name)] = int(status.rpartition(")")[2].split()[1])
        if b"--state" in words and os.fsencode(state) in words:
            roots = [*roots, int(name)]
    found = dict.fromkeys(roots)
    grows = True
    while grows:
        below = [pid for pid, parent in parents.items() if parent in found and pid not in found]
        found |= dict.fromkeys(below)
        grows = bool(below)
    yield from found


def memory_mb(pid: int) -> float:
    """Return the memory of a process, with its part of what it shares; 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line[:4] == "Pss:")


def table(before: Desk, after: Desk, clients: int) -> str:
    rows = [
        ("processes", f"{before.processes}", f"{after.processes}"),
        ("memory", f"{before.memory_mb:,.0f} MB", f"{after.memory_mb:,.0f} MB"),
        (
            "first answer of a further client",
            f"{before.first_answer_ms:,.0f} ms",
            f"{after.first_answer_ms:,.0f} ms",
        ),
        (
            "two clients write one file, 0.7 s each",
            f"{before.two_writers_s:.2f} s: at once",
            f"{after.two_writers_s:.2f} s: in turn",
        ),
    ]
    lines = [f"| | {clients} gateways (`--isolated`) | one gateway |", "| --- | ---: | ---: |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


async def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/desk", description=__doc__)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--servers", type=int, default=6)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(words)
    if sys.platform != "linux":
        sys.stderr.write("scripts/desk reads /proc, which only Linux has.\n")
        return 2
    desks: dict[str, Desk] = {}
    for name, more in (("isolated", ["--isolated"]), ("shared", [])):
        with tempfile.TemporaryDirectory(prefix="plait-desk-") as folder:
            desks[name] = await measure(Path(folder), options.clients, options.servers, *more)
    if options.json:
        print(json.dumps({name: asdict(desk) for name, desk in desks.items()}))
    else:
        print(table(desks["isolated"], desks["shared"], options.clients))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
