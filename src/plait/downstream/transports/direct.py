"""Requests to a server that reads and writes lines, without the SDK's dispatcher between.

The dispatcher opens two streams, a span and a scope for each request. A request needs an id, a line
and a future. Only the handshake, and what the server asks, goes through the dispatcher.
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
from .faults import Unsent
from .lines import Answer, OnNotice, Waiter
from .process import Process

FIRST_ID = 1_000
"""Above all ids that the dispatcher gives: it counts from 1, and is used by the handshake alone."""
_CLOSED = types.ErrorData(code=types.CONNECTION_CLOSED, message="Connection closed")


class Direct:
    """Asks a `Process`. Its answers come by way of `Process.lines`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._ids = count(FIRST_ID)

    def new_id(self) -> int:
        """An id for one more request to this server, whoever sends it."""
        return next(self._ids)

    def hear(self, on_notice: OnNotice) -> None:
        """From now on *on_notice* is told of notifications, each before the answers that come after
        it."""
        self._process.lines.on_notice = on_notice

    async def ask(
        self, method: str, params: JsonObject, on_progress: OnProgress | None
    ) -> JsonObject:
        """The result of one request, told to the server if it is cancelled.

        Raises `MCPError` for an error, and for the end of the connection; `Unsent` where nothing
        was sent.
        """
        id = self.new_id()
        line = encode(
            {
                "jsonrpc": "2.0",
                "id": id,
                "method": method,
                "params": _with_token(params, id, on_progress),
            }
        )
        waiter = Waiter(asyncio.get_running_loop().create_future(), on_progress)
        self._process.lines.asked(id, waiter)
        try:
            await self._send(line)
            answer = await self._answer(id, waiter)
        finally:
            self._process.lines.forget(id)
        if isinstance(answer, types.ErrorData):
            raise MCPError(answer.code, answer.message, answer.data)
        return answer

    def end(self) -> None:
        """The connection is over."""
        self._process.lines.end(_CLOSED)

    async def _send(self, line: bytes) -> None:
        try:
            await self._process.write(line + b"\n")
        except anyio.BrokenResourceError:
            raise Unsent(self._process.last_words()) from None

    async def _answer(self, id: int, waiter: Waiter) -> Answer:
        try:
            return await waiter.answer
        except asyncio.CancelledError:
            if not self._process.is_blocked:  # else it does not read, and its callers must not wait
                await self._cancel(id)
            raise

    async def _cancel(self, id: int) -> None:
        params: JsonObject = {"requestId": id, "reason": "the caller cancelled"}
        with contextlib.suppress(Unsent):
            await self._send(
                encode({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})
            )


def _with_token(params: JsonObject, id: int, on_progress: OnProgress | None) -> JsonObject:
    """*params*, which ask for progress under the id of the request where somebody wants it."""
    if on_progress is None:
        return params
    meta = params.get("_meta")
    return {**params, "_meta": {**(meta if isinstance(meta, dict) else {}), "progressToken": id}}
