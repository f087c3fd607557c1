"""Serves what downstream servers have: each request goes to the server it is for, and its result comes back as it came.

This is a middleware of the SDK's server. What it answers never meets the SDK's models, so nothing is dropped, and a
relayed call costs little. What is ours goes on to our own handlers. `_send` is the one door to the servers.
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
from mcp.server.context import CallNext, HandlerResult
from mcp_types import methods
from pydantic import ValidationError

from ..core.downstream import Ask, Relayed, RpcError
from ..core.naming import Entry
from ..core.strict import Json, JsonObject
from .asking import can_be_asked
from .attending import asking_by
from .callers import Caller, Session
from .calls import OpenCalls
from .directory import MEMBERS, Directory, Own, Relaying, offers_capability
from .eras import checked_params, declared_by, is_modern, meta_of, meta_to_pass_on, shaped_error, shaped_result
from .following import Context
from .notices import ROOTS_CHANGED, Live
from .parking import Work
from .resources import is_ours, not_found
from .rewriting import with_addresses
from .rounds import Rounds, begin, held_for, resume
from .seen import Seen
from .subscribing import Levels, Subscriptions

log = logging.getLogger(__name__)

LISTS_LAST_MS = 5_000
"""How long clients of 2026-07-28 may use a list again whose changes they do not listen to."""
LONGEST_S = 3_600.0
"""What no client waits longer for."""

_Verb: TypeAlias = Callable[[Context, CallNext], Awaitable[HandlerResult]]


class Passthrough:
    """Relays to the servers of *relaying*, beside our *own* entries of the lists. *calls* counts the requests that
    are open; results of 2026-07-28 are stamped with *server_info*."""

    def __init__(self, relaying: Relaying, own: Own, calls: OpenCalls, server_info: Mapping[str, Any]) -> None:
        self._relaying = relaying
        self._own = own
        self._own_tools = frozenset(str(tool["name"]) for tool in own["tools/list"])
        self._own_prompts = frozenset(str(prompt["name"]) for prompt in own["prompts/list"])
        self._calls = calls
        self._server_info = server_info
        self._directory: Directory | None = None
        self._seen = Seen()
        self._levels = Levels()
        self._subscriptions = Subscriptions(self._send)
        self._rounds = Rounds(self._send)
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
    async def lifespan(self, server: Server[Any]) -> AsyncIterator[Live]:
        """What one transport of *server* needs for as long as it is there; the contexts of its requests carry it."""
        async with anyio.create_task_group() as tasks:
            live = Live(tasks, self._relaying.downstream, self._address, tells_of_tools=self._relaying.expose != "dag")
            deafen = self._relaying.downstream.listen(live.hear)
            try:
                yield live
            finally:
                deafen()
                tasks.cancel_scope.cancel()

    def directory(self) -> Directory:
        """What the servers offer now."""
        offers = self._relaying.downstream.offers()
        if self._directory is None or self._directory.offers is not offers:
            self._directory = Directory(offers, self._relaying, self._own, self._directory)
        return self._directory

    def schema_of(self, name: str) -> Any:
        """The input schema of a downstream tool, by its name upstream."""
        return self.directory().schemas.get(name)

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
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
        except (MCPError, ValidationError):
            raise
        except Exception:
            log.exception("relay.failed", extra={"method": ctx.method})
            raise MCPError(types.INTERNAL_ERROR, "Internal server error") from None

    async def interactive(self, ctx: Context, work: Work) -> JsonObject:
        """Do *work* of our own for the request of *ctx*. It may ask the client meanwhile, with what it is given; a
        client of 2026-07-28 then sends its request again, and so comes here again, for the same work to go on."""
        live = _live(ctx)
        if (held := held_for(ctx, live.parking)) is not None:
            return await resume(ctx, live.parking, held)
        return await begin(ctx, live.parking, self._caller(ctx), work)

    async def _noticed(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        if ctx.method == "notifications/initialized" and not is_modern(ctx):
            self._session(ctx)
        elif ctx.method == ROOTS_CHANGED and not is_modern(ctx):
            _live(ctx).tell_servers(ctx.method, ctx.params)
        return result

    # What is asked of all servers.

    async def _list(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        if ctx.method == "tools/list" and self._relaying.expose == "dag":
            return await call_next(ctx)
        params = checked_params(ctx)
        await self._relaying.known()
        page = self.directory().page(ctx.method, modern=is_modern(ctx), cursor=params.get("cursor"))
        hint: JsonObject = {"ttlMs": LISTS_LAST_MS, "cacheScope": "private"} if is_modern(ctx) else {}
        return shaped_result(ctx, {**page, **hint}, self._server_info)

    async def _set_level(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        level = str(checked_params(ctx)["level"])
        session = self._session(ctx)
        session.level = level
        self._levels.want(session, level)
        self._tell_levels(_live(ctx))
        return {}

    # What is asked of one server.

    async def _call_tool(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        name = _named(ctx)
        if name in self._own_tools:
            return await self._call_own(ctx, call_next)
        params = checked_params(ctx)
        if (entry := self.directory().tools.means.get(name)) is None:
            await self._relaying.known()
            entry = self.directory().tools.means.get(name)
        if entry is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {name[:128]}")
        if (pattern := self._relaying.denied_by(*entry)) is not None:
            reason = {"code": "policy_denied", "denied_by": pattern}
            raise MCPError(types.INVALID_PARAMS, f"The policy denies {':'.join(entry)[:200]}", reason)
        return await self._relay(ctx, entry[0], {**params, "name": entry[1]})

    async def _call_own(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """One of our tools. Calls of a run may ask the client whose request waits for it (`attending.py`)."""
        if not can_be_asked(ctx.session.client_capabilities):
            return await call_next(ctx)

        async def work(ask: Ask) -> JsonObject:
            with asking_by(ask):
                return dict(cast("JsonObject", await call_next(ctx)))

        return shaped_result(ctx, await self.interactive(ctx, work), self._server_info)

    async def _get_prompt(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        if _named(ctx) in self._own_prompts:
            return await call_next(ctx)
        params = checked_params(ctx)
        server, name = self._prompt(str(params["name"]))
        return await self._relay(ctx, server, {**params, "name": name})

    async def _read(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        if is_ours((ctx.params or {}).get("uri")):
            return await call_next(ctx)
        params = checked_params(ctx)
        server, uri = self._resource(ctx, str(params["uri"]))
        return await self._relay(ctx, server, {**params, "uri": uri})

    async def _complete(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        params = checked_params(ctx)
        found = self._completed(ctx, params["ref"])
        if found is None or not offers_capability(self.directory().servers[found[0]], "completions"):
            return shaped_result(ctx, {"completion": {"values": []}}, self._server_info)
        return await self._relay(ctx, found[0], {**params, "ref": found[1]})

    def _completed(self, ctx: Context, ref: Json) -> tuple[str, JsonObject] | None:
        """The server that completes *ref*, and what it calls it; None for what is ours. Raises `MCPError`."""
        if not isinstance(ref, dict):
            return None
        match ref:
            case {"name": str(name)} if name not in self._own_prompts:
                server, name = self._prompt(name)
                return server, {**ref, "name": name}
            case {"uri": str(uri)} if not is_ours(uri):
                server, uri = self._resource(ctx, uri)
                return server, {**ref, "uri": uri}
        return None

    async def _subscribe(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        uri = str(checked_params(ctx)["uri"])
        if is_ours(uri):
            return {}
        session, entry = self._session(ctx), self._resource(ctx, uri)
        if entry not in session.watched:
            session.watched[entry] = uri
            try:
                await self._subscriptions.add(entry)
            except BaseException:
                session.watched.pop(entry, None)
                raise
        return {}

    async def _unsubscribe(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        uri = str(checked_params(ctx)["uri"])
        watched = self._session(ctx).watched
        entry = next((entry for entry, name in watched.items() if name == uri), None)
        if entry is not None:
            del watched[entry]
            await self._subscriptions.remove(entry)
        return {}

    async def listen(
        self, ctx: Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Answer `subscriptions/listen`: its resources are watched while the stream is open."""
        watched: list[Entry] = []
        try:
            for uri in dict.fromkeys(params.notifications.resource_subscriptions or ()):
                entry = self._whose(uri)
                if entry is not None and await self._is_watched(entry):
                    watched.append(entry)
            return await _live(ctx).listening(ctx, params)
        finally:
            _live(ctx).tasks.start_soon(self._subscriptions.remove_all, watched)

    async def _is_watched(self, entry: Entry) -> bool:
        """Watch *entry*, if its server can tell of changes: a stream hears of the others nothing."""
        if not offers_capability(self.directory().servers[entry[0]], "resources", "subscribe"):
            return False
        try:
            await self._subscriptions.add(entry)
        except RpcError:
            return False
        return True

    # The way to the server and back.

    async def _relay(self, ctx: Context, server: str, params: JsonObject) -> HandlerResult:
        """Send the client's request to *server* with other *params*; its result, as the client's era has it."""
        self._tell_levels(_live(ctx))
        with self._calls.one():
            result = await self._answer(ctx, _live(ctx), server, params)
        result = with_addresses(ctx.method, result, lambda uri: self._address_in_result(server, uri))
        return shaped_result(ctx, result, self._server_info)

    async def _answer(self, ctx: Context, live: Live, server: str, params: JsonObject) -> JsonObject:
        may_ask = ctx.method in methods.INPUT_REQUIRED_METHODS
        held = held_for(ctx, live.parking) if may_ask else None
        caller = held.caller if held is not None else self._caller(ctx)
        with live.open(server, caller):
            if held is not None:
                result = await resume(ctx, live.parking, held)
            else:
                request = _request(ctx, caller, server, params)
                relayed = self._rounds.run(ctx, live.parking, caller, request) if may_ask else self._send(request)
                result = await relayed
            await caller.told()
        return result

    async def _send(self, request: Relayed) -> JsonObject:
        with anyio.move_on_after(LONGEST_S):
            return await self._relaying.downstream.request(request)
        raise RpcError(types.REQUEST_TIMEOUT, f"{request.server} did not answer within {LONGEST_S:g} s")

    def _tell_levels(self, live: Live) -> None:
        """Servers that were not there when a client set its log level hear of it now."""
        for request in self._levels.due(self.directory().offers):
            live.tasks.start_soon(self._tell_level, request)

    async def _tell_level(self, request: Relayed) -> None:
        try:
            await self._send(request)
        except RpcError:
            log.debug("level.refused", extra={"server": request.server}, exc_info=True)

    # Whose a name is, and who asks.

    def _prompt(self, name: str) -> Entry:
        if (entry := self.directory().prompts.means.get(name)) is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {name[:128]}")
        return entry

    def _resource(self, ctx: Context, uri: str) -> Entry:
        if (entry := self._whose(uri)) is None:
            raise not_found(ctx, uri, f"There is no resource {uri[:200]}.")
        return entry

    def _whose(self, uri: str) -> Entry | None:
        directory = self.directory()
        holders = [offer.server for offer in directory.offers if offers_capability(offer, "resources")]
        only = holders[0] if len(holders) == 1 else None
        entry = directory.addresses.down(uri, named_by=self._seen.server_of(uri), only=only)
        return entry if entry is not None and entry[0] in directory.servers else None

    def _address(self, server: str, uri: str) -> str:
        return self.directory().addresses.up(server, uri)

    def _address_in_result(self, server: str, uri: str) -> str:
        self._seen.note(server, uri)
        return self._address(server, uri)

    def _caller(self, ctx: Context) -> Caller:
        return Caller(ctx, _live(ctx).tasks, None if is_modern(ctx) else self._session(ctx))

    def _session(self, ctx: Context) -> Session:
        """What is kept for the connection of *ctx*, until it ends."""
        live = _live(ctx)
        connection = ctx.session._connection  # the SDK has no public handle on what lasts longer than a request
        if (session := live.sessions.get(connection)) is None:
            session = live.sessions[connection] = Session(ctx, live.tasks)

            async def end() -> None:
                del live.sessions[connection]
                session.close()
                self._levels.forget(session)
                await self._subscriptions.remove_all(list(session.watched))

            connection.exit_stack.push_async_callback(end)
        return session


def _live(ctx: Context) -> Live:
    live: Live = ctx.lifespan_context
    return live


def _named(ctx: Context) -> str:
    """What the request names; nothing, where that is no text."""
    name = (ctx.params or {}).get("name")
    return name if isinstance(name, str) else ""


def _request(ctx: Context, caller: Caller, server: str, params: JsonObject) -> Relayed:
    meta = meta_of(ctx)
    on_progress = caller.progress if "progressToken" in meta else None
    return Relayed(server, ctx.method, params, meta_to_pass_on(meta), on_progress, None, declared_by(ctx))
