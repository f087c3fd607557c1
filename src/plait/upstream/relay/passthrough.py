"""Relays what clients ask of downstream servers: each request goes to its server, and the result
comes back as the server sent it.

This is a middleware of the SDK's server. Its answers never pass through the SDK's models, so
nothing is dropped, and a relayed call costs little. Requests for our own tools, prompts and
resources go on to our own handlers. Calls of tools take the road of all calls, through the gateway;
everything else is sent to its server as it is.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, cast

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server import Server
from mcp_types import methods
from pydantic import ValidationError

from ...core.ports import Caller, RelayRequest, as_rpc_error
from ...core.values.strict import JsonObject
from ...errors import ApprovalDenied, ApprovalRequired, CallError, RpcError
from ..calls import OpenCalls
from ..links import with_addresses
from ..mcp_sdk import CallNext, HandlerResult, RequestContext
from ..principals import PrincipalOf
from ..resources import is_ours
from .eras import checked_params, is_modern, meta_to_pass_on, shaped_error, shaped_result
from .input_requests import with_own_state, with_state_of
from .listings import MEMBERS, Own, RelayConfig
from .notifications import ROOTS_CHANGED, TransportState
from .request_caller import RequestCaller
from .router import Router
from .run_waiters import serving
from .subscriptions import ClientSubscriptions

log = logging.getLogger(__name__)

LISTS_LAST_MS = 5_000
"""Time for which clients of 2026-07-28 may reuse a list whose changes they do not listen to."""

LONGEST_S = 3_600.0
"""Time limit of a request other than a tool call, the client's answers included."""

CallByName: TypeAlias = Callable[[str, str, JsonObject, Caller], Awaitable[JsonObject]]
"""As `Gateway.call`."""
_Verb: TypeAlias = Callable[[RequestContext, bool, CallNext], Awaitable[HandlerResult]]
"""Answers a request; the bool is whether its client speaks 2026-07-28."""


class Passthrough:
    """Relays to the servers of *config*, in addition to our *own* entries of the lists.

    *call* calls their tools, *calls* counts the open requests, and results of 2026-07-28 are
    stamped with *server_info*.
    """

    def __init__(
        self,
        config: RelayConfig,
        call: CallByName,
        own: Own,
        calls: OpenCalls,
        principal_of: PrincipalOf,
        server_info: Mapping[str, Any],
        connection: str | None = None,
    ) -> None:
        self._config = config
        self._connection = connection
        self._call = call
        self.own_tools = frozenset(str(tool["name"]) for tool in own["tools/list"])
        self._own_prompts = frozenset(str(prompt["name"]) for prompt in own["prompts/list"])
        self._calls = calls
        self._principal_of = principal_of
        self._server_info = server_info
        self.router = Router(config, own)
        self.subscriptions = ClientSubscriptions(self.router, config.downstream)
        self._transports: set[TransportState] = set()
        self._verbs: dict[str, _Verb] = {
            **dict.fromkeys(MEMBERS, self._list),
            "tools/call": self._call_tool,
            "prompts/get": self._get_prompt,
            "resources/read": self._read,
            "completion/complete": self._complete,
            "resources/subscribe": self._subscribe,
            "resources/unsubscribe": self._unsubscribe,
            "logging/setLevel": self._set_level,
        }

    @asynccontextmanager
    async def lifespan(self, server: Server[Any]) -> AsyncIterator[TransportState]:
        """Open the state of one transport of *server*, the `lifespan_context` of its requests."""

        def notify_changes() -> None:
            for kind in self.router.changed():
                for each in self._transports:
                    each.notify_list_changed(kind)

        async with anyio.create_task_group() as tasks:
            downstream = self._config.downstream
            transport = TransportState(tasks, downstream, self.router, notify_changes)
            self._transports.add(transport)
            stop_listening = downstream.listen(transport.receive)
            try:
                yield transport
            finally:
                stop_listening()
                self._transports.remove(transport)
                tasks.cancel_scope.cancel()

    async def __call__(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        """Answer a request that may concern servers, in the form of the client's era."""
        modern = is_modern(ctx)
        if ctx.request_id is None:
            result = await call_next(ctx)
            if ctx.method == "notifications/initialized" and not modern:
                self.subscriptions.session_of(ctx)
            elif ctx.method == ROOTS_CHANGED and not modern:
                transport: TransportState = ctx.lifespan_context
                transport.notify_servers(ctx.method, ctx.params)
            return result
        verb = self._verbs.get(ctx.method)
        if verb is None:
            return await call_next(ctx)
        try:
            return await verb(ctx, modern, call_next)
        except RpcError as error:
            raise shaped_error(ctx.method, error, modern=modern) from None
        except CallError as error:
            raise shaped_error(ctx.method, as_rpc_error(error), modern=modern) from None
        except (MCPError, ValidationError):
            raise
        except Exception:
            log.exception("relay.failed", extra={"method": ctx.method})
            raise MCPError(types.INTERNAL_ERROR, "Internal server error") from None

    # Lists of all servers.

    async def _list(self, ctx: RequestContext, modern: bool, call_next: CallNext) -> HandlerResult:
        if ctx.method == "tools/list" and self._config.expose == "dag":
            return await call_next(ctx)
        cursor = checked_params(ctx, modern=modern).get("cursor")
        page = await self.router.page(ctx, cursor, modern=modern)
        if modern:
            page = {**page, "ttlMs": LISTS_LAST_MS, "cacheScope": "private"}
        return shaped_result(ctx.method, page, self._server_info, modern=modern)

    # Requests to one server.

    async def _call_tool(
        self, ctx: RequestContext, modern: bool, call_next: CallNext
    ) -> HandlerResult:
        if _name_in(ctx) in self.own_tools:
            return await self._call_own(ctx, modern, call_next)
        params = checked_params(ctx, modern=modern)
        server, name = await self.router.tool(str(params["name"]))
        try:
            return await self._relay(ctx, modern, server, {**params, "name": name})
        except (ApprovalRequired, ApprovalDenied) as error:
            refused = not_approved(error)
            return shaped_result(ctx.method, refused, self._server_info, modern=modern)

    async def _call_own(
        self, ctx: RequestContext, modern: bool, call_next: CallNext
    ) -> HandlerResult:
        """Call one of our tools. Calls of a run may ask the client whose request waits for it, and
        send their log messages to it (`run_waiters.py`)."""
        caller = self._caller_of(ctx, modern)

        async def work() -> JsonObject:
            with serving(caller):
                result = dict(cast("JsonObject", await call_next(ctx)))
            await caller.flush()
            return result

        if not modern or not caller.can_be_asked:
            return await work()
        transport: TransportState = ctx.lifespan_context
        result = await transport.pending.result_for(ctx, caller, work)
        return shaped_result(ctx.method, result, self._server_info, modern=modern)

    async def _get_prompt(
        self, ctx: RequestContext, modern: bool, call_next: CallNext
    ) -> HandlerResult:
        if _name_in(ctx) in self._own_prompts:
            return await call_next(ctx)
        params = checked_params(ctx, modern=modern)
        server, name = await self.router.prompt(str(params["name"]))
        return await self._relay(ctx, modern, server, {**params, "name": name})

    async def _read(self, ctx: RequestContext, modern: bool, call_next: CallNext) -> HandlerResult:
        if is_ours((ctx.params or {}).get("uri")):
            return await call_next(ctx)
        params = checked_params(ctx, modern=modern)
        requested = str(params["uri"])
        server, uri = await self.router.resource(requested, modern=modern)
        return await self._relay(ctx, modern, server, {**params, "uri": uri}, requested)

    async def _complete(
        self, ctx: RequestContext, modern: bool, call_next: CallNext
    ) -> HandlerResult:
        params = checked_params(ctx, modern=modern)
        server: str | None = None
        ref = cast("JsonObject", params["ref"])
        match ref:
            case {"name": str(name)} if name not in self._own_prompts:
                server, name = await self.router.prompt(name)
                ref = {**ref, "name": name}
            case {"uri": str(uri)} if not is_ours(uri):
                server, uri = await self.router.resource(uri, modern=modern)
                ref = {**ref, "uri": uri}
        if server is None or not self.router.offers(server, "completions"):
            nothing: JsonObject = {"completion": {"values": []}}
            return shaped_result(ctx.method, nothing, self._server_info, modern=modern)
        return await self._relay(ctx, modern, server, {**params, "ref": ref})

    # Subscriptions.

    async def _set_level(
        self, ctx: RequestContext, modern: bool, call_next: CallNext
    ) -> HandlerResult:
        level = checked_params(ctx, modern=modern)["level"]
        self.subscriptions.set_level(ctx, str(level))
        return {}

    async def _subscribe(
        self, ctx: RequestContext, modern: bool, call_next: CallNext
    ) -> HandlerResult:
        uri = checked_params(ctx, modern=modern)["uri"]
        await self.subscriptions.subscribe(ctx, str(uri))
        return {}

    async def _unsubscribe(
        self, ctx: RequestContext, modern: bool, call_next: CallNext
    ) -> HandlerResult:
        uri = checked_params(ctx, modern=modern)["uri"]
        self.subscriptions.unsubscribe(ctx, str(uri))
        return {}

    # To the server and back.

    async def _relay(
        self,
        ctx: RequestContext,
        modern: bool,
        server: str,
        params: JsonObject,
        requested: str | None = None,
    ) -> HandlerResult:
        """Send the client's request to *server* with other *params*, and return the result in the
        form of the client's era. URIs in it are as clients know them; the one that the client
        *requested* stays as it was.

        A client of 2026-07-28 that is asked something gets a result that asks, and comes back with
        a state: one of ours if the call waits for it (`pending.py`), else the server's own.
        """
        transport: TransportState = ctx.lifespan_context
        with self._calls.counted_until_drained():
            caller = self._caller_of(ctx, modern)

            async def work() -> JsonObject:
                own = with_own_state(server, params)
                return with_state_of(server, await self._send_for(caller, ctx, server, own))

            if modern and ctx.method in methods.INPUT_REQUIRED_METHODS:
                result = await transport.pending.result_for(ctx, caller, work)
            else:
                result = await self._send_for(caller, ctx, server, params)
                await caller.flush()

        def up(uri: str) -> str:
            if requested is not None and uri == params.get("uri"):
                return requested
            return self.router.address_in_result(server, uri)

        result = with_addresses(ctx.method, result, up)
        return shaped_result(ctx.method, result, self._server_info, modern=modern)

    async def _send_for(
        self, caller: RequestCaller, ctx: RequestContext, server: str, params: JsonObject
    ) -> JsonObject:
        meta = meta_to_pass_on(ctx)
        if ctx.method == "tools/call":
            params = {**params, "_meta": meta} if meta else params
            return await self._call(server, str(params["name"]), params, caller)
        try:
            return await self._send(RelayRequest(server, ctx.method, params, meta, caller))
        finally:  # an error is an answer, too
            self._config.shown(caller.principal, f"{server}:{ctx.method}")

    async def _send(self, request: RelayRequest) -> JsonObject:
        with anyio.move_on_after(LONGEST_S):
            return await self._config.downstream.request(request)
        raise RpcError(
            types.REQUEST_TIMEOUT, f"{request.server} did not answer within {LONGEST_S:g} s"
        )

    def _caller_of(self, ctx: RequestContext, modern: bool) -> RequestCaller:
        transport: TransportState = ctx.lifespan_context
        session = None if modern else self.subscriptions.session_of(ctx)
        principal = self._principal_of(ctx)
        return RequestCaller(ctx, principal, transport.tasks, session, self._connection)


def _name_in(ctx: RequestContext) -> str:
    """Return the `name` in the params of *ctx*; empty if it is not text."""
    name = (ctx.params or {}).get("name")
    return name if isinstance(name, str) else ""


def not_approved(error: ApprovalRequired | ApprovalDenied) -> JsonObject:
    """Return the result of a call that no person said yes to. It has no structured content, as that
    would have to fit the tool's own schema."""
    text = error.message if error.hint is None else f"{error.message}. {error.hint}"
    return {
        "content": [{"type": "text", "text": text}],
        "isError": True,
        "_meta": {"plait/code": error.code},
    }
