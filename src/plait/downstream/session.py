"""A session with one connected server: requests in the form of its era, and what the server sends
by itself.

Everything is raw JSON: nothing that a server sends is validated or dropped here. A request to a
process goes around the SDK's dispatcher (`transports/direct.py`) unless the server may ask its
client something meanwhile; then it waits for its turn in `ServerRequests` first. Over HTTP and SSE
every request goes through the dispatcher.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context
from functools import partial
from itertools import count
from typing import Any

import anyio
import mcp_types as types
from anyio.abc import TaskGroup, TaskStatus
from mcp import MCPError

from ..core.ports import NO_CLIENT, Caller, OnProgress, RpcError
from ..core.values.strict import JsonObject
from ..waiting import Signal
from .change_stream import ChangeStream
from .eras.handshake import OURS, Era, Greeting, envelope
from .listings.subscriptions import ServerSubscriptions
from .mcp_sdk import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    CallOptions,
    DispatchContext,
    JSONRPCDispatcher,
    TransportContext,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)
from .progress import PROGRESS, ProgressTokens
from .server_requests.log_routing import LOG_MESSAGE, LogRouting
from .server_requests.naming import named
from .server_requests.origin import OpenRequests, RequestOrigin, stream_origin
from .server_requests.requests import MAY_ASK, ServerRequests, kind_of
from .silence import Silence
from .transports.direct import FIRST_ID, Direct
from .transports.faults import is_session_lost
from .transports.lines import OnNotification
from .transports.process import Writer
from .transports.transport import Answering, Transport, Watched

LISTS = {
    "notifications/tools/list_changed": "tools",
    "notifications/resources/list_changed": "resources",
    "notifications/prompts/list_changed": "prompts",
}
STREAM_WAIT_S = 0.25
"""Longest wait for the stream of changes before the lists are read."""
CANCEL_S = 5.0
"""Longest time to send a cancellation."""
CANCEL_AT_END_S = 1.0
"""The same for the last ones of a session."""
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
PASSED_ON = frozenset({"notifications/resources/updated", "notifications/elicitation/complete"})
_SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


class ProtocolSession:
    """Sends requests to one connected server, answers its own, and sorts its notifications.

    *writer* writes to a process, None for a server over HTTP. *context* gives the context of the
    message that is being read, if the transport knows it. *heard* gives the number of messages that
    the dispatcher has read.
    """

    def __init__(
        self,
        dispatcher: JSONRPCDispatcher[Any],
        transport: Transport,
        subscriptions: ServerSubscriptions,
        on_notification: OnNotification,
        *,
        server: str,
        writer: Writer | None = None,
        asking_kinds: set[str] | None = None,
        roots_caller: Caller | None = None,
        context: Callable[[], Context | None] = lambda: None,
        heard: Callable[[], int] = lambda: 0,
    ) -> None:
        self.exit_reason = transport.exit_reason
        self.greeting: Greeting | None = None
        self.has_ended = False
        self.is_retired = False
        self.is_forgotten = False
        """Whether it is retired because the server no longer knows it."""
        self.has_answered = False
        """Whether a caller got a result."""
        self.change_stream: ChangeStream | None = None
        self._open: OpenRequests = {}
        """Requests of callers; our own are left out."""
        self._server_requests = ServerRequests(
            self._open, asking_kinds=asking_kinds, roots_caller=roots_caller
        )
        self._server = server
        self._logs = LogRouting(self._open, partial(on_notification, LOG_MESSAGE), context)
        self._subscriptions = subscriptions
        self._on_notification = on_notification
        self._dispatcher = dispatcher
        self._transport = transport
        self._process = writer.process if writer is not None else None
        self._direct = Direct(self._process, self._receive) if self._process is not None else None
        lines = self._process.lines if self._process is not None else None
        self.silence = Silence(lambda: heard() + (lines.heard if lines is not None else 0))
        self._ids = count(FIRST_ID)
        self._tasks: TaskGroup | None = None
        self._cancelling = 0
        """Number of cancellations that are being sent."""
        self._progress = ProgressTokens()
        self._changed = Signal()
        self._stale: dict[str, JsonObject | None] = {}
        self._param_headers: dict[str, dict[tuple[str, ...], str]] = {}

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Read what the server sends, until its end."""

        def take(method: str, params: Mapping[str, Any] | None) -> bool:
            self._receive(method, dict(params or {}))
            return True  # so that the next function is never called

        async with anyio.create_task_group() as self._tasks:
            await self._dispatcher.run(self._answer, _ignore, take, task_status=task_status)
            self._tasks.cancel_scope.cancel()

    # Requests to the server.

    async def greet(
        self, method: str, params: JsonObject, version: str | None = None
    ) -> JsonObject:
        """Send a request of the handshake, as in `handshake.Ungreeted`."""
        options: CallOptions = {"cancel_on_abandon": False}
        if version is not None:
            options["headers"] = _headers(method, params, version)
        return await self._dispatcher.send_raw_request(method, params, options)

    def adopt(self, greeting: Greeting) -> None:
        """Speak as agreed from now on."""
        self.greeting = greeting

    async def request(
        self, method: str, params: JsonObject, caller: Caller | None = None
    ) -> JsonObject:
        """Return the result of one request, which is cancelled at the server if the task is.
        A request of our own has no *caller*.

        Raises `MCPError` for an error of the server or of the way to it, and `Unsent`.
        """
        if self.greeting is not None and self.greeting.era is Era.MODERN:
            params = self._with_envelope(self.greeting, params, caller)
        is_own, caller = caller is None, caller or NO_CLIENT
        on_progress = caller.progress if caller.wants_progress else None
        can_be_asked, needs_input = caller.can_be_asked, method in MAY_ASK
        origin = RequestOrigin(
            caller,
            may_ask=can_be_asked and needs_input,
            is_unaskable=needs_input and not can_be_asked,
        )
        of_client = {} if is_own else self._open.setdefault(caller.client, {})
        of_client[origin] = None
        heard = self.silence.heard()
        try:
            if self._direct is not None and not origin.may_ask:
                origin.sent_at = anyio.current_time()
                result = await self._direct.request(method, params, on_progress)
            else:
                origin.kind = kind_of(method, params)
                async with self._server_requests.turn(origin):
                    origin.sent_at, heard = anyio.current_time(), self.silence.heard()
                    if self._direct is not None:
                        result = await self._direct.request(method, params, on_progress)
                    else:
                        result = await self._dispatched(method, params, on_progress, origin)
        except anyio.get_cancelled_exc_class():
            self.silence.given_up(origin.sent_at, heard)
            raise
        except MCPError as error:
            if is_session_lost(error.error):
                self.forget()
            raise
        finally:
            del of_client[origin]
            if not of_client and not is_own:
                del self._open[caller.client]
                if self.is_retired:
                    self._changed.notify()
        self.has_answered = self.has_answered or not is_own
        return result

    async def _dispatched(
        self,
        method: str,
        params: JsonObject,
        on_progress: OnProgress | None,
        origin: RequestOrigin,
    ) -> JsonObject:
        """Send a request through the dispatcher. Whoever gives it up does not wait until the server
        has accepted the cancellation."""
        id = next(self._ids)
        options: CallOptions = {
            **self._options(method, params),
            "request_id": id,
            "cancel_on_abandon": False,
        }
        await anyio.lowlevel.checkpoint_if_cancelled()
        with self._progress.requested(params, on_progress) as params:
            token = stream_origin.set(origin)
            try:
                return await self._dispatcher.send_raw_request(method, params or None, options)
            except anyio.get_cancelled_exc_class():
                if self._tasks is not None and not self.has_ended:
                    self._cancelling += 1
                    self._tasks.start_soon(self._cancel, id)
                raise
            finally:
                stream_origin.reset(token)

    async def _cancel(self, id: int) -> None:
        params: JsonObject = {"requestId": id, "reason": "the caller cancelled"}
        try:
            with anyio.move_on_after(CANCEL_S):
                await self._dispatcher.notify("notifications/cancelled", params)
        finally:
            self._cancelling -= 1
            self._changed.notify()

    async def ping(self) -> None:
        """Ask for a sign of life. Raises `MCPError` and `Unsent`."""
        await self.request("ping" if self.era is Era.LEGACY else "server/discover", {})

    async def notify(self, method: str, params: JsonObject | None = None) -> None:
        """Notify the server; does nothing if it is gone."""
        options: CallOptions = {}
        if self.greeting is not None:
            options["headers"] = {MCP_PROTOCOL_VERSION_HEADER: self.greeting.version}
        await self._dispatcher.notify(method, params, options)

    def read_headers(self, definitions: Iterable[JsonObject]) -> None:
        """Learn from the *definitions* of tools which arguments are sent as headers too."""
        if self._direct is not None or self.era is not Era.MODERN:
            return
        schemas = {str(tool["name"]): tool.get("inputSchema") for tool in definitions}
        self._param_headers = {
            name: x_mcp_header_map(schema)
            for name, schema in schemas.items()
            if find_invalid_x_mcp_header(schema) is None
        }

    @property
    def era(self) -> Era:
        return self.greeting.era if self.greeting is not None else Era.LEGACY

    def _with_envelope(
        self, greeting: Greeting, params: JsonObject, caller: Caller | None
    ) -> JsonObject:
        """*params* with the `_meta` that each request of 2026-07-28 carries."""
        meta = params.get("_meta")
        own: JsonObject = meta if isinstance(meta, dict) else {}
        level = self._subscriptions.level
        wanted: JsonObject = {types.LOG_LEVEL_META_KEY: level} if level else {}
        capabilities = OURS if caller is None else caller.capabilities
        return {**params, "_meta": {**wanted, **own, **envelope(capabilities, greeting.version)}}

    def _options(self, method: str, params: JsonObject) -> CallOptions:
        """The HTTP headers of a request."""
        if self.greeting is None:
            return {}
        if self.greeting.era is Era.LEGACY:
            return {"headers": {MCP_PROTOCOL_VERSION_HEADER: self.greeting.version}}
        headers = _headers(method, params, self.greeting.version)
        name, arguments = params.get("name"), params.get("arguments")
        if method == "tools/call" and isinstance(name, str) and isinstance(arguments, dict):
            headers |= mcp_param_headers(self._param_headers.get(name, {}), arguments)
        return {"headers": headers}

    # What the server sends by itself.

    async def _answer(
        self,
        context: DispatchContext[TransportContext],
        method: str,
        params: Mapping[str, Any] | None,
    ) -> JsonObject:
        """Answer a request of the server. Raises `MCPError`."""
        if self.era is Era.MODERN:
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found", method[:200])
        if method == "ping":
            return {}
        try:
            return await self._server_requests.answer(
                method, named(self._server, method, dict(params or {}))
            )
        except RpcError as error:
            raise MCPError(error.code, error.message, error.data) from None

    def _receive(self, method: str, params: JsonObject) -> None:
        """Sort a notification: an `OnNotification`."""
        if (kind := LISTS.get(method)) is not None:
            self._stale[kind] = _without_subscription(params)
            self._changed.notify()
        elif method == ACKNOWLEDGED:
            if self.change_stream is None or self.change_stream.acknowledge(params):
                self._stale = {**dict.fromkeys(LISTS.values()), **self._stale}
                self._changed.notify()
        elif method == PROGRESS:
            self._progress.report(params)
        elif method == LOG_MESSAGE:
            self._logs.route(_without_subscription(params))
        elif method in PASSED_ON:
            self._on_notification(method, _without_subscription(params))

    # The end, and changes of the lists.

    @property
    def is_usable(self) -> bool:
        """Whether a call may be sent on it."""
        return not (self.has_ended or self.is_retired) and self._transport.is_open

    def end(self) -> None:
        """Fail the open requests: the connection has ended."""
        self.has_ended = True
        if self._direct is not None:
            self._direct.end()
        self._changed.notify()

    def retire(self) -> None:
        """Send nothing more. Open requests may still be answered."""
        self.is_retired = True
        self._changed.notify()

    def forget(self) -> None:
        """Retire the session, which the server no longer knows."""
        self.is_forgotten = True
        self.retire()

    def kill(self, complaint: str) -> None:
        """End the process, because of *complaint*. Does nothing over HTTP."""
        if self._process is not None:
            self._process.kill(complaint)

    def is_busy_since(self, time: float) -> bool:
        """Whether a request of a caller is open that was sent before *time*."""
        return any(origin.sent_at < time for open in self._open.values() for origin in open)

    async def wait_changed(self) -> None:
        """Wait until a list has changed, or the session has ended or is retired."""
        while not (self._stale or self.has_ended or self.is_retired):
            await self._changed.wait()

    async def wait_answered(self, seconds: float) -> None:
        """Wait until no request of a caller is open, at most *seconds*. For a retired session."""
        with anyio.move_on_after(seconds):
            while self._open and not self.has_ended:
                await self._changed.wait()

    async def wait_cancelled(self) -> None:
        """Wait until every cancellation is sent."""
        while self._cancelling and not self.has_ended:
            await self._changed.wait()

    def take_stale(self) -> dict[str, JsonObject | None]:
        """Return the kinds of lists that may have changed since the last time, each with the params
        of the server's notification, None without one."""
        stale, self._stale = self._stale, {}
        return stale

    @asynccontextmanager
    async def following_changes(self) -> AsyncIterator[None]:
        """Receive notifications of changes: in the later era, over a stream of its own."""
        if self.era is not Era.MODERN:
            yield
            return

        async def open_stream(params: JsonObject) -> None:
            await self.request("subscriptions/listen", params)

        async with anyio.create_task_group() as tasks:
            self.change_stream = ChangeStream(tasks, open_stream, self._wanted_changes)
            tasks.start_soon(self.change_stream.keep_open)
            # lists that are read once the stream is open need not be read again
            await self.change_stream.wait_open(STREAM_WAIT_S)
            yield
            tasks.cancel_scope.cancel()

    def _wanted_changes(self) -> JsonObject:
        """The `SubscriptionFilter` for the lists that the server has and the watched resources."""
        assert self.greeting is not None
        wanted: JsonObject = {
            f"{kind}ListChanged": True
            for kind in LISTS.values()
            if self.greeting.has(kind, "listChanged")
        }
        if uris := list(self._subscriptions.watched):
            wanted["resourceSubscriptions"] = list[Any](uris)
        return wanted


@asynccontextmanager
async def open_session(
    transport: Transport,
    subscriptions: ServerSubscriptions,
    on_notification: OnNotification,
    *,
    server: str,
    asking_kinds: set[str] | None = None,
    roots_caller: Caller | None = None,
) -> AsyncIterator[ProtocolSession]:
    """Open *transport* to *server*, and read a session on it until the block is left. No protocol
    is agreed on yet. *asking_kinds* and *roots_caller* are those of `ServerRequests`."""
    async with AsyncExitStack() as stack:
        read, write = await stack.enter_async_context(transport.streams())
        watched = Watched(read)
        session = ProtocolSession(
            JSONRPCDispatcher(watched, Answering(write, watched)),
            transport,
            subscriptions,
            on_notification,
            server=server,
            writer=write if isinstance(write, Writer) else None,
            asking_kinds=asking_kinds,
            roots_caller=roots_caller,
            context=lambda: watched.last_context,
            heard=lambda: watched.heard,
        )
        watched.on_end = session.end
        stack.callback(session.end)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        await tasks.start(session.run)
        try:
            yield session
        finally:
            with anyio.move_on_after(CANCEL_AT_END_S, shield=True):
                await session.wait_cancelled()
            tasks.cancel_scope.cancel()


async def _ignore(
    context: DispatchContext[TransportContext], method: str, params: Mapping[str, Any] | None
) -> None:
    """Do nothing: `take` in `ProtocolSession.run` has taken every notification, in order."""


def _without_subscription(params: JsonObject) -> JsonObject:
    """*params* without the id of our own change stream."""
    meta = params.get("_meta")
    if not isinstance(meta, dict) or _SUBSCRIPTION not in meta:
        return params
    left: JsonObject = {key: value for key, value in meta.items() if key != _SUBSCRIPTION}
    rest: JsonObject = {key: value for key, value in params.items() if key != "_meta"}
    return {**rest, "_meta": left} if left else rest


def _headers(method: str, params: JsonObject, version: str) -> dict[str, str]:
    headers = {MCP_PROTOCOL_VERSION_HEADER: version, MCP_METHOD_HEADER: method}
    name = params.get(NAME_BEARING_METHODS.get(method, ""))
    if isinstance(name, str):
        headers[MCP_NAME_HEADER] = encode_header_value(name)
    return headers
