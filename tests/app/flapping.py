"""Many mixed runs over servers that flap, and what the process holds then: `scripts/soak flaps`.

    python -m tests.app.flapping [RUNS]

Three servers die at every 23rd, 41st and 97th call, while runs succeed, fail, time out, are
cancelled and are retried. After a tenth of the runs, and again after all, everything may settle:
tasks, threads, descriptors and children are then the same, and memory has hardly grown.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from plait.app.gateway import Gateway
from plait.config import Config
from plait.core.results.result import RunResult
from plait.core.tools.catalog import ServerState

SERVER = """
import json, os, sys
calls, most = 0, int(sys.argv[1])
tools = [{"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
         for name in ("read", "fail", "hang")]
for line in sys.stdin:
    message = json.loads(line)
    method, result = message.get("method"), None
    if method == "initialize":
        version = message["params"]["protocolVersion"]
        result = {"protocolVersion": version, "capabilities": {"tools": {}},
                  "serverInfo": {"name": "flapping", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": tools}
    elif method == "ping":
        result = {}
    elif method == "tools/call":
        calls += 1
        if calls == most:
            os._exit(1)
        name, arguments = message["params"]["name"], message["params"].get("arguments", {})
        if name != "hang":
            result = {"content": [], "structuredContent": {"n": arguments.get("n")},
                      "isError": name == "fail"}
    if result is not None:
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        sys.stdout.write(json.dumps(answer) + "\\n")
        sys.stdout.flush()
"""
DIES_AT = {"a": 23, "b": 41, "c": 97}
WORKERS = 8
TIMEOUT_S = 0.1
MOST_MB = 1.0
"""The memory that 1,000 more runs may take."""


@dataclass
class Held:
    """What the process holds."""

    tasks: int
    threads: int
    descriptors: int
    children: int
    memory_mb: float

    @property
    def all_else(self) -> tuple[int, ...]:
        return self.tasks, self.threads, self.descriptors, self.children


@dataclass
class Flapped:
    """The ends of the runs, and what the process held after a tenth of them and after all."""

    statuses: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    held: list[Held] = field(default_factory=list)


def document(number: int) -> dict[str, Any]:
    """The DAG of one run: of five kinds, over three servers."""
    server = "abc"[number % 3]
    read, again = f"{server}:read", {"max": 3, "delay_s": 0.05}
    match number % 5:
        case 0:
            tasks: list[dict[str, Any]] = [
                {"id": "list", "value": [1, 2, 3]},
                {"id": "each", "tool": read, "for_each": "$OUTPUT[list]",
                 "arguments": {"n": "$ITEM"}, "retries": again},
            ]  # fmt: skip
        case 1:
            tasks = [
                {"id": "bad", "tool": f"{server}:fail"},
                {"id": "after", "tool": read, "arguments": {"n": "$OUTPUT[bad].n"}},
                {"id": "well", "tool": read, "trigger_rule": "always", "depends_on": ["bad"]},
            ]
        case 2:
            tasks = [{"id": "slow", "tool": f"{server}:hang", "timeout_s": TIMEOUT_S}]
        case 3:
            tasks = [{"id": "cut", "tool": f"{server}:hang"}]
        case _:
            tasks = [{"id": "read", "tool": read, "arguments": {"n": 1}, "retries": again}]
    return {"tasks": tasks}


async def flap(
    folder: Path, runs: int, dies_at: Mapping[str, int] = DIES_AT, settle_s: float = 3.0
) -> Flapped:
    """Make that many *runs*; the server's program is written to *folder*. What ends late, such as
    idle threads, has *settle_s* for it."""
    (folder / "server.py").write_text(SERVER)
    command = {"command": sys.executable, "protocol": "legacy"}
    program = ["-I", "-S", str(folder / "server.py")]
    servers = {name: {**command, "args": [*program, str(at)]} for name, at in dies_at.items()}
    found, numbers = Flapped(), iter(range(runs))
    async with Gateway.from_config(Config.model_validate({"servers": servers})) as gateway:
        await gateway.settled()

        async def work(until: int) -> None:
            for number in numbers:
                result = await one(gateway, number)
                found.statuses[str(result.status)] += 1
                found.codes.update(error.code for error in result.errors)
                if number >= until:
                    return

        for until in (runs // 10, runs):
            async with anyio.create_task_group() as tasks:
                for _ in range(WORKERS):
                    tasks.start_soon(work, until)
            found.held.append(await held(gateway, settle_s))
    return found


async def one(gateway: Gateway, number: int) -> RunResult:
    submitted = await gateway.submit(document(number))
    if number % 5 == 3:
        await gateway.wait(submitted.run_id, TIMEOUT_S)
        await gateway.cancel(submitted.run_id)
    return await gateway.wait(submitted.run_id)


async def held(gateway: Gateway, settle_s: float) -> Held:
    """What the process holds once all servers are there again and nothing is under way."""
    with anyio.fail_after(60):
        while any(
            info.state is not ServerState.READY for info in gateway.catalog().servers.values()
        ):
            await anyio.sleep(0.1)
        await anyio.sleep(settle_s)
    gc.collect()
    own = Path("/proc/self")
    fields = (own / "stat").read_text().rpartition(")")[2].split()
    children = (own / "task" / str(os.getpid()) / "children").read_text().split()
    return Held(
        tasks=len(asyncio.all_tasks()),
        threads=int(fields[17]),
        descriptors=len(os.listdir("/proc/self/fd")),
        children=len(children),
        memory_mb=int((own / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20,
    )


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with TemporaryDirectory() as folder:
        found = asyncio.run(flap(Path(folder), runs))
    early, late = found.held
    print(dict(found.statuses), dict(found.codes), early, late, sep="\n")
    grown_mb = late.memory_mb - early.memory_mb
    is_flat = grown_mb <= MOST_MB * runs / 1_000
    return 0 if is_flat and early.all_else == late.all_else else 1


if __name__ == "__main__":
    sys.exit(main())
