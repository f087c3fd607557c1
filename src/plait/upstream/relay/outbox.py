"""Notifications for one client: gathered, bounded, and sent by a task that exists only while
something waits."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
from anyio.abc import TaskGroup

from ...core.values.strict import JsonObject

log = logging.getLogger(__name__)

PAUSE_S = 0.1
"""Pause between two batches: a server that notifies without end costs a client at most ten
messages a second of each kind."""
MOST_WAITING = 1_000
"""Most notifications that wait; above it the oldest is dropped."""
SEND_S = 5.0
"""Time for a client to read one notification. When it takes longer, all that wait are dropped."""

Send: TypeAlias = Callable[[str, JsonObject], Awaitable[None]]


class Outbox:
    """Sends notifications with *send*, in order. Of several with the same key that wait, one is
    sent."""

    def __init__(self, tasks: TaskGroup, send: Send) -> None:
        self._tasks = tasks
        self._send = send
        self._waiting: dict[object, tuple[str, JsonObject]] = {}
        self._is_sending = False

    def __repr__(self) -> str:
        return f"<Outbox: {len(self._waiting)} waiting>"

    def put(self, method: str, params: JsonObject, key: object = None) -> None:
        """Send a notification soon. Without a *key*, no other replaces it."""
        if len(self._waiting) >= MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[object() if key is None else key] = (method, params)
        if not self._is_sending:
            self._is_sending = True
            self._tasks.start_soon(self._send_all)

    async def _send_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            if not await self._is_sent(batch):
                self._waiting.clear()
            await anyio.sleep(PAUSE_S)
        self._is_sending = False

    async def _is_sent(self, batch: dict[object, tuple[str, JsonObject]]) -> bool:
        for method, params in batch.values():
            with anyio.move_on_after(SEND_S) as scope:
                try:
                    await self._send(method, params)
                except Exception:  # the client has just left; each transport raises its own error
                    log.debug("notice.unsent", exc_info=True)
                    return False
            if scope.cancelled_caught:
                return False
        return True
