"""One client being served over a connection of its own, whatever carries its messages.

They become requests of one session, which a server answers in the protocol era that the first of
them decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeAlias

import anyio
import mcp_types as types
from mcp.server import Server

from ..mcp_sdk import TransportContext
from .era_lock import EraLock
from .messages import Incoming, Request
from .raw_session import Handler, RawSession, Send

GRACE_S = 0.5
"""Time to answer requests other than calls once the client has closed its end."""
_CONNECTION = TransportContext(kind="jsonrpc", can_send_request=True)

Drain: TypeAlias = Callable[[], Awaitable[None]]
"""Waits until the open calls have been answered, or their time is up."""


class Reader(Protocol):
    """The source of the client's messages."""

    def pause(self) -> None:
        """Give no more messages until `resume`."""

    def resume(self) -> None: ...


class Conversation:
    """A client that is being served. Its open requests run in *tasks*."""

    def __init__(
        self, session: RawSession, era: EraLock, tasks: asyncio.TaskGroup, reader: Reader
    ) -> None:
        self.session = session
        self.era = era
        self.tasks = tasks
        self._reader = reader

    def __repr__(self) -> str:
        return f"<Conversation over {self.session!r}>"

    def take(self, message: Incoming, handler: Handler | None = None) -> asyncio.Task[None] | None:
        """Take in *message*. Returns the task in which *handler*, by default the server, deals with
        it, None for a reply. While the handshake is answered, no other message is read."""
        task = self.session.take(message, handler or self.era, self.tasks, _CONNECTION)
        if task is not None and isinstance(message, Request) and message.method == "initialize":
            self._reader.pause()
            task.add_done_callback(lambda _: self._reader.resume())
        return task

    async def finish(
        self, drain: Drain, grace_s: float, wait_lost: Callable[[], Awaitable[None]]
    ) -> None:
        """Answer what is open, after the client has closed its end, until *wait_lost* returns: then
        it does not read any more. Calls have the time that *drain* waits, others *grace_s*."""
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await wait_lost()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            with anyio.move_on_after(grace_s) as grace:
                await self.session.wait_idle()
            if grace.cancelled_caught:
                await drain()
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def conversing(
    server: Server[Any], send: Send, reader: Reader, ids: Iterator[types.RequestId] | None = None
) -> AsyncIterator[Conversation]:
    """Let *server* serve a client whose messages *reader* gives, and to which *send* writes. What
    is open at the end of the block is cancelled. Requests to the client get *ids*."""
    session = RawSession(send, ids=ids)
    async with server.lifespan(server) as lifespan:
        era = EraLock(server, lifespan, session)
        try:
            async with asyncio.TaskGroup() as tasks:
                yield Conversation(session, era, tasks, reader)
                session.close()
        finally:
            await era.aclose()
