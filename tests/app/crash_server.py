"""A server whose log outlives everybody: each call that reaches it is a line, and each answer.

    crash_server.py FOLDER KILL LINGER_S

With KILL `arrived:7` or `answered:7`, it kills its gateway when it has read its seventh call, or is
about to answer that. When its input ends, it works on for LINGER_S at what it has read.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.engine.stories import answer, how_answered, name_of

HINTS: dict[str, dict[str, Any]] = {
    "read": {"readOnlyHint": True},
    "put": {"idempotentHint": True, "destructiveHint": False},
    "write": {},
}
TOOLS = [
    {
        "name": name,
        "inputSchema": {"type": "object", "properties": {"key": {}}},
        "annotations": hints,
    }
    for name, hints in HINTS.items()
]


class Server(asyncio.Protocol):
    """Answers the lines of its input."""

    def __init__(self, folder: Path, kill: str, linger_s: float) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self._gateway = os.getppid()
        self._log = os.open(folder / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        self._counts = folder / "counts"
        self._instant, _, number = kill.partition(":")
        self._kills_at = int(number or 0)
        self._passed: Counter[str] = Counter()
        self._linger_s = linger_s
        self._rest = b""
        self._random = Random()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def connection_lost(self, exc: Exception | None) -> None:
        asyncio.get_running_loop().call_later(self._linger_s, self.ended.set_result, None)

    def _take(self, request: dict[str, Any]) -> None:
        params = request.get("params", {})
        match request.get("method"):
            case "initialize":
                version, info = params["protocolVersion"], {"name": "crash", "version": "1"}
                known = {"protocolVersion": version, "capabilities": {"tools": {}}}
                self._answer(request, {**known, "serverInfo": info})
            case "tools/list":
                self._answer(request, {"tools": TOOLS})
            case "tools/call":
                self._call(request, params["name"], params["arguments"], params.get("_meta", {}))
            case "ping":
                self._answer(request, {})

    def _call(
        self, request: dict[str, Any], tool: str, arguments: dict[str, Any], meta: dict[str, Any]
    ) -> None:
        arrivals = self._count(arguments)
        line = {"tool": tool, "arguments": arguments, "key": meta.get("plait/idempotencyKey")}
        self._note("arrived", line)
        self._pass_by("arrived")

        def end() -> None:
            how = how_answered(arguments, arrivals)
            value = answer(arguments, self._random, how)
            self._note(how, {**line, "flag": value["flag"]})
            self._pass_by("answered")
            self._answer(
                request, {"content": [], "structuredContent": value, "isError": how == "badly"}
            )

        asyncio.get_running_loop().call_later(arguments["ms"] / 1_000, end)

    def _count(self, arguments: dict[str, Any]) -> int:
        """Count an arrival, together with all servers before and beside this one."""
        if arguments.keys().isdisjoint({"fails", "polls"}):
            return 1
        name = f"{arguments['story']} {name_of(arguments)}".replace("/", " ")
        number = 1
        while True:
            with suppress(FileExistsError):
                os.close(os.open(self._counts / f"{name} {number}", os.O_CREAT | os.O_EXCL))
                return number
            number += 1

    def _note(self, what: str, line: dict[str, Any]) -> None:
        at = {"what": what, "gateway": self._gateway, "at": time.monotonic()}
        os.write(self._log, json.dumps({**at, **line}).encode() + b"\n")

    def _pass_by(self, instant: str) -> None:
        self._passed[instant] += 1
        if (instant, self._passed[instant]) == (self._instant, self._kills_at):
            self._note("killed", {})
            os.kill(self._gateway, signal.SIGKILL)

    def _answer(self, request: dict[str, Any], result: dict[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}).encode()
        rest = memoryview(data + b"\n")
        with suppress(BrokenPipeError):  # the gateway is dead
            while rest:
                rest = rest[os.write(1, rest) :]


async def main(folder: str, kill: str, linger_s: str) -> None:
    _, server = await asyncio.get_running_loop().connect_read_pipe(
        lambda: Server(Path(folder), kill, float(linger_s)), sys.stdin
    )
    await server.ended


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
