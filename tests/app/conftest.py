"""A server of two tools in a process of its own: `double`, and `hang`, which records its calls."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

DOWNSTREAM = """
import json, sys
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
TOOLS = [{"name": name, "inputSchema": SCHEMA} for name in ("double", "hang")]
def answer(method, params):
    if method == "initialize":
        info = {"name": "numbers", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, \
"serverInfo": info}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call" and params["name"] == "double":
        return {"content": [], "structuredContent": {"n": 2 * params["arguments"]["n"]}}
if "silent" in sys.argv:
    sys.stdin.read()
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "notifications/cancelled":
        open(sys.argv[1], "a").write("cancelled")
    if "id" in message:
        result = answer(message["method"], message.get("params", {}))
        if result is not None:
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
        elif message["method"] != "tools/call":
            error = {"code": -32601, "message": "no such method"}
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}), flush=True)
        else:
            open(sys.argv[1], "a").write("called ")
"""


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """What the downstream server was told: `called`, `cancelled`."""
    return tmp_path / "told"


@pytest.fixture
def config(tmp_path: Path, told: Path) -> Path:
    (tmp_path / "downstream.py").write_text(DOWNSTREAM)
    args = [str(tmp_path / "downstream.py"), str(told)]
    numbers = {"command": sys.executable, "args": args, "protocol": "legacy"}
    file = tmp_path / "servers.json"
    file.write_text(json.dumps({"mcpServers": {"numbers": numbers}}))
    return file


def with_a_silent_one(config: Path) -> Path:
    """The settings with one more server, which never says a word."""
    servers = json.loads(config.read_text())["mcpServers"]
    quiet = {**servers["numbers"], "args": [*servers["numbers"]["args"], "silent"]}
    config.write_text(json.dumps({"mcpServers": {**servers, "quiet": quiet}}))
    return config


def with_a_missing_one(config: Path) -> Path:
    """The settings with one more server, whose command does not exist."""
    servers = json.loads(config.read_text())["mcpServers"]
    absent = {"command": str(config.parent / "missing")}
    config.write_text(json.dumps({"mcpServers": {**servers, "absent": absent}}))
    return config


def install_the_missing_one(config: Path) -> None:
    """Make the command of `with_a_missing_one`: it starts the same server as the other."""
    numbers = json.loads(config.read_text())["mcpServers"]["numbers"]
    command = config.parent / "missing"
    command.write_text(f"#!/bin/sh\nexec {shlex.join([numbers['command'], *numbers['args']])}\n")
    command.chmod(0o700)


def words(told: Path) -> str:
    return told.read_text()


async def until(is_true: Any) -> None:
    with anyio.fail_after(10):
        while not is_true():
            await anyio.sleep(0.005)
