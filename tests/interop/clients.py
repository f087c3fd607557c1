"""Clients that others wrote, each run as a program of its own against a gateway."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .places import (
    HERE,
    inspector,
    node,
    node_22,
    python_with_fastmcp,
    python_with_v1,
    typescript_sdk,
)
from .raw_client import Message
from .samples import Call

LONGEST_S = 50


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client printed: the protocol it agreed on, the names and addresses of what is listed,
    the results of its calls, and the progress that was reported."""

    protocol: str
    server: str
    tools: list[str]
    resources: list[str]
    templates: list[str]
    prompts: list[str]
    results: list[Message]
    progress: list[list[Any]]


def programs() -> dict[str, list[str]]:
    """The clients that take a transport, a target and calls."""
    fastmcp = [python_with_fastmcp(), str(HERE / "client_fastmcp.py")]
    assert typescript_sdk()
    return {
        "SDK 1.30": [python_with_v1(), str(HERE / "client_v1.py")],
        "FastMCP": [*fastmcp, "auto"],
        "FastMCP by handshake": [*fastmcp, "legacy"],
        "TypeScript SDK 1": [node(), str(HERE / "client_typescript.mjs")],
        "TypeScript SDK 2": [node(), str(HERE / "client_typescript_2.mjs")],
    }


async def talk(client: str, transport: str, target: Sequence[str], calls: Sequence[Call]) -> Answer:
    """What *client* found at *target*: a command for stdio, else a URL."""
    out = await run([*programs()[client], transport, *target], stdin=json.dumps(calls))
    return Answer(**json.loads(out.stdout))


@dataclass(frozen=True, slots=True)
class Output:
    stdout: str
    stderr: str


async def run(command: Sequence[str], *, stdin: str = "", home: Path | None = None) -> Output:
    """A program run to its end, which must be a good one. Raises TimeoutError after 50 s."""
    pipe = asyncio.subprocess.PIPE
    # The Inspector would keep secrets on a key ring, or say at length that there is none.
    env = {
        **os.environ,
        "MCP_INSPECTOR_SECRET_STORE": "memory",
        **({"HOME": str(home)} if home else {}),
    }
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, env=env
    )
    try:
        async with asyncio.timeout(LONGEST_S):
            stdout, stderr = await process.communicate(stdin.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, (process.returncode, stdout.decode(), stderr.decode())
    return Output(stdout.decode(), stderr.decode())


async def run_inspector(
    transport: str, target: Sequence[str], *words: str, home: Path, era: str = "legacy"
) -> Output:
    """What the command line of MCP Inspector says to *words*; *home* is where it keeps things."""
    command = [
        node_22(),
        inspector(),
        "--cli",
        *_at(transport, target, home),
        "--protocol-era",
        era,
    ]
    return await run([*command, "--format", "json", *words], home=home)


async def inspect(
    transport: str, target: Sequence[str], *words: str, home: Path, era: str = "legacy"
) -> tuple[Message, str]:
    """The result that the Inspector got for *words*, and what it says beside it."""
    out = await run_inspector(transport, target, *words, home=home, era=era)
    result: Message = json.loads(out.stdout)["result"]
    return result, out.stderr


def _at(transport: str, target: Sequence[str], home: Path) -> list[str]:
    if transport != "stdio":
        return ["--transport", transport, "--server-url", *target]
    # On its command line it would take the options of the gateway for its own.
    config = home / "inspector.json"
    server = {"command": target[0], "args": target[1:], "env": dict(os.environ)}
    config.write_text(json.dumps({"mcpServers": {"plait": server}}))
    return ["--config", str(config), "--server", "plait"]
