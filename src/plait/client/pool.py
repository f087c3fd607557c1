"""All downstream servers: started together, stopped together, each on its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from ..config import Config
from ..core.catalog import Catalog
from ..core.ports import ToolCall
from ..core.printable import printable
from ..core.strict import JsonObject
from ..errors import ServerUnavailable
from .connection import Connection
from .transports import Patience

STDERR_LINES_PER_S = 100


class Pool:
    """The connections of one gateway. A `CallTool` and the `Servers`; use as an async context manager.

    Entering starts every server in the background and waits for none; leaving stops all of them in parallel.
    """

    def __init__(self, config: Config, *, patience: Patience | None = None) -> None:
        limit = config.gateway.limits.max_message_bytes
        self._connections = {
            name: Connection(
                name,
                settings,
                max_message_bytes=limit,
                patience=patience,
                on_change=self._forget_catalog,
                on_stderr=stderr_logger(name),
            )
            for name, settings in config.servers.items()
            if settings.enabled
        }
        self._catalog: Catalog | None = None
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        for name, connection in self._connections.items():
            self._tasks.start_soon(connection.run, name=f"server {name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)

    def catalog(self) -> Catalog:
        if self._catalog is None:
            connections = self._connections.values()
            tools = (tool for connection in connections for tool in connection.tools)
            self._catalog = Catalog(tools, (connection.info for connection in connections))
        return self._catalog

    async def settled(self, names: Iterable[str] | None = None) -> None:
        for name in self._connections if names is None else names:
            if name in self._connections:
                await self._connections[name].settled()

    async def __call__(self, call: ToolCall) -> JsonObject:
        connection = self._connections.get(call.tool.server)
        if connection is None:
            raise ServerUnavailable(f"there is no server {call.tool.server}")
        return await connection.call(call)

    def _forget_catalog(self) -> None:
        self._catalog = None


def stderr_logger(server: str, lines_per_s: int = STDERR_LINES_PER_S) -> Callable[[str], None]:
    """Puts the lines that *server* writes to stderr into our log under its name, at most so many a second."""
    log = logging.getLogger(f"plait.server.{server}")
    second, lines = 0, 0

    def hear(line: str) -> None:
        nonlocal second, lines
        now = int(time.monotonic())
        if now != second:
            if lines > lines_per_s:
                log.warning("%d more lines were dropped", lines - lines_per_s)
            second, lines = now, 0
        lines += 1
        if lines <= lines_per_s:
            log.info("%s", printable(line, "\t"))

    return hear
