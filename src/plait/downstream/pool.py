"""All downstream servers: started together, stopped together, each on its own.

Every server has one `Connection`, run by one task of the pool. To callers the pool is all servers
at once: it calls tools (`CallTool`), lists them (`Servers`), and relays everything else
(`Downstream`). None of that waits for a server that it does not concern.

New settings replace a connection only if its server would be another one. The old connection stays
until its calls in flight have ended, and the new one starts after it, or next to it while calls are
still in flight.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

import anyio
import mcp_types as types
from anyio.abc import TaskGroup

from ..config import Config, ServerSettings
from ..core.ports import (
    RENEWED,
    Ask,
    Listings,
    OnNotice,
    RelayRequest,
    RpcError,
    ServerListing,
    ToolCall,
)
from ..core.tools.catalog import Catalog
from ..core.tools.server_notices import ServerNotice
from ..core.values.printable import printable
from ..core.values.strict import JsonObject, NotStrict, measure
from ..errors import ServerUnavailable
from .connection import Connection
from .listings.identity import identity_of
from .server_requests.roots import Roots
from .timings import ConnectTimings
from .transports.guard import Guard
from .transports.transport import open_transport

log = logging.getLogger(__name__)

STDERR_LINES_PER_S = 100
HELD_S = 1.0
"""Longest wait of the first start of servers for `first`, unless another is set."""
AT_ONCE = max(4, 2 * (os.cpu_count() or 1))
"""Most processes that start at once: more would only compete for the processor, also with us."""
START_S = 0.5
"""Time after which the next process may start though this one is not ready."""
DRAIN_S = 30.0
"""Longest wait for the calls in flight of a server that new settings remove or replace."""


@dataclass(frozen=True, slots=True)
class _Owned:
    """A connection, and the events that start and end it."""

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
    """The connections of one gateway: a `CallTool`, the `Servers` and the `Downstream`. Use as an
    async context manager.

    Entering starts every server in the background and waits for none; leaving stops all of them in
    parallel. With *first*, no server starts until that is set, unless it is needed, but at most
    *hold_s* later. *notify* takes the notices for observers.
    """

    def __init__(
        self,
        config: Config,
        listings: Listings,
        *,
        timings: ConnectTimings | None = None,
        first: anyio.Event | None = None,
        hold_s: float = HELD_S,
        notify: Callable[[ServerNotice], None] = lambda notice: None,
    ) -> None:
        self._max_message_bytes = config.gateway.limits.max_message_bytes
        self._timings = timings
        self._secrets = config.secrets
        self._environment, self._folder = config.environment, config.folder
        self._listings = listings
        self._first = first
        self._hold_s = hold_s
        self._notify = notify
        self._catalog: Catalog | None = None
        self._offers: tuple[ServerListing, ...] = ()
        self._are_offers_current = False
        self._listeners: dict[object, OnNotice] = {}
        self._roots = Roots()
        self._guard = Guard()
        self._tasks: TaskGroup | None = None
        self._owned = {
            name: _Owned(self._connect(name, settings))
            for name, settings in _enabled(config).items()
        }

    def __repr__(self) -> str:
        return f"<Pool of {len(self._owned)} servers for {len(self._listeners)} listeners>"

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
            await self._guard.close()
            await self._listings.save()

    # The servers, and calls of their tools.

    def catalog(self) -> Catalog:
        if self._catalog is None:
            connections = [owned.connection for owned in self._owned.values()]
            tools = (tool for connection in connections for tool in connection.tools)
            self._catalog = Catalog(tools, (connection.info for connection in connections))
        return self._catalog

    async def settled(self, names: Iterable[str] | None = None) -> None:
        """As `Servers.settled`. Servers of *names* that have not started are started."""
        if names is None:
            if self._first is not None:
                self._first.set()
            for owned in list(self._owned.values()):
                await owned.connection.wait_settled()
            return
        chosen = [owned for name, owned in self._owned.items() if name in set(names)]
        for owned in chosen:
            owned.begin.set()
            owned.connection.use.touch()
        for owned in chosen:
            await owned.connection.wait_started()

    async def __call__(self, call: ToolCall) -> JsonObject:
        owned = self._owned.get(call.tool.server)
        if owned is None:
            raise ServerUnavailable(f"unknown server {call.tool.server}")
        owned.begin.set()
        return await owned.connection.call(call)

    # Everything else that passes between clients and servers.

    def offers(self) -> tuple[ServerListing, ...]:
        if not self._are_offers_current:
            listings = (owned.connection.offers for owned in self._owned.values())
            now = tuple(listing for listing in listings if listing is not None)
            if [*map(id, now)] != [*map(id, self._offers)]:
                self._offers = now
            self._are_offers_current = True
        return self._offers

    async def request(self, request: RelayRequest, /) -> JsonObject:
        """As `Downstream.request`. Our own codes: CONNECTION_CLOSED (-32000) if the server cannot
        be reached or went away, INVALID_PARAMS (-32602) for params that cannot be sent,
        INTERNAL_ERROR (-32603) for an answer that cannot be used. Only the wait for a starting
        server is bounded here."""
        return await self._started(request.server).request(request)

    async def notify(self, server: str, method: str, params: JsonObject) -> None:
        """As `Downstream.notify`; does nothing if *server* is not connected. Raises `RpcError` if
        it is unknown."""
        await self._started(server).notify(method, params)

    def _started(self, server: str) -> Connection:
        """The connection to *server*, which may start now. Raises `RpcError` if it is unknown."""
        if (owned := self._owned.get(server)) is None:
            raise RpcError(types.CONNECTION_CLOSED, f"unknown server {server[:100]}")
        owned.begin.set()
        return owned.connection

    def listen(self, hear: OnNotice) -> Callable[[], None]:
        key = object()
        self._listeners[key] = hear

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    def join(self, ask: Ask | None) -> Callable[[], None]:
        """As `Downstream.join`."""
        return self._roots.join(ask)

    def askers(self) -> list[str]:
        """As `Downstream.askers`."""
        return self._roots.askers()

    def broadcast(self, server: str, method: str, params: JsonObject) -> None:
        """Pass a notification of *server* on, or drop it if that is impossible."""
        try:
            measure(params)
        except NotStrict as error:
            log.debug(
                "notice.dropped", extra={"server": server, "method": method, "error": str(error)}
            )
            return
        for notify in list(self._listeners.values()):
            try:
                notify(server, method, params)
            except Exception:  # or it would end the connection that is being read
                log.exception("notice.failed", extra={"server": server, "method": method})

    # New settings, and the lives of connections.

    async def reload(self, config: Config) -> set[str]:
        """Apply the servers of *config*: start new and changed ones; stop changed and removed ones
        once their calls in flight have ended. The others are not disturbed. Returns the names of
        all that started or stop."""
        assert self._tasks is not None
        self._secrets.take_in(config.secrets)
        self._environment, self._folder = config.environment, config.folder
        wanted, before = _enabled(config), self._owned
        self._owned = {
            name: before[name]
            if name in before and before[name].connection.fits(settings)
            else _Owned(self._connect(name, settings))
            for name, settings in wanted.items()
        }
        for name, owned in self._owned.items():
            owned.connection.adjust(wanted[name])
        self._forget_lists()
        await self._recall()
        for name, owned in self._owned.items():
            if before.get(name) is not owned:
                self._tasks.start_soon(owned.run, name=f"server {name}")
        for name, owned in before.items():
            if self._owned.get(name) is not owned:
                self._tasks.start_soon(self._end, owned, self._owned.get(name))
        added = [owned for name, owned in self._owned.items() if name not in before]
        self._tasks.start_soon(self._begin, added)
        names = {*before, *self._owned}
        return {name for name in names if before.get(name) is not self._owned.get(name)}

    def announce_reload(self) -> None:
        """Notify clients that new settings may have changed any list."""
        self._offers, self._are_offers_current = (), False
        self.broadcast("", RENEWED, {})

    async def _begin(self, added: Sequence[_Owned]) -> None:
        """Let servers start: a few processes at a time, all others at once."""
        assert self._tasks is not None
        if self._first is not None:
            with anyio.move_on_after(self._hold_s):
                await self._first.wait()
        starting = anyio.Semaphore(AT_ONCE)

        async def release(owned: _Owned) -> None:
            with anyio.move_on_after(START_S):
                await owned.connection.wait_settled()
            starting.release()

        for owned in sorted(added, key=lambda owned: owned.connection.is_process):
            if owned.connection.is_process:
                await starting.acquire()
                self._tasks.start_soon(release, owned)
            owned.begin.set()

    async def _end(self, owned: _Owned, successor: _Owned | None) -> None:
        """Stop a server, and start its *successor*: after it if no call is in flight, else next to
        it."""
        owned.connection.release_watched()
        if successor is not None and owned.connection.use.count:
            successor.begin.set()
        await owned.connection.use.wait_unused(DRAIN_S)
        owned.end.set()
        await owned.ended.wait()
        if successor is not None:
            successor.begin.set()

    async def _recall(self) -> None:
        await self._listings.load()
        for owned in self._owned.values():
            owned.connection.recall()

    def _connect(self, name: str, settings: ServerSettings) -> Connection:
        return Connection(
            name,
            settings,
            max_message_bytes=self._max_message_bytes,
            timings=self._timings,
            remembered=self._listings.of(identity_of(name, settings)),
            on_change=self._forget_lists,
            observe=self._notify,
            open_transport=partial(
                open_transport,
                guard=self._guard,
                environment=self._environment,
                folder=self._folder,
            ),
            on_stderr=stderr_logger(name),
            on_notification=partial(self.broadcast, name),
            roots_caller=self._roots.caller_for(name),
            secrets=self._secrets,
        )

    def _forget_lists(self) -> None:
        self._catalog, self._are_offers_current = None, False


def _enabled(config: Config) -> dict[str, ServerSettings]:
    return {name: settings for name, settings in config.servers.items() if settings.enabled}


def stderr_logger(server: str, lines_per_s: int = STDERR_LINES_PER_S) -> Callable[[str], None]:
    """Log the lines that *server* writes to stderr under its name, at most *lines_per_s*."""
    log = logging.getLogger(f"plait.server.{server}")
    second, lines = 0, 0

    def write(line: str) -> None:
        nonlocal second, lines
        now = int(time.monotonic())
        if now != second:
            if lines > lines_per_s:
                log.warning("%d more lines were dropped", lines - lines_per_s)
            second, lines = now, 0
        lines += 1
        if lines <= lines_per_s:
            log.info("%s", printable(line, "\t"))

    return write
