"""The calls of upstream clients that are being answered: how a stop lets them finish, and takes no new ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from mcp import MCPError

SHUTTING_DOWN = -32000


class OpenCalls:
    """Counts the calls that are open. Once closed, no new one is taken."""

    def __init__(self) -> None:
        self.count = 0
        self.is_closed = False
        self._ended = anyio.Event()

    def __repr__(self) -> str:
        return f"<OpenCalls: {self.count} open{', closed' if self.is_closed else ''}>"

    def check(self) -> None:
        """Raises `MCPError` once no more calls are taken."""
        if self.is_closed:
            raise MCPError(SHUTTING_DOWN, "The gateway is shutting down.")

    @contextmanager
    def one(self) -> Iterator[None]:
        """One more call, for as long as the block takes. Raises `MCPError` once no more are taken."""
        self.check()
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1
            if not self.count:
                self._ended.set()

    async def drain(self, seconds: float) -> None:
        """Take no more calls, and wait until those that are open have ended, at most *seconds*."""
        self.is_closed = True
        await self.idle(seconds)

    async def idle(self, seconds: float) -> None:
        """Wait until no call is open, at most *seconds*."""
        with anyio.move_on_after(seconds):
            while self.count:
                self._ended = anyio.Event()
                await self._ended.wait()
