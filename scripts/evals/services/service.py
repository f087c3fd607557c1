"""The common parts of the services: their tools as functions, served by the SDK, and a log of every
call, from which jobs are judged."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations


class Refused(Exception):
    """The service does not do what it was asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool of a service: a function whose docstring and types are what clients see."""

    function: Callable[..., Any]
    changes: bool = False
    """It changes something, so a job is wrong if it is called and should not have been."""
    is_text: bool = False
    """It answers with a text for people, without structured content."""

    @property
    def name(self) -> str:
        return self.function.__name__


@dataclass(frozen=True, slots=True)
class CallLog:
    """A file that gets one JSON line for each call of any service, in the order of their ends."""

    file: Path

    def add(self, **entry: Any) -> None:
        with self.file.open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")


def server_of(service: str, tools: Iterable[Tool], log: CallLog) -> MCPServer:
    """Return the MCP server of a *service*, which logs every call of its *tools*."""
    server = MCPServer(service, version="1", log_level="ERROR")
    for tool in tools:
        server.add_tool(
            _logged(service, tool, log),
            description=inspect.getdoc(tool.function),
            annotations=ToolAnnotations(
                read_only_hint=not tool.changes, destructive_hint=False, open_world_hint=False
            ),
            structured_output=not tool.is_text,
        )
    return server


def _logged(service: str, tool: Tool, log: CallLog) -> Callable[..., Any]:
    # Calls run one after the other in the event loop, not in threads: the state needs no lock.
    @functools.wraps(tool.function)
    async def call(**arguments: Any) -> Any:
        entry = {
            "tool": f"{service}:{tool.name}",
            "arguments": arguments,
            "changes": tool.changes,
        }
        try:
            result = tool.function(**arguments)
        except Refused as refused:
            log.add(**entry, error=str(refused))
            raise ToolError(str(refused)) from None
        log.add(**entry)
        return result

    return call
