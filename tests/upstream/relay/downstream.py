"""Downstream servers that exist in memory, and a client that shows every message as it is on the
wire."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias, cast

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server import Server
from mcp.shared.message import SessionMessage

from plait.core.ports import (
    RENEWED,
    Ask,
    Caller,
    CallTool,
    OnNotice,
    RelayRequest,
    ServerListing,
    ToolCall,
    as_rpc_error,
)
from plait.core.values.strict import JsonObject
from plait.downstream.calling import call_tool, relay
from plait.downstream.eras.handshake import Era
from plait.engine.gateway import Gateway
from plait.errors import CallError, RpcError
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.calls import OpenCalls
from plait.upstream.principals import PrincipalOf
from plait.upstream.relay.listings import RelayConfig
from plait.upstream.server import build_server

from ...fakes import FakeServers
from ..conftest import LEGACY, MODERN, in_memory

Answer: TypeAlias = Any
"""A result, an `RpcError`, or a function (async or not) that gives either."""

EVERYTHING: JsonObject = {
    "tools": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "prompts": {"listChanged": True},
    "completions": {},
    "logging": {},
}
ALL_CAPABILITIES: JsonObject = {
    "elicitation": {"form": {}, "url": {}},
    "sampling": {"tools": {}},
    "roots": {"listChanged": True},
}
SCHEMA: JsonObject = {"type": "object", "properties": {"x": {"type": "integer"}}}
NAME_SCHEMA: JsonObject = {"type": "object", "properties": {"name": {"type": "string"}}}
FORM: JsonObject = {"mode": "form", "message": "Who?", "requestedSchema": NAME_SCHEMA}
DONE: JsonObject = {"content": [{"type": "text", "text": "done"}]}


def a_tool(name: str, **members: Any) -> JsonObject:
    return {"name": name, "inputSchema": SCHEMA, **members}


def a_resource(uri: str, **members: Any) -> JsonObject:
    return {"uri": uri, "name": uri, **members}


def a_template(uri: str, **members: Any) -> JsonObject:
    return {"uriTemplate": uri, "name": uri, **members}


class FakeDownstream:
    """A `Downstream`, and the `CallTool` of its servers. What servers answer is set by `on`;
    without that, an empty result."""

    def __init__(self) -> None:
        self.requests: list[RelayRequest] = []
        self.aborted: list[RelayRequest] = []
        self.open: list[RelayRequest] = []
        self.levels: list[tuple[object, str | None]] = []
        """The log levels that clients asked for, in order."""
        self.notified: list[tuple[str, str, JsonObject]] = []
        self.listeners: list[OnNotice] = []
        self.clients: list[Ask | None] = []
        """How to ask each client that is connected for its roots."""
        self.have_asked: list[str] = []
        self.changed = anyio.Event()
        """Set, and replaced, whenever a request has come in, or was cancelled."""
        self._offers: tuple[ServerListing, ...] = ()
        self._answers: dict[tuple[str, str], Answer] = {}

    def add(self, server: str, **offers: Any) -> None:
        """*server* offers that, from now on."""
        offer = replace(ServerListing(server, capabilities=EVERYTHING), **offers)
        self._offers = (*(other for other in self._offers if other.server != server), offer)

    def remove(self, server: str) -> None:
        self._offers = tuple(offer for offer in self._offers if offer.server != server)

    def on(self, server: str, method: str, answer: Answer) -> None:
        self._answers[server, method] = answer

    def tell(self, server: str, method: str, params: JsonObject | None = None) -> None:
        """*server* notifies of something. What it logs is for those who have a request open there,
        if any have."""
        open_ = {
            request.caller.client: request.caller
            for request in self.open
            if request.server == server
        }
        if method == "notifications/message" and open_:
            for caller in open_.values():
                caller.log(params or {})
            return
        for hear in list(self.listeners):
            hear(server, method, params or {})

    def renew(self) -> None:
        """There are new settings."""
        self._offers = (*self._offers,)
        self.tell("", RENEWED)

    def offers(self) -> tuple[ServerListing, ...]:
        return self._offers

    async def __call__(self, call: ToolCall, /) -> JsonObject:
        return await call_tool(call.tool.server, self._session(call.tool.server), call)

    async def request(self, request: RelayRequest, /) -> JsonObject:
        try:
            return await relay(request.server, self._session(request.server), request)
        except CallError as error:
            raise as_rpc_error(error) from error

    def _session(self, server: str) -> Any:
        return FakeSession(server, self)

    async def answer(self, request: RelayRequest) -> JsonObject:
        self.requests.append(request)
        self.open.append(request)
        self._tell()
        try:
            return cast(
                "JsonObject",
                await _given(self._answers.get((request.server, request.method), {}), request),
            )
        except anyio.get_cancelled_exc_class():
            self.aborted.append(request)
            self._tell()
            raise
        finally:
            self.open[:] = [other for other in self.open if other is not request]

    async def notify(self, server: str, method: str, params: JsonObject) -> None:
        self.notified.append((server, method, params))
        self._tell()

    async def watch(self, server: str, uri: str) -> Callable[[], None]:
        await self.request(RelayRequest(server, "resources/subscribe", {"uri": uri}))

        def end() -> None:
            self.requests.append(RelayRequest(server, "resources/unsubscribe", {"uri": uri}))
            self._tell()

        return end

    def set_level(self, client: object, level: str | None) -> None:
        self.levels.append((client, level))

    def listen(self, hear: OnNotice) -> Callable[[], None]:
        self.listeners.append(hear)
        return lambda: self.listeners.remove(hear)

    def join(self, ask: Ask | None) -> Callable[[], None]:
        self.clients.append(ask)
        self._tell()

        def leave() -> None:
            self.clients.remove(ask)
            self._tell()

        return leave

    def askers(self) -> list[str]:
        return self.have_asked

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until a request has made that true."""
        while not is_so():
            await self.changed.wait()

    def sent(self, method: str) -> list[tuple[str, JsonObject]]:
        """Return the requests of *method* that servers got: each server, and its params."""
        return [
            (request.server, request.params)
            for request in self.requests
            if request.method == method
        ]

    def _tell(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


class FakeSession:
    """The parts of a `ProtocolSession` that are used, over one server of *downstream*."""

    era = Era.LEGACY
    change_stream = None

    def __init__(self, server: str, downstream: FakeDownstream) -> None:
        self._server = server
        self._downstream = downstream

    def exit_reason(self) -> str:
        return "it went away"

    async def request(
        self, method: str, params: JsonObject, caller: Caller, *, is_first: bool = True
    ) -> JsonObject:
        own: Any = params.get("_meta", {})
        sent: JsonObject = {name: value for name, value in params.items() if name != "_meta"}
        try:
            return await self._downstream.answer(
                RelayRequest(self._server, method, sent, own, caller)
            )
        except RpcError as error:
            raise MCPError(error.code, error.message, error.data) from None


async def _given(answer: Answer, *arguments: Any) -> Any:
    if callable(answer):
        answer = answer(*arguments)
    if inspect.isawaitable(answer):
        answer = await answer
    if isinstance(answer, Exception):
        raise answer
    return answer


class RawClient:
    """A client of *era* that keeps every message as it is on the wire, and answers requests by
    *answers*."""

    def __init__(
        self, era: str, write: Any, capabilities: JsonObject, answers: dict[str, Answer]
    ) -> None:
        self.era = era
        self.answers = answers
        self.capabilities = capabilities
        self.asked: list[tuple[str, JsonObject]] = []
        self.heard: list[tuple[str, JsonObject]] = []
        self.log: list[object] = []
        """The methods of notifications and the ids of answers, in the order in which they came."""
        self.is_deaf = False
        """Whether it has stopped reading."""
        self._write = write
        self._count = 0
        self._waiting: dict[object, anyio.Event] = {}
        self._answered: dict[object, types.JSONRPCResponse | types.JSONRPCError] = {}
        self._changed = anyio.Event()

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, **options: Any
    ) -> Any:
        """The result, as it came. Raises `RpcError`. Cancelling it cancels the request."""
        key = await self.begin(method, params, **options)
        try:
            return await self.answer_to(key)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self.cancel(key)
            raise

    async def begin(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        meta: JsonObject | None = None,
        id: str | None = None,
    ) -> str:
        """Send a request; gives its id."""
        self._count += 1
        key = id or f"r{self._count}"
        self._waiting[key] = anyio.Event()
        await self._send(
            types.JSONRPCRequest(
                jsonrpc="2.0", id=key, method=method, params=self._params(params, meta)
            )
        )
        return key

    async def answer_to(self, key: str) -> Any:
        """The result of the request *key*. Raises `RpcError`."""
        await self._waiting[key].wait()
        answer = self._answered.pop(key)
        if isinstance(answer, types.JSONRPCError):
            raise RpcError(answer.error.code, answer.error.message, answer.error.data)
        return answer.result

    async def cancel(self, key: str) -> None:
        await self.notify("notifications/cancelled", {"requestId": key})

    async def leave(self) -> None:
        """Close this side of the connection."""
        await self._write.aclose()

    async def call(self, tool: str, arguments: JsonObject | None = None, **options: Any) -> Any:
        """The result of a `tools/call`; questions on the way are answered, as the era has it."""
        return await self.asking(
            "tools/call", {"name": tool, "arguments": arguments or {}}, **options
        )

    async def asking(self, method: str, params: Mapping[str, Any], **options: Any) -> Any:
        """As `request`; a result that asks is answered by another request."""
        result = await self.request(method, params, **options)
        while result.get("resultType") == "input_required":
            more = {name: result[name] for name in ("requestState",) if name in result}
            asked = result.get("inputRequests") or {}
            answers = {
                key: await self.answer(one["method"], one.get("params", {}))
                for key, one in asked.items()
            }
            result = await self.request(
                method, {**params, "inputResponses": answers, **more}, **options
            )
        return result

    async def answer(self, method: str, params: JsonObject) -> Any:
        self.asked.append((method, params))
        return await _given(self.answers[method], params)

    async def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        await self._send(
            types.JSONRPCNotification(
                jsonrpc="2.0", method=method, params=self._params(params, None)
            )
        )

    def told(self, method: str) -> list[JsonObject]:
        """The params of the notifications of that method, without what the transport adds."""
        return [params for name, params in self.heard if name == method]

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until a message from the server has made that true."""
        while not is_so():
            await self._changed.wait()

    async def run(self, read: Any) -> None:
        async with anyio.create_task_group() as tasks:
            async for item in read:
                assert isinstance(item, SessionMessage)
                if self.is_deaf:
                    await anyio.sleep_forever()
                self._take(item.message, tasks)
                self._changed.set()
                self._changed = anyio.Event()

    def _take(self, message: Any, tasks: Any) -> None:
        match message:
            case types.JSONRPCRequest():
                tasks.start_soon(self._reply, message)
            case types.JSONRPCNotification():
                self.log.append(message.method)
                self.heard.append((message.method, message.params or {}))
            case types.JSONRPCResponse() | types.JSONRPCError() if message.id in self._waiting:
                self.log.append(message.id)
                self._answered[message.id] = message
                self._waiting[message.id].set()

    async def _reply(self, request: types.JSONRPCRequest) -> None:
        try:
            result = await self.answer(request.method, request.params or {})
        except RpcError as error:
            data = types.ErrorData(code=error.code, message=error.message, data=error.data)
            await self._send(types.JSONRPCError(jsonrpc="2.0", id=request.id, error=data))
        else:
            await self._send(types.JSONRPCResponse(jsonrpc="2.0", id=request.id, result=result))

    async def _send(self, message: Any) -> None:
        await self._write.send(SessionMessage(message=message))

    def _params(self, params: Mapping[str, Any] | None, meta: JsonObject | None) -> Any:
        own = self._envelope() if self.era == MODERN else {}
        if not own and not meta:
            return dict(params) if params is not None else None
        return {**(params or {}), "_meta": {**own, **(meta or {})}}

    def _envelope(self) -> JsonObject:
        return {
            types.PROTOCOL_VERSION_META_KEY: MODERN,
            types.CLIENT_INFO_META_KEY: {"name": "peer", "version": "1"},
            types.CLIENT_CAPABILITIES_META_KEY: self.capabilities,
        }

    async def greet(self) -> Any:
        """The server's answer to the first request of the era."""
        if self.era == MODERN:
            return await self.request("server/discover")
        info: JsonObject = {"name": "peer", "version": "1"}
        hello: JsonObject = {
            "protocolVersion": "2025-11-25",
            "capabilities": self.capabilities,
            "clientInfo": info,
        }
        greeting = await self.request("initialize", hello)
        await self.notify("notifications/initialized")
        await self.request("ping")
        return greeting


@asynccontextmanager
async def relaying_server(
    downstream: FakeDownstream,
    servers: FakeServers | None = None,
    *,
    calls: OpenCalls | None = None,
    principal_of: PrincipalOf | None = None,
    **options: Any,
) -> AsyncIterator[Server[Any]]:
    """The server that clients see, over *downstream*, while tasks call *servers*; *options* are
    those of `Gateway` and of `RelayConfig`."""
    servers = servers or FakeServers()
    ours = {name: options.pop(name) for name in ("policy", "limits", "learned") if name in options}
    async with Gateway(servers, by_origin(servers, downstream), InMemoryRuns(), **ours) as gateway:
        relaying = RelayConfig(
            downstream, **{"expose": "all", "denied_by": gateway.denied_by, **options}
        )
        yield build_server(gateway, calls=calls, relaying=relaying, principal_of=principal_of)


def by_origin(servers: FakeServers, downstream: FakeDownstream) -> CallTool:
    """Calls of tasks go to *servers*, those by name to *downstream*."""

    async def call_tool(call: ToolCall) -> JsonObject:
        return await (servers(call) if call.id.run else downstream(call))

    return call_tool


@asynccontextmanager
async def joined(
    server: Server[Any],
    era: str = LEGACY,
    capabilities: JsonObject | None = None,
    answers: dict[str, Answer] | None = None,
    *,
    greet: bool = True,
) -> AsyncIterator[RawClient]:
    """A client of *server*, which has greeted it; it can answer what it has *answers* for."""
    declared = ALL_CAPABILITIES if capabilities is None and answers else capabilities
    async with in_memory(server) as (read, write), anyio.create_task_group() as tasks:
        peer = RawClient(era, write, declared or {}, answers or {})
        tasks.start_soon(peer.run, read)
        if greet:
            await peer.greet()
        yield peer
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def connected(
    downstream: FakeDownstream, era: str, **options: Any
) -> AsyncIterator[RawClient]:
    """One client over *downstream*; *options* are those of `joined` and of `RelayConfig`."""
    mine = {
        name: options.pop(name) for name in ("capabilities", "answers", "greet") if name in options
    }
    async with (
        relaying_server(downstream, **options) as server,
        joined(server, era, **mine) as peer,
    ):
        yield peer


UPDATED = "notifications/resources/updated"
MESSAGE = "notifications/message"


async def listen(peer: RawClient, **filters: Any) -> str:
    """Open a stream of 2026-07-28; gives its id once it is acknowledged."""
    key = await peer.begin("subscriptions/listen", {"notifications": filters})
    await peer.until(lambda: bool(peer.told("notifications/subscriptions/acknowledged")))
    return key


async def later() -> None:
    """So long that all that was to be sent has been."""
    await anyio.sleep(10)


def a_message(level: str, **more: Any) -> JsonObject:
    return {"level": level, "data": {"n": 1}, "logger": "l", **more}


def saying(downstream: FakeDownstream, *messages: JsonObject) -> Any:
    async def say(request: RelayRequest) -> JsonObject:
        for message in messages:
            downstream.tell(request.server, MESSAGE, message)
        return DONE

    return say
