"""One client's connection, free of any transport: its requests are answered, and it can be sent
requests and notifications.

*The idea.* The SDK's server runs on two interfaces: an `Outbound` for a connection (`RawSession`)
and a `DispatchContext` for each request (`Inbound`). A transport hands incoming messages to `take`,
and *send* writes outgoing ones. A request costs one task and one message, and no message is
validated twice.

*The invariants.*

1. Every request is answered exactly once, with a result or an error; one that was abandoned, by a
   client that no longer waits, is answered only where its stream would not end otherwise.
2. Nothing is sent for a request after its answer.
3. When the connection closes, everything open ends: requests from the client with an error, if it
   still reads, and requests to it with `CONNECTION_CLOSED`.

*Why not the SDK's own dispatcher.* Its memory streams and models cost more than a relayed call
(`docs/performance.md`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Protocol, Self, TypeAlias

import anyio
import mcp_types as types
from mcp import MCPError

from ...core.values.strict import JsonObject
from ...waiting import Signal
from ..leaving import answering
from ..mcp_sdk import (
    CallOptions,
    MessageMetadata,
    NoBackChannelError,
    TransportContext,
    cancelled_request_id_from_params,
    coerce_request_id,
    modern_error_data,
    progress_token_from_params,
)
from .messages import Incoming, Notice, Request

log = logging.getLogger(__name__)

MOST_OPEN = 10_000
"""Most requests of one client that are answered at once."""
WITHDRAW_S = 5.0
"""Time to notify the client that a request of ours is cancelled."""
LAST_WORD_S = 1.0
"""Time to answer the requests that are still open at the end."""

Params: TypeAlias = "Mapping[str, Any] | None"
Send: TypeAlias = Callable[[JsonObject, "types.RequestId | None"], Awaitable[None]]
"""Writes a message that belongs to the client's request with that id, or to none."""

REQUEST_CANCELLED = -32800
"""The SDK's code for cancelled requests over HTTP in the handshake era."""
_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError)
_CLOSED: Final = types.ErrorData(code=types.CONNECTION_CLOSED, message="Connection closed")
_CANCELLED: Final = types.ErrorData(code=REQUEST_CANCELLED, message="Request cancelled")


class Handler(Protocol):
    """Answers the requests of a client, and takes its notifications."""

    async def on_request(
        self, inbound: Inbound, method: str, params: Params, /
    ) -> dict[str, Any]: ...

    async def on_notice(self, inbound: Inbound, method: str, params: Params, /) -> None: ...


@dataclass(slots=True, eq=False)
class Inbound:
    """One request of the client, or one notification: a `DispatchContext` of the SDK."""

    request_id: types.RequestId | None
    transport: TransportContext
    message_metadata: MessageMetadata
    _session: RawSession
    _progress_token: types.ProgressToken | None = None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    is_cancelled: bool = False
    is_closed: bool = False
    """Whether it was answered or never will be: nothing more is sent for it."""
    on_abandoned: Callable[[], None] = lambda: None

    @classmethod
    def of(cls, request: Request, transport: TransportContext, session: RawSession) -> Self:
        return cls(request.id, transport, None, session, progress_token_from_params(request.params))

    def abandon(self) -> None:
        """End its work, and leave it without an answer: the client no longer waits for one."""
        if not self.is_closed:
            self.is_cancelled = True
            self.scope.cancel()
            self.on_abandoned()

    @property
    def can_send_request(self) -> bool:
        return self.transport.can_send_request and not self.is_closed

    @property
    def cancel_requested(self) -> anyio.Event:
        event = anyio.Event()
        if self.is_cancelled:
            event.set()
        return event

    async def send_raw_request(
        self, method: str, params: Params, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Send the client a request, on the stream of this one (as `Outbound`)."""
        if not self.can_send_request:
            raise NoBackChannelError(method)
        return await self._session.ask(method, params, opts, self.request_id)

    async def notify(self, method: str, params: Params, opts: CallOptions | None = None) -> None:
        if not self.is_closed:
            await self._session.notify_on(self.request_id, method, params)

    async def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        if self._progress_token is None:
            return
        params: dict[str, Any] = {"progressToken": self._progress_token, "progress": progress}
        if total is not None:
            params["total"] = total
        if message is not None:
            params["message"] = message
        await self.notify("notifications/progress", params)


class RawSession:
    """One client. With *answers_cancelled*, a request that it cancelled is answered with an error:
    over HTTP, streams of the handshake era end only with an answer. Requests to it get *ids*."""

    def __init__(
        self,
        send: Send,
        *,
        answers_cancelled: bool = False,
        ids: Iterator[types.RequestId] | None = None,
    ) -> None:
        self._send = send
        self._answers_cancelled = answers_cancelled
        self._open: dict[types.RequestId, Inbound] = {}
        self._asked: dict[types.RequestId, asyncio.Future[JsonObject | types.ErrorData]] = {}
        self._notices: set[Inbound] = set()
        self._ids = count(1) if ids is None else ids
        self._settled = Signal()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<RawSession: {len(self._open)} requests open, {len(self._asked)} questions>"

    # From the client.

    def take(
        self,
        message: Incoming,
        handler: Handler,
        tasks: asyncio.TaskGroup,
        transport: TransportContext,
    ) -> asyncio.Task[None] | None:
        """Take in a message. Returns the task in which *handler* deals with it, None for a
        reply."""
        match message:
            case Request():
                if len(self._open) >= MOST_OPEN:
                    text = f"More than {MOST_OPEN:,} requests are open at once."
                    error = types.ErrorData(code=types.INVALID_REQUEST, message=text)
                    return tasks.create_task(self._write(_error(message.id, error), message.id))
                inbound = self._open[coerce_request_id(message.id)] = Inbound.of(
                    message, transport, self
                )
                return tasks.create_task(self.answer(inbound, message, handler))
            case Notice():
                if message.method == "notifications/cancelled":
                    id = cancelled_request_id_from_params(message.params)
                    cancelled = self._open.get(coerce_request_id(id)) if id is not None else None
                    if cancelled is not None:
                        cancelled.abandon()
                return tasks.create_task(
                    self._notice(Inbound(None, transport, None, self), message, handler)
                )
        waiting = self._asked.get(coerce_request_id(message.id)) if message.id is not None else None
        if waiting is not None and not waiting.done():
            waiting.set_result(message.answer)
        return None

    async def wait_idle(self) -> None:
        """Wait until every request has been answered."""
        while self._open:
            await self._settled.wait()

    def close(self) -> None:
        """End the connection: everything open is cancelled, and answered if the client still
        reads."""
        self._is_closed = True
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_result(_CLOSED)
        for inbound in [*self._open.values(), *self._notices]:
            inbound.scope.cancel()

    # To the client: an `Outbound` of the SDK.

    async def send_raw_request(
        self, method: str, params: Params, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        return await self.ask(method, params, opts, None)

    async def notify(self, method: str, params: Params, opts: CallOptions | None = None) -> None:
        await self.notify_on(None, method, params)

    async def notify_on(self, related: types.RequestId | None, method: str, params: Params) -> None:
        """Notify the client on the stream of its request *related*, unless it is gone."""
        if not self._is_closed:
            await self._write(_message(method, params), related)

    async def ask(
        self, method: str, params: Params, opts: CallOptions | None, related: types.RequestId | None
    ) -> dict[str, Any]:
        """Send the client a request and return its result. Raises `MCPError`: its own, or if it is
        gone or does not answer within the timeout of *opts*."""
        if self._is_closed:
            raise MCPError.from_error_data(_CLOSED)
        id = (opts or {}).get("request_id") or next(self._ids)
        key = coerce_request_id(id)
        waiting = self._asked[key] = asyncio.get_running_loop().create_future()
        seconds = (opts or {}).get("timeout")
        try:
            with anyio.move_on_after(seconds):
                await self._send({**_message(method, params), "id": id}, related)
                answer: JsonObject | types.ErrorData = await waiting
                if isinstance(answer, types.ErrorData):
                    raise MCPError(answer.code, answer.message, answer.data)
                return answer
            await self._withdraw(id, f"timed out after {seconds} s", related)
            raise MCPError(types.REQUEST_TIMEOUT, f"Request {method!r} timed out")
        except _GONE:
            raise MCPError.from_error_data(_CLOSED) from None
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._withdraw(id, "caller cancelled", related)
            raise
        finally:
            self._asked.pop(key, None)

    async def _withdraw(
        self, id: types.RequestId, reason: str, related: types.RequestId | None
    ) -> None:
        with anyio.move_on_after(WITHDRAW_S):
            params = {"requestId": id, "reason": reason}
            await self.notify_on(related, "notifications/cancelled", params)

    # Its requests and notifications, each in a task.

    async def answer(self, inbound: Inbound, request: Request, handler: Handler) -> None:
        """Answer one request, unless it is abandoned."""
        with answering():
            await self._answer(inbound, request, handler)

    async def _answer(self, inbound: Inbound, request: Request, handler: Handler) -> None:
        answer: JsonObject | None = None
        try:
            with inbound.scope:
                try:
                    result = await handler.on_request(inbound, request.method, request.params)
                    answer = {"jsonrpc": "2.0", "id": request.id, "result": result}
                except Exception as error:  # the client gets an error without our traceback
                    answer = _error(request.id, modern_error_data(error))
            inbound.is_closed = True
            if inbound.is_cancelled:
                answer = _error(request.id, _CANCELLED) if self._answers_cancelled else None
            elif answer is None:  # the connection ends
                with anyio.move_on_after(LAST_WORD_S):
                    await self._write(_error(request.id, _CLOSED), request.id)
            if answer is not None:
                await self._write(answer, request.id)
        finally:
            inbound.is_closed = True
            key = coerce_request_id(request.id)
            if self._open.get(key) is inbound:  # else a later request has the same id
                del self._open[key]
            self._settled.notify()

    async def _notice(self, inbound: Inbound, notice: Notice, handler: Handler) -> None:
        self._notices.add(inbound)
        try:
            with inbound.scope:
                await handler.on_notice(inbound, notice.method, notice.params)
        except Exception:
            log.exception("notice.failed", extra={"method": notice.method})
        finally:
            self._notices.discard(inbound)

    async def _write(self, message: JsonObject, related: types.RequestId | None) -> None:
        with contextlib.suppress(*_GONE):
            await self._send(message, related)


def _message(method: str, params: Params) -> JsonObject:
    message: JsonObject = {"jsonrpc": "2.0", "method": method}
    return message if params is None else {**message, "params": dict(params)}


def _error(id: types.RequestId, error: types.ErrorData) -> JsonObject:
    return {"jsonrpc": "2.0", "id": id, "error": error.model_dump(exclude_unset=True)}
