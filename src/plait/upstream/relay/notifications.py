"""Notifications of downstream servers, passed on to every upstream client that wants them, in both
protocol eras; and those of clients, passed on to servers.

Log messages that belong to a request do not come here: `RequestCaller.log` sends them to its client
alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from anyio import create_task_group
from anyio.abc import TaskGroup

from ...core.ports import RENEWED, Downstream
from ...core.tools.addresses import wrap
from ...core.values.strict import Json, JsonObject
from ...errors import RpcError
from ..mcp_sdk import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from .outbox import Outbox
from .pending import PendingRequests
from .request_caller import LOG_MESSAGE, LegacySession
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
    """State of one upstream transport: its sessions, and the requests that wait for their clients.

    *notify_changes* calls `notify_list_changed` of all transports for each list that has changed.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        downstream: Downstream,
        router: Router,
        notify_changes: Callable[[], None],
    ) -> None:
        self.tasks = tasks
        self.pending = PendingRequests(tasks)
        self.sessions: dict[object, LegacySession] = {}
        bus = InMemorySubscriptionBus()
        self.listen = ListenHandler(bus)
        """Answers `subscriptions/listen`."""
        self._router = router
        self._downstream = downstream

        async def send_changes(method: str, params: JsonObject) -> None:
            notify_changes()

        self._changes = Outbox(tasks, send_changes)
        self._events = Outbox(
            tasks,
            lambda method, params: bus.publish(
                _LISTS.get(method) or ResourceUpdated(str(params["uri"]))
            ),
        )
        self._to_servers = Outbox(
            tasks,
            lambda method, params: self._notify(
                (offer.server for offer in downstream.offers()), method, params
            ),
        )
        self._to_askers = Outbox(
            tasks, lambda method, params: self._notify(downstream.askers(), method, params)
        )

    def __repr__(self) -> str:
        return f"<TransportState: {len(self.sessions)} sessions, {self.pending!r}>"

    def receive(self, server: str, method: str, params: JsonObject) -> None:
        """Pass on a notification of *server*. Never blocks or raises."""
        if method == LOG_MESSAGE:
            for session in self.sessions.values():
                session.log(params)
        elif method == RENEWED:
            self._changes.put(method, {}, RENEWED)
        elif method in _LISTS:
            self._router.announced(method)
            self._changes.put(method, {}, RENEWED)
        elif method == UPDATED and isinstance(uri := params.get("uri"), str):
            for address in {self._router.address(server, uri): None, wrap(server, uri): None}:
                self._events.put(UPDATED, {"uri": address}, address)
            for session in self.sessions.values():
                for name in session.names_of(server, uri):
                    session.put(UPDATED, {**params, "uri": name}, name)
        elif method == ELICITED:
            for session in self.sessions.values():
                session.put(method, params)

    def notify_list_changed(self, kind: str) -> None:
        """Send clients the notification *kind*, which says that a list has changed."""
        self._events.put(kind, {}, kind)
        for session in self.sessions.values():
            session.put(kind, {}, kind)

    def notify_servers(self, method: str, params: Mapping[str, Json] | None) -> None:
        """Pass a notification of a client on to every server."""
        self._to_servers.put(method, dict(params or {}), method)

    def notify_roots_changed(self) -> None:
        """Notify the servers that have asked for roots outside of any request: a client has joined
        or left, so their answer may be another."""
        if self._downstream.askers():
            self._to_askers.put(ROOTS_CHANGED, {}, ROOTS_CHANGED)

    async def _notify(self, servers: Iterable[str], method: str, params: JsonObject) -> None:
        async def notify(server: str) -> None:
            try:
                await self._downstream.notify(server, method, params)
            except RpcError:
                log.debug("notice.unsent", extra={"server": server}, exc_info=True)

        async with create_task_group() as group:
            for server in servers:
                group.start_soon(notify, server)
