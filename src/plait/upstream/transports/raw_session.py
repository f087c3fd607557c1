"""The client at the other end of one connection: its requests are answered, and it can be asked and
told.

A request costs one task and one message; nothing that comes in is validated twice. Whoever reads
the connection hands in messages by `take`, and `send` writes those that go out. The rest of the
SDK's server runs over this as over its own dispatcher: what it needs is an `Outbound` for the
connection and a `DispatchContext` for each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Protocol, Self, TypeAlias

import anyio
import mcp_types as types
from mcp import MCPError

from ...core.values.strict import JsonObject
from ...waiting import Signal
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
"""Requests of one client that are being answered at once."""
WITHDRAW_S = 5.0
"""How long it may take to tell the client that a question of ours is void."""
LAST_WORD_S = 1.0
"""How long the answers to what is given up at the end may take to be written."""

Params: TypeAlias = "Mapping[str, Any] | None"
Send: TypeAlias = Callable[[JsonObject, "types.RequestId | None"], Awaitable[None]]
"""Writes a message that belongs to the client's request of that id, or to none."""

REQUEST_CANCELLED = -32800
"""As the SDK answers over HTTP in the handshake era."""
_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError)
_CLOSED: Final = types.ErrorData(code=types.CONNECTION_CLOSED, message="Connection closed")
_CANCELLED: Final = types.ErrorData(code=REQUEST_CANCELLED, message="Request cancelled")


class Handler(Protocol):
    """What answers the requests of a client, and hears what it notifies of."""

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
    _peer: RawSession
    _progress_token: types.ProgressToken | None = None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    is_cancelled: bool = False
    is_closed: bool = False
    """Whether its answer is on its way, or it will have none: then nothing is said for it any
    more."""
    on_abandoned: Callable[[], None] = lambda: None

    @classmethod
    def of(cls, request: Request, transport: TransportContext, peer: RawSession) -> Self:
        return cls(request.id, transport, None, peer, progress_token_from_params(request.params))

    def abandon(self) -> None:
        """Nobody waits for its answer any more: it has none, and what is done for it ends."""
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
        """As `Outbound`, on the stream of this request."""
        if not self.can_send_request:
            raise NoBackChannelError(method)
        return await self._peer.ask(method, params, opts, self.request_id)

    async def notify(self, method: str, params: Params, opts: CallOptions | None = None) -> None:
        if not self.is_closed:
            await self._peer.tell(method, params, self.request_id)

    async def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        if self._progress_token is None:
            return
        told: dict[str, Any] = {"progressToken": self._progress_token, "progress": progress}
        said = {"total": total, "message": message}
        await self.notify(
            "notifications/progress", told | {k: v for k, v in said.items() if v is not None}
        )


class RawSession:
    """One client. *answers_cancelled* is whether a request that it cancelled is answered with an
    error: streams of the handshake era over HTTP end with an answer only."""

    def __init__(self, send: Send, *, answers_cancelled: bool = False) -> None:
        self._send = send
        self._answers_cancelled = answers_cancelled
        self._open: dict[types.RequestId, Inbound] = {}
        self._asked: dict[types.RequestId, asyncio.Future[JsonObject | types.ErrorData]] = {}
        self._heard: set[Inbound] = set()
        self._ids = count(1)
        self._settled = Signal()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Peer: {len(self._open)} requests open, {len(self._asked)} questions>"

    # What comes from the client.

    def take(
        self,
        message: Incoming,
        serves: Handler,
        tasks: asyncio.TaskGroup,
        transport: TransportContext,
    ) -> asyncio.Task[None] | None:
        """Deal with *message*; gives the task that does, if there is more to it than taking a
        reply."""
        match message:
            case Request():
                if len(self._open) >= MOST_OPEN:
                    return tasks.create_task(
                        self._write(_error(message.id, _too_many()), message.id)
                    )
                inbound = self._open[coerce_request_id(message.id)] = Inbound.of(
                    message, transport, self
                )
                return tasks.create_task(self.answer(inbound, message, serves))
            case Notice():
                if message.method == "notifications/cancelled":
                    self._cancel(message.params)
                return tasks.create_task(
                    self._notice(Inbound(None, transport, None, self), message, serves)
                )
        waiting = self._asked.get(coerce_request_id(message.id)) if message.id is not None else None
        if waiting is not None and not waiting.done():
            waiting.set_result(message.answer)
        return None

    async def none_open(self) -> None:
        """Wait until every request has been answered."""
        while self._open:
            await self._settled.wait()

    def close(self) -> None:
        """The connection ends: what is open is given up, and the client is told so if it still
        reads."""
        self._is_closed = True
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_result(_CLOSED)
        for inbound in [*self._open.values(), *self._heard]:
            inbound.scope.cancel()

    # What goes to the client: an `Outbound` of the SDK.

    async def send_raw_request(
        self, method: str, params: Params, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        return await self.ask(method, params, opts, None)

    async def notify(self, method: str, params: Params, opts: CallOptions | None = None) -> None:
        await self.tell(method, params, None)

    async def tell(self, method: str, params: Params, related: types.RequestId | None) -> None:
        """Notify the client, on the stream of its request *related*; one that is gone is not
        told."""
        if not self._is_closed:
            await self._write(_message(method, params), related)

    async def ask(
        self, method: str, params: Params, opts: CallOptions | None, related: types.RequestId | None
    ) -> dict[str, Any]:
        """The client's result. Raises `MCPError` as it said, and if it is gone, or out of the time
        of *opts*."""
        if self._is_closed:
            raise MCPError.from_error_data(_CLOSED)
        id = (opts or {}).get("request_id") or next(self._ids)
        key = coerce_request_id(id)
        waiting = self._asked[key] = asyncio.get_running_loop().create_future()
        seconds = (opts or {}).get("timeout")
        try:
            with anyio.move_on_after(seconds):
                await self._send({**_message(method, params), "id": id}, related)
                return _result(await waiting)
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
            await self.tell("notifications/cancelled", {"requestId": id, "reason": reason}, related)

    # The answers.

    async def answer(self, inbound: Inbound, request: Request, serves: Handler) -> None:
        """Answer one request, unless it is abandoned."""
        answer: JsonObject | None = None
        try:
            with inbound.scope:
                answer = await _answered(inbound, request, serves)
            inbound.is_closed = True
            if inbound.is_cancelled:
                answer = _error(request.id, _CANCELLED) if self._answers_cancelled else None
            elif answer is None:
                await self._give_up(request.id)
            if answer is not None:
                await self._write(answer, request.id)
        finally:
            inbound.is_closed = True
            self._forget(request.id, inbound)

    async def _give_up(self, id: types.RequestId) -> None:
        """The connection ends before the answer."""
        with anyio.move_on_after(LAST_WORD_S):
            await self._write(_error(id, _CLOSED), id)

    async def _notice(self, inbound: Inbound, notice: Notice, serves: Handler) -> None:
        self._heard.add(inbound)
        try:
            with inbound.scope:
                await serves.on_notice(inbound, notice.method, notice.params)
        except Exception:
            log.exception("notice.failed", extra={"method": notice.method})
        finally:
            self._heard.discard(inbound)

    def _cancel(self, params: Params) -> None:
        id = cancelled_request_id_from_params(params)
        inbound = self._open.get(coerce_request_id(id)) if id is not None else None
        if inbound is not None:
            inbound.abandon()

    def _forget(self, id: types.RequestId, inbound: Inbound) -> None:
        key = coerce_request_id(id)
        if self._open.get(key) is inbound:  # else a later request has the same id
            del self._open[key]
        self._settled.notify()

    async def _write(self, message: JsonObject, related: types.RequestId | None) -> None:
        with contextlib.suppress(*_GONE):
            await self._send(message, related)


async def _answered(inbound: Inbound, request: Request, serves: Handler) -> JsonObject:
    try:
        result = await serves.on_request(inbound, request.method, request.params)
    except (
        Exception
    ) as error:  # whatever went wrong, the client hears of it, and not in the words of the program
        return _error(request.id, modern_error_data(error))
    return {"jsonrpc": "2.0", "id": request.id, "result": result}


def _message(method: str, params: Params) -> JsonObject:
    message: JsonObject = {"jsonrpc": "2.0", "method": method}
    return message if params is None else {**message, "params": dict(params)}


def _error(id: types.RequestId, error: types.ErrorData) -> JsonObject:
    return {"jsonrpc": "2.0", "id": id, "error": error.model_dump(exclude_unset=True)}


def _too_many() -> types.ErrorData:
    message = f"More than {MOST_OPEN:,} requests are open at once."
    return types.ErrorData(code=types.INVALID_REQUEST, message=message)


def _result(answer: JsonObject | types.ErrorData) -> dict[str, Any]:
    if isinstance(answer, types.ErrorData):
        raise MCPError(answer.code, answer.message, answer.data)
    return answer
