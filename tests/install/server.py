"""A small MCP server on pipes, of the standard library alone:   server.py [--needs VARIABLE]…

It adds two numbers. With --needs it ends with a complaint where a variable is not set.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

NUMBER = {"type": "number"}
ADD = {
    "name": "add",
    "description": "Add two numbers",
    "inputSchema": {
        "type": "object",
        "properties": {"a": NUMBER, "b": NUMBER},
        "required": ["a", "b"],
    },
    "annotations": {"readOnlyHint": True},
}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    match method:
        case "initialize":
            return {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "adder", "version": "1"},
            }
        case "tools/list":
            return {"tools": [ADD]}
        case "tools/call":
            given = params["arguments"]
            text = json.dumps({"sum": given["a"] + given["b"]})
            return {"content": [{"type": "text", "text": text}]}
        case "ping":
            return {}
    return None


def main() -> None:
    needed = [
        after for word, after in zip(sys.argv, sys.argv[1:], strict=False) if word == "--needs"
    ]
    for name in needed:
        if not os.environ.get(name):
            sys.exit(f"{name} must be set")
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        result = answer(message["method"], message.get("params") or {})
        body: dict[str, Any] = {"result": result}
        if result is None:
            body = {"error": {"code": -32601, "message": "unknown method"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **body}), flush=True)


if __name__ == "__main__":
    main()
