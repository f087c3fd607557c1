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
    """A file that gets one JSON line for each call of any service, in the order of their ends. Its
    first line names the job."""

    file: Path

    def job(self) -> str | None:
        """Read which job is being done; None if no log was begun."""
        if not self.file.exists():
            return None
        with self.file.open(encoding="utf-8") as log:
            name: str = json.loads(log.readline())["job"]
        return name

    def begin(self, job: str) -> None:
        """Forget all calls: another job begins."""
        self.file.write_text(json.dumps({"job": job}) + "\n", encoding="utf-8")

    def add(self, **entry: Any) -> None:
        with self.file.open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")


class Service:
    """A service that makes its tools anew for each job, so that no job sees what another did."""

    def __init__(self, name: str, make: Callable[[], Iterable[Tool]], log: CallLog) -> None:
        self._name = name
        self._make = make
        self._log = log
        self._job: str | None = None
        self._tools = {tool.name: tool for tool in make()}

    def server(self) -> MCPServer:
        """Return the MCP server, which logs every call."""
        server = MCPServer(self._name, version="1", log_level="ERROR")
        for tool in self._tools.values():
            server.add_tool(
                self._logged(tool),
                description=inspect.getdoc(tool.function),
                annotations=ToolAnnotations(
                    read_only_hint=not tool.changes, destructive_hint=False, open_world_hint=False
                ),
                structured_output=not tool.is_text,
            )
        return server

    def _logged(self, tool: Tool) -> Callable[..., Any]:
        # Calls run one after the other in the event loop, not in threads: the state needs no lock.
        @functools.wraps(tool.function)
        async def call(**arguments: Any) -> Any:
            entry = {
                "tool": f"{self._name}:{tool.name}",
                "arguments": arguments,
                "changes": tool.changes,
            }
            try:
                result = self._tool(tool.name).function(**arguments)
            except Refused as refused:
                self._log.add(**entry, error=str(refused))
                raise ToolError(str(refused)) from None
            self._log.add(**entry)
            return result

        return call

    def _tool(self, name: str) -> Tool:
        if (job := self._log.job()) != self._job:
            self._job, self._tools = job, {tool.name: tool for tool in self._make()}
        return self._tools[name]
