"""What downstream servers tell of themselves, passed on to every upstream client that it is for, in both eras.

Log messages go to those who have a request open at that server, each once, and before the answer. Only where nobody
has, on any transport, every session hears them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

from anyio import create_task_group
from anyio.abc import TaskGroup
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)

from ...core.addresses import wrap
from ...core.downstream import Downstream, RpcError
from ...core.strict import Json, JsonObject
from ..following import Context
from .callers import LEVELS, Caller, Session
from .outbox import Outbox
from .parking import Parking

log = logging.getLogger(__name__)

LOG_MESSAGE: Final = "notifications/message"
TOOLS_CHANGED: Final = "notifications/tools/list_changed"
UPDATED: Final = "notifications/resources/updated"
ROOTS_CHANGED: Final = "notifications/roots/list_changed"
ELICITED: Final = "notifications/elicitation/complete"

_LISTS: dict[str, ServerEvent] = {
    TOOLS_CHANGED: ToolsListChanged(),
    "notifications/resources/list_changed": ResourcesListChanged(),
    "notifications/prompts/list_changed": PromptsListChanged(),
}


class Live:
    """What lives as long as one upstream transport: its sessions, the requests that are open, and those that wait for
    their clients. *busy* counts the requests that are open at each server, over all transports."""

    def __init__(
        self,
        tasks: TaskGroup,
        downstream: Downstream,
        address: Callable[[str, str], str],
        busy: Counter[str],
        *,
        tells_of_tools: bool,
    ) -> None:
        self.tasks = tasks
        self.parking = Parking(tasks)
        self.sessions: dict[object, Session] = {}
        bus = InMemorySubscriptionBus()
        self.listening = ListenHandler(bus)
        self._events = Outbox(tasks, lambda method, params: bus.publish(_event(method, params)))
        self._servers = Outbox(tasks, partial(_tell_all, downstream))
        self._tells_of_tools = tells_of_tools
        self._address = address
        self._busy = busy
        self._callers: dict[str, dict[Caller, None]] = {}

    def __repr__(self) -> str:
        open_ = sum(map(len, self._callers.values()))
        return f"<Live: {len(self.sessions)} sessions, {open_} open, {self.parking!r}>"

    @contextmanager
    def open(self, server: str, caller: Caller) -> Iterator[None]:
        """While the block runs, *caller* has a request open at *server*."""
        callers = self._callers.setdefault(server, {})
        callers[caller] = None
        self._busy[server] += 1
        try:
            yield
        finally:
            self._busy[server] -= 1
            del callers[caller]

    def hear(self, server: str, method: str, params: JsonObject) -> None:
        """Take in what *server* notifies of. Never blocks or raises."""
        if method == LOG_MESSAGE:
            self._log(server, params)
        elif method in _LISTS and (self._tells_of_tools or method != TOOLS_CHANGED):
            self._events.put(method, {}, method)
            for session in self.sessions.values():
                session.put(method, {}, method)
        elif method == UPDATED and isinstance(uri := params.get("uri"), str):
            self._updated(server, uri, params)
        elif method == ELICITED:
            for session in self.sessions.values():
                session.put(method, params)

    def tell_servers(self, method: str, params: Mapping[str, Json] | None) -> None:
        """Pass on to every server what a client notifies of."""
        self._servers.put(method, dict(params or {}), method)

    def _updated(self, server: str, uri: str, params: JsonObject) -> None:
        for address in {self._address(server, uri): None, wrap(server, uri): None}:
            self._events.put(UPDATED, {"uri": address}, address)
        for session in self.sessions.values():
            for name in session.names_of(server, uri):
                session.put(UPDATED, {**params, "uri": name}, name)

    def _log(self, server: str, params: JsonObject) -> None:
        level = _level(params)
        if level is None:
            return
        callers = self._callers.get(server, {})
        for caller in {caller.session or caller: caller for caller in callers}.values():
            if caller.hears(level):
                caller.tell(LOG_MESSAGE, params)
        for session in self.sessions.values() if not self._busy[server] else ():
            if session.hears(level):
                session.put(LOG_MESSAGE, params)


def live_of(ctx: Context) -> Live:
    """What lives as long as the transport that the request of *ctx* came over."""
    live: Live = ctx.lifespan_context
    return live


async def _tell_all(downstream: Downstream, method: str, params: JsonObject) -> None:
    async with create_task_group() as group:
        for offer in downstream.offers():
            group.start_soon(_tell_one, downstream, offer.server, method, params)


async def _tell_one(downstream: Downstream, server: str, method: str, params: JsonObject) -> None:
    try:
        await downstream.notify(server, method, params)
    except RpcError:
        log.debug("notice.unsent", extra={"server": server}, exc_info=True)


def _event(method: str, params: JsonObject) -> ServerEvent:
    return _LISTS.get(method) or ResourceUpdated(str(params["uri"]))


def _level(params: JsonObject) -> str | None:
    level: Json = params.get("level")
    return level if isinstance(level, str) and level in LEVELS else None
