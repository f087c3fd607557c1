"""A downstream server for benchmarks whose answers are as heavy as messages may be.

`fill` answers with `megabytes` of one kind: `objects` (`[{},{},…]` as structured content),
`numbers`, `text`. `echo` answers with its arguments.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import orjson

ANY = {"type": "object"}
TOOLS = [
    {"name": name, "inputSchema": ANY, "annotations": {"readOnlyHint": True}}
    for name in ("fill", "echo")
]


@cache
def filled(kind: str, megabytes: float) -> bytes:
    """The result of `fill`, as JSON."""
    size = int(megabytes * 2**20)
    match kind:
        case "objects":
            value = b'{"v":[' + b"{}," * (size // 3) + b"{}]}"
        case "numbers":
            value = b'{"v":[' + b"1," * (size // 2) + b"1]}"
        case _:
            value = b'{"v":"' + b"x" * size + b'"}'
    return b'{"content":[],"structuredContent":' + value + b"}"


def answered(request: dict[str, Any]) -> bytes:
    params = request.get("params") or {}
    match request["method"]:
        case "initialize":
            info = {"name": "bombs", "version": "1"}
            capabilities: dict[str, Any] = {"tools": {}}
            version = params["protocolVersion"]
            return orjson.dumps(
                {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info}
            )
        case "tools/list":
            return orjson.dumps({"tools": TOOLS})
        case "tools/call" if params["name"] == "fill":
            return filled(params["arguments"]["kind"], params["arguments"]["megabytes"])
        case "tools/call":
            echoed = {"size": len(orjson.dumps(params["arguments"]))}
            return orjson.dumps({"content": [], "structuredContent": echoed})
    return b"{}"


def main() -> None:
    for line in sys.stdin.buffer:
        request = orjson.loads(line)
        if "id" in request:
            head = b'{"jsonrpc":"2.0","id":' + orjson.dumps(request["id"]) + b',"result":'
            sys.stdout.buffer.write(head + answered(request) + b"}\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
