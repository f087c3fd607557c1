"""The wait for the names that complete a word in a shell: of tools, servers, runs and DAGs, each
from the start of the process to its end.

The names are those of 50 servers with 20 tools each, which were worked out before; the history has
one run. What is measured first is what has to work them out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .figures import Figure
from .servers import COMMAND
from .start import environ

GROUP = "complete"
MOST_MS = 60.0
"""The promised wait for names that are kept."""
SERVERS, TOOLS = 50, 20
LEAN = str(Path(__file__).parents[1] / "lean_server.py")
LINES = {
    "a tool": "plait call s7:",
    "a server": "plait tools --server s4",
    "a run": "plait resume r_",
    "a DAG": "plait run ",
}


def figures(rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _set_up(folder)
        first_ms = _wait_ms(folder, LINES["a tool"])
        best = {
            what: min(_wait_ms(folder, line) for _ in range(max(rounds, 2)))
            for what, line in LINES.items()
        }
    for what, wait_ms in best.items():
        parts = {"ms": round(wait_ms, 1), "worked out ms": round(first_ms, 1)}
        yield Figure(GROUP, f"{what} is completed", round(wait_ms, 1), "ms", MOST_MS, parts=parts)


def _set_up(folder: Path) -> None:
    """Write settings, a DAG and a run, and let the tools of all servers be remembered."""
    server = f"command = {json.dumps(COMMAND)}\nargs = {json.dumps([LEAN, str(TOOLS)])}\n"
    text = "".join(f"[servers.s{number}]\n{server}" for number in range(SERVERS))
    (folder / "servers.toml").write_text(text)
    dag = {"tasks": [{"id": "a", "tool": "s0:find", "arguments": {"query": "a"}}]}
    (folder / "dag.json").write_text(json.dumps(dag))
    for words in (["tools"], ["run", "dag.json"]):
        command = [*_plait(), *words, "--isolated", "--config", "servers.toml"]
        subprocess.run(command, cwd=folder, env=environ(folder), check=True, capture_output=True)


def _plait() -> list[str]:
    return [str(Path(sys.executable).with_name("plait"))]


def _wait_ms(folder: Path, line: str) -> float:
    """Return the milliseconds until a shell has its answer. Raises `RuntimeError` if there is
    none."""
    asks = {
        "PLAIT_CONFIG": str(folder / "servers.toml"),
        "_PLAIT_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": line,
    }
    began = time.perf_counter()
    ran = subprocess.run(
        _plait(), cwd=folder, env=environ(folder) | asks, check=True, capture_output=True
    )
    wait_ms = (time.perf_counter() - began) * 1e3
    if not ran.stdout.strip():
        raise RuntimeError(f"nothing completes {line!r}")
    return wait_ms
