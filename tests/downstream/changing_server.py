"""A stdio server that lists what a file holds, so that it is another one at its next start: JSON
lines, nothing else.

    changing_server.py FOLDER

FOLDER/state.json has `tools`, and may have `version` and `era` ("modern": 2026-07-28 alone; else
the handshake alone). What it is asked goes into FOLDER/journal, a method a line; `start` and `end`
stand for itself. It answers nothing as long as FOLDER/closed is there, nor a call of `wait` before
FOLDER/open is.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])
STATE: dict[str, Any] = json.loads((FOLDER / "state.json").read_text())
IS_MODERN = STATE.get("era") == "modern"
INFO = {"name": "changing", "version": STATE.get("version", "1")}
ERA = {"resultType": "complete", "cacheScope": "private", "ttlMs": 0} if IS_MODERN else {}
CAPABILITIES = {"tools": {"listChanged": True}}


def main() -> None:
    note("start")
    for line in sys.stdin:
        message = json.loads(line)
        note(message.get("method", "answer"))
        until(lambda: not (FOLDER / "closed").exists())
        if "id" in message:
            write(
                {
                    "jsonrpc": "2.0",
                    "id": message["id"],
                    **answer(message["method"], message.get("params", {})),
                }
            )
    note("end")


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    match method:
        case "server/discover" if IS_MODERN:
            found = {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES}
            return {
                "result": {**ERA, **found, "_meta": {"io.modelcontextprotocol/serverInfo": INFO}}
            }
        case "initialize" if not IS_MODERN:
            made = {
                "protocolVersion": "2025-11-25",
                "capabilities": CAPABILITIES,
                "serverInfo": INFO,
            }
            return {"result": made}
        case "tools/list":
            return {
                "result": {**ERA, "tools": json.loads((FOLDER / "state.json").read_text())["tools"]}
            }
        case "tools/call":
            if params["name"] == "change":
                write({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
            if params["name"] == "wait":
                until((FOLDER / "open").exists)
            return {"result": {**ERA, "content": [], "structuredContent": {"pid": os.getpid()}}}
    return {"error": {"code": -32601, "message": "no such method"}}


def until(is_so: Any) -> None:
    while not is_so():
        time.sleep(0.01)


def note(event: str) -> None:
    with open(FOLDER / "journal", "a") as journal:
        journal.write(event + "\n")


def write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
