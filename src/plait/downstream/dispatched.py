"""Requests through the SDK's dispatcher: all of them over HTTP and SSE, and the handshake with a
process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any, TypeAlias

import anyio
from anyio.abc import TaskGroup, TaskStatus

from ..core.ports import OnProgress
from ..core.values.strict import JsonObject
from ..waiting import Signal
from .mcp_sdk import CallOptions, DispatchContext, JSONRPCDispatcher, TransportContext
from .progress import ProgressTokens
from .server_requests.origin import RequestOrigin, stream_origin
from .transports.direct import FIRST_ID
from .transports.lines import OnNotification

CANCEL_S = 5.0
"""Longest time to send a cancellation."""

Answer: TypeAlias = Callable[
    [DispatchContext[TransportContext], str, Mapping[str, Any] | None], Awaitable[JsonObject]
]
"""Answers a request of the server: its method and its params. Raises `MCPError`."""


class Dispatched:
    """Sends the requests of one session through *dispatcher*."""

    def __init__(self, dispatcher: JSONRPCDispatcher[Any]) -> None:
        self.progress = ProgressTokens()
        self._dispatcher = dispatcher
        self._ids = count(FIRST_ID)
        self._tasks: TaskGroup | None = None
        self._has_ended = False
        self._cancelling = 0
        """Number of cancellations that are being sent."""
        self._changed = Signal()

    def __repr__(self) -> str:
        return f"<Dispatched: {self._cancelling} cancellations are being sent>"

    async def run(
        self,
        answer: Answer,
        receive: OnNotification,
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Read what the server sends, until its end: *answer* takes its requests, *receive* its
        notifications, in order."""

        def take(method: str, params: Mapping[str, Any] | None) -> bool:
            receive(method, dict(params or {}))
            return True  # so that the next function is never called

        async with anyio.create_task_group() as self._tasks:
            await self._dispatcher.run(answer, _ignore, take, task_status=task_status)
            self._tasks.cancel_scope.cancel()

    async def greet(self, method: str, params: JsonObject, headers: dict[str, str]) -> JsonObject:
        """Send a request of the handshake, which is never cancelled at the server. Raises
        `MCPError`."""
        options: CallOptions = {"cancel_on_abandon": False}
        if headers:
            options["headers"] = headers
        return await self._dispatcher.send_raw_request(method, params, options)

    async def request(
        self,
        method: str,
        params: JsonObject,
        on_progress: OnProgress | None,
        origin: RequestOrigin,
        headers: dict[str, str],
    ) -> JsonObject:
        """Return the result of one request, which is cancelled at the server if the caller is: the
        caller does not wait until the server has accepted that. Raises `MCPError`."""
        id = next(self._ids)
        options: CallOptions = {"request_id": id, "cancel_on_abandon": False}
        if headers:
            options["headers"] = headers
        await anyio.lowlevel.checkpoint_if_cancelled()
        with self.progress.requested(params, on_progress) as params:
            token = stream_origin.set(origin)
            try:
                return await self._dispatcher.send_raw_request(method, params or None, options)
            except anyio.get_cancelled_exc_class():
                if self._tasks is not None and not self._has_ended:
                    self._cancelling += 1
                    self._tasks.start_soon(self._cancel, id)
                raise
            finally:
                stream_origin.reset(token)

    async def _cancel(self, id: int) -> None:
        params: JsonObject = {"requestId": id, "reason": "the caller cancelled"}
        try:
            with anyio.move_on_after(CANCEL_S):
                await self._dispatcher.notify("notifications/cancelled", params)
        finally:
            self._cancelling -= 1
            self._changed.notify()

    async def notify(self, method: str, params: JsonObject | None, headers: dict[str, str]) -> None:
        """Notify the server; does nothing if it is gone."""
        options: CallOptions = {}
        if headers:
            options["headers"] = headers
        await self._dispatcher.notify(method, params, options)

    def end(self) -> None:
        """Send no more cancellations: the connection has ended."""
        self._has_ended = True
        self._changed.notify()

    async def wait_cancelled(self) -> None:
        """Wait until every cancellation is sent."""
        while self._cancelling and not self._has_ended:
            await self._changed.wait()


async def _ignore(
    context: DispatchContext[TransportContext], method: str, params: Mapping[str, Any] | None
) -> None:
    """Do nothing: `take` in `Dispatched.run` has taken every notification, in order."""
