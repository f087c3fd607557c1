"""The connections of a process, each in a task of its own. Pools that want the same server share
its connection.

A connection is found by its key: the name of the server, or a unique name where several pools mean
different servers by one name. It ends once the last pool has given it back and its calls in flight
have ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, Self

import anyio
from anyio.abc import TaskGroup

from ..config import Config, ServerSettings
from ..config.environment import mark_of
from ..core.ports import Listings, Pins, ToolCall
from ..core.tools.server_notices import CircuitChanged, ServerNotice
from ..core.values.printable import printable
from ..core.values.strict import JsonObject
from ..errors import ServerUnavailable
from ..redaction import Secrets
from .connection import Connection
from .listings.identity import identity_of
from .server_keys import identity_in
from .server_requests.roots import NO_ROOTS, OnlyClient, Roots
from .shared_settings import joined
from .subscriptions import lowest
from .timings import ConnectTimings
from .transports.guard import Guard
from .transports.transport import open_transport

STDERR_LINES_PER_S = 100
DRAIN_S = 30.0
"""Longest wait for the calls in flight of a server that is removed or replaced."""


class Holder(Protocol):
    """Holds connections: a pool."""

    roots: Roots
    """Its clients, as servers ask them for roots."""
    level: str | None
    """The lowest log level that one of its clients asked for."""

    def forget_lists(self) -> None:
        """Note that the state or a list of one of its connections has changed. It must not
        block."""
        ...

    def broadcast(self, server: str, method: str, params: JsonObject) -> None:
        """Take a notification of the server of that name. It must not block or raise."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """The settings of a connection that one holder wants."""

    settings: ServerSettings
    max_message_bytes: int


@dataclass(slots=True, eq=False)
class Held:
    """A connection, its holders, and the events that start and end it."""

    name: str
    key: str
    identity: str
    settings: ServerSettings
    """The settings that it was made with."""
    holders: dict[Holder, Terms] = field(default_factory=dict)
    starters: set[Holder] = field(default_factory=set)
    """The holders that have let it start."""
    secrets: Secrets = field(default_factory=Secrets)
    """The secrets of all that have held it."""
    begin: anyio.Event = field(default_factory=anyio.Event)
    end: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)
    connection: Connection = field(init=False)

    def hold(self, holder: Holder, terms: Terms, secrets: Secrets) -> None:
        """Let *holder* hold it, with *terms*, which may be new ones."""
        self.holders[holder] = terms
        self.secrets.take_in(secrets)
        self._apply_terms()
        self.settle_level()

    def start(self, holder: Holder) -> None:
        """Let it start, for *holder*."""
        if holder in self.holders and holder not in self.starters:
            self.starters.add(holder)
            self._apply_terms()
        self.begin.set()

    def leave(self, holder: Holder) -> None:
        """Let *holder* not hold it any more."""
        del self.holders[holder]
        self.starters.discard(holder)
        self.settle_level()
        if self.holders:
            self._apply_terms()

    def _apply_terms(self) -> None:
        everyone = [terms.settings for terms in self.holders.values()]
        starters = [self.holders[holder].settings for holder in self.starters]
        most = max(terms.max_message_bytes for terms in self.holders.values())
        self.connection.adjust(joined(self.settings, everyone, starters), most)

    def forget_lists(self) -> None:
        for holder in self.holders:
            holder.forget_lists()

    def broadcast(self, method: str, params: JsonObject) -> None:
        for holder in list(self.holders):
            holder.broadcast(self.name, method, params)

    def settle_level(self) -> None:
        """Want the log messages that clients of any holder want."""
        self.connection.set_level(lowest(holder.level for holder in self.holders))

    def all_roots(self) -> list[Roots]:
        return [holder.roots for holder in self.holders]

    async def run(self) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.connection.run, self.begin)
                await self.end.wait()
                tasks.cancel_scope.cancel()
        finally:
            self.ended.set()


class Connections:
    """All connections, by key: a `CallTool`. Use as an async context manager; leaving it ends them,
    and the guard of their processes.

    What servers listed is kept in *listings*, and their tools as they were first used in *pins*.
    *notify* takes the notices for observers. If *are_shared*, more than one pool may hold a
    connection, and servers that ask for roots get an empty list, unless they are kept for one
    client.
    """

    def __init__(
        self,
        listings: Listings,
        pins: Pins | None = None,
        *,
        timings: ConnectTimings | None = None,
        notify: Callable[[ServerNotice], None] = lambda notice: None,
        are_shared: bool = False,
    ) -> None:
        self._listings = listings
        self._pins = pins
        self._timings = timings
        self._notify = notify
        self._are_shared = are_shared
        self.guard = Guard()
        self._by_key: dict[str, Held] = {}
        self._tasks: TaskGroup | None = None

        self.on_ready: Callable[[str], None] = lambda key: None
        """Takes the key of a server each time that it was connected."""

    def __repr__(self) -> str:
        return f"<Connections: {', '.join(self._by_key)}>"

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._listings.keep, name="listings")
        if self._pins is not None:
            self._tasks.start_soon(self._pins.keep, name="pins")
        for held in self._by_key.values():
            self._tasks.start_soon(held.run, name=f"server {held.name}")
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)
        with anyio.CancelScope(shield=True):
            await self.guard.close()
            await self._listings.save()
            if self._pins is not None:
                await self._pins.save()

    async def __call__(self, call: ToolCall) -> JsonObject:
        held = self._by_key.get(call.tool.server_key)
        if held is None:
            raise ServerUnavailable(f"unknown server {call.tool.server}")
        held.begin.set()
        return await held.connection.call(call)

    def show_circuit(self, change: CircuitChanged) -> None:
        """List the server of a circuit as the *change* says."""
        if not change.tool and (held := self._by_key.get(change.server)) is not None:
            held.connection.show_circuit(change.open_until)

    def take(
        self,
        key: str,
        name: str,
        config: Config,
        holder: Holder,
        *,
        secrets: Secrets,
        max_message_bytes: int,
    ) -> Held:
        """Return the connection of *key* to the server *name* of *config*, held by *holder* too; a
        new one if there is none to that very server."""
        settings, identity = config.servers[name], identity_in(config, name, key)
        terms = Terms(settings, max_message_bytes)
        known = self._by_key.get(key)
        if known is not None and known.identity == identity:
            known.hold(holder, terms, secrets)
            return known
        held = self._by_key[key] = Held(name, key, identity, settings)
        is_shared = self._are_shared and settings.kept_for == "machine"
        kept_as = identity_of(name, settings)
        is_ours = settings.builtin is not None  # it changes with us alone
        pins = None if self._pins is None or is_ours else self._pins.of(kept_as)
        held.connection = Connection(
            name,
            settings,
            shared_as=key if key != name else "",
            timings=self._timings,
            remembered=self._listings.of(kept_as),
            pins=pins,
            on_change=held.forget_lists,
            on_ready=lambda: self.on_ready(key),
            observe=self._notify,
            open_transport=partial(
                open_transport,
                guard=self.guard,
                environment=config.environment,
                folder=config.folder,
            ),
            on_stderr=stderr_logger(name),
            on_notification=held.broadcast,
            roots_caller=NO_ROOTS if is_shared else OnlyClient(name, held.all_roots),
            secrets=held.secrets,
            need=config.needs.get(name),
            own_mark=mark_of(config.state_folder),
        )
        held.hold(holder, terms, secrets)
        if self._tasks is not None:
            self._tasks.start_soon(held.run, name=f"server {name}")
        return held

    async def recall(self, held: Iterable[Held]) -> None:
        """Let connections list what their servers had at an earlier start."""
        await self._listings.load()
        if self._pins is not None:
            await self._pins.load()
        for one in held:
            one.connection.recall()

    def give_back(self, held: Held, holder: Holder, successor: Held | None = None) -> None:
        """Let *holder* not hold the connection any more. If it was the last one, the connection
        ends, and *successor* starts: after it if no call is in flight, else next to it."""
        held.leave(holder)
        if held.holders:
            if successor is not None:
                successor.start(holder)
            return
        if self._by_key.get(held.key) is held:
            del self._by_key[held.key]
        assert self._tasks is not None
        self._tasks.start_soon(self._end, held, holder, successor)

    async def _end(self, held: Held, holder: Holder, successor: Held | None) -> None:
        if successor is not None and held.connection.use.count:
            successor.start(holder)
        await held.connection.use.wait_unused(DRAIN_S)
        held.end.set()
        await held.ended.wait()
        if successor is not None:
            successor.start(holder)


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
