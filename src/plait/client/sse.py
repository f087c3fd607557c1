"""Legacy SSE: requests are posted one by one, all answers come on one stream.

The SDK only logs a POST that failed, and its caller waits for ever. Here the failure is the request's answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio
import httpx2
import mcp_types as types
from mcp.client.sse import sse_client
from mcp.shared.message import SessionMessage

from .faults import Fault
from .http import CANCEL_TIMEOUT_S, error_of, make_client, request_of, status_error, unpacked

READ_TIMEOUT_S = 86_400.0
QUEUE = 1024
"""Messages that wait to be dispatched; a server that sends faster is held back."""

OnFailure: TypeAlias = Callable[[types.RequestId, types.ErrorData], Awaitable[None]]


class PostingTransport(httpx2.AsyncBaseTransport):
    """Wraps *inner*. A request that cannot be posted is told to *on_failure*, and the stream goes on."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, on_failure: OnFailure) -> None:
        self._inner = inner
        self._on_failure = on_failure

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "identity"
        if request.method != "POST":
            return await unpacked(self._inner, request)
        message = request_of(request)
        if "method" in message and "id" in message:
            return await self._post(request, message["id"])
        with anyio.move_on_after(CANCEL_TIMEOUT_S):
            return await self._post(request, None)
        return httpx2.Response(202, request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _post(self, request: httpx2.Request, id: types.RequestId | None) -> httpx2.Response:
        """The body of the response says nothing, and is not read."""
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
                error = status_error(response, Fault.SESSION_LOST if response.status_code == 404 else Fault.STATUS)
        if error is not None and id is not None:
            await self._on_failure(id, error)
        return httpx2.Response(202, request=request)


@asynccontextmanager
async def sse_streams(url: str, own_headers: dict[str, str]) -> AsyncIterator[tuple[Any, Any]]:
    """What the server at *url* sends, with an error for each request that could not be posted; and where to write."""
    send, receive = anyio.create_memory_object_stream[Any](QUEUE)

    async def fail(id: types.RequestId, error: types.ErrorData) -> None:
        with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            await send.send(SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=id, error=error)))

    def client(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        return make_client(url, {**(headers or {}), **own_headers}, lambda inner: PostingTransport(inner, fail))

    async def pump(read: Any) -> None:
        async for item in read:
            await send.send(item)
        send.close()

    with send, receive:
        async with (
            sse_client(url, sse_read_timeout=READ_TIMEOUT_S, httpx_client_factory=client) as (read, write),
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(pump, read)
            yield receive, write
            tasks.cancel_scope.cancel()
