"""The downstream servers of one configuration: started together, stopped together, each on its own.

Every server has one `Connection`, which `connections.py` runs and other configurations may share.
To callers the pool is all servers at once: it calls tools (`CallTool`), lists them (`Servers`), and
relays everything else (`Downstream`). None of that waits for a server that it does not concern.

New settings replace a connection only if its server would be another one. The old connection stays
until its calls in flight have ended, and the new one starts after it, or next to it while calls are
still in flight.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
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
    OnNotice,
    RelayRequest,
    ServerListing,
    ToolCall,
)
from ..core.tools.catalog import Catalog, ServerInfo, Tool
from ..core.tools.traits import NO_WORD
from ..core.values.strict import JsonObject, NotStrict, measure
from ..errors import RpcError
from .connection import Connection
from .connections import Connections, Held
from .server_keys import Keys, names_as_keys
from .server_requests.roots import Roots
from .subscriptions import lowest

log = logging.getLogger(__name__)

HELD_S = 1.0
"""Longest wait of the first start of servers for `first`, unless another is set."""
AT_ONCE = max(4, 2 * (os.cpu_count() or 1))
"""Most processes that start at once: more would only compete for the processor, also with us."""
START_S = 0.5
"""Time after which the next process may start though this one is not ready."""


class Pool:
    """The servers of one configuration: the `Servers`, the `Downstream` and a `CallTool`. Use as an
    async context manager.

    They are among *connections*, which must be open by then; *keys* gives their unique names there.
    Entering starts every server in the background and waits for none; leaving gives them back. With
    *first*, no server starts until that is set, unless it is needed, but at most *hold_s* later.
    """

    def __init__(
        self,
        config: Config,
        connections: Connections,
        *,
        first: anyio.Event | None = None,
        hold_s: float = HELD_S,
        keys: Keys = names_as_keys,
    ) -> None:
        self._max_message_bytes = config.gateway.limits.max_message_bytes
        self._secrets = config.secrets
        self._connections = connections
        self._keys = keys
        self._first = first
        self._hold_s = hold_s
        self._settings = _enabled(config)
        self._catalog: Catalog | None = None
        self._words = config.words()
        self._worded: dict[str, tuple[Tool, Tool]] = {}
        """By full name, the tools that the operator has a word on, without it and with it."""
        self._chosen: dict[str, tuple[ServerListing, ServerListing]] = {}
        """By server, what it lists, and the part of it that the settings choose."""
        self._offers: tuple[ServerListing, ...] = ()
        self._are_offers_current = False
        self._listeners: dict[object, OnNotice] = {}
        self.roots = Roots()
        self.level: str | None = None
        self._levels: dict[object, str] = {}
        """By client, the log level that it asked for."""
        self._watches: set[_Watch] = set()
        self._tasks: TaskGroup | None = None
        self._held = self._take(config)

    def __repr__(self) -> str:
        return f"<Pool of {len(self._held)} servers for {len(self._listeners)} listeners>"

    async def __aenter__(self) -> Self:
        await self._connections.recall(self._held.values())
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._begin, list(self._held.values()), name="start of servers")
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
        for watch in list(self._watches):
            self._unwatch(watch)
        for held in self._held.values():
            self._connections.give_back(held, self)
        self.forget_lists()

    # The servers, and calls of their tools.

    def catalog(self) -> Catalog:
        if self._catalog is None:
            tools: list[Tool] = []
            excluded: list[Tool] = []
            infos: list[ServerInfo] = []
            for name, held in self._held.items():
                settings, before = self._settings[name], len(tools)
                for tool in map(self._with_word, held.connection.tools):
                    (tools if settings.includes(tool.name) else excluded).append(tool)
                info = replace(held.connection.info, tools=len(tools) - before)
                infos.append(replace(info, is_required=settings.required))
            self._catalog = Catalog(tools, infos, excluded, self._words)
        return self._catalog

    def _with_word(self, tool: Tool) -> Tool:
        """Return *tool* with the operator's word on it. It is the same object for the same one, so
        its schemas are read once."""
        word = self._words.of(tool.server, tool.name)
        if word == NO_WORD:
            return tool
        listed, worded = self._worded.get(tool.full_name, (None, tool))
        if listed is not tool:
            worded = replace(tool, word=word)
            self._worded[tool.full_name] = tool, worded
        return worded

    async def settled(self, names: Iterable[str] | None = None) -> None:
        """As `Servers.settled`. Servers of *names* that have not started are started."""
        if names is None:
            if self._first is not None:
                self._first.set()
            waits = [(name, held.connection.wait_settled) for name, held in self._held.items()]
        else:
            chosen = {name: held for name, held in self._held.items() if name in set(names)}
            for held in chosen.values():
                held.start(self)
                held.connection.use.touch()
            waits = [(name, held.connection.wait_started) for name, held in chosen.items()]
        async with anyio.create_task_group() as tasks:
            for name, wait in waits:
                tasks.start_soon(self._within_start, name, wait)

    async def _within_start(self, name: str, wait: Callable[[], Awaitable[None]]) -> None:
        """Do *wait* for the server *name*. Where others let its start take longer than the own
        settings, it ends after the time of these."""
        startup_s = self._settings[name].startup_timeout_s
        is_longer = startup_s < self._held[name].connection.startup_s
        with anyio.move_on_after(startup_s if is_longer else None):
            await wait()

    async def __call__(self, call: ToolCall) -> JsonObject:
        return await self._connections(call)

    # Everything else that passes between clients and servers.

    def offers(self) -> tuple[ServerListing, ...]:
        if not self._are_offers_current:
            now = tuple(
                self._choose(name, listing)
                for name, held in self._held.items()
                if (listing := held.connection.offers) is not None
            )
            if [*map(id, now)] != [*map(id, self._offers)]:
                self._offers = now
            self._are_offers_current = True
        return self._offers

    def _choose(self, name: str, listing: ServerListing) -> ServerListing:
        """Return the part of *listing* that the settings choose. It is the same object for the same
        one, and so are its tools."""
        before, chosen = self._chosen.get(name, (None, listing))
        if before is listing:
            return chosen
        tools = chosen.tools
        if before is None or before.tools is not listing.tools:
            includes = self._settings[name].includes
            tools = tuple(tool for tool in listing.tools if includes(str(tool["name"])))
            if len(tools) == len(listing.tools):
                tools = listing.tools
        chosen = replace(listing, tools=tools)
        self._chosen[name] = listing, chosen
        return chosen

    async def request(self, request: RelayRequest, /) -> JsonObject:
        """As `Downstream.request`. Our own codes: CONNECTION_CLOSED (-32000) if the server cannot
        be reached or went away, INVALID_PARAMS (-32602) for params that cannot be sent,
        INTERNAL_ERROR (-32603) for an answer that cannot be used. Only the wait for a starting
        server is bounded here."""
        connection = self._started(request.server)
        startup_s = self._settings[request.server].startup_timeout_s
        return await connection.request(request, startup_s)

    async def notify(self, server: str, method: str, params: JsonObject) -> None:
        """As `Downstream.notify`; does nothing if *server* is not connected. Raises `RpcError` if
        it is unknown."""
        await self._started(server).notify(method, params)

    def _started(self, server: str) -> Connection:
        """The connection to *server*, which may start now. Raises `RpcError` if it is unknown."""
        if (held := self._held.get(server)) is None:
            raise RpcError(types.CONNECTION_CLOSED, f"unknown server {server[:100]}")
        held.start(self)
        return held.connection

    async def watch(self, server: str, uri: str) -> Callable[[], None]:
        """As `Downstream.watch`. It lasts over new settings, also where they replace the server."""
        connection = self._started(server)
        await connection.watch(uri, self._settings[server].startup_timeout_s)
        watch = _Watch(server, uri, connection)
        self._watches.add(watch)
        self._follow(watch)  # settings may have changed meanwhile
        return partial(self._unwatch, watch)

    def _unwatch(self, watch: _Watch) -> None:
        if watch in self._watches:
            self._watches.remove(watch)
            watch.move(None)

    def _follow(self, watch: _Watch) -> None:
        """Let *watch* be at the connection that its server has now."""
        held = self._held.get(watch.server)
        watch.move(held.connection if held is not None else None)

    def set_level(self, client: object, level: str | None) -> None:
        """As `Downstream.set_level`."""
        self._levels.pop(client, None)
        if level is not None:
            self._levels[client] = level
        self.level = lowest(self._levels.values())
        for held in self._held.values():
            held.settle_level()

    def listen(self, hear: OnNotice) -> Callable[[], None]:
        key = object()
        self._listeners[key] = hear

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    def join(self, ask: Ask | None) -> Callable[[], None]:
        """As `Downstream.join`."""
        return self.roots.join(ask)

    def askers(self) -> list[str]:
        """As `Downstream.askers`."""
        return self.roots.askers()

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
        before, self._settings, self._chosen = self._held, _enabled(config), {}
        self._words, self._worded = config.words(), {}
        self._held = self._take(config)
        for watch in self._watches:
            self._follow(watch)
        self.forget_lists()
        await self._connections.recall(self._held.values())
        for name, held in before.items():
            if self._held.get(name) is not held:
                self._connections.give_back(held, self, self._held.get(name))
        added = [held for name, held in self._held.items() if name not in before]
        self._tasks.start_soon(self._begin, added)
        names = {*before, *self._held}
        return {name for name in names if before.get(name) is not self._held.get(name)}

    def announce_reload(self) -> None:
        """Notify clients that new settings may have changed any list."""
        self._offers, self._are_offers_current = (), False
        self.broadcast("", RENEWED, {})

    async def _begin(self, added: Sequence[Held]) -> None:
        """Let servers start: a few processes at a time, all others at once."""
        assert self._tasks is not None
        if self._first is not None:
            with anyio.move_on_after(self._hold_s):
                await self._first.wait()
        starting = anyio.Semaphore(AT_ONCE)

        async def release(held: Held) -> None:
            with anyio.move_on_after(START_S):
                await held.connection.wait_settled()
            starting.release()

        for held in sorted(added, key=lambda held: held.connection.is_process):
            if held.connection.is_process:
                await starting.acquire()
                self._tasks.start_soon(release, held)
            held.start(self)

    def _take(self, config: Config) -> dict[str, Held]:
        """Hold a connection to each server of *config*: the one that is held, if it is the same
        server."""
        keys = self._keys(config)
        return {
            name: self._connections.take(
                keys[name],
                name,
                config,
                self,
                secrets=self._secrets,
                max_message_bytes=self._max_message_bytes,
            )
            for name in _enabled(config)
        }

    def forget_lists(self) -> None:
        """Note that the state or a list of a server has changed."""
        self._catalog, self._are_offers_current = None, False


@dataclass(eq=False, slots=True)
class _Watch:
    """A watched resource of the server of that name, whose connection is missing if it is."""

    server: str
    uri: str
    connection: Connection | None

    def move(self, connection: Connection | None) -> None:
        """Be at *connection* from now on."""
        before, self.connection = self.connection, connection
        if before is connection:
            return
        if before is not None:
            before.unwatch(self.uri)
        if connection is not None:
            try:
                connection.move_in(self.uri)
            except RpcError:
                self.connection = None
                log.warning("watch.lost", extra={"server": self.server}, exc_info=True)


def _enabled(config: Config) -> dict[str, ServerSettings]:
    return {name: settings for name, settings in config.servers.items() if settings.enabled}
