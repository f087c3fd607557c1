"""Whether a server is in use: a lazy one runs from its first use until it has been idle for a
while."""

from __future__ import annotations

import math

import anyio

from ..waiting import Signal


class UsageTracker:
    """Counts the uses of one server, which is wanted during a use and for *idle_s* seconds after;
    None means always."""

    def __init__(self, idle_s: float | None = None) -> None:
        self._idle_s = idle_s
        self.count = 0
        """Number of uses under way."""
        self._used_at = -math.inf
        """The time at which the last use ended."""
        self._changed = Signal()
        """Notified when a lazy server may have to start or stop; never for other servers."""
        self._unused = Signal()

    def __repr__(self) -> str:
        return f"<UsageTracker: {self.count} under way{'' if self._idle_s is None else ', lazy'}>"

    @property
    def is_wanted(self) -> bool:
        return self._idle_s is None or self.count > 0 or anyio.current_time() < self._until

    def adjust(self, idle_s: float | None) -> None:
        """Let the server be idle for *idle_s* after a use; for None it always runs. A longer time
        does not make it wanted again."""
        if not self.is_wanted:
            self._used_at = -math.inf
        self._idle_s = idle_s
        self._changed.notify()

    def touch(self) -> None:
        """Want the server now, and for a while."""
        self._used_at = anyio.current_time()
        self._changed.notify()

    @property
    def _until(self) -> float:
        return self._used_at + (self._idle_s or 0.0)

    def begin(self) -> None:
        """Count one more use, until `end`."""
        self.count += 1
        if self.count == 1 and self._idle_s is not None:
            self._changed.notify()

    def end(self) -> None:
        self.count -= 1
        if not self.count:
            if self._idle_s is not None:
                self.touch()
            self._unused.notify()

    async def wait_wanted(self) -> None:
        while not self.is_wanted:
            await self._changed.wait()

    async def wait_unwanted(self) -> None:
        """Wait until it has been idle for long enough."""
        while self.is_wanted:
            is_idle = self._idle_s is not None and not self.count
            with anyio.move_on_after(self._until - anyio.current_time() if is_idle else None):
                await self._changed.wait()

    async def wait_unused(self, seconds: float) -> None:
        """Wait until no use is under way, at most *seconds*."""
        with anyio.move_on_after(seconds):
            while self.count:
                await self._unused.wait()
