"""What downstream servers tell of themselves, passed on to every upstream client that it is for, in
both eras.

Log messages that belong to a request do not come here: its client alone hears them (`Caller.log`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from anyio import create_task_group
from anyio.abc import TaskGroup

from ...core.ports import RENEWED, Downstream, RpcError
from ...core.tools.addresses import wrap
from ...core.values.strict import Json, JsonObject
from ..mcp_sdk import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from ..run_progress import RequestContext
from .outbox import Outbox, Send
from .pending import PendingRequests
from .request_scope import LOG_MESSAGE, LegacySession
from .router import Router

log = logging.getLogger(__name__)

UPDATED: Final = "notifications/resources/updated"
ROOTS_CHANGED: Final = "notifications/roots/list_changed"
ELICITED: Final = "notifications/elicitation/complete"

_LISTS: dict[str, ServerEvent] = {
    "notifications/tools/list_changed": ToolsListChanged(),
    "notifications/resources/list_changed": ResourcesListChanged(),
    "notifications/prompts/list_changed": PromptsListChanged(),
}


class TransportState:
    """What lives as long as one upstream transport: its sessions, the requests that are open, and
    those that wait for their clients. *tell_changes* calls `tell_change` for each list that has
    changed, over all transports."""

    def __init__(
        self,
        tasks: TaskGroup,
        downstream: Downstream,
        owners: Router,
        tell_changes: Callable[[], None],
    ) -> None:
        self.tasks = tasks
        self.parking = PendingRequests(tasks)
        self.sessions: dict[object, LegacySession] = {}
        bus = InMemorySubscriptionBus()
        self.listening = ListenHandler(bus)
        self._events = Outbox(tasks, lambda method, params: bus.publish(_event(method, params)))
        self._servers = Outbox(tasks, partial(_tell_all, downstream))
        self._askers = Outbox(tasks, partial(_tell_askers, downstream))
        self._lists = Outbox(tasks, _asynchronous(tell_changes))
        self._owners = owners

    def __repr__(self) -> str:
        return f"<Live: {len(self.sessions)} sessions, {self.parking!r}>"

    def hear(self, server: str, method: str, params: JsonObject) -> None:
        """Take in what *server* notifies of. Never blocks or raises."""
        if method == LOG_MESSAGE:
            for session in self.sessions.values():
                session.log(params)
        elif method == RENEWED:
            self._lists.put(method, {}, RENEWED)
        elif method in _LISTS:
            self._owners.announced(method)
            self._lists.put(method, {}, RENEWED)
        elif method == UPDATED and isinstance(uri := params.get("uri"), str):
            self._updated(server, uri, params)
        elif method == ELICITED:
            for session in self.sessions.values():
                session.put(method, params)

    def tell_change(self, kind: str) -> None:
        """Clients look at lists of that kind again."""
        self._events.put(kind, {}, kind)
        for session in self.sessions.values():
            session.put(kind, {}, kind)

    def tell_servers(self, method: str, params: Mapping[str, Json] | None) -> None:
        """Pass on to every server what a client notifies of."""
        self._servers.put(method, dict(params or {}), method)

    def tell_askers(self) -> None:
        """Servers that have asked for roots outside of any request ask again."""
        self._askers.put(ROOTS_CHANGED, {}, ROOTS_CHANGED)

    def _updated(self, server: str, uri: str, params: JsonObject) -> None:
        for address in {self._owners.address(server, uri): None, wrap(server, uri): None}:
            self._events.put(UPDATED, {"uri": address}, address)
        for session in self.sessions.values():
            for name in session.names_of(server, uri):
                session.put(UPDATED, {**params, "uri": name}, name)


def transport_state_of(ctx: RequestContext) -> TransportState:
    """What lives as long as the transport that the request of *ctx* came over."""
    live: TransportState = ctx.lifespan_context
    return live


def _asynchronous(tell_changes: Callable[[], None]) -> Send:
    async def send(method: str, params: JsonObject) -> None:
        tell_changes()

    return send


async def _tell_all(downstream: Downstream, method: str, params: JsonObject) -> None:
    await _tell_these(downstream, [offer.server for offer in downstream.offers()], method, params)


async def _tell_askers(downstream: Downstream, method: str, params: JsonObject) -> None:
    await _tell_these(downstream, downstream.askers(), method, params)


async def _tell_these(
    downstream: Downstream, servers: list[str], method: str, params: JsonObject
) -> None:
    async with create_task_group() as group:
        for server in servers:
            group.start_soon(_tell_one, downstream, server, method, params)


async def _tell_one(downstream: Downstream, server: str, method: str, params: JsonObject) -> None:
    try:
        await downstream.notify(server, method, params)
    except RpcError:
        log.debug("notice.unsent", extra={"server": server}, exc_info=True)


def _event(method: str, params: JsonObject) -> ServerEvent:
    return _LISTS.get(method) or ResourceUpdated(str(params["uri"]))
