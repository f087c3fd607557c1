"""One HTTP response of the protocol: a JSON body if the answer is the only message, else a stream
of events.

The first message decides. Errors of a session go out as streams, because they also answer cancelled
requests: a client that no longer waits accepts an unexpected event, but not an unexpected body. A
client that does not read slows down its sender, and comments keep a silent stream open.
"""

from __future__ import annotations

import asyncio
from typing import Final, TypeAlias

import anyio
from starlette.types import Send

from ...core.values.strict import Json, JsonObject
from ..mcp_sdk import ERROR_CODE_HTTP_STATUS
from .messages import written

PING_S = 15.0
"""Silence after which a stream sends a comment."""
MOST_WAITING = 16
"""Most messages that wait for the client to read."""

Headers: TypeAlias = "list[tuple[bytes, bytes]]"

_JSON: Final = (b"content-type", b"application/json")
_STREAM: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
]
_PING: Final = b": ping\r\n\r\n"


class StreamingResponse:
    """Sends, with `run`, the messages that are given to `put`."""

    def __init__(
        self, headers: Headers | None = None, *, begins_s: float = PING_S, statuses: bool = False
    ) -> None:
        """It begins as a stream if no message comes within *begins_s*. With *statuses*, an error
        has the HTTP status of its code."""
        self._headers = headers or []
        self._begins_s = begins_s
        self._statuses = statuses
        self._waiting: asyncio.Queue[tuple[JsonObject, bool] | bytes | None] = asyncio.Queue(
            MOST_WAITING
        )
        self.is_closed = False

    async def put(self, message: JsonObject, *, is_last: bool = False) -> None:
        """Send *message*, and nothing after it if it *is_last*. Raises `ClosedResourceError`."""
        if self.is_closed:
            raise anyio.ClosedResourceError
        await self._waiting.put((message, is_last))

    def close(self) -> None:
        """Send nothing more; waiting messages are dropped."""
        self.is_closed = True
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)

    async def run(self, send: Send) -> None:
        """Send messages until the last one or `close`."""
        try:
            first = await self._next(self._begins_s)
            if isinstance(first, tuple) and first[1] and (self._statuses or "result" in first[0]):
                status = 200
                if self._statuses and isinstance(error := first[0].get("error"), dict):
                    code = error.get("code")
                    status = ERROR_CODE_HTTP_STATUS.get(code, 200) if isinstance(code, int) else 200
                await respond(send, status, written(first[0]), self._headers)
            elif first is not None:
                await self._send_stream(send, first)
        finally:
            self.close()

    async def run_stream(self, send: Send) -> None:
        """Send messages as `run` does, in a stream of events that begins at once."""
        try:
            await self._send_stream(send, b"")
        finally:
            self.close()

    async def _next(self, seconds: float = PING_S) -> tuple[JsonObject, bool] | bytes | None:
        """Return the next message, or a comment after *seconds*; None at the end."""
        silent = asyncio.get_running_loop().call_later(seconds, self._ping)
        try:
            return await self._waiting.get()
        finally:
            silent.cancel()

    def _ping(self) -> None:
        if self._waiting.empty():
            self._waiting.put_nowait(_PING)

    async def _send_stream(self, send: Send, item: tuple[JsonObject, bool] | bytes | None) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [*_STREAM, *self._headers]}
        )
        is_last = False
        while item is not None and not is_last:
            if isinstance(item, bytes):
                data = item
            else:
                data = b"event: message\r\ndata: " + written(item[0]) + b"\r\n\r\n"
                is_last = item[1]
            await send({"type": "http.response.body", "body": data, "more_body": not is_last})
            if not is_last:
                item = await self._next()
        if not is_last:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def respond(
    send: Send, status: int, body: bytes = b"", headers: Headers | None = None
) -> None:
    """Send a whole response, of JSON if it has a body."""
    length = (b"content-length", str(len(body)).encode())
    all_headers = [*([_JSON] if body else []), length, *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def refuse(
    send: Send,
    status: int,
    code: int,
    message: str,
    id: Json = None,
    data: Json = None,
    headers: Headers | None = None,
) -> None:
    """Send a response with the error for which a request is refused."""
    error: JsonObject = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    await respond(send, status, written({"jsonrpc": "2.0", "id": id, "error": error}), headers)
