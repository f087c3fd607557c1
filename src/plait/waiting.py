"""Waiting for changes of state: check the state, and while it is not as wanted, wait for the next
change; and rests, so that others have their turn."""

from __future__ import annotations

import anyio

UNNOTICED_S = 0.002
"""Time for what no request was answered with, of one read, after which reading goes on at once."""
RESTS, LONGEST_REST_S = 3, 0.2
"""Reading rests for that many times what it took, at most for the second."""


def rest_after(spent_s: float) -> float:
    """Return the seconds for which a peer is not read after *spent_s* for what answered, or was, no
    request: it comes as fast as the peer likes, and takes the time of all others."""
    return min(RESTS * spent_s, LONGEST_REST_S) if spent_s > UNNOTICED_S else 0.0


class Signal:
    """Wakes all waiters at each notification.

    No notification is missed if nothing is awaited between checking the state and `wait`. Where
    something is, take `count` with the check and pass it as *seen*.
    """

    __slots__ = ("_next", "count")

    def __init__(self) -> None:
        self.count = 0
        """Number of notifications so far."""
        self._next: anyio.Event | None = None  # made only while someone waits

    def notify(self) -> None:
        self.count += 1
        if self._next is not None:
            self._next.set()
            self._next = None

    async def wait(self, seen: int | None = None) -> int:
        """Wait until `count` is not *seen* (default: its value now). Returns the new count."""
        if seen is None or seen == self.count:
            self._next = self._next or anyio.Event()
            await self._next.wait()
        return self.count
