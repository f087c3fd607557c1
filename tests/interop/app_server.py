"""A server with a tool that has a user interface (an MCP app), on standard input and output: for
the Inspector, which looks such tools over. It speaks the handshake era, in JSON lines.

    app_server.py [--picky]

A picky one has the tool only for clients that declare the extension."""

from __future__ import annotations

import json
import sys
from typing import Any

UI = "io.modelcontextprotocol/ui"
URI = "ui://clock/face.html"
TOOL = {
    "name": "clock",
    "description": "Shows a clock.",
    "inputSchema": {"type": "object", "properties": {}},
    "_meta": {"ui": {"resourceUri": URI, "visibility": ["model", "app"]}, "ui/resourceUri": URI},
}
PAGE = {
    "uri": URI,
    "mimeType": "text/html;profile=mcp-app",
    "text": "<!doctype html><title>Clock</title>",
    "_meta": {
        "ui": {"csp": {"connectDomains": ["https://time.example.com"]}, "prefersBorder": True}
    },
}
CAPABILITIES = {
    "tools": {},
    "resources": {},
    "extensions": {UI: {"mimeTypes": ["text/html;profile=mcp-app"]}},
}
ANSWERS: dict[str, dict[str, Any]] = {
    "ping": {},
    "tools/list": {"tools": [TOOL]},
    "tools/call": {"content": [{"type": "text", "text": "tick"}]},
    "resources/list": {
        "resources": [{key: PAGE[key] for key in ("uri", "mimeType", "_meta")} | {"name": "face"}]
    },
    "resources/templates/list": {"resourceTemplates": []},
    "resources/read": {"contents": [PAGE]},
}


def answer(message: dict[str, Any]) -> dict[str, Any]:
    if message["method"] == "initialize":
        version = message["params"]["protocolVersion"]
        declared = message["params"]["capabilities"].get("extensions", {}).get(UI, {})
        if "--picky" in sys.argv and PAGE["mimeType"] not in declared.get("mimeTypes", []):
            ANSWERS["tools/list"] = {"tools": []}
        return {
            "protocolVersion": version,
            "capabilities": CAPABILITIES,
            "serverInfo": {"name": "app", "version": "1"},
        }
    return ANSWERS[message["method"]]


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    known = message["method"] in ANSWERS or message["method"] == "initialize"
    said = (
        {"result": answer(message)}
        if known
        else {"error": {"code": -32601, "message": "Method not found"}}
    )
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
