"""HTTP to downstream servers: one request that fails is one call that fails, never the connection.

The SDK's HTTP transports end a whole session when one POST meets a reset, a truncated body or a bad gzip stream. Here
each such fault is answered, in the server's stead, with a JSON-RPC error for the request it happened to. Bodies are
bounded after decompression (none is asked for, none is accepted), and an answer's HTTP status is kept.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx2

from ..core.strict import NotStrict, decode

MAX_BODY_BYTES = 16 * 2**20
DELETE_TIMEOUT_S = 2.0
DRAIN_S = 0.05

HTTP_FAULT = -32003
UNREADABLE = -32700
"""JSON-RPC codes of the errors made here; `data` has `status`, `retryAfter`, `sent` and `sessionLost` where known."""


class IsolatingTransport(httpx2.AsyncBaseTransport):
    """Wraps *inner*."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._inner = inner
        self._max_body_bytes = max_body_bytes

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "identity"
        if request.method == "DELETE":
            return await self._delete(request)
        if request.method != "POST":
            return self._streamed(await self._inner.handle_async_request(request), request)
        try:
            response = await self._inner.handle_async_request(request)
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            was_sent = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
            return _fault(request, f"{type(error).__name__}: {error}", sent=was_sent)
        return await self._answer(request, response)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _answer(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            await response.aclose()
            return _fault(request, f"the answer is packed ({encoding[:40]}), which was not asked for", sent=True)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/event-stream" and response.is_success:
            return self._streamed(response, request)
        body, complaint = await self._body(response)
        if complaint is not None:
            return _fault(request, complaint, response, sent=True)
        is_lost = response.status_code == 404 and "mcp-session-id" in request.headers
        if response.is_redirect or _request_id(request) is None:
            return _with_body(request, response, body)
        flaw = _flaw(body)
        if flaw is None and not is_lost:
            return _with_body(request, response, body)
        if response.is_success:
            return _fault(request, f"the server's answer cannot be read: {flaw}", sent=True, code=UNREADABLE)
        return _fault(request, f"HTTP {response.status_code}", response, sent=not is_lost, lost=is_lost)

    async def _body(self, response: httpx2.Response) -> tuple[bytes, str | None]:
        """The whole body, or what is wrong with it."""
        parts: list[bytes] = []
        size = 0
        try:
            async for part in _chunks(response):
                parts.append(part)
                size += len(part)
                if size > self._max_body_bytes:
                    return b"", f"the answer is longer than {self._max_body_bytes:,} bytes"
        except httpx2.TransportError as error:
            return b"", f"the answer broke off: {type(error).__name__}: {error}"
        finally:
            await response.aclose()
        return b"".join(parts), None

    def _streamed(self, response: httpx2.Response, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _GuardedStream(response.stream, request)
        return response

    async def _delete(self, request: httpx2.Request) -> httpx2.Response:
        """End a session, within bounds: the server may not answer, or be gone."""
        try:
            with anyio.fail_after(DELETE_TIMEOUT_S):
                response = await self._inner.handle_async_request(request)
                await response.aread()
                return response
        except (TimeoutError, httpx2.TransportError):
            return httpx2.Response(202, request=request)


class PostingTransport(httpx2.AsyncBaseTransport):
    """For legacy SSE, where answers come on a stream of their own: a message that cannot be posted is told to
    *on_failure*, with the id of its request, and the stream goes on."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, on_failure: Callable[[int | str, str], None]) -> None:
        self._inner = inner
        self._on_failure = on_failure

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "identity"
        if request.method != "POST":
            return await self._inner.handle_async_request(request)
        try:
            response = await self._inner.handle_async_request(request)
        except httpx2.TransportError as error:
            return self._failed(request, f"{type(error).__name__}: {error}")
        if not response.is_error:
            return response
        await response.aclose()
        return self._failed(request, f"HTTP {response.status_code}")

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _failed(self, request: httpx2.Request, message: str) -> httpx2.Response:
        if (id := _request_id(request)) is not None:
            self._on_failure(id, message)
        return httpx2.Response(202, request=request)


class _GuardedStream(httpx2.AsyncByteStream):
    """An event stream whose break ends the request it belongs to, with an error event, and nothing else."""

    def __init__(self, inner: httpx2.AsyncByteStream, request: httpx2.Request) -> None:
        self._inner = inner
        self._request = request
        self._has_ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                yield chunk
        except httpx2.TransportError as error:
            if (id := _request_id(self._request)) is not None:
                reason = f"the answer broke off: {type(error).__name__}: {error}"
                yield b"\n\nevent: message\ndata: " + _error_body(id, reason, {"sent": True}) + b"\n\n"
        self._has_ended = True

    async def aclose(self) -> None:
        if not self._has_ended:  # read what is left, so that the TCP connection can be used again
            with anyio.move_on_after(DRAIN_S, shield=True):
                try:
                    async for _ in self._inner:
                        pass
                except (httpx2.HTTPError, RuntimeError):
                    pass  # it was being read, or broke: then it is only closed
        await self._inner.aclose()


def make_client(
    headers: dict[str, str], wrap: Callable[[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport]
) -> httpx2.AsyncClient:
    """An HTTP client for one downstream server. Reading has no time limit of its own: callers bound their calls."""
    transport = wrap(
        httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=None, max_keepalive_connections=32))
    )
    timeout = httpx2.Timeout(30.0, read=None, pool=None)
    return httpx2.AsyncClient(transport=transport, headers=headers, timeout=timeout)


async def _chunks(response: httpx2.Response) -> AsyncIterator[bytes]:
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    async for chunk in response.stream:
        yield chunk


def _with_body(request: httpx2.Request, response: httpx2.Response, body: bytes) -> httpx2.Response:
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _LENGTHS]
    return httpx2.Response(response.status_code, headers=headers, content=body, request=request)


_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})


def _fault(
    request: httpx2.Request,
    message: str,
    response: httpx2.Response | None = None,
    *,
    sent: bool,
    lost: bool = False,
    code: int = HTTP_FAULT,
) -> httpx2.Response:
    """The answer to a request that met a fault: a JSON-RPC error for it, or a bare status for a notification."""
    data: dict[str, Any] = {"sent": sent, "sessionLost": lost}
    if response is not None and response.is_error:
        data["status"] = response.status_code
        if (retry_after := response.headers.get("retry-after")) is not None:
            data["retryAfter"] = retry_after[:100]
    id = _request_id(request)
    if id is None:
        return httpx2.Response(response.status_code if response is not None else 503, request=request)
    headers = {"content-type": "application/json"}
    return httpx2.Response(200, headers=headers, content=_error_body(id, message, data, code), request=request)


def _error_body(id: int | str, message: str, data: dict[str, Any], code: int = HTTP_FAULT) -> bytes:
    error = {"code": code, "message": message[:500], "data": data}
    return json.dumps({"jsonrpc": "2.0", "id": id, "error": error}).encode()


def _request_id(request: httpx2.Request) -> int | str | None:
    try:
        message = json.loads(request.content)
    except (ValueError, httpx2.RequestNotRead):
        return None
    id = message.get("id") if isinstance(message, dict) and "method" in message else None
    return id if isinstance(id, int | str) else None


def _flaw(body: bytes) -> str | None:
    """Why *body* is no JSON-RPC answer, if it is none."""
    try:
        message = decode(body)
    except NotStrict as error:
        return str(error)
    has_answer = isinstance(message, dict) and isinstance(message.get("result", message.get("error")), dict)
    return None if has_answer else "it is no JSON-RPC answer"
