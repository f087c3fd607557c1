"""Whether a server is in use: a lazy one runs from its first use until it has not been used for a
while."""

from __future__ import annotations

import anyio

from ..waiting import Signal


class UsageTracker:
    """The uses of one server. It is wanted while *idle_s* is None, and else from a use until so
    many seconds after."""

    def __init__(self, idle_s: float | None = None) -> None:
        self._idle_s = idle_s
        self._count = 0
        self._until = 0.0
        self._changed = Signal()

    def __repr__(self) -> str:
        return f"<Use: {self._count} under way{'' if self._idle_s is None else ', lazy'}>"

    @property
    def count(self) -> int:
        """How many uses are under way."""
        return self._count

    @property
    def is_wanted(self) -> bool:
        return self._idle_s is None or self._count > 0 or anyio.current_time() < self._until

    def adjust(self, idle_s: float | None) -> None:
        """From now on it may be idle for *idle_s*; for None it always runs."""
        self._idle_s = idle_s
        self.touch()

    def touch(self) -> None:
        """It is wanted now, and for a while."""
        self._until = anyio.current_time() + (self._idle_s or 0.0)
        self._changed.notify()

    def begin(self) -> None:
        """One more use, until `end`."""
        self._count += 1
        if self._count == 1:
            self._changed.notify()

    def end(self) -> None:
        self._count -= 1
        if not self._count:
            self.touch()

    async def wanted(self) -> None:
        """Wait until it is wanted."""
        while not self.is_wanted:
            await self._changed.wait()

    async def unwanted(self) -> None:
        """Wait until it is wanted no more."""
        while self.is_wanted:
            is_waiting = self._idle_s is not None and not self._count
            with anyio.move_on_after(self._until - anyio.current_time() if is_waiting else None):
                await self._changed.wait()

    async def ended(self, seconds: float) -> None:
        """Wait until no use is under way, at most *seconds*."""
        with anyio.move_on_after(seconds):
            while self._count:
                await self._changed.wait()
