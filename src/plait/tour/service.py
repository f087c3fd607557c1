"""A service as an MCP server over stdio: JSON lines, a log of its calls, and nothing else.

A call takes about the time that such a service takes over a network, so what a DAG saves here is
time that its calls would have waited, as it is with real services.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_LINE_BYTES = 2**20
ALIVE = "alive"
"""A file in the folder of the tour that each service locks for as long as it lives."""
METHOD_NOT_FOUND = -32601


class Refused(Exception):
    """The service does not do what it was asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool of a service. *takes* are its arguments with their types, all required but those of
    *optional*; *act* is called with them."""

    name: str
    description: str
    takes: dict[str, str]
    act: Callable[..., dict[str, Any]]
    seconds: float = 0.25
    optional: tuple[str, ...] = ()
    changes: bool = False
    destroys: bool = False
    is_open_world: bool = False

    def definition(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.description,
            "inputSchema": {
                "type": "object",
                "properties": {name: {"type": kind} for name, kind in self.takes.items()},
                "required": [name for name in self.takes if name not in self.optional],
                "additionalProperties": False,
            },
            "annotations": {
                "readOnlyHint": not self.changes,
                "destructiveHint": self.destroys,
                "openWorldHint": self.is_open_world,
            },
        }


@dataclass(frozen=True, slots=True)
class Logged:
    """A call that reached a service: its full name, its arguments, and the process that sent it."""

    tool: str
    arguments: dict[str, Any]
    changes: bool
    gateway: int


def log_of(folder: Path, service: str) -> Path:
    """Return the file with a line for each call that reached *service*, in their order."""
    return folder / f"{service}.log"


def read_log(folder: Path, service: str) -> list[Logged]:
    """Read the calls that reached *service* so far."""
    try:
        lines = log_of(folder, service).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [Logged(**json.loads(line)) for line in lines]


class Service:
    """Answers the lines of one client. A call is in the log before its work begins."""

    def __init__(self, name: str, tools: Sequence[Tool], folder: Path) -> None:
        self._name = name
        self._tools = {tool.name: tool for tool in tools}
        self._log = log_of(folder, name)
        self._gateway = os.getppid()

    async def respond(self, line: bytes) -> bytes | None:
        """Return the line that answers *line*; None for a notification, and for what is not a
        message."""
        try:
            message = json.loads(line)
            number, method = message["id"], message["method"]
        except (ValueError, TypeError, KeyError):
            return None
        result = await self._result(method, message.get("params") or {})
        if result is None:
            error = {"code": METHOD_NOT_FOUND, "message": f"unknown method: {method}"}
            return _line({"jsonrpc": "2.0", "id": number, "error": error})
        return _line({"jsonrpc": "2.0", "id": number, "result": result})

    async def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        match method:
            case "initialize":
                return {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": self._name, "version": "1"},
                }
            case "ping":
                return {}
            case "tools/list":
                return {"tools": [tool.definition() for tool in self._tools.values()]}
            case "tools/call":
                return await self._call(str(params.get("name")), params.get("arguments") or {})
        return None

    async def _call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if (tool := self._tools.get(name)) is None:
            return _failed(f"unknown tool: {name}")
        entry = {"tool": f"{self._name}:{name}", "arguments": arguments}
        self._note(_line({**entry, "changes": tool.changes, "gateway": self._gateway}))
        await asyncio.sleep(tool.seconds)
        try:
            value = tool.act(**arguments)
        except (Refused, TypeError) as error:
            return _failed(str(error))
        text = json.dumps(value, ensure_ascii=False)
        return {"content": [{"type": "text", "text": text}], "structuredContent": value}

    def _note(self, line: bytes) -> None:
        """Add one line to the log, whole also where two processes of a service write."""
        log = os.open(self._log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        try:
            os.write(log, line)
        finally:
            os.close(log)


async def serve(name: str, tools: Sequence[Tool], folder: Path) -> None:
    """Serve *tools* on the standard streams, several calls at once."""
    service = Service(name, tools, folder)
    reader = asyncio.StreamReader(MAX_LINE_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)

    async def answer(line: bytes) -> None:
        if (response := await service.respond(line)) is not None:
            with suppress(BrokenPipeError):  # the gateway is dead
                sys.stdout.buffer.write(response)
                sys.stdout.buffer.flush()

    with alive(folder):
        async with asyncio.TaskGroup() as tasks:
            while line := await reader.readline():
                tasks.create_task(answer(line))


@contextmanager
def alive(folder: Path) -> Iterator[None]:
    """Show for as long as the block runs that a service in *folder* lives."""
    with (folder / ALIVE).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def all_ended(folder: Path) -> bool:
    """Return whether no service in *folder* lives."""
    with (folder / ALIVE).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode() + b"\n"


def _failed(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": True}
