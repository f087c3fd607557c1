"""The stream on which a server of 2026-07-28 reports changes: kept open, and replaced when
something else is wanted.

A stream cannot be altered, so another is opened. The new one is open before the old one is closed,
so that no change is missed in between; an overlap at worst reports a change twice.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp import MCPError

from ..core.values.strict import JsonObject
from ..errors import CallError
from ..waiting import Signal

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Pause between the end of a stream and the next, at first and at most."""
ACKNOWLEDGED_S = 10.0
"""Longest wait for a server to acknowledge a stream."""
CLOSED_S = 1.0
"""Longest wait for the old stream to close."""
_NEVER = frozenset({types.METHOD_NOT_FOUND, types.INVALID_PARAMS})
"""Errors of a server that has no such streams: it is not asked again."""

OpenStream: TypeAlias = Callable[[JsonObject], Awaitable[object]]
"""Sends one `subscriptions/listen` with the given params, and returns when the stream ends. Raises
`MCPError`."""


@dataclass(eq=False, slots=True)
class _Stream:
    wanted: JsonObject
    honoured: JsonObject | None = None
    """The part of it that the server acknowledged."""
    error: MCPError | None = None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    settled: anyio.Event = field(default_factory=anyio.Event)
    """Set once the stream is acknowledged or has ended."""
    ended: anyio.Event = field(default_factory=anyio.Event)


class ChangeStream:
    """Streams that *open_stream* opens in *tasks*. *wanted* gives the `SubscriptionFilter` of the
    moment, empty if nothing is wanted."""

    def __init__(
        self, tasks: TaskGroup, open_stream: OpenStream, wanted: Callable[[], JsonObject]
    ) -> None:
        self._tasks = tasks
        self._open_stream = open_stream
        self._wanted = wanted
        self._lock = anyio.Lock()
        self._stream: _Stream | None = None
        self._next: _Stream | None = None
        self._changed = Signal()

    def __repr__(self) -> str:
        wanted = self._stream.wanted if self._stream is not None else "nothing"
        return f"<ChangeStream for {wanted}>"

    async def keep_open(self) -> None:
        """Open a stream whenever none is open and something is wanted; until cancelled, or the
        server refuses such streams."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                if self._stream is None and self._wanted():
                    await self.reopen()
            except MCPError as error:
                log.debug("server.no_change_stream", extra={"error": error.message})
                self._changed.notify()
                if error.code in _NEVER:
                    return
            else:
                while self._stream is not None or not self._wanted():
                    if (stream := self._stream) is None:
                        await self._changed.wait()
                        continue
                    await stream.ended.wait()
                    if self._stream is stream:
                        self._stream = None
            await anyio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def wait_open(self, seconds: float) -> None:
        """Wait for the first stream, at most *seconds*."""
        with anyio.move_on_after(seconds):
            while self._stream is None and self._wanted():
                await self._changed.wait()

    async def reopen(self) -> None:
        """Replace the stream by one for what is wanted now. Raises `MCPError` if the server refuses
        it; then the old stream stays."""
        async with self._lock:
            wanted, before = self._wanted(), self._stream
            self._stream = await self._opened(wanted) if wanted else None
            self._changed.notify()
            if before is not None:
                before.scope.cancel()
                with anyio.move_on_after(CLOSED_S):  # else the next change would arrive twice
                    await before.ended.wait()

    def acknowledge(self, params: JsonObject) -> bool:
        """Note which changes the server will report. True if earlier changes may have been
        missed."""
        stream, honoured = self._next or self._stream, params.get("notifications")
        if stream is not None and isinstance(honoured, dict):
            stream.honoured = honoured
            stream.settled.set()
        return self._next is None or self._stream is None

    def covers(self, uri: str) -> bool:
        """Whether a stream is open for *uri*, and the server has not declined to report it."""
        if (stream := self._stream) is None:
            return False
        known = stream.wanted if stream.honoured is None else stream.honoured
        uris = known.get("resourceSubscriptions")
        return isinstance(uris, list) and uri in uris

    async def _opened(self, wanted: JsonObject) -> _Stream:
        """Open a stream, and wait until it is acknowledged. Raises `MCPError`."""
        stream = self._next = _Stream(wanted)
        try:
            self._tasks.start_soon(self._read, stream)
            with anyio.move_on_after(ACKNOWLEDGED_S):
                await stream.settled.wait()
            if stream.error is not None:
                raise stream.error
        except BaseException:
            stream.scope.cancel()
            raise
        finally:
            self._next = None
        return stream

    async def _read(self, stream: _Stream) -> None:
        try:
            with stream.scope:
                await self._open_stream({"notifications": stream.wanted})
        except MCPError as error:
            stream.error = error
        except (CallError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            stream.error = MCPError(types.CONNECTION_CLOSED, str(error))
        finally:
            stream.ended.set()
            stream.settled.set()
