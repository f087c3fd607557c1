"""Small documents and large answers of one client that would keep a gateway from another: the
longest waits of that one's calls, and the memory of the gateway.

Each bomb runs in a gateway of its own over HTTP, again and again for some seconds, while another
client calls a tool by its name as often as it can.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from statistics import quantiles
from typing import Any

from .figures import Figure
from .gateways import ROOT, Way
from .http import free_port, listening, started
from .lean_http import LeanHttpClient, lean_http_client
from .processes import usage
from .relay import ARGUMENTS
from .servers import COMMAND

GROUP = "bombs"
MOST_MS = 250.0
"""The promised longest wait of one in a hundred calls of another client."""
MOST_MB = 400.0
BOMB_S = 4.0
"""Seconds for which each bomb is sent again and again."""
TOOL = "lean__find"


def task(id: str, tool: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": f"bombs:{tool}", **more}


def fill(id: str, kind: str, megabytes: float) -> dict[str, Any]:
    return task(id, "fill", arguments={"kind": kind, "megabytes": megabytes})


def bombs() -> dict[str, dict[str, Any]]:
    """The documents, each by what it tries."""
    doubling = " | ".join(["[@, @]"] * 26)
    named = ["$OUTPUT[big]"] * 300
    each = [*range(1_000)]
    text = "${OUTPUT[big].v} $ITEM"
    return {
        "a value that doubles 26 times": {
            "tasks": [task("a", "echo", arguments={}, select=doubling)]
        },
        "300 references to 9 MB": {
            "tasks": [fill("big", "text", 9), task("a", "echo", arguments={"value": named})]
        },
        "1,000 items with 7 MB of text each": {
            "tasks": [
                fill("big", "text", 7),
                task("a", "echo", for_each=each, arguments={"value": text}),
            ]
        },
        "100,000 calls of 20 KB": {
            "tasks": [
                fill("list", "numbers", 0.0019),
                *(
                    task(f"t{n}", "echo", for_each="$OUTPUT[list].v", arguments={"n": "$ITEM"})
                    for n in range(100)
                ),
            ]
        },
        "answers of 3 million values": {"tasks": [fill(f"t{n}", "objects", 9.5) for n in range(8)]},
        "answers of 240,000 values": {"tasks": [fill(f"t{n}", "objects", 0.34) for n in range(8)]},
        "answers of 9 MB of numbers": {"tasks": [fill(f"t{n}", "numbers", 9) for n in range(8)]},
        "a dry run of 100,000 calls": {
            "tasks": [
                task(f"t{n}", "echo", for_each=each, arguments={"n": "$ITEM"}) for n in range(100)
            ],
            "dry_run": True,
        },
        "a text of 100,000 references": {
            "tasks": [
                task("big", "echo", arguments={"x": 1}),
                task("a", "echo", arguments={"value": "${OUTPUT[big].x}" * 100_000}),
            ]
        },
        "60 expressions over 30,000 numbers": {
            "tasks": [
                fill("big", "numbers", 0.06),
                *(
                    {"id": f"v{n}", "value": {"n": "${OUTPUT[big].v | group_by(@, &to_string(@))}"}}
                    for n in range(60)
                ),
            ],
            "return": ["v0"],
        },
        "a document of a million values": {
            "tasks": [task("a", "echo", arguments={"value": [{}] * 1_000_000})]
        },
    }


def figures(rounds: int) -> Iterator[Figure]:
    for name, document in bombs().items():
        yield from asyncio.run(measured(name, document))


async def measured(name: str, document: dict[str, Any]) -> list[Figure]:
    async with gateway() as (pid, attacker, other):
        waits: list[float] = []
        most_mb = 0.0
        ends = time.monotonic() + BOMB_S
        sent = 0

        async def explode() -> None:
            nonlocal sent
            while time.monotonic() < ends:
                with suppress(RuntimeError):  # refused, or failed, as it should be
                    await attacker.call("execute_dag", {**document, "wait_s": 60})
                sent += 1

        exploding = asyncio.create_task(explode())
        while not exploding.done():
            began = time.monotonic()
            await other.call(TOOL, ARGUMENTS)
            waits.append(time.monotonic() - began)
            most_mb = max(most_mb, usage(pid).rss_mb)
            await asyncio.sleep(0.005)
        await exploding
    p99 = quantiles(waits, n=100, method="inclusive")[-1] * 1_000
    parts = {"max_ms": round(max(waits) * 1_000), "calls": float(len(waits)), "sent": float(sent)}
    return [
        Figure(GROUP, f"{name}: another's wait, p99", round(p99, 1), "ms", MOST_MS, parts=parts),
        Figure(GROUP, f"{name}: memory", round(most_mb), "MB", MOST_MB),
    ]


@asynccontextmanager
async def gateway() -> AsyncIterator[tuple[int, LeanHttpClient, LeanHttpClient]]:
    """Serve over HTTP; yield the process id and two clients."""
    servers = {
        "bombs": {"command": COMMAND, "args": [str(ROOT / "scripts" / "bomb_server.py")]},
        "lean": {"command": COMMAND, "args": [str(ROOT / "scripts" / "lean_server.py")]},
    }
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "servers.json"
        settings.write_text(json.dumps({"mcpServers": servers}))
        port = free_port()
        plait = Path(COMMAND).with_name("plait")
        words = ("serve", "--isolated", "--http", str(port), "--config", str(settings))
        env = {"PLAIT_EXPOSE": "all", "PLAIT_STATE_DIR": folder, "PLAIT_LOG_LEVEL": "error"}
        way = Way("plait", (str(plait), *words), TOOL, is_modern=False, env=env)
        async with started(way) as pid:
            await listening(port)
            async with lean_http_client(port) as attacker, lean_http_client(port) as other:
                while TOOL not in await other.tools():
                    await asyncio.sleep(0.05)
                yield pid, attacker, other
