"""Silence: calls in a row that were given up while nothing at all came from their server.

A server that is frozen still has its pipe or its socket, so nothing else shows that it is gone.
One call without an answer proves little, and calls that were given up together are one: a server
may be busy with a single long one. So only calls that were sent one after another count, and the
server is asked for a sign of life (`upkeep.py`) before it is given up.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio

from ..waiting import Signal

MOST_IN_A_ROW = 3
"""Calls in a row that get no sign of life until the server is asked for one."""
SHORTEST_S = 1.0
"""A call that was given up sooner says nothing about the server."""


class Silence:
    """Counts for one session; *heard* gives the number of messages that came from the server."""

    def __init__(self, heard: Callable[[], int]) -> None:
        self.heard = heard
        self.began = math.inf
        """When the first call of the latest row was sent."""
        self._count = 0
        self._since = 0
        """The number of messages at the last call that counted."""
        self._last = -math.inf
        """When that call was given up."""
        self._changed = Signal()

    def __repr__(self) -> str:
        return f"<Silence: {self._count} calls>"

    def given_up(self, sent_at: float, heard: int) -> None:
        """Note that a call was given up, which was sent when *heard* messages had come."""
        now = anyio.current_time()
        if now - sent_at < SHORTEST_S or self.heard() != heard:
            return
        if heard != self._since:
            self._count = 0
        elif self._count and sent_at < self._last:
            return
        self._since, self._last = heard, now
        self._count += 1
        self.began = sent_at if self._count == 1 else self.began
        self._changed.notify()

    async def wait_suspicious(self) -> None:
        """Wait until enough calls in a row got no sign of life; then begin to count anew."""
        while self._count < MOST_IN_A_ROW or self.heard() != self._since:
            await self._changed.wait()
        self._count = 0
