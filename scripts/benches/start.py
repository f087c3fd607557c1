"""The cost of a start: `plait serve` on a pipe, until `initialize` is answered, compared with a
process that imports the SDK.

Processor time is that of the process itself, and all cases take turns. The second start is
measured: the first one writes the compiled modules and the cache of the servers' listings.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .figures import Figure
from .processes import cpu_s
from .servers import ARGS, COMMAND

GROUP = "start"
MOST_CPU = 1.2
"""The promised multiple of the processor time of `import mcp`."""
MOST_MB = 20.0
"""The promised memory above that after `import mcp`, with two small servers connected."""
MOST_WAIT = 1.2
"""The promised multiple of the wait for the first answer, of fifty servers against one."""
SERVERS = (1, 2, 50)
SDK = [sys.executable, "-c", "import mcp, sys; print(flush=True); sys.stdin.read()"]
CLIENT = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}
HELLO = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": CLIENT})
SETTLE_S = 5.0
"""Seconds until two servers are connected and all work after a start is done."""


@dataclass(frozen=True)
class Start:
    """One start: seconds to the first answer, processor seconds until then, and MB of memory."""

    wait_s: float
    cpu_s: float
    memory_mb: float


def figures(rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        cases = {f"plait, {number} servers": serving(Path(folder), number) for number in SERVERS}
        best = _measured({"import mcp": SDK, **cases}, rounds, Path(folder))
        settled = start(cases["plait, 2 servers"], Path(folder), SETTLE_S).memory_mb
    sdk = best["import mcp"]
    for name in cases:
        yield Figure(
            GROUP,
            f"CPU until the first answer, {name}",
            round(best[name].cpu_s / sdk.cpu_s, 3),
            "x SDK",
            MOST_CPU,
            parts={"ms": round(best[name].cpu_s * 1e3, 0), "SDK ms": round(sdk.cpu_s * 1e3, 0)},
        )
    one, many = (best[f"plait, {number} servers"].wait_s for number in (SERVERS[0], SERVERS[-1]))
    parts = {"ms": round(many * 1e3, 0), "one ms": round(one * 1e3, 0)}
    yield Figure(
        GROUP,
        f"first answer with {SERVERS[-1]} servers",
        round(many / one, 3),
        "x one",
        MOST_WAIT,
        parts=parts,
    )
    parts = {"MB": round(settled, 1), "SDK MB": round(sdk.memory_mb, 1)}
    yield Figure(
        GROUP,
        "memory with 2 servers",
        round(settled - sdk.memory_mb, 1),
        "MB > SDK",
        MOST_MB,
        parts=parts,
    )


def _measured(cases: dict[str, list[str]], rounds: int, folder: Path) -> dict[str, Start]:
    """Return the best of each of *cases*, which take turns."""
    best: dict[str, Start] = {}
    for number in range(rounds + 1):
        for name, command in cases.items():
            now = start(command, folder)
            if number > 0:
                before = best.get(name, now)
                values = zip(_values(before), _values(now), strict=True)
                best[name] = Start(*(min(pair) for pair in values))
    return best


def _values(start: Start) -> tuple[float, float, float]:
    return start.wait_s, start.cpu_s, start.memory_mb


def start(command: list[str], folder: Path, settle_s: float = 0.0) -> Start:
    """Start and initialize *command*; measure all when it answers, except memory: *settle_s*
    later."""
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ(folder),
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(HELLO + "\n")
        process.stdin.flush()
        process.stdout.readline()
        wait_s, used_s = time.perf_counter() - began, cpu_s(process.pid)
        time.sleep(settle_s)
        memory_mb = _memory_mb(process.pid)
        process.stdin.close()
    return Start(wait_s, used_s, memory_mb)


def serving(folder: Path, servers: int, settings: str = "") -> list[str]:
    """Return the command that serves as many lean servers, with *settings* besides."""
    server = f"command = {json.dumps(COMMAND)}\nargs = {json.dumps(ARGS)}\n"
    file = folder / f"{servers}.toml"
    named = "".join(f"[servers.s{number}]\n{server}" for number in range(servers))
    file.write_text(settings + named)
    return [sys.executable, "-m", "plait", "serve", "--isolated", "--config", str(file)]


def environ(folder: Path) -> dict[str, str]:
    """Return the environment of commands whose state is in *folder*."""
    inherited = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    return inherited | {"PLAIT_STATE_DIR": str(folder / "state")}


def _memory_mb(pid: int) -> float:
    """Return the resident memory of a process alone, without its children."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
