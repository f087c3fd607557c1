"""A downstream server for benchmarks: JSON lines and nothing else, so that only the gateway is
timed.

`sleep` answers after `ms` milliseconds with `{"slept_ms": ms}`, `find` at once with two items, and
so does `note`, which does not say that it only reads; `work` keeps the server busy for `ms`. An
argument gives the least number of tools that it lists.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

import orjson

READ_ONLY = {"readOnlyHint": True}
SLEEP: dict[str, Any] = {
    "name": "sleep",
    "description": "Answers after a while.",
    "inputSchema": {
        "type": "object",
        "properties": {"ms": {"type": "number"}, "after": {}},
        "required": ["ms"],
        "additionalProperties": False,
    },
    "annotations": READ_ONLY,
}
FIND: dict[str, Any] = {
    "name": "find",
    "description": "Finds two items.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "query": {"type": "string"},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100},
            "labels": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["query"],
        "additionalProperties": False,
    },
    "annotations": READ_ONLY,
}
NOTE: dict[str, Any] = {
    **{name: value for name, value in FIND.items() if name != "annotations"},
    "name": "note",
    "description": "Notes what was found.",
}
WORK: dict[str, Any] = {**SLEEP, "name": "work", "description": "Works for a while."}


def listed(count: int) -> list[dict[str, Any]]:
    """List at least *count* tools; those after the fourth are like `find` and only add to
    the number."""
    more = ({**FIND, "name": f"find_{number}"} for number in range(5, count + 1))
    return [SLEEP, FIND, NOTE, WORK, *more]


def found(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the structured content of an answer of `find`."""
    items = [
        {"number": number, "title": f"{arguments['query'][:20]} {number}"} for number in (1, 2)
    ]
    return {"items": items, "total": len(items)}


class Server(asyncio.Protocol):
    """Answers the lines of its input. Immediate answers to lines that arrive together are written
    together."""

    def __init__(self, tools: list[dict[str, Any]]) -> None:
        self._tools = tools
        self._rest = b""
        self._answers: list[bytes] = []
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(orjson.loads(line))
        self._write()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)

    def _take(self, request: dict[str, Any]) -> None:
        match request.get("method"):
            case "initialize":
                version = request["params"]["protocolVersion"]
                info = {"name": "lean", "version": "1"}
                self._answer(
                    request,
                    {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info},
                )
            case "tools/list":
                self._answer(request, {"tools": self._tools})
            case "tools/call":
                self._called(request, request["params"]["arguments"])
            case "ping":
                self._answer(request, {})
            case _ if "id" in request:
                error = {"code": -32601, "message": "no such method"}
                self._answers.append(
                    orjson.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error})
                )

    def _called(self, request: dict[str, Any], arguments: dict[str, Any]) -> None:
        name = request["params"]["name"]
        if name == "work":
            until = time.process_time() + arguments["ms"] / 1000
            while time.process_time() < until:
                pass
            self._answer(request, {"content": [], "structuredContent": {"worked": True}})
            return
        if name != "sleep":
            self._answer(request, {"content": [], "structuredContent": found(arguments)})
            return
        ms = arguments["ms"]
        result = {"content": [], "structuredContent": {"slept_ms": ms}}
        if ms:
            asyncio.get_running_loop().call_later(ms / 1000, self._answer_late, request, result)
        else:
            self._answer(request, result)

    def _answer(self, request: dict[str, Any], result: dict[str, Any]) -> None:
        self._answers.append(
            orjson.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result})
        )

    def _answer_late(self, request: dict[str, Any], result: dict[str, Any]) -> None:
        self._answer(request, result)
        self._write()

    def _write(self) -> None:
        if not self._answers:
            return
        data = memoryview(b"\n".join(self._answers) + b"\n")
        self._answers.clear()
        while data:
            data = data[os.write(1, data) :]


async def serve(tools: list[dict[str, Any]]) -> None:
    _, server = await asyncio.get_running_loop().connect_read_pipe(lambda: Server(tools), sys.stdin)
    await server.ended


if __name__ == "__main__":
    asyncio.run(serve(listed(int(sys.argv[1]) if len(sys.argv) > 1 else 2)))
