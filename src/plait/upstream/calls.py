"""The calls of upstream clients that are being answered: how a stop lets them finish, and takes no
new ones."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
from mcp import MCPError

from ..waiting import Signal

log = logging.getLogger(__name__)

SHUTTING_DOWN = -32000
LAST_S = 1.0
"""How long a call may take to be answered once what is done for it was given up."""
WRITTEN_S = 0.05
"""How long an answer may be under way from the end of its call to the client."""


class OpenCalls:
    """Counts the calls that are open. Once closed, no new one is taken."""

    def __init__(self) -> None:
        self.count = 0
        self.is_closed = False
        self._changed = Signal()
        self._is_hurried = False
        self._to_give_up: set[anyio.CancelScope] = set()

    def __repr__(self) -> str:
        return f"<OpenCalls: {self.count} open{', closed' if self.is_closed else ''}>"

    def check(self) -> None:
        """Raises `MCPError` once no more calls are taken."""
        if self.is_closed:
            raise _shutting_down()

    @contextmanager
    def one(self) -> Iterator[None]:
        """One more call, for as long as the block takes. Raises `MCPError` once no more are
        taken."""
        self.check()
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
            if not self.count:
                self._changed.notify()

    @contextmanager
    def one_to_give_up(self) -> Iterator[None]:
        """As `one`. The block is cancelled when the time to drain is over, and then raises
        `MCPError` too."""
        with self.one(), anyio.CancelScope() as scope:
            self._to_give_up.add(scope)
            try:
                yield
            finally:
                self._to_give_up.discard(scope)
        if scope.cancelled_caught:
            raise _shutting_down()

    async def drain(self, seconds: float, give_up: Callable[[], None] = lambda: None) -> None:
        """Take no more calls, and wait until those that are open have ended, at most *seconds*.
        Then *give_up* is told to end what is done for them, so that they are answered all the
        same."""
        self.is_closed = True
        if self.count:
            log.info("draining", extra={"calls": self.count})
        with anyio.move_on_after(seconds):
            while self.count and not self._is_hurried:
                await self._changed.wait()
        give_up()
        for scope in [*self._to_give_up]:
            scope.cancel()
        with anyio.move_on_after(LAST_S):
            await self.idle()
        await anyio.sleep(WRITTEN_S)

    async def idle(self) -> None:
        """Wait until no call is open."""
        while self.count:
            await self._changed.wait()

    def hurry(self) -> None:
        """Whoever drains waits no longer."""
        self._is_hurried = True
        self._changed.notify()


def _shutting_down() -> MCPError:
    return MCPError(SHUTTING_DOWN, "The gateway is shutting down.")
