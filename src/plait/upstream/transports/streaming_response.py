"""One HTTP response of the protocol: a JSON body if all there is to say is the answer, else a
stream of events.

Which of both is decided by what comes first. Errors of a session go out as streams: they answer
cancelled requests too, and clients that have left such a request take an event that nobody waits
for, but not a body. A client that does not read holds up who talks to it, and a stream that is
silent is kept open by comments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, TypeAlias

import anyio
from starlette.types import Send

from ...core.values.strict import Json, JsonObject
from ..mcp_sdk import ERROR_CODE_HTTP_STATUS
from .messages import written

PING_S = 15.0
"""How long a stream may be silent."""
MOST_WAITING = 16
"""Messages that wait for a client to read."""

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
    """Messages are put in by whoever has some for the client, and sent by `run`."""

    def __init__(
        self, headers: Headers | None = None, *, begins_s: float = PING_S, statuses: bool = False
    ) -> None:
        """It begins as a stream if nothing came for *begins_s*. With *statuses*, an answer that is
        an error has the HTTP status of its code."""
        self._headers = headers or []
        self._begins_s = begins_s
        self._statuses = statuses
        self._waiting: asyncio.Queue[tuple[JsonObject, bool] | bytes | None] = asyncio.Queue(
            MOST_WAITING
        )
        self.is_closed = False

    async def put(self, message: JsonObject, *, is_last: bool = False) -> None:
        """Send *message*, after which nothing comes if it *is_last*. Raises
        `ClosedResourceError`."""
        if self.is_closed:
            raise anyio.ClosedResourceError
        await self._waiting.put((message, is_last))

    def close(self) -> None:
        """Nothing comes any more, and what waits is dropped."""
        self.is_closed = True
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)

    async def run(self, send: Send) -> None:
        """Send what comes, until the last message or the end."""
        try:
            first = await self._next(self._begins_s)
            if isinstance(first, tuple) and first[1] and (self._statuses or "result" in first[0]):
                await self._send_json(send, first[0])
            elif first is not None:
                await self._send_stream(send, first)
        finally:
            self.close()

    async def run_stream(self, send: Send) -> None:
        """As `run`, as a stream of events that begins at once."""
        try:
            await self._send_stream(send, b"")
        finally:
            self.close()

    async def _next(self, seconds: float = PING_S) -> tuple[JsonObject, bool] | bytes | None:
        """What to send next, a comment if that takes too long; None at the end."""
        silent = asyncio.get_running_loop().call_later(seconds, self._ping)
        try:
            return await self._waiting.get()
        finally:
            silent.cancel()

    def _ping(self) -> None:
        if self._waiting.empty():
            self._waiting.put_nowait(_PING)

    async def _send_json(self, send: Send, message: JsonObject) -> None:
        status = _status_of(message.get("error")) if self._statuses else 200
        await respond(send, status, written(message), self._headers)

    async def _send_stream(self, send: Send, item: tuple[JsonObject, bool] | bytes | None) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [*_STREAM, *self._headers]}
        )
        is_last = False
        while item is not None and not is_last:
            data, is_last = (item, False) if isinstance(item, bytes) else (_event(item[0]), item[1])
            await send({"type": "http.response.body", "body": data, "more_body": not is_last})
            if not is_last:
                item = await self._next()
        if not is_last:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def respond(
    send: Send, status: int, body: bytes = b"", headers: Headers | None = None
) -> None:
    """A whole response, of JSON if it has a body."""
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
    """A response that says why a request is not taken."""
    error: JsonObject = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    await respond(send, status, written({"jsonrpc": "2.0", "id": id, "error": error}), headers)


def _event(message: JsonObject) -> bytes:
    return b"event: message\r\ndata: " + written(message) + b"\r\n\r\n"


def _status_of(error: Json | Mapping[str, Json]) -> int:
    code = error.get("code") if isinstance(error, Mapping) else None
    return ERROR_CODE_HTTP_STATUS.get(code, 200) if isinstance(code, int) else 200
