"""The stream on which a server of 2026-07-28 tells of changes: kept open, and another when
something else is wanted.

The next stream is there before the last one is closed, so that no change is missed in between.
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
"""Between the end of a stream and the next."""
ACKNOWLEDGED_S = 10.0
"""How long a server may take to say what it will tell of."""
CLOSED_S = 1.0
"""How long the stream before may take to be closed."""
_NEVER = frozenset({types.METHOD_NOT_FOUND, types.INVALID_PARAMS})
"""The errors of a server that has no such streams: it is asked once."""

OpenStream: TypeAlias = Callable[[JsonObject], Awaitable[object]]
"""Sends one `subscriptions/listen` with the given parameters, and ends with the stream. Raises
`MCPError`."""


class Wanted:
    """What the clients want one server to tell of: the resources that they watch, and the log
    level."""

    def __init__(self) -> None:
        self.watched: dict[str, None] = {}
        self.level: str | None = None


@dataclass(eq=False, slots=True)
class _Stream:
    wanted: JsonObject
    honoured: JsonObject | None = None
    error: MCPError | None = None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    settled: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)


class Listening:
    """Listens by *open_stream* to what *wanted* says at the time, a `SubscriptionFilter`; its tasks
    are of *tasks*."""

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
        return f"<Listening to {self._stream.wanted if self._stream is not None else 'nothing'}>"

    async def keep_open(self) -> None:
        """Open a stream whenever there is none and something is wanted; until cancelled, or the
        server has none."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                if self._stream is None and self._wanted():
                    await self.renew()
            except MCPError as error:
                log.debug("server.not_listening", extra={"error": error.message})
                self._changed.notify()
                if error.code in _NEVER:
                    return
            else:
                await self._lost()
            await anyio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def begun(self, seconds: float) -> None:
        """Wait until there is a first stream, at most *seconds*."""
        with anyio.move_on_after(seconds):
            while self._stream is None and self._wanted():
                await self._changed.wait()

    async def renew(self) -> None:
        """Listen to what is wanted now. Raises `MCPError` where the server refuses; then the stream
        is as it was."""
        async with self._lock:
            wanted, before = self._wanted(), self._stream
            if wanted:
                self._stream = await self._opened(wanted)
            else:
                self._stream = None
            self._changed.notify()
            if before is not None:
                before.scope.cancel()
                with anyio.move_on_after(CLOSED_S):  # else what comes next would be told twice
                    await before.ended.wait()

    def acknowledged(self, params: JsonObject) -> bool:
        """The server says what it will tell of. True if changes before that may have been
        missed."""
        stream, honoured = self._next or self._stream, params.get("notifications")
        if stream is not None and isinstance(honoured, dict):
            stream.honoured = honoured
            stream.settled.set()
        return self._next is None or self._stream is None

    def tells_of(self, uri: str) -> bool:
        """Whether the server has not declined to tell of the resource *uri*."""
        if self._stream is None or self._stream.honoured is None:
            return self._stream is not None
        uris = self._stream.honoured.get("resourceSubscriptions")
        return isinstance(uris, list) and uri in uris

    async def _opened(self, wanted: JsonObject) -> _Stream:
        stream = self._next = _Stream(wanted)
        try:
            self._tasks.start_soon(self._serve, stream)
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

    async def _serve(self, stream: _Stream) -> None:
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

    async def _lost(self) -> None:
        """Wait until there is no stream any more, though something is wanted."""
        while self._stream is not None or not self._wanted():
            if (stream := self._stream) is None:
                await self._changed.wait()
                continue
            await stream.ended.wait()
            if self._stream is stream:
                self._stream = None
