"""Serves what downstream servers have: each request goes to the server it is for, and its result
comes back as it came.

This is a middleware of the SDK's server. What it answers never meets the SDK's models, so nothing
is dropped, and a relayed call costs little. What is ours goes on to our own handlers. Calls of
tools take the road of all calls, through the gateway; everything else is sent to its server as it
is.
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

from ...core.ports import Caller, RelayRequest, RpcError, as_rpc_error
from ...core.values.strict import Json, JsonObject
from ...errors import CallError
from ..calls import OpenCalls
from ..mcp_sdk import CallNext, HandlerResult
from ..principals import PrincipalOf
from ..resources import is_ours
from ..run_progress import RequestContext
from .eras import checked_params, is_modern, meta_of, meta_to_pass_on, shaped_error, shaped_result
from .input_requests import with_own_state, with_state_of
from .listings import MEMBERS, Own, RelayConfig
from .notifications import ROOTS_CHANGED, TransportState, transport_state_of
from .pending import Work
from .request_scope import RequestScope
from .router import Router, with_addresses
from .run_waiters import serving
from .subscriptions import ClientSubscriptions

log = logging.getLogger(__name__)

LISTS_LAST_MS = 5_000
"""How long clients of 2026-07-28 may use a list again whose changes they do not listen to."""

LONGEST_S = 3_600.0
"""How long a request may take that is no call of a tool, its client's answers included."""

CallByName: TypeAlias = Callable[[str, str, JsonObject, Caller], Awaitable[JsonObject]]
"""As `Gateway.call`."""
_Verb: TypeAlias = Callable[[RequestContext, CallNext], Awaitable[HandlerResult]]


class Passthrough:
    """Relays to the servers of *relaying*, besides our *own* entries of the lists; *call* calls
    their tools. *calls* counts the requests that are open; results of 2026-07-28 are stamped with
    *server_info*."""

    def __init__(
        self,
        relaying: RelayConfig,
        call: CallByName,
        own: Own,
        calls: OpenCalls,
        principal_of: PrincipalOf,
        server_info: Mapping[str, Any],
    ) -> None:
        self._relaying = relaying
        self._call = call
        self._own_tools = frozenset(str(tool["name"]) for tool in own["tools/list"])
        self._own_prompts = frozenset(str(prompt["name"]) for prompt in own["prompts/list"])
        self._calls = calls
        self._principal_of = principal_of
        self._server_info = server_info
        self.owners = Router(relaying, own)
        self.wishes = ClientSubscriptions(self.owners, self._send, relaying.downstream)
        self._lives: set[TransportState] = set()
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
        """What one transport of *server* needs for as long as it is there; the contexts of its
        requests carry it."""
        async with anyio.create_task_group() as tasks:
            downstream = self._relaying.downstream
            live = TransportState(tasks, downstream, self.owners, self._tell_changes)
            self._lives.add(live)
            deafen = downstream.listen(live.hear)
            try:
                yield live
            finally:
                deafen()
                self._lives.remove(live)
                tasks.cancel_scope.cancel()

    async def __call__(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        """Answer what is not for us alone, in the form of the client's era."""
        verb = self._verbs.get(ctx.method)
        if ctx.request_id is None:
            return await self._noticed(ctx, call_next)
        if verb is None:
            return await call_next(ctx)
        try:
            return await verb(ctx, call_next)
        except RpcError as error:
            raise shaped_error(ctx, error) from None
        except CallError as error:
            raise shaped_error(ctx, as_rpc_error(error)) from None
        except (MCPError, ValidationError):
            raise
        except Exception:
            log.exception("relay.failed", extra={"method": ctx.method})
            raise MCPError(types.INTERNAL_ERROR, "Internal server error") from None

    async def interactive(
        self, ctx: RequestContext, caller: RequestScope, work: Work
    ) -> JsonObject:
        """Do *work* of our own for the request of *ctx*. It may ask the client meanwhile, by
        *caller*; a client of 2026-07-28 then sends its request again, and so comes here again, for
        the same work to go on."""
        pending = transport_state_of(ctx).parking
        if (held := pending.held_for(ctx)) is not None:
            return await pending.resume(held, ctx)
        return await (pending.begin(caller, work) if is_modern(ctx) else work())

    def _tell_changes(self) -> None:
        for kind in self.owners.changed():
            for live in self._lives:
                live.tell_change(kind)

    async def _noticed(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        if ctx.method == "notifications/initialized" and not is_modern(ctx):
            self.wishes.session(ctx)
        elif ctx.method == ROOTS_CHANGED and not is_modern(ctx):
            transport_state_of(ctx).tell_servers(ctx.method, ctx.params)
        return result

    # What is asked of all servers.

    async def _list(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        if ctx.method == "tools/list" and self._relaying.expose == "dag":
            return await call_next(ctx)
        page = await self.owners.page(ctx, checked_params(ctx).get("cursor"))
        hint: JsonObject = (
            {"ttlMs": LISTS_LAST_MS, "cacheScope": "private"} if is_modern(ctx) else {}
        )
        return shaped_result(ctx, {**page, **hint}, self._server_info)

    # What is asked of one server.

    async def _call_tool(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        name = _named(ctx)
        if name in self._own_tools:
            return await self._call_own(ctx, call_next)
        params = checked_params(ctx)
        server, name = await self.owners.tool(name)
        return await self._relay(ctx, server, {**params, "name": name})

    async def _call_own(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        """One of our tools. Calls of a run may ask the client whose request waits for it, and that
        client hears what they log (`run_waiters.py`)."""
        caller = self._caller(ctx)

        async def work() -> JsonObject:
            with serving(caller):
                result = dict(cast("JsonObject", await call_next(ctx)))
            await caller.told()
            return result

        if not caller.can_be_asked:
            return await work()
        return shaped_result(ctx, await self.interactive(ctx, caller, work), self._server_info)

    async def _get_prompt(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        if _named(ctx) in self._own_prompts:
            return await call_next(ctx)
        params = checked_params(ctx)
        server, name = await self.owners.prompt(str(params["name"]))
        return await self._relay(ctx, server, {**params, "name": name})

    async def _read(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        if is_ours((ctx.params or {}).get("uri")):
            return await call_next(ctx)
        params = checked_params(ctx)
        asked = str(params["uri"])
        server, uri = await self.owners.resource(ctx, asked)
        return await self._relay(ctx, server, {**params, "uri": uri}, asked)

    async def _complete(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        params = checked_params(ctx)
        found = await self._completed(ctx, params["ref"])
        if found is None or not self.owners.offers(found[0], "completions"):
            return shaped_result(ctx, {"completion": {"values": []}}, self._server_info)
        return await self._relay(ctx, found[0], {**params, "ref": found[1]})

    async def _completed(self, ctx: RequestContext, ref: Json) -> tuple[str, JsonObject] | None:
        """The server that completes *ref*, and what it calls it; None for what is ours. Raises
        `MCPError`."""
        if not isinstance(ref, dict):
            return None
        match ref:
            case {"name": str(name)} if name not in self._own_prompts:
                server, name = await self.owners.prompt(name)
                return server, {**ref, "name": name}
            case {"uri": str(uri)} if not is_ours(uri):
                server, uri = await self.owners.resource(ctx, uri)
                return server, {**ref, "uri": uri}
        return None

    # What clients wish to hear of.

    async def _set_level(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        self.wishes.set_level(ctx)
        return {}

    async def _subscribe(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        await self.wishes.subscribe(ctx)
        return {}

    async def _unsubscribe(self, ctx: RequestContext, call_next: CallNext) -> HandlerResult:
        await self.wishes.unsubscribe(ctx)
        return {}

    # The way to the server and back.

    async def _relay(
        self, ctx: RequestContext, server: str, params: JsonObject, asked: str | None = None
    ) -> HandlerResult:
        """Send the client's request to *server* with other *params*; its result, as the client's
        era has it. Addresses in it are as they are served, and what the client *asked* for is as it
        called it."""
        self.wishes.tell_levels(transport_state_of(ctx))
        with self._calls.one_to_give_up():
            result = await self._answer(ctx, server, params)

        def up(uri: str) -> str:
            is_asked = asked is not None and uri == params.get("uri")
            return str(asked) if is_asked else self.owners.address_in_result(server, uri)

        result = with_addresses(ctx.method, result, up)
        return shaped_result(ctx, result, self._server_info)

    async def _answer(self, ctx: RequestContext, server: str, params: JsonObject) -> JsonObject:
        """The result of *server*. A client of 2026-07-28 that is asked something gets a result that
        asks, and comes back with a state: one of ours, if the call waits for it (`pending.py`), or
        else one of the server's own."""
        pending = transport_state_of(ctx).parking
        may_ask = ctx.method in methods.INPUT_REQUIRED_METHODS
        if may_ask and (held := pending.held_for(ctx)) is not None:
            result = await pending.resume(held, ctx)
            await held.caller.told()
            return result
        caller = self._caller(ctx)
        may_come_back = may_ask and caller.takes_input_requests
        if may_come_back:
            params = with_own_state(server, params)

        async def work() -> JsonObject:
            result = await self._sent(ctx, server, params, caller)
            return with_state_of(server, result) if may_come_back else result

        is_pending = may_come_back and caller.can_be_asked
        result = await (pending.begin(caller, work) if is_pending else work())
        await caller.told()
        return result

    async def _sent(
        self, ctx: RequestContext, server: str, params: JsonObject, caller: RequestScope
    ) -> JsonObject:
        meta = meta_to_pass_on(meta_of(ctx))
        if ctx.method == "tools/call":
            return await self._call(
                server, str(params["name"]), {**params, "_meta": meta} if meta else params, caller
            )
        return await self._send(RelayRequest(server, ctx.method, params, meta, caller))

    async def _send(self, request: RelayRequest) -> JsonObject:
        with anyio.move_on_after(LONGEST_S):
            return await self._relaying.downstream.request(request)
        raise RpcError(
            types.REQUEST_TIMEOUT, f"{request.server} did not answer within {LONGEST_S:g} s"
        )

    def _caller(self, ctx: RequestContext) -> RequestScope:
        session = None if is_modern(ctx) else self.wishes.session(ctx)
        return RequestScope(ctx, self._principal_of(ctx), transport_state_of(ctx).tasks, session)


def _named(ctx: RequestContext) -> str:
    """What the request names; nothing, where that is not text."""
    name = (ctx.params or {}).get("name")
    return name if isinstance(name, str) else ""
