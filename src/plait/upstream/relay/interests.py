"""What upstream clients together want to hear of the downstream servers: resources that they watch,
and log levels.

Each server has one connection for all clients. It is told when the first client wants something,
and when the last one no longer does.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import anyio
import mcp_types as types
from mcp import MCPError

from ...core.ports import RelayRequest, RpcError, ServerListing
from ...core.tools.naming import Entry
from ...core.values.strict import JsonObject
from .listings import offers_capability
from .request_scope import LEVELS, LegacySession

log = logging.getLogger(__name__)

MOST_WATCHED = 10_000
TOLD_S = 4.0
"""How long servers may take to be told what a client that has left does not want any more."""

Send: TypeAlias = Callable[[RelayRequest], Awaitable[JsonObject]]


@dataclass(slots=True)
class _Watch:
    wanted: int = 0
    is_on: bool = False
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class Subscriptions:
    """The resources that are watched, over all clients."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._watches: dict[Entry, _Watch] = {}

    def __repr__(self) -> str:
        return f"<Subscriptions: {len(self._watches)}>"

    async def add(self, entry: Entry) -> None:
        """One more client watches the resource *entry*. Raises `RpcError` where the server refuses,
        and `MCPError` where no more can be watched."""
        if entry not in self._watches and len(self._watches) >= MOST_WATCHED:
            raise MCPError(
                types.INVALID_PARAMS, f"No more than {MOST_WATCHED:,} resources can be watched."
            )
        watch = self._watches.setdefault(entry, _Watch())
        watch.wanted += 1
        try:
            await self._settle(entry, watch)
        except BaseException:
            watch.wanted -= 1
            self._forget(entry, watch)
            raise

    async def remove(self, entry: Entry) -> None:
        """One client less does. Raises `RpcError` where the server refuses to be told so."""
        watch = self._watches[entry]
        watch.wanted -= 1
        await self._settle(entry, watch)

    async def remove_all(self, entries: Iterable[Entry]) -> None:
        """As `remove`, for a client that has left. A server that does not listen may tell of more
        than is wanted."""
        left = {entry: self._watches[entry] for entry in entries}
        for watch in left.values():
            watch.wanted -= 1
        with anyio.move_on_after(TOLD_S, shield=True):
            async with anyio.create_task_group() as tasks:
                for entry, watch in left.items():
                    tasks.start_soon(self._settle_quietly, entry, watch)

    async def _settle(self, entry: Entry, watch: _Watch) -> None:
        """Tell the server what is wanted now, if it was told something else; one request at a
        time."""
        try:
            async with watch.lock:
                is_wanted = watch.wanted > 0
                if is_wanted != watch.is_on:
                    method = "resources/subscribe" if is_wanted else "resources/unsubscribe"
                    watch.is_on = is_wanted
                    await self._send(RelayRequest(entry[0], method, {"uri": entry[1]}))
        except BaseException:
            watch.is_on = False
            raise
        finally:
            self._forget(entry, watch)

    async def _settle_quietly(self, entry: Entry, watch: _Watch) -> None:
        try:
            await self._settle(entry, watch)
        except RpcError:
            log.debug("unsubscribe.failed", exc_info=True)

    def _forget(self, entry: Entry, watch: _Watch) -> None:
        if not watch.wanted and not watch.is_on and self._watches.get(entry) is watch:
            del self._watches[entry]


class LogLevels:
    """The lowest log level that any client of the handshake era has asked for, as it was told to
    the servers."""

    def __init__(self) -> None:
        self._wanted: dict[LegacySession, str] = {}
        self._told: dict[str, str] = {}

    def want(self, session: LegacySession, level: str) -> None:
        self._wanted[session] = level

    def forget(self, session: LegacySession) -> None:
        self._wanted.pop(session, None)

    @property
    def are_wanted(self) -> bool:
        """Whether any client has asked for a level."""
        return bool(self._wanted)

    def due(self, offers: Iterable[ServerListing]) -> list[RelayRequest]:
        """What servers with logging have to be told now; it counts as told."""
        if not self._wanted:
            return []
        lowest = min(self._wanted.values(), key=lambda level: LEVELS[level])
        late = [
            o.server
            for o in offers
            if offers_capability(o, "logging") and self._told.get(o.server) != lowest
        ]
        self._told.update(dict.fromkeys(late, lowest))
        return [RelayRequest(server, "logging/setLevel", {"level": lowest}) for server in late]
