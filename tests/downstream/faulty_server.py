"""A stdio server with every fault that a server can have, chosen by the name of the tool and by
flags.

    faulty_server.py [--journal FILE] [--die-on-probe] [--ignore-probe] [--pages N] [--loop]
    [--bad-tools]
                     [--ignore-end] [--relist-hangs] [--relist-fails] [--die N]
                     [--modern]

It knows JSON lines and nothing of any SDK. What it saw (calls, cancellations) goes into the
journal, a line each.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

FAULTS = [
    "echo", "die", "hang", "sleep", "stop_reading", "invalid_utf8", "junk", "huge", "endless",
    "deep", "nan",
    "long_number", "surrogate", "no_object", "twice", "wrong_id", "rpc_error", "tool_error",
    "stderr_flood",
    "grandchild", "change_list", "progress", "big", "own_code", "nested_id", "full_pipe", "asks",
    "escaped_grandchild", "end_listening",
]  # fmt: skip
FLAGS = [
    "die-on-probe",
    "ignore-probe",
    "loop",
    "bad-tools",
    "ignore-end",
    "relist-hangs",
    "relist-fails",
    "modern",
]
BAD_TOOLS: list[Any] = [
    {"name": "wrong_type", "inputSchema": {"type": "strin"}},
    {"name": "no schema"},
    {"inputSchema": {"type": "object"}},
    "not even an object",
    {"name": "bad_output", "inputSchema": {"type": "object"}, "outputSchema": 7},
]
options: argparse.Namespace
lists = 0
listening: list[dict[str, Any]] = []


def main() -> None:
    global options
    parser = argparse.ArgumentParser()
    parser.add_argument("--journal")
    parser.add_argument("--pages", type=int, default=1)
    parser.add_argument("--die", type=int, default=0, help="end at once in the first N starts")
    for flag in (
        "die-on-probe",
        "ignore-probe",
        "loop",
        "bad-tools",
        "ignore-end",
        "relist-hangs",
        "relist-fails",
        "modern",
    ):
        parser.add_argument(f"--{flag}", action="store_true")
    options = parser.parse_args()
    if options.ignore_end:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note({"started": os.getpid()})
    if options.die:
        with open(options.journal) as journal:
            if journal.read().count("started") <= options.die:
                sys.exit(9)
    for line in sys.stdin.buffer:
        handle(json.loads(line))
    while options.ignore_end:
        time.sleep(60)


def handle(message: dict[str, Any]) -> None:
    params = message.get("params") or {}
    match message.get("method"):
        case "server/discover" if options.die_on_probe:
            sys.exit(7)
        case "server/discover" if options.ignore_probe:
            pass
        case "server/discover" if options.modern:
            capabilities = {"tools": {"listChanged": True}}
            era = {"supportedVersions": ["2026-07-28"], "capabilities": capabilities}
            answer(message, {"resultType": "complete", "cacheScope": "private", "ttlMs": 0, **era})
        case "subscriptions/listen":
            listening.append(message)
            note({"listens": len(listening)})
            if lists:
                acknowledge()
        case "initialize":
            capabilities = {"tools": {"listChanged": True}}
            info = {"name": "faulty", "version": "1"}
            answer(
                message,
                {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": info},
            )
        case "tools/list":
            list_tools(message, params)
        case "tools/call":
            note({"call": params["name"], "arguments": params.get("arguments")})
            call(message, params["name"], params.get("arguments") or {})
        case "notifications/cancelled":
            note({"cancelled": params["requestId"]})
        case _ if "id" in message:
            write(
                {
                    "jsonrpc": "2.0",
                    "id": message["id"],
                    "error": {"code": -32601, "message": "no such method"},
                }
            )


def list_tools(message: dict[str, Any], params: dict[str, Any]) -> None:
    global lists
    lists += 1
    note({"lists": lists})
    if options.relist_hangs and lists > 1:
        return
    if options.relist_fails and lists > 1:
        write(
            {
                "jsonrpc": "2.0",
                "id": message["id"],
                "error": {"code": -32603, "message": "the database is down"},
            }
        )
        return
    tools: list[Any] = [{"name": name, "inputSchema": {"type": "object"}} for name in FAULTS]
    if lists > 1:
        tools.append({"name": "grown", "inputSchema": {"type": "object"}})
    if options.bad_tools:
        tools = BAD_TOOLS + tools
    page = int(params.get("cursor", 0))
    size = -(-len(tools) // options.pages)
    result: dict[str, Any] = {"tools": tools[page * size : (page + 1) * size]}
    if page + 1 < options.pages:
        result["nextCursor"] = str(page + 1)
    elif options.loop:
        result["nextCursor"] = "0"
    answer(message, result)
    if options.modern and lists == 1 and listening:
        acknowledge()


def acknowledge() -> None:
    """Changes are told from now on; what changed since the list was sent is not."""
    stamp = {"io.modelcontextprotocol/subscriptionId": listening[-1]["id"]}
    params = {"_meta": stamp, "notifications": {"toolsListChanged": True}}
    write(
        {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params}
    )


def call(message: dict[str, Any], name: str, arguments: dict[str, Any]) -> None:
    id = message["id"]
    match name:
        case "echo":
            answer(message, {"content": [], "structuredContent": arguments})
        case "big":
            answer(message, {"content": [{"type": "text", "text": "x" * arguments["bytes"]}]})
        case "die":
            print("I am dying", file=sys.stderr, flush=True)
            os._exit(3)
        case "sleep":
            threading.Timer(arguments["seconds"], answer, (message, {"content": []})).start()
        case "stop_reading":
            answer(message, {"content": []})
            time.sleep(3600)
        case "invalid_utf8":
            raw(
                b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"\xff\xfe"}]}}\n'
                % id
            )
        case "junk":
            raw(b"debug: starting\n\n{}\n[]\nnull\n\xff\n")
            answer(message, {"content": []})
        case "huge":
            raw(b'{"jsonrpc":"2.0","id":%d,"result":{"x":"' % id + b"x" * 40_000_000 + b'"}}\n')
        case "endless":
            for _ in range(10_000):
                raw(b"x" * 10_000)
        case "deep":
            raw(
                b'{"jsonrpc":"2.0","id":%d,"result":{"structuredContent":%s%s}}\n'
                % (id, b'{"a":' * 400, b"1" + b"}" * 400)
            )
        case "nan":
            raw(b'{"jsonrpc":"2.0","id":%d,"result":{"structuredContent":{"x":NaN}}}\n' % id)
        case "long_number":
            raw(
                b'{"jsonrpc":"2.0","id":%d,"result":{"structuredContent":{"x":%s}}}\n'
                % (id, b"9" * 5000)
            )
        case "surrogate":
            raw(b'{"jsonrpc":"2.0","id":%d,"result":{"structuredContent":{"x":"\\ud800"}}}\n' % id)
        case "no_object":
            raw(b'{"jsonrpc":"2.0","id":%d,"result":[1,2]}\n' % id)
        case "twice":
            answer(message, {"content": [], "structuredContent": {"n": 1}})
            answer(message, {"content": [], "structuredContent": {"n": 2}})
        case "wrong_id":
            write({"jsonrpc": "2.0", "id": 987_654, "result": {"content": []}})
            answer(message, {"content": []})
        case "rpc_error":
            write({"jsonrpc": "2.0", "id": id, "error": {"code": -32042, "message": "no luck"}})
        case "own_code":
            write(
                {
                    "jsonrpc": "2.0",
                    "id": id,
                    "error": {"code": arguments["code"], "message": "no luck"},
                }
            )
        case "nested_id":
            raw(
                b'{"jsonrpc":"2.0","result":{"items":[%s],"x":"\xff"},"id":%d}\n'
                % (b",".join(b'{"id":%d}' % other for other in range(id)), id)
            )
        case "asks":
            question = {
                "method": "elicitation/create",
                "params": {"message": "Who?", "requestedSchema": {"type": "object"}},
            }
            answer(
                message,
                {
                    "resultType": "input_required",
                    "inputRequests": {"q": question},
                    "requestState": "s",
                },
            )
        case "full_pipe":
            answer(message, {"content": []})
            for _ in range(5_000):  # more than its reader may take at once
                write(
                    {
                        "jsonrpc": "2.0",
                        "method": "notifications/message",
                        "params": {"data": "x" * 1_000},
                    }
                )
        case "tool_error":
            answer(message, {"content": [{"type": "text", "text": "EACCES"}], "isError": True})
        case "stderr_flood":
            sys.stderr.buffer.write(b"noise\x1b[31m\n" * 100_000 + b"y" * 1_000_000)
            sys.stderr.flush()
            answer(message, {"content": []})
        case "grandchild":
            child = subprocess.Popen(["sleep", "1000"])  # it holds our stdout and stderr
            answer(message, {"content": [], "structuredContent": {"pid": child.pid}})
            os._exit(4)
        case "escaped_grandchild":
            child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
            answer(message, {"content": [], "structuredContent": {"pid": child.pid}})
            os._exit(4)
        case "end_listening":
            write(
                {
                    "jsonrpc": "2.0",
                    "id": listening[-1]["id"],
                    "error": {"code": -32603, "message": "too many"},
                }
            )
            answer(message, {"content": []})
        case "change_list":
            write({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
            answer(message, {"content": []})
        case "progress":
            token = message["params"]["_meta"]["progressToken"]
            for done in range(1, 21):
                params = {
                    "progressToken": token,
                    "progress": done,
                    "total": 20,
                    "message": f"step {done}",
                }
                write({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
            answer(message, {"content": []})


def answer(message: dict[str, Any], result: dict[str, Any]) -> None:
    write({"jsonrpc": "2.0", "id": message["id"], "result": result})


def write(message: dict[str, Any]) -> None:
    raw(json.dumps(message).encode() + b"\n")


def raw(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def note(event: dict[str, Any]) -> None:
    if options.journal:
        with open(options.journal, "a") as journal:
            journal.write(json.dumps(event) + "\n")


if __name__ == "__main__":
    main()
