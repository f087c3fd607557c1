"""Counts the files and functions of Plait that one request passes: a yardstick for readers, not a
limit.

    scripts/hops [--list]       with --list, every file is named with its functions, both in the
                                order in which the request passes them first

A real `plait serve` runs on stdio over a small server of its own. `sys.setprofile` records each
Python function that is entered between the incoming line and the outgoing one, for a call by name
and for a DAG of two tasks with one reference, both warm.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGE = str(ROOT / "src" / "plait") + os.sep
SERVER = [sys.executable, str(ROOT / "scripts" / "lean_server.py")]
WARM_UP = 3
TIMEOUT_S = 20.0

BY_NAME: dict[str, Any] = {"name": "s__sleep", "arguments": {"ms": 0}}
DAG: dict[str, Any] = {
    "name": "execute_dag",
    "arguments": {
        "tasks": [
            {"id": "a", "tool": "s:sleep", "arguments": {"ms": 0}},
            {"id": "b", "tool": "s:sleep", "arguments": {"ms": 0, "after": "$OUTPUT[a].slept_ms"}},
        ]
    },
}


def serve(report: Path, words: list[str]) -> None:
    """Run `plait` with *words*, and record calls: SIGUSR1 begins a record, SIGUSR2 writes it to
    *report*."""
    entered: defaultdict[str, dict[str, None]] = defaultdict(dict)
    calls = 0

    def profile(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            calls += 1
            functions = entered[frame.f_code.co_filename.removeprefix(PACKAGE)]
            functions.setdefault(frame.f_code.co_qualname)

    def begin(number: int, frame: FrameType | None) -> None:
        nonlocal calls
        calls = 0
        entered.clear()
        report.with_suffix(".begun").touch()

    def write(number: int, frame: FrameType | None) -> None:
        document = {
            "calls": calls,
            "files": {name: list(found) for name, found in entered.items()},
        }
        whole = report.with_suffix(".part")
        whole.write_text(json.dumps(document))
        whole.rename(report)

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, write)
    sys.argv = ["plait", *words]
    from plait.__main__ import main

    threading.setprofile(profile)
    sys.setprofile(profile)
    main()


class Client:
    """Speaks to `plait serve` line by line."""

    def __init__(self, folder: Path) -> None:
        settings = folder / "servers.toml"
        command, *arguments = SERVER
        settings.write_text(
            f'[gateway]\nexpose = "all"\n[servers.s]\ncommand = {json.dumps(command)}\nargs = '
            f"{json.dumps(arguments)}\n"
        )
        self.report = folder / "report.json"
        words = [
            sys.executable,
            __file__,
            "--serve",
            str(self.report),
            "serve",
            "--isolated",
            "--config",
            str(settings),
        ]
        environ = {**os.environ, "PLAIT_STATE_DIR": str(folder / "state")}
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
        )
        self.number = 0

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self.number += 1
        self.send({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == self.number:
                return message
        raise SystemExit("plait serve has ended")

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def start(self) -> None:
        hello = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "hops", "version": "1"},
        }
        self.request("initialize", hello)
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.request("tools/call", DAG)  # its answer waits until the server is connected

    def hops(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return the files and functions that one warm `tools/call` with *params* passes."""
        for _ in range(WARM_UP):
            answer = self.request("tools/call", params)
            if "error" in answer or answer["result"].get("isError"):
                raise SystemExit(f"the call failed: {json.dumps(answer)[:2000]}")
        self.process.send_signal(signal.SIGUSR1)
        wait_for(self.report.with_suffix(".begun"))
        self.request("tools/call", params)
        self.process.send_signal(signal.SIGUSR2)
        wait_for(self.report)
        found: dict[str, Any] = json.loads(self.report.read_text())
        self.report.unlink()
        self.report.with_suffix(".begun").unlink()
        return found


def wait_for(file: Path) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not file.exists():
        if time.monotonic() > end:
            raise SystemExit(f"{file.name} was not written within {TIMEOUT_S:g} s")
        time.sleep(0.01)


def main(words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        client = Client(Path(folder))
        try:
            client.start()
            rows = {
                "a call by name": client.hops(BY_NAME),
                "execute_dag with two tasks": client.hops(DAG),
            }
        finally:
            client.process.kill()
            client.process.wait()
    print("| one request | calls | functions | files |\n| --- | ---: | ---: | ---: |")
    for name, row in rows.items():
        functions = sum(len(found) for found in row["files"].values())
        print(f"| {name} | {row['calls']} | {functions} | {len(row['files'])} |")
    if "--list" in words:
        for name, row in rows.items():
            print(f"\n{name}:")
            for file, functions in row["files"].items():
                print(f"  {file}: {', '.join(functions)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]), sys.argv[3:])
    else:
        main(sys.argv[1:])
