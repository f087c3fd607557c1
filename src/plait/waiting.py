"""Waiting for changes of state: check the state, and while it is not as wanted, wait for the next
change."""

from __future__ import annotations

import anyio


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
