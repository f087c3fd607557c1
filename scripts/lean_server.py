"""A downstream server for benchmarks: JSON lines and nothing else, so that the gateway is what is timed.

Its one tool, `sleep`, answers after `ms` milliseconds with `{"slept_ms": ms}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

TOOL = {
    "name": "sleep",
    "description": "Answers after a while.",
    "inputSchema": {
        "type": "object",
        "properties": {"ms": {"type": "number"}, "after": {}},
        "required": ["ms"],
        "additionalProperties": False,
    },
    "annotations": {"readOnlyHint": True},
}


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
                answer(request, {"tools": [TOOL]})
            case "tools/call":
                ms = request["params"]["arguments"]["ms"]
                result = {"content": [], "structuredContent": {"slept_ms": ms}}
                if ms:
                    loop.call_later(ms / 1000, answer, request, result)
                else:
                    answer(request, result)
            case _ if "id" in request:
                error = {"code": -32601, "message": "no such method"}
                write({"jsonrpc": "2.0", "id": request["id"], "error": error})


def answer(request: dict[str, Any], result: dict[str, Any]) -> None:
    write({"jsonrpc": "2.0", "id": request["id"], "result": result})


def write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve())
