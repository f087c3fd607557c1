"""All downstream servers: started together, stopped together, each on its own."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from ..config import Config, ServerSettings
from ..core.ports import Downstream, Listings, ToolCall
from ..core.tools.catalog import Catalog
from ..core.tools.server_notices import ServerNotice
from ..core.values.printable import printable
from ..core.values.strict import JsonObject
from ..errors import ServerUnavailable
from .connection import Connection
from .listings.identity import identity_of
from .relay import DownstreamRelay
from .transports.transport import ConnectTimings

STDERR_LINES_PER_S = 100
HELD_S = 1.0
"""How long the first start of servers is held back for an answer to go out first."""
AT_ONCE = max(4, 2 * (os.cpu_count() or 1))
"""Processes that are started side by side: more only take the processor from each other, and from
us."""
TURN_S = 0.5
"""After so long the next may start, also if this one has not answered."""
DRAIN_S = 30.0
"""How long the calls in flight of a server have, that is there no more in new settings."""


@dataclass(frozen=True, slots=True)
class _Owned:
    """A connection, and what starts and ends it."""

    connection: Connection
    begin: anyio.Event = field(default_factory=anyio.Event)
    end: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)

    async def run(self) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.connection.run, self.begin)
                await self.end.wait()
                tasks.cancel_scope.cancel()
        finally:
            self.ended.set()


class Pool:
    """The connections of one gateway. A `CallTool` and the `Servers`; use as an async context
    manager.

    Entering starts every server in the background and waits for none; leaving stops all of them in
    parallel. With *first*, no server is started until that is set, but for one that is needed, and
    not longer than a second.
    """

    def __init__(
        self,
        config: Config,
        listings: Listings,
        *,
        patience: ConnectTimings | None = None,
        first: anyio.Event | None = None,
        notify: Callable[[ServerNotice], None] = lambda notice: None,
    ) -> None:
        self._max_message_bytes = config.gateway.limits.max_message_bytes
        self._patience = patience
        self._secrets = config.secrets
        self._listings = listings
        self._first = first
        self._notify = notify
        self._owned: dict[str, _Owned] = {}
        self._catalog: Catalog | None = None
        self._tasks: TaskGroup | None = None
        self._relays = DownstreamRelay(lambda: self._connections.values(), self._reached)
        for name, settings in _enabled(config).items():
            self._owned[name] = _Owned(self._connect(name, settings))

    async def __aenter__(self) -> Self:
        await self._recall()
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._listings.keep, name="listings")
        for name, owned in self._owned.items():
            self._tasks.start_soon(owned.run, name=f"server {name}")
        self._tasks.start_soon(self._begin, list(self._owned.values()), name="start of servers")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)
        with anyio.CancelScope(shield=True):
            await self._listings.save()

    def catalog(self) -> Catalog:
        if self._catalog is None:
            connections = self._connections.values()
            tools = (tool for connection in connections for tool in connection.tools)
            self._catalog = Catalog(tools, (connection.info for connection in connections))
        return self._catalog

    @property
    def downstream(self) -> Downstream:
        return self._relays

    def renew(self) -> None:
        """Have clients look anew at the lists that new settings have changed."""
        self._relays.renew()

    async def settled(self, names: Iterable[str] | None = None) -> None:
        """As `Servers.settled`. Those of *names* are started if they were not."""
        if names is None and self._first is not None:
            self._first.set()
        chosen = None if names is None else set(names)
        wanted = [owned for name, owned in self._owned.items() if chosen is None or name in chosen]
        if names is not None:
            for owned in wanted:
                owned.begin.set()
                owned.connection.use.touch()
        for owned in wanted:
            await (owned.connection.settled() if names is None else owned.connection.woken())

    async def __call__(self, call: ToolCall) -> JsonObject:
        owned = self._owned.get(call.tool.server)
        if owned is None:
            raise ServerUnavailable(f"there is no server {call.tool.server}")
        owned.begin.set()
        return await owned.connection.call(call)

    async def reload(self, config: Config) -> set[str]:
        """Go by the servers of *config* from now on: those that are new or changed start, those
        that changed or went stop once their calls in flight have ended. The others are not
        disturbed. Gives the names of the former."""
        self._secrets.take_in(config.secrets)
        wanted, before = _enabled(config), self._owned
        self._owned = {
            name: before[name]
            if name in before and before[name].connection.fits(settings)
            else _Owned(self._connect(name, settings))
            for name, settings in wanted.items()
        }
        for name, owned in self._owned.items():
            owned.connection.adjust(wanted[name])
        self._forget_catalog()
        await self._recall()
        self._replace(before)
        return {
            name
            for name, owned in {**before, **self._owned}.items()
            if before.get(name) is not self._owned.get(name)
        }

    def _replace(self, before: Mapping[str, _Owned]) -> None:
        assert self._tasks is not None
        for name, owned in self._owned.items():
            if before.get(name) is not owned:
                self._tasks.start_soon(owned.run, name=f"server {name}")
        for name, owned in before.items():
            if self._owned.get(name) is not owned:
                self._tasks.start_soon(self._end, owned, self._owned.get(name))
        self._tasks.start_soon(
            self._begin, [owned for name, owned in self._owned.items() if name not in before]
        )

    async def _end(self, owned: _Owned, successor: _Owned | None) -> None:
        """Stop a server, and start what takes its place: after it where nothing is in flight, else
        beside it."""
        owned.connection.let_watchers_go()
        if successor is not None and owned.connection.use.count:
            successor.begin.set()
        await owned.connection.use.ended(DRAIN_S)
        owned.end.set()
        await owned.ended.wait()
        if successor is not None:
            successor.begin.set()

    async def _begin(self, those: Sequence[_Owned]) -> None:
        """Let servers start: a few processes at a time, all others at once."""
        assert self._tasks is not None
        if self._first is not None:
            with anyio.move_on_after(HELD_S):
                await self._first.wait()
        room = anyio.Semaphore(AT_ONCE)
        for owned in sorted(those, key=lambda owned: owned.connection.is_process):
            if owned.connection.is_process:
                await room.acquire()
                self._tasks.start_soon(_give_back, owned, room)
            owned.begin.set()

    async def _recall(self) -> None:
        await self._listings.load()
        for owned in self._owned.values():
            owned.connection.recall()

    @property
    def _connections(self) -> dict[str, Connection]:
        return {name: owned.connection for name, owned in self._owned.items()}

    def _connect(self, name: str, settings: ServerSettings) -> Connection:
        return Connection(
            name,
            settings,
            max_message_bytes=self._max_message_bytes,
            patience=self._patience,
            remembered=self._listings.of(identity_of(name, settings)),
            on_change=self._forget_catalog,
            notify=self._notify,
            on_stderr=stderr_logger(name),
            on_said=partial(self._relays.tell, name),
            unasked=self._relays.roots_for(name),
            secrets=self._secrets,
        )

    def _reached(self, name: str) -> Connection | None:
        """The connection to a server that something is sent to: it may start now."""
        if (owned := self._owned.get(name)) is None:
            return None
        owned.begin.set()
        return owned.connection

    def _forget_catalog(self) -> None:
        self._catalog = None


async def _give_back(owned: _Owned, room: anyio.Semaphore) -> None:
    with anyio.move_on_after(TURN_S):
        await owned.connection.settled()
    room.release()


def _enabled(config: Config) -> dict[str, ServerSettings]:
    return {name: settings for name, settings in config.servers.items() if settings.enabled}


def stderr_logger(server: str, lines_per_s: int = STDERR_LINES_PER_S) -> Callable[[str], None]:
    """Puts the lines that *server* writes to stderr into our log under its name, at most so many a
    second."""
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
