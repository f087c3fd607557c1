"""The open calls of upstream clients: a stop takes no new ones and lets these finish."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
from mcp import MCPError

from ..waiting import Signal

log = logging.getLogger(__name__)

SHUTTING_DOWN = -32000
LAST_S = 4.0
"""Time to answer the open calls once their work was cancelled: runs may still clean up."""
WRITTEN_S = 0.05
"""Time for the last answers to be written."""


class OpenCalls:
    """Counts the open calls. Once it is closed, new calls are refused."""

    def __init__(self) -> None:
        self.count = 0
        self.is_closed = False
        self.runs: set[str] = set()
        """The runs that open calls have begun and wait for."""
        self._changed = Signal()
        self._is_hurried = False
        self._cancelled_at_end: set[anyio.CancelScope] = set()

    def __repr__(self) -> str:
        return f"<OpenCalls: {self.count} open{', closed' if self.is_closed else ''}>"

    def check(self) -> None:
        """Raise `MCPError` if new calls are refused."""
        if self.is_closed:
            raise _shutting_down()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count one more call while the block runs. Raises `MCPError` if new calls are refused."""
        self.check()
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
            if not self.count:
                self._changed.notify()

    @contextmanager
    def waiting_for(self, run_id: str) -> Iterator[None]:
        """Note, while the block runs, that a call which began the run waits for it."""
        self.runs.add(run_id)
        try:
            yield
        finally:
            self.runs.discard(run_id)

    @contextmanager
    def counted_until_drained(self) -> Iterator[None]:
        """As `counted`. When the time to drain is over, the block is cancelled and raises
        `MCPError`."""
        with self.counted(), anyio.CancelScope() as scope:
            self._cancelled_at_end.add(scope)
            try:
                yield
            finally:
                self._cancelled_at_end.discard(scope)
        if scope.cancelled_caught:
            raise _shutting_down()

    async def drain(self, seconds: float, give_up: Callable[[], None] = lambda: None) -> None:
        """Refuse new calls, and wait at most *seconds* until the open ones have ended. Then call
        *give_up*, which ends the work for them, so that they are still answered."""
        self.is_closed = True
        if self.count:
            log.info("draining", extra={"calls": self.count})
        with anyio.move_on_after(seconds):
            while self.count and not self._is_hurried:
                await self._changed.wait()
        give_up()
        for scope in [*self._cancelled_at_end]:
            scope.cancel()
        with anyio.move_on_after(LAST_S):
            await self.wait_idle()
        await anyio.sleep(WRITTEN_S)

    async def wait_idle(self) -> None:
        """Wait until no call is open."""
        while self.count:
            await self._changed.wait()

    def hurry(self) -> None:
        """End the wait of `drain` now."""
        self._is_hurried = True
        self._changed.notify()


def _shutting_down() -> MCPError:
    return MCPError(SHUTTING_DOWN, "The gateway is shutting down.")
