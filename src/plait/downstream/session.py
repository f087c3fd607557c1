"""One connection: requests put into the words of its era, and what its server says by itself. All
of it is raw: nothing that a server sends is dropped here, or validated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import anyio
import mcp_types as types
from anyio.abc import TaskStatus
from mcp import MCPError

from ..core.ports import NO_CLIENT, Caller, OnProgress, RpcError
from ..core.values.strict import JsonObject
from ..waiting import Signal
from .eras.handshake import OURS, Era, Greeting, envelope
from .listening import Listening, Wanted
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
from .progress import PROGRESS, InProgress
from .server_requests.log_routing import LOG_MESSAGE, LogRouting
from .server_requests.origin import RequestOrigin, correlated
from .server_requests.requests import MAY_ASK, ServerRequests, kind_of
from .transports.direct import Direct
from .transports.transport import Transport

OnSaid: TypeAlias = Callable[[str, JsonObject], None]
"""Told a notification that is passed on: its method and its params."""

LISTS = {
    "notifications/tools/list_changed": "tools",
    "notifications/resources/list_changed": "resources",
    "notifications/prompts/list_changed": "prompts",
}
BEGUN_S = 0.25
"""How long the lists wait for the stream that tells of their changes."""
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
PASSED_ON = frozenset({"notifications/resources/updated", "notifications/elicitation/complete"})
_SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


class ProtocolSession:
    """Requests to one connected server, what it asks, and what it tells of."""

    def __init__(
        self,
        dispatcher: JSONRPCDispatcher[Any],
        transport: Transport,
        direct: Direct | None = None,
        *,
        asking: ServerRequests | None = None,
        wanted: Wanted | None = None,
        on_said: OnSaid = lambda method, params: None,
    ) -> None:
        self.last_words = transport.last_words
        self.greeting: Greeting | None = None
        self.has_ended = False
        self.is_retired = False
        self.listening: Listening | None = None
        self.asking = asking or ServerRequests()
        self._wants = wanted or Wanted()
        self.hearers = LogRouting(partial(on_said, LOG_MESSAGE))
        """Who is told what the server logs."""
        self._on_said = on_said
        self._dispatcher = dispatcher
        self._transport = transport
        self._direct = direct
        self._progress = InProgress()
        self._news = Signal()
        self._stale: dict[str, JsonObject | None] = {}
        self._param_headers: dict[str, dict[tuple[str, ...], str]] = {}
        if direct is not None:
            direct.hear(self._hear)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Read what the server sends, until its end."""
        await self._dispatcher.run(self._answer, _ignore, self._take, task_status=task_status)

    # Requests to the server.

    async def greet(
        self, method: str, params: JsonObject, version: str | None = None
    ) -> JsonObject:
        """As `handshake.Greeted`."""
        options: CallOptions = {"cancel_on_abandon": False}
        if version is not None:
            options["headers"] = _headers(method, params, version)
        return await self._dispatcher.send_raw_request(method, params, options)

    def adopt(self, greeting: Greeting) -> None:
        self.greeting = greeting

    async def request(
        self, method: str, params: JsonObject, caller: Caller | None = None
    ) -> JsonObject:
        """The result of one request, which is cancelled at the server if it is here. *caller* is
        None for a request of our own. Raises `MCPError` as the server or the way to it said, and
        `Unsent`."""
        sent = self._enveloped(params, caller)
        caller = caller or NO_CLIENT
        origin = RequestOrigin(caller, may_ask=caller.can_be_asked and method in MAY_ASK)
        is_silent = not origin.may_ask and method in MAY_ASK
        if is_silent:
            self.asking.silent.append(origin)
        self.hearers.begin(caller)
        try:
            if self._direct is not None and not origin.may_ask:
                return await self._direct.ask(method, sent, _progress_of(caller))
            origin.kind = kind_of(method, sent)
            async with self.asking.open(origin):
                return await self._send(method, sent, origin)
        finally:
            self.hearers.end(caller)
            if is_silent:
                self.asking.silent.remove(origin)

    async def _send(self, method: str, sent: JsonObject, origin: RequestOrigin) -> JsonObject:
        on_progress = _progress_of(origin.caller)
        if self._direct is not None:
            return await self._direct.ask(method, sent, on_progress)
        with self._progress.told(sent, on_progress) as sent:
            token = correlated.set(origin)
            try:
                return await self._dispatcher.send_raw_request(
                    method, sent or None, self._options(method, sent)
                )
            finally:
                correlated.reset(token)

    async def notify(self, method: str, params: JsonObject | None = None) -> None:
        """Tell the server something; one that is gone is not told."""
        options: CallOptions = {}
        if self.greeting is not None:
            options["headers"] = {MCP_PROTOCOL_VERSION_HEADER: self.greeting.version}
        await self._dispatcher.notify(method, params, options)

    def read_headers(self, definitions: Iterable[JsonObject]) -> None:
        """Learn which arguments of which tools go into headers too, from their *definitions*."""
        if self._direct is None and self.era is Era.MODERN:
            schemas = {
                str(definition["name"]): definition.get("inputSchema") for definition in definitions
            }
            usable = {
                name: schema
                for name, schema in schemas.items()
                if find_invalid_x_mcp_header(schema) is None
            }
            self._param_headers = {
                name: x_mcp_header_map(schema) for name, schema in usable.items()
            }

    @property
    def era(self) -> Era:
        return self.greeting.era if self.greeting is not None else Era.LEGACY

    def _enveloped(self, params: JsonObject, caller: Caller | None) -> JsonObject:
        if self.greeting is None or self.era is Era.LEGACY:
            return params
        meta = params.get("_meta")
        own: JsonObject = meta if isinstance(meta, dict) else {}
        level: JsonObject = (
            {types.LOG_LEVEL_META_KEY: self._wants.level} if self._wants.level else {}
        )
        capabilities = OURS if caller is None else caller.capabilities
        return {
            **params,
            "_meta": {**level, **own, **envelope(capabilities, self.greeting.version)},
        }

    def _options(self, method: str, params: JsonObject) -> CallOptions:
        options: CallOptions = {}
        if self.era is Era.MODERN and self.greeting is not None:
            options["headers"] = {
                **_headers(method, params, self.greeting.version),
                **self._mirrored(method, params),
            }
        elif self.greeting is not None:
            options["headers"] = {MCP_PROTOCOL_VERSION_HEADER: self.greeting.version}
        return options

    def _mirrored(self, method: str, params: JsonObject) -> dict[str, str]:
        name, arguments = params.get("name"), params.get("arguments")
        if method != "tools/call" or not isinstance(name, str) or not isinstance(arguments, dict):
            return {}
        return mcp_param_headers(self._param_headers.get(name, {}), arguments)

    # What the server says by itself.

    async def _answer(
        self,
        context: DispatchContext[TransportContext],
        method: str,
        params: Mapping[str, Any] | None,
    ) -> JsonObject:
        """The answer to a request of the server's. Raises `MCPError`."""
        if self.era is Era.MODERN:
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found", method[:200])
        if method == "ping":
            return {}
        try:
            return await self.asking.put(method, dict(params or {}))
        except RpcError as error:
            raise MCPError(error.code, error.message, error.data) from None

    def _take(self, method: str, params: Mapping[str, Any] | None) -> bool:
        self._hear(method, dict(params or {}))
        return True

    def _hear(self, method: str, params: JsonObject) -> None:
        """Take in a notification. Never blocks or raises."""
        if (kind := LISTS.get(method)) is not None:
            self._stale[kind] = _without_ours(params)
            self._news.notify()
        elif method == ACKNOWLEDGED:
            if self.listening is None or self.listening.acknowledged(params):
                self._stale = {**dict.fromkeys(LISTS.values()), **self._stale}
                self._news.notify()
        elif method == PROGRESS:
            self._progress.hear(params)
        elif method == LOG_MESSAGE:
            self.hearers.hear(_without_ours(params))
        elif method in PASSED_ON:
            self._on_said(method, _without_ours(params))

    # The end, and news of the lists.

    @property
    def is_usable(self) -> bool:
        """Whether a call may be sent on it."""
        return not (self.has_ended or self.is_retired) and self._transport.is_open

    def end(self) -> None:
        """The connection is over."""
        self.has_ended = True
        if self._direct is not None:
            self._direct.end()
        self._news.notify()

    def retire(self) -> None:
        """The server no longer knows our session: what was sent may still be answered, nothing more
        is sent."""
        self.is_retired = True
        self._news.notify()

    async def news(self) -> None:
        """Wait until a list has changed, or the connection has ended."""
        while not (self._stale or self.has_ended or self.is_retired):
            await self._news.wait()

    def heard(self) -> dict[str, JsonObject | None]:
        """The lists that may have changed since this was asked before, each with what the server
        said, if it did."""
        stale, self._stale = self._stale, {}
        return stale

    @asynccontextmanager
    async def listens(self) -> AsyncIterator[None]:
        """Hears of changes: by a stream of its own where the era asks for one."""
        if self.era is not Era.MODERN:
            yield
            return
        async with anyio.create_task_group() as tasks:
            self.listening = Listening(tasks, self._listen, self._wanted)
            tasks.start_soon(self.listening.keep_open)
            await self.listening.begun(
                BEGUN_S
            )  # what is listed from now on need not be listed again
            yield
            tasks.cancel_scope.cancel()

    async def _listen(self, params: JsonObject) -> None:
        await self.request("subscriptions/listen", params)

    def _wanted(self) -> JsonObject:
        assert self.greeting is not None
        wanted: JsonObject = {
            f"{kind}ListChanged": True
            for kind in LISTS.values()
            if self.greeting.has(kind, "listChanged")
        }
        if uris := list(self._wants.watched):
            wanted["resourceSubscriptions"] = list[Any](uris)
        return wanted


async def _ignore(
    context: DispatchContext[TransportContext], method: str, params: Mapping[str, Any] | None
) -> None:
    """All notifications are taken in their order, before this would be asked."""


def _progress_of(caller: Caller) -> OnProgress | None:
    return caller.progress if caller.wants_progress else None


def _without_ours(params: JsonObject) -> JsonObject:
    """*params* without the name of our own stream that they came on."""
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
