"""Legacy SSE: requests are posted one by one, and all answers come on one stream.

Whatever is wrong with one request is the answer to that request: a POST that fails, an event that
cannot be read or exceeds its limit. The SDK's own client logs some of these and lets the caller
wait, ends all calls at others, and posts nothing while a server has not accepted the last message.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urljoin, urlsplit

import anyio
import httpx2
import mcp_types as types
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import MCPError

from ...errors import ServerUnavailable
from ...waiting import rest_after
from ..mcp_sdk import SessionMessage, stream_within_origin
from .events import Event, Events, delivered, read_event
from .faults import REDIRECTED, Fault, made_error
from .http import CANCEL_TIMEOUT_S, MAX_BODY_BYTES, error_of, make_client
from .lines import MARK
from .pacing import HANDLING_S, sliced
from .responses import compression_of, kind_of, session_fault, status_error

log = logging.getLogger(__name__)

MAX_ADDRESS_BYTES = 8 * 1024
"""Most bytes of the address to post to."""
QUEUE = 1024
"""Most messages that wait to be dispatched; then the stream is not read."""
MAX_REASON_BYTES, REASON_TIMEOUT_S = 4 * 1024, 1.0
"""Most bytes of the body of a refused POST that are read, and the longest time for them."""
_HEADERS = {"accept-encoding": "identity"}
_STREAM_HEADERS = {"accept": "text/event-stream", "cache-control": "no-store"}


@asynccontextmanager
async def sse_streams(
    url: str,
    own_headers: dict[str, str],
    environ: Mapping[str, str],
    max_event_bytes: int = MAX_BODY_BYTES,
    *,
    auth: httpx2.Auth | None = None,
    on_stream: Callable[[], None] = lambda: None,
) -> AsyncIterator[
    tuple[MemoryObjectReceiveStream[SessionMessage], MemoryObjectSendStream[SessionMessage]]
]:
    """Open the streams that read from and write to the server at *url*, with the proxies and
    certificates of *environ*. Each request gets an answer or an error.

    *auth* authorizes every request. *on_stream* is called once the event stream is open, before the
    server has said where to post. Raises `MCPError` for a status, `ServerUnavailable` for a stream
    that cannot be used, and `httpx2.HTTPError`.
    """
    incoming, read = anyio.create_memory_object_stream[SessionMessage](QUEUE)
    write, outgoing = anyio.create_memory_object_stream[SessionMessage]()
    async with (
        incoming,
        read,
        write,
        outgoing,
        make_client(url, {**_HEADERS, **own_headers}, environ, lambda inner: inner, auth) as client,
        stream_within_origin(client, "GET", url, headers=_STREAM_HEADERS) as response,
        anyio.create_task_group() as tasks,
    ):
        await _check(response)
        on_stream()
        stream = _EventStream(response, incoming, max_event_bytes)
        tasks.start_soon(stream.read)
        address = urljoin(url, await stream.wait_endpoint())
        if urlsplit(address)[:2] != urlsplit(url)[:2]:
            raise ServerUnavailable("it wants messages to be posted to another host")
        tasks.start_soon(_Poster(client, address, incoming, tasks).post_all, outgoing)
        yield read, write
        tasks.cancel_scope.cancel()


async def _check(response: httpx2.Response) -> None:
    """Raise `MCPError` or `ServerUnavailable` if *response* is not an event stream."""
    if response.is_redirect:
        raise ServerUnavailable(REDIRECTED)
    if not response.is_success:
        raise MCPError.from_error_data(status_error(response, body=await _head(response)))
    if (complaint := compression_of(response)) is not None:
        raise ServerUnavailable(complaint)
    if kind_of(response) != "text/event-stream":
        raise ServerUnavailable("it answered with something else than an event stream")


class _EventStream:
    """The event stream of *response*, whose messages go to *incoming*, which is closed at its
    end."""

    def __init__(
        self,
        response: httpx2.Response,
        incoming: MemoryObjectSendStream[SessionMessage],
        max_event_bytes: int,
    ) -> None:
        self._response = response
        self._incoming = incoming
        self._max_event_bytes = max_event_bytes
        self._endpoint: str | None = None
        self._began = anyio.Event()

    async def wait_endpoint(self) -> str:
        """Wait for the address to post to. Raises `ServerUnavailable` if the stream ends first."""
        await self._began.wait()
        if self._endpoint is None:
            raise ServerUnavailable("its stream ended before it said where to post")
        return self._endpoint

    async def read(self) -> None:
        events = Events(self._max_event_bytes)
        assert isinstance(self._response.stream, httpx2.AsyncByteStream)
        try:
            async with self._incoming:
                async for chunk in self._response.stream:
                    for part in sliced(chunk):
                        await self._take(events.read(part))
        except (httpx2.TransportError, anyio.BrokenResourceError) as error:
            log.debug("server.stream_broke", extra={"error": type(error).__name__})
        finally:
            self._began.set()

    async def _take(self, events: Iterator[Event]) -> None:
        """Take *events*, and rest as long as they took without what answers a request."""
        spent_s, messages = 0.0, list[SessionMessage]()
        began = time.perf_counter()
        for event in events:
            message: SessionMessage | None = None
            if event.kind == "endpoint" and self._endpoint is None:
                data = event.data[:MAX_ADDRESS_BYTES]
                self._endpoint = data.decode("utf-8", "replace")
                self._began.set()
            elif event.may_hold_message:
                message = delivered(read_event(event, self._max_event_bytes))
            now = time.perf_counter()
            if message is not None:
                messages.append(message)
            if message is None or not isinstance(message.message, _ANSWERS):
                spent_s += now - began + (HANDLING_S if message is not None else 0.0)
            began = now
        for message in messages:
            await self._incoming.send(message)
        if (seconds := rest_after(spent_s)) > 0:
            await anyio.sleep(seconds)


_ANSWERS = (types.JSONRPCResponse, types.JSONRPCError)


class _Poster:
    """Posts messages to *address*. An error for each request that could not be posted goes to
    *incoming*.

    Requests do not wait for each other, nor for a cancellation: a server may be slow to accept
    them. Other messages keep their order.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        address: str,
        incoming: MemoryObjectSendStream[SessionMessage],
        tasks: TaskGroup,
    ) -> None:
        self._client = client
        self._address = address
        self._incoming = incoming
        self._tasks = tasks
        self._open: dict[object, anyio.CancelScope] = {}
        """The requests that are being posted."""

    async def post_all(self, outgoing: MemoryObjectReceiveStream[SessionMessage]) -> None:
        async for item in outgoing:
            match item.message:
                case types.JSONRPCRequest(id=id) as request:
                    self._tasks.start_soon(self._post_request, request, id)
                case types.JSONRPCNotification(method="notifications/cancelled") as cancelled:
                    if scope := self._open.get((cancelled.params or {}).get("requestId")):
                        scope.cancel()
                    self._tasks.start_soon(self._post_briefly, cancelled)
                case message:
                    await self._post_briefly(message)

    async def _post_request(self, request: types.JSONRPCRequest, id: types.RequestId) -> None:
        scope = self._open[id] = anyio.CancelScope()
        try:
            with scope:
                if (error := await self._post(request)) is not None:
                    answer = types.JSONRPCError(jsonrpc="2.0", id=id, error=error)
                    await self._incoming.send(SessionMessage(answer))
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            pass  # the stream has ended, and with it all requests
        finally:
            del self._open[id]

    async def _post_briefly(self, message: types.JSONRPCMessage) -> None:
        with anyio.move_on_after(CANCEL_TIMEOUT_S):
            await self._post(message)

    async def _post(self, message: types.JSONRPCMessage) -> types.ErrorData | None:
        """Post *message*; return the error if it was not accepted. The body of a response that
        accepts it is not read."""
        document = message.model_dump(by_alias=True, mode="json", exclude_unset=True)
        try:
            async with stream_within_origin(
                self._client, "POST", self._address, json=document
            ) as response:
                if response.is_redirect:
                    return made_error(Fault.STATUS, REDIRECTED, status=response.status_code)
                if response.is_success:
                    return None
                body = await _head(response)
                return status_error(response, session_fault(response, body) or Fault.STATUS, body)
        except httpx2.TransportError as error:
            return error_of(error)


async def _head(response: httpx2.Response) -> bytes:
    """The beginning of the body of *response*, as far as it comes soon."""
    body = bytearray()
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    with anyio.move_on_after(REASON_TIMEOUT_S):
        try:
            async for chunk in response.stream:
                body += chunk
                if len(body) >= MAX_REASON_BYTES:
                    break
        except httpx2.TransportError:
            pass  # the status is enough
    return bytes(body[:MAX_REASON_BYTES].removeprefix(MARK))
