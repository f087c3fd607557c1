"""A downstream server for benchmarks: JSON lines and nothing else, so that the gateway is what is timed.

`sleep` answers after `ms` milliseconds with `{"slept_ms": ms}`, `find` at once with two items.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

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


def found(arguments: dict[str, Any]) -> dict[str, Any]:
    """The structured content of an answer of `find`."""
    items = [{"number": number, "title": f"{arguments['query'][:20]} {number}"} for number in (1, 2)]
    return {"items": items, "total": len(items)}


async def serve() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        request = json.loads(line)
        match request.get("method"):
            case "initialize":
                version = request["params"]["protocolVersion"]
                info = {"name": "lean", "version": "1"}
                answer(request, {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info})
            case "tools/list":
                answer(request, {"tools": [SLEEP, FIND]})
            case "tools/call":
                called(loop, request, request["params"]["arguments"])
            case _ if "id" in request:
                error = {"code": -32601, "message": "no such method"}
                write({"jsonrpc": "2.0", "id": request["id"], "error": error})


def called(loop: asyncio.AbstractEventLoop, request: dict[str, Any], arguments: dict[str, Any]) -> None:
    if request["params"]["name"] == "find":
        answer(request, {"content": [], "structuredContent": found(arguments)})
        return
    ms = arguments["ms"]
    result = {"content": [], "structuredContent": {"slept_ms": ms}}
    if ms:
        loop.call_later(ms / 1000, answer, request, result)
    else:
        answer(request, result)


def answer(request: dict[str, Any], result: dict[str, Any]) -> None:
    write({"jsonrpc": "2.0", "id": request["id"], "result": result})


def write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve())
