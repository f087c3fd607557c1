"""Notifications that wait for one client: gathered, bounded, and sent by a task that is there while
it is needed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
from anyio.abc import TaskGroup

from ...core.values.strict import JsonObject

log = logging.getLogger(__name__)

PAUSE_S = 0.1
"""Between two batches, so that who tells of changes without end costs a client ten messages a
second of each kind."""
MOST_WAITING = 1_000
"""What waits at once; of more, the oldest goes."""
SEND_S = 5.0
"""How long a client may take to read one. Of one that takes longer, all that waits is dropped."""

Send: TypeAlias = Callable[[str, JsonObject], Awaitable[None]]


class Outbox:
    """What is put in is sent by *send*, in order; what comes again under a key before it was sent
    is sent once."""

    def __init__(self, tasks: TaskGroup, send: Send) -> None:
        self._tasks = tasks
        self._send = send
        self._waiting: dict[object, tuple[str, JsonObject]] = {}
        self._is_sending = False

    def __repr__(self) -> str:
        return f"<Outbox: {len(self._waiting)} waiting>"

    def put(self, method: str, params: JsonObject, key: object = None) -> None:
        """Send a notification soon. Without a *key* it stands for itself."""
        if len(self._waiting) >= MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[object() if key is None else key] = (method, params)
        if not self._is_sending:
            self._is_sending = True
            self._tasks.start_soon(self._empty)

    async def _empty(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            if not await self._sent(batch):
                self._waiting.clear()
            await anyio.sleep(PAUSE_S)
        self._is_sending = False

    async def _sent(self, batch: dict[object, tuple[str, JsonObject]]) -> bool:
        for method, params in batch.values():
            with anyio.move_on_after(SEND_S) as within:
                try:
                    await self._send(method, params)
                except (
                    Exception
                ):  # a client that has just left, in whatever way its transport tells
                    log.debug("notice.unsent", exc_info=True)
                    return False
            if within.cancelled_caught:
                return False
        return True
