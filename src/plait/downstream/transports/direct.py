"""Requests to a process, around the SDK's dispatcher.

The dispatcher opens two streams, a span and a scope for each request, while a request needs no more
than an id, a line and a future. Only the handshake, and whatever the server asks, goes through the
dispatcher. Both write to the same process and share its `Lines`, which sort the answers by id.
"""

from __future__ import annotations

import asyncio
import contextlib
from itertools import count

import anyio
import mcp_types as types
from mcp import MCPError

from ...core.ports import OnProgress
from ...core.values.strict import JsonObject, encode
from ..server_requests.origin import RequestOrigin
from .faults import Unsent
from .lines import OnNotification, Waiter
from .process import Process

FIRST_ID = 1_000
"""Above all ids of the dispatcher, which counts from 1 and sends the handshake alone."""
_CLOSED = types.ErrorData(code=types.CONNECTION_CLOSED, message="Connection closed")


class Direct:
    """Sends requests to *process*; `Process.lines` resolves them. *on_notification* takes the
    server's notifications, each before the answers that follow it."""

    def __init__(self, process: Process, on_notification: OnNotification) -> None:
        self._process = process
        self._ids = count(FIRST_ID)
        process.lines.on_notification = on_notification

    async def request(
        self,
        method: str,
        params: JsonObject,
        on_progress: OnProgress | None,
        origin: RequestOrigin,
    ) -> JsonObject:
        """Return the result of the request of *origin*, which learns when it was sent. It is
        cancelled at the server if the caller is.

        Raises `MCPError` for the server's error and for the end of the connection, `Unsent` if
        nothing was sent.
        """
        id = next(self._ids)
        if on_progress is not None:
            params = with_progress_token(params, id)
        line = encode({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        waiter = Waiter(asyncio.get_running_loop().create_future(), on_progress)
        self._process.lines.expect(id, waiter)
        try:
            await self._send(line)
            origin.sent_at = anyio.current_time()
            try:
                answer = await waiter.answer
            except asyncio.CancelledError:
                if not self._process.is_blocked:  # callers must not wait for a server that is stuck
                    with contextlib.suppress(Unsent):
                        await self._send(_cancellation(id))
                raise
        finally:
            self._process.lines.forget(id)
        if isinstance(answer, types.ErrorData):
            raise MCPError(answer.code, answer.message, answer.data)
        return answer

    async def _send(self, line: bytes) -> None:
        try:
            await self._process.write(line + b"\n")
        except anyio.BrokenResourceError:
            raise Unsent(self._process.exit_reason()) from None

    def end(self) -> None:
        """Fail all open requests: the connection has ended."""
        self._process.lines.end(_CLOSED)


def _cancellation(id: int) -> bytes:
    params: JsonObject = {"requestId": id, "reason": "the caller cancelled"}
    return encode({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})


def with_progress_token(params: JsonObject, token: int) -> JsonObject:
    """*params* of a request whose progress the server is to report under *token*."""
    meta = params.get("_meta")
    return {**params, "_meta": {**(meta if isinstance(meta, dict) else {}), "progressToken": token}}
