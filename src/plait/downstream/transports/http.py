"""HTTP to downstream servers: one request that fails is one call that fails, never the connection.

The SDK's HTTP transports end a whole session when one POST meets a reset, a truncated body or a bad
gzip stream. Here each such fault is answered, in the server's place, with a JSON-RPC error for the
request that met it. Bodies have a limit, which compression could evade, so that is neither asked
for nor accepted. The HTTP status of an answer is kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
import httpx2
import mcp_types as types
from anyio.abc import TaskGroup

from ...waiting import Signal, rest_after
from .events import Event, Events, Unreadable, read_event
from .faults import TRY_LATER, Fault, described, made_error
from .lines import MARK
from .network import certificates_for, proxy_for
from .pacing import HANDLING_S, sliced
from .responses import (
    SENDABLE,
    SESSION_HEADER,
    bad_session_id,
    compression_of,
    kind_of,
    other_answer,
    read_answer,
    says_session_lost,
    session_fault,
    status_error,
)

MAX_BODY_BYTES = 16 * 2**20
DELETE_TIMEOUT_S = 2.0
"""Longest time for a server to answer the end of its session."""
CANCEL_TIMEOUT_S = 2.0
"""Longest time to accept a message that has no answer: the SDK sends nothing else meanwhile, except
for cancellations."""
DRAIN_S = 0.05
"""Longest time to read the rest of a stream, so that its TCP connection can be used again."""
_SAYS_MORE = TRY_LATER | {401, 403}
"""Statuses that say more than the JSON-RPC error in their body."""


class IsolatingTransport(httpx2.AsyncBaseTransport):
    """Wraps *inner*: a request that fails, or whose answer cannot be used, gets an error as its
    answer. Cancellations are sent in *tasks*: the SDK sends nothing else meanwhile."""

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport,
        tasks: TaskGroup,
        *,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._inner = inner
        self._tasks = tasks
        self._max_body_bytes = max_body_bytes
        self._cancelling = 0
        """Number of cancellations that are being sent."""
        self._cancelled = Signal()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["accept-encoding"] = "identity"
        if request.method == "DELETE":
            return await self._delete(request)
        if request.method != "POST":
            return self._streamed(await send_uncompressed(self._inner, request), request)
        sent = request_of(request)
        if sent.get("method") == "notifications/cancelled":
            self._cancelling += 1
            self._tasks.start_soon(self._send_cancellation, request)
            return httpx2.Response(202, request=request)
        try:
            with anyio.fail_after(None if "method" in sent and "id" in sent else CANCEL_TIMEOUT_S):
                response = await self._inner.handle_async_request(request)
        except TimeoutError:
            return httpx2.Response(202, request=request)
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            return _failed(request, error_of(error))
        return await self._answer(request, response)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _answer(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if (complaint := compression_of(response) or bad_session_id(response)) is not None:
            await response.aclose()
            return _failed(request, made_error(Fault.UNREADABLE, complaint))
        if kind_of(response) == "text/event-stream" and response.is_success:
            return self._streamed(response, request)
        body, error = await self._body(response)
        if error is not None:
            return _failed(request, error)
        id = _request_id(request)
        if response.is_redirect or id is None:
            return _with_body(request, response, body)
        if SESSION_HEADER in request.headers and (fault := session_fault(response, body)):
            return _failed(request, status_error(response, fault, body))
        match read_answer(response, body):
            case types.ErrorData() as unusable:
                is_status = not response.is_success
                return _failed(
                    request, status_error(response, body=body) if is_status else unusable
                )
            case answer if response.status_code in _SAYS_MORE:
                return _failed(request, status_error(response, body=body))
            case types.JSONRPCResponse(id=other) if (wrong := other_answer(id, other)) is not None:
                return _failed(request, wrong)
            case answer if answer.id != id:  # many errors have no id, or one of their own
                body = answer.model_copy(update={"id": id}).model_dump_json(by_alias=True).encode()
        response.headers["content-type"] = "application/json"  # as it has been read
        return _with_body(request, response, body)

    async def _body(self, response: httpx2.Response) -> tuple[bytes, types.ErrorData | None]:
        """Read the whole body; or return the error for the request."""
        parts: list[bytes] = []
        size = 0
        try:
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            async for part in response.stream:
                parts.append(part)
                size += len(part)
                if size > self._max_body_bytes:
                    return b"", made_error(
                        Fault.TOO_LARGE, f"the answer is longer than {self._max_body_bytes:,} bytes"
                    )
        except httpx2.TransportError as error:
            return b"", _broken_off(error)
        finally:
            await response.aclose()
        return b"".join(parts).removeprefix(MARK), None

    def _streamed(self, response: httpx2.Response, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        if kind_of(response) == "text/event-stream" and response.is_success:
            response.stream = _GuardedStream(response.stream, request, self._max_body_bytes)
        return response

    async def _send_cancellation(self, request: httpx2.Request) -> None:
        """Post a cancellation, also to where the endpoint is redirected at the same origin."""
        try:
            with anyio.move_on_after(CANCEL_TIMEOUT_S), suppress(httpx2.TransportError):
                response = await self._inner.handle_async_request(request)
                await response.aclose()
                url = request.url.join(response.headers.get("location", ""))
                is_near = (url.scheme, url.netloc) == (request.url.scheme, request.url.netloc)
                if response.status_code in {307, 308} and is_near:
                    again = httpx2.Request(
                        "POST", url, headers=request.headers, content=request.content
                    )
                    await (await self._inner.handle_async_request(again)).aclose()
        finally:
            self._cancelling -= 1
            self._cancelled.notify()

    async def _delete(self, request: httpx2.Request) -> httpx2.Response:
        """End a session once its cancellations are sent, within bounds: the server may be gone or
        not answer, and we may be stopping already."""
        with anyio.move_on_after(DELETE_TIMEOUT_S, shield=True):
            try:
                while self._cancelling:
                    await self._cancelled.wait()
                response = await self._inner.handle_async_request(request)
                await response.aclose()
                return httpx2.Response(response.status_code, request=request)
            except httpx2.TransportError:
                pass
        return httpx2.Response(204, request=request)


class _GuardedStream(httpx2.AsyncByteStream):
    """An event stream without unreadable events. Such an event, or a break of the stream, becomes
    an error event for the request that the stream belongs to."""

    def __init__(
        self, inner: httpx2.AsyncByteStream, request: httpx2.Request, max_event_bytes: int
    ) -> None:
        self._inner = inner
        self._id = _request_id(request)
        self._has_session = SESSION_HEADER in request.headers
        self._max_event_bytes = max_event_bytes
        self._has_ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        events = Events(self._max_event_bytes)
        try:
            async for chunk in self._inner:
                for part in sliced(chunk):
                    began = time.perf_counter()
                    checked = [self._checked(_resumable(event)) for event in events.read(part)]
                    passed = [*filter(None, checked)]
                    spent_s = time.perf_counter() - began + len(passed) * HANDLING_S
                    for one in passed:
                        yield one
                    if (seconds := rest_after(spent_s)) > 0:  # the answer, if any, has passed
                        await anyio.sleep(seconds)
        except httpx2.TransportError as error:
            yield self._error_event(_broken_off(error))
        self._has_ended = True

    def _checked(self, event: Event) -> bytes:
        """*event* as it was; if it holds no message, an error in its place, or nothing but the
        place from which the stream can be resumed."""
        if not event.may_hold_message:
            return _written(replace(event, kind="message", data=b"")) if event.id else b""
        match read_event(event, self._max_event_bytes):
            case Unreadable(error=error, is_answer=True):
                return self._error_event(error)
            case Unreadable():
                return b""
            case types.JSONRPCError(error=error) if self._has_session and says_session_lost(error):
                return self._error_event(made_error(Fault.SESSION_LOST, error.message))
            case types.JSONRPCError(id=other, error=error) if other != self._id:
                return self._error_event(error) or _written(event)
            case types.JSONRPCResponse(id=other) if wrong := other_answer(self._id, other):
                return self._error_event(wrong)
        return _written(event)

    def _error_event(self, error: types.ErrorData) -> bytes:
        if self._id is None:
            return b""
        return b"\n\nevent: message\ndata: " + _error_body(self._id, error) + b"\n\n"

    async def aclose(self) -> None:
        if not self._has_ended:
            with anyio.move_on_after(DRAIN_S, shield=True):
                try:
                    async for _ in self._inner:
                        pass
                except (httpx2.HTTPError, RuntimeError):
                    pass  # someone else reads it, or it broke: only close it
        await self._inner.aclose()


def make_client(
    url: str,
    headers: dict[str, str],
    environ: Mapping[str, str],
    wrap: Callable[[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport],
    auth: httpx2.Auth | None = None,
) -> httpx2.AsyncClient:
    """Make an HTTP client for the server at *url*, whose transport *wrap* wraps, with the proxies
    and certificates of *environ*. Reading has no time limit of its own: callers bound their
    calls."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=32)
    inner = httpx2.AsyncHTTPTransport(
        verify=certificates_for(environ),
        trust_env=False,
        limits=limits,
        proxy=proxy_for(url, environ),
    )
    timeout = httpx2.Timeout(30.0, read=None, pool=None)
    return httpx2.AsyncClient(transport=wrap(inner), headers=headers, timeout=timeout, auth=auth)


def request_of(request: httpx2.Request) -> dict[str, Any]:
    """The JSON-RPC message that *request* posts; empty if it has none."""
    try:
        message = json.loads(request.content)
    except (ValueError, httpx2.RequestNotRead):
        return {}
    return message if isinstance(message, dict) else {}


async def send_uncompressed(
    inner: httpx2.AsyncBaseTransport, request: httpx2.Request
) -> httpx2.Response:
    """Send *request*. Raises `RemoteProtocolError` if the answer is compressed: a small one could
    fill the memory."""
    response = await inner.handle_async_request(request)
    if (complaint := compression_of(response)) is not None:
        await response.aclose()
        raise httpx2.RemoteProtocolError(complaint, request=request)
    return response


def error_of(error: httpx2.HTTPError) -> types.ErrorData:
    """The error for a request that got no response."""
    was_unsent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
    return made_error(Fault.UNSENT if was_unsent else Fault.BROKEN, described(error))


def _resumable(event: Event) -> Event:
    """*event* without an id that no header can hold, so that the stream is not resumed there."""
    is_sendable = event.id is None or SENDABLE.fullmatch(event.id)
    return event if is_sendable else replace(event, id=None)


def _written(event: Event) -> bytes:
    fields = [(b"event", event.kind.encode()), (b"id", event.id), (b"retry", event.retry)]
    lines = [name + b": " + value for name, value in fields if value is not None]
    lines += [b"data: " + line for line in event.data.split(b"\n")]
    return b"\n".join(lines) + b"\n\n"


def _with_body(request: httpx2.Request, response: httpx2.Response, body: bytes) -> httpx2.Response:
    headers = [
        (name, value) for name, value in response.headers.raw if name.lower() not in _LENGTHS
    ]
    return httpx2.Response(response.status_code, headers=headers, content=body, request=request)


_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})


def _failed(request: httpx2.Request, error: types.ErrorData) -> httpx2.Response:
    """The answer to a request that met a fault. A notification gets none; the next request will
    meet the fault too."""
    id = _request_id(request)
    if id is None:
        return httpx2.Response(202, request=request)
    headers = {"content-type": "application/json"}
    return httpx2.Response(200, headers=headers, content=_error_body(id, error), request=request)


def _error_body(id: int | str, error: types.ErrorData) -> bytes:
    return (
        types.JSONRPCError(jsonrpc="2.0", id=id, error=error)
        .model_dump_json(by_alias=True)
        .encode()
    )


def _broken_off(error: httpx2.HTTPError) -> types.ErrorData:
    return made_error(Fault.BROKEN, f"the answer broke off: {described(error)}")


def _request_id(request: httpx2.Request) -> int | str | None:
    message = request_of(request)
    id = message.get("id") if "method" in message else None
    return id if isinstance(id, int | str) else None
