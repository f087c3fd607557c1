"""A server that lists the tools in its argument, JSON, and knows nothing else.

planted_server.py TOOLS [--hang] [--die] [--show NAME]

With --show, each call is answered with the variable of that name.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def main() -> None:
    if "--die" in sys.argv:
        sys.exit("I cannot find my database")
    if "--hang" in sys.argv:
        time.sleep(600)
    tools = json.loads(sys.argv[1])
    for line in sys.stdin:
        message = json.loads(line)
        answer: dict[str, Any] = {"error": {"code": -32601, "message": "unknown method"}}
        if message.get("method") == "initialize":
            info = {"name": "planted", "version": "1"}
            answer = {
                "result": {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}},
                    "serverInfo": info,
                }
            }
        elif message.get("method") == "tools/list":
            answer = {"result": {"tools": tools}}
        elif message.get("method") == "tools/call" and "--show" in sys.argv:
            text = os.environ.get(sys.argv[-1], "nothing")
            answer = {"result": {"content": [{"type": "text", "text": text}]}}
        if "id" in message:
            sys.stdout.write(f"{json.dumps({'jsonrpc': '2.0', 'id': message['id'], **answer})}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
