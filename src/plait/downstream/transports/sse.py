"""Legacy SSE: requests are posted one by one, and all answers come on one stream.

The SDK only logs a POST that failed, and its caller waits for ever; an event that exceeds its limit
ends all calls. Here either becomes the answer to its own request. The SDK still reads the stream,
to learn where to post, but messages are taken out before it sees them.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio
import httpx2
import mcp_types as types

from ..mcp_sdk import SessionMessage, sse_client
from .events import Events, Unreadable, read_event
from .faults import Fault
from .http import (
    CANCEL_TIMEOUT_S,
    MAX_BODY_BYTES,
    error_of,
    make_client,
    request_of,
    send_uncompressed,
    status_error,
)

log = logging.getLogger(__name__)

READ_TIMEOUT_S = 86_400.0
MAX_ADDRESS_BYTES = 8 * 1024
"""Most bytes of the address to post to, and of unknown events."""
QUEUE = 1024
"""Most messages that wait to be dispatched; then the stream is not read."""

OnMessage: TypeAlias = Callable[[types.JSONRPCMessage], Awaitable[None]]


class PostingTransport(httpx2.AsyncBaseTransport):
    """Wraps *inner*. *on_message* takes the messages of the stream, none longer than
    *max_event_bytes*, and an error for each request that could not be posted or whose answer is
    unreadable."""

    def __init__(
        self, inner: httpx2.AsyncBaseTransport, on_message: OnMessage, max_event_bytes: int
    ) -> None:
        self._inner = inner
        self._on_message = on_message
        self._max_event_bytes = max_event_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "identity"
        if request.method != "POST":
            response = await send_uncompressed(self._inner, request)
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _WithoutMessages(
                response.stream, self._on_message, self._max_event_bytes
            )
            return response
        message = request_of(request)
        if "method" in message and "id" in message:
            return await self._post(request, message["id"])
        with anyio.move_on_after(CANCEL_TIMEOUT_S):
            return await self._post(request, None)
        return httpx2.Response(202, request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _post(self, request: httpx2.Request, id: types.RequestId | None) -> httpx2.Response:
        """Post a message; *id* is that of a request. The body of the response is not read."""
        error: types.ErrorData | None = None
        try:
            response = await self._inner.handle_async_request(request)
        except httpx2.TransportError as failure:
            error = error_of(failure)
        else:
            if response.is_redirect:
                return response
            await response.aclose()
            if response.is_error:
                error = status_error(
                    response, Fault.SESSION_LOST if response.status_code == 404 else Fault.STATUS
                )
        if error is not None and id is not None:
            await self._on_message(types.JSONRPCError(jsonrpc="2.0", id=id, error=error))
        return httpx2.Response(202, request=request)


class _WithoutMessages(httpx2.AsyncByteStream):
    """An event stream without its messages, which *on_message* takes."""

    def __init__(
        self, inner: httpx2.AsyncByteStream, on_message: OnMessage, max_event_bytes: int
    ) -> None:
        self._inner = inner
        self._on_message = on_message
        self._max_event_bytes = max_event_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        events = Events(self._max_event_bytes)
        async for chunk in self._inner:
            for event in events.read(chunk):
                if event.kind != "message":
                    yield b"event: %s\ndata: %s\n\n" % (
                        event.kind.encode(),
                        event.data[:MAX_ADDRESS_BYTES],
                    )
                    continue
                if not event.data:
                    continue
                match read_event(event, self._max_event_bytes):
                    case Unreadable(error=error, id=int(id)):
                        await self._on_message(
                            types.JSONRPCError(jsonrpc="2.0", id=id, error=error)
                        )
                    case Unreadable(error=error):
                        log.debug("server.invalid_event", extra={"error": error.message})
                    case message:
                        await self._on_message(message)

    async def aclose(self) -> None:
        await self._inner.aclose()


@asynccontextmanager
async def sse_streams(
    url: str,
    own_headers: dict[str, str],
    max_event_bytes: int = MAX_BODY_BYTES,
    *,
    auth: httpx2.Auth | None = None,
) -> AsyncIterator[tuple[Any, Any]]:
    """Open the streams that read from and write to the server at *url*. Each request gets an answer
    or an error.

    *auth* authorizes every request. It sees the response to the stream's GET, but none to a POST: a
    refused POST is the error of its call.
    """
    send, receive = anyio.create_memory_object_stream[Any](QUEUE)

    async def take(message: types.JSONRPCMessage) -> None:
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            await send.send(SessionMessage(message))

    def client(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        return make_client(
            url,
            {**(headers or {}), **own_headers},
            lambda inner: PostingTransport(inner, take, max_event_bytes),
            auth,
        )

    async def pump(read: Any) -> None:
        async for item in read:
            await send.send(item)
        send.close()

    with send, receive:
        async with (
            sse_client(
                url, sse_read_timeout=READ_TIMEOUT_S, httpx_client_factory=client, auth=auth
            ) as (read, write),
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(pump, read)
            yield receive, write
            tasks.cancel_scope.cancel()
