"""A session with one connected server: requests in the form of its era, and what the server sends
by itself.

Everything is raw JSON: nothing that a server sends is validated or dropped here. A request to a
process goes around the SDK's dispatcher (`transports/direct.py`), one over HTTP or SSE through it
(`dispatched.py`). A request during which the server may ask its client something waits for its turn
in `ServerRequests` first, unless the client cannot be asked.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context
from functools import partial
from typing import Any

import anyio
import mcp_types as types
from anyio.abc import TaskStatus
from mcp import MCPError

from ..core.ports import NO_CLIENT, Caller
from ..core.values.strict import JsonObject
from ..errors import RpcError
from ..waiting import Signal
from .change_stream import ChangeStream
from .dispatched import Dispatched
from .eras.handshake import OURS, Era, Greeting
from .eras.request_form import RequestForm, modern_headers
from .mcp_sdk import DispatchContext, JSONRPCDispatcher, TransportContext
from .progress import PROGRESS
from .server_requests.asking_kinds import AskingKinds
from .server_requests.log_routing import LOG_MESSAGE, LogRouting
from .server_requests.naming import named
from .server_requests.origin import OpenRequests, RequestOrigin
from .server_requests.requests import MAY_ASK, ServerRequests, kind_of
from .silence import Silence
from .subscriptions import ServerSubscriptions
from .transports.direct import Direct
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
CANCEL_AT_END_S = 1.0
"""Longest time to send the last cancellations of a session."""
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
        dispatched: Dispatched,
        transport: Transport,
        subscriptions: ServerSubscriptions,
        on_notification: OnNotification,
        *,
        server: str,
        writer: Writer | None = None,
        asking_kinds: AskingKinds | None = None,
        roots_caller: Caller | None = None,
        context: Callable[[], Context | None] = lambda: None,
        heard: Callable[[], int] = lambda: 0,
    ) -> None:
        self.exit_reason = transport.exit_reason
        self.greeting: Greeting | None = None
        self._form = RequestForm(None)
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
        self._dispatched = dispatched
        self._transport = transport
        self._process = writer.process if writer is not None else None
        self._direct = Direct(self._process, self._receive) if self._process is not None else None
        lines = self._process.lines if self._process is not None else None
        self.silence = Silence(lambda: heard() + (lines.heard if lines is not None else 0))
        self._changed = Signal()
        self._stale: dict[str, JsonObject | None] = {}

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Read what the server sends, until its end."""
        await self._dispatched.run(self._answer, self._receive, task_status=task_status)

    # Requests to the server.

    async def greet(
        self, method: str, params: JsonObject, version: str | None = None
    ) -> JsonObject:
        """Send a request of the handshake, as in `handshake.Ungreeted`."""
        headers = {} if version is None else modern_headers(method, params, version)
        return await self._dispatched.greet(method, params, headers)

    def adopt(self, greeting: Greeting) -> None:
        """Speak as agreed from now on."""
        self.greeting, self._form = greeting, RequestForm(greeting)

    async def request(
        self,
        method: str,
        params: JsonObject,
        caller: Caller | None = None,
        *,
        is_first: bool = True,
    ) -> JsonObject:
        """Return the result of one request, which is cancelled at the server if the task is.
        A request of our own has no *caller*. One that is not the first of its call goes on with
        what the server has begun.

        Raises `MCPError` for an error of the server or of the way to it, and `Unsent`.
        """
        if self.era is Era.MODERN:
            capabilities = OURS if caller is None else caller.capabilities
            params = self._form.with_envelope(params, capabilities, self._subscriptions.level)
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
                await caller.leave()
                result = await self._direct.request(method, params, on_progress, origin)
            else:
                origin.kind = kind_of(method, params)
                async with self._server_requests.turn(origin):
                    await caller.leave()
                    heard = self.silence.heard()
                    if self._direct is not None:
                        result = await self._direct.request(method, params, on_progress, origin)
                    else:
                        origin.sent_at = anyio.current_time()
                        headers = self._form.headers(method, params)
                        result = await self._dispatched.request(
                            method, params, on_progress, origin, headers
                        )
        except anyio.get_cancelled_exc_class():
            self.silence.given_up(origin.sent_at, heard)
            if is_first and origin.sent_at == math.inf:
                waits_for = self._server_requests.wait_reason(origin)
                caller.not_sent(waits_for or "its server does not read its input")
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

    async def ping(self) -> None:
        """Ask for a sign of life. Raises `MCPError` and `Unsent`."""
        await self.request("ping" if self.era is Era.LEGACY else "server/discover", {})

    async def notify(self, method: str, params: JsonObject | None = None) -> None:
        """Notify the server; does nothing if it is gone."""
        await self._dispatched.notify(method, params, self._form.version_header())

    def read_headers(self, definitions: Iterable[JsonObject]) -> None:
        """Learn from the *definitions* of tools which arguments are sent as headers too."""
        if self._direct is None:
            self._form.read_headers(definitions)

    @property
    def era(self) -> Era:
        return self.greeting.era if self.greeting is not None else Era.LEGACY

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
            self._dispatched.progress.report(params)
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
        self._dispatched.end()
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
        if uris := self._subscriptions.watched:
            wanted["resourceSubscriptions"] = list[Any](uris)
        return wanted


@asynccontextmanager
async def open_session(
    transport: Transport,
    subscriptions: ServerSubscriptions,
    on_notification: OnNotification,
    *,
    server: str,
    asking_kinds: AskingKinds | None = None,
    roots_caller: Caller | None = None,
) -> AsyncIterator[ProtocolSession]:
    """Open *transport* to *server*, and read a session on it until the block is left. No protocol
    is agreed on yet. *asking_kinds* and *roots_caller* are those of `ServerRequests`."""
    async with AsyncExitStack() as stack:
        read, write = await stack.enter_async_context(transport.streams())
        watched = Watched(read)
        dispatched = Dispatched(JSONRPCDispatcher(watched, Answering(write, watched)))
        session = ProtocolSession(
            dispatched,
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
                await dispatched.wait_cancelled()
            tasks.cancel_scope.cancel()


def _without_subscription(params: JsonObject) -> JsonObject:
    """*params* without the id of our own change stream."""
    meta = params.get("_meta")
    if not isinstance(meta, dict) or _SUBSCRIPTION not in meta:
        return params
    left: JsonObject = {key: value for key, value in meta.items() if key != _SUBSCRIPTION}
    rest: JsonObject = {key: value for key, value in params.items() if key != "_meta"}
    return {**rest, "_meta": left} if left else rest
