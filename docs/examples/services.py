"""Two small MCP servers on a pipe, for the tour: a tracker and a chat.

Each answers from memory, after about the time that such a service takes over a network. So what a
run of them saves is time that its calls would have waited, as it is with real services.

services.py tracker | chat
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

ISSUES: list[dict[str, Any]] = [
    {"number": 12, "title": "Export drops the last row", "state": "open", "days_open": 3},
    {"number": 17, "title": "Search is slow with accents", "state": "closed", "days_open": 9},
    {"number": 21, "title": "Login fails after midnight", "state": "open", "days_open": 11},
    {"number": 25, "title": "Crash on an empty file", "state": "open", "days_open": 16},
    {"number": 31, "title": "Totals are rounded twice", "state": "open", "days_open": 40},
]
COMMENTS = [{"by": "ken", "text": "I cannot reproduce it."}, {"by": "ada", "text": "I can."}]
NUMBER, TEXT = {"type": "integer"}, {"type": "string"}

# For each server its tools: seconds that a call takes, arguments, whether it changes something.
SERVICES: dict[str, dict[str, tuple[float, dict[str, Any], bool]]] = {
    "tracker": {
        "list_issues": (0.4, {"label": TEXT}, False),
        "get_issue": (0.25, {"number": NUMBER}, False),
        "list_comments": (0.3, {"number": NUMBER}, False),
        "list_releases": (0.5, {}, False),
    },
    "chat": {
        "who_is_on_call": (0.3, {}, False),
        "find_channel": (0.2, {"member": TEXT}, False),
        "post_message": (0.35, {"channel": TEXT, "text": TEXT}, True),
    },
}


def answer(tool: str, given: dict[str, Any]) -> dict[str, Any] | None:
    match tool:
        case "list_issues":
            return {"issues": [{"number": i["number"], "state": i["state"]} for i in ISSUES]}
        case "get_issue":
            return next((issue for issue in ISSUES if issue["number"] == given["number"]), None)
        case "list_comments":
            return {"comments": COMMENTS}
        case "list_releases":
            return {"latest": "2.4.0", "next": "2.4.1"}
        case "who_is_on_call":
            return {"name": "margaret"}
        case "find_channel":
            return {"id": "C01", "members": [given["member"]]}
    return {"posted": given["text"], "to": given["channel"]}


def listed(tools: dict[str, tuple[float, dict[str, Any], bool]]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "description": name.replace("_", " ").capitalize(),
            "inputSchema": {"type": "object", "properties": given, "required": list(given)},
            "annotations": {"readOnlyHint": not changes, "destructiveHint": False},
        }
        for name, (_, given, changes) in tools.items()
    ]


async def result(service: str, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    match method:
        case "initialize":
            return {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": service, "version": "1"},
            }
        case "ping":
            return {}
        case "tools/list":
            return {"tools": listed(SERVICES[service])}
        case "tools/call":
            await asyncio.sleep(SERVICES[service][params["name"]][0])
            value = answer(params["name"], params["arguments"])
            if value is None:
                text = {"type": "text", "text": "Unknown issue number."}
                return {"content": [text], "isError": True}
            text = {"type": "text", "text": json.dumps(value)}
            return {"content": [text], "structuredContent": value}
    return None


async def respond(service: str, message: dict[str, Any]) -> None:
    found = await result(service, message["method"], message.get("params", {}))
    error = {"code": -32601, "message": "Method not found"}
    outcome = {"error": error} if found is None else {"result": found}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome}), flush=True)


async def serve(service: str) -> None:
    async with asyncio.TaskGroup() as tasks:
        while line := await asyncio.to_thread(sys.stdin.readline):
            message = json.loads(line)
            if "id" in message:
                tasks.create_task(respond(service, message))


asyncio.run(serve(sys.argv[1]))
