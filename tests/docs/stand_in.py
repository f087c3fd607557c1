"""The servers of the quickstart, in place of those that npx and uvx would fetch: JSON lines, the
handshake alone.

stand_in.py ...   (as the page calls npx or uvx; the package among the arguments says which server
to be)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TEXT = {"type": "string"}
TOOLS: dict[str, list[dict[str, Any]]] = {
    "@modelcontextprotocol/server-filesystem": [
        {
            "name": "list_directory",
            "inputSchema": {"type": "object", "properties": {"path": TEXT}, "required": ["path"]},
        },
        {
            "name": "write_file",
            "inputSchema": {
                "type": "object",
                "properties": {"path": TEXT, "content": TEXT},
                "required": ["path", "content"],
            },
        },
    ],
    "mcp-server-git": [
        {
            "name": "git_log",
            "inputSchema": {
                "type": "object",
                "properties": {"repo_path": TEXT, "max_count": {"type": "integer"}},
                "required": ["repo_path"],
            },
        }
    ],
}
[SERVED] = [tools for package, tools in TOOLS.items() if package in sys.argv]


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    match method:
        case "initialize":
            served = {
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "stand-in", "version": "1"},
            }
            return {"protocolVersion": "2025-11-25", **served}
        case "tools/list":
            return {"tools": SERVED}
        case "tools/call":
            said = call(params["name"], **params["arguments"])
            result: dict[str, Any] = {"content": [{"type": "text", "text": said}]}
            return (
                result
                if params["name"] == "git_log"
                else {**result, "structuredContent": {"content": said}}
            )
    return None


def call(
    name: str, path: str = ".", content: str = "", repo_path: str = ".", max_count: int = 1
) -> str:
    match name:
        case "list_directory":
            return "\n".join(sorted(entry.name for entry in Path(path).iterdir()))
        case "write_file":
            Path(path).write_text(content)
            return f"Successfully wrote to {path}"
    return f"Commit history: the last {max_count} of {Path(repo_path).resolve().name}"


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        result = answer(message["method"], message.get("params", {}))
        error = {"code": -32601, "message": "Method not found"}
        outcome = {"error": error} if result is None else {"result": result}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome}), flush=True)
