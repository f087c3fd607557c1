"""From a transport to a wire that is read: its streams, and what dispatches their messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio

from ..core.ports import Caller
from .listings.subscriptions import ServerSubscriptions
from .mcp_sdk import JSONRPCDispatcher
from .server_requests.requests import ServerRequests
from .session import OnSaid, ProtocolSession
from .transports.stdio import Writer
from .transports.transport import Answering, Transport, Watched


@asynccontextmanager
async def opened(
    transport: Transport,
    interests: ServerSubscriptions,
    on_said: OnSaid,
    *,
    kinds: set[str] | None = None,
    unasked: Caller | None = None,
) -> AsyncIterator[ProtocolSession]:
    """A wire over *transport*, until the block is left. No protocol is agreed on yet. *kinds*
    are as in `ServerRequests`."""
    async with AsyncExitStack() as stack:
        read, write = await stack.enter_async_context(transport.streams())
        watched = Watched(read)
        dispatcher: JSONRPCDispatcher[Any] = JSONRPCDispatcher(watched, Answering(write, watched))
        wire = ProtocolSession(
            dispatcher,
            transport,
            write.direct if isinstance(write, Writer) else None,
            asking=ServerRequests(kinds=kinds, unasked=unasked),
            wanted=interests,
            on_said=on_said,
        )
        watched.on_end = wire.end
        wire.hearers.context = lambda: watched.last_context
        stack.callback(wire.end)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        await tasks.start(wire.run)
        try:
            yield wire
        finally:
            tasks.cancel_scope.cancel()
