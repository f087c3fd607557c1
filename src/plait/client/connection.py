"""One downstream server, owned by one task for its whole life.

The owner opens the transport, agrees on a protocol, lists the tools and waits for the end; then it starts again.
Other tasks only call `call`, which never waits longer for a server than it takes to know that it is not there.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from mcp import ClientSession, MCPError
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher

from ..config import ServerSettings
from ..core.catalog import ServerInfo, ServerState, Tool
from ..core.ports import ToolCall
from ..core.strict import JsonObject, NotStrict, measure
from ..errors import (
    CallError,
    ConnectionLost,
    InvalidArguments,
    InvalidOutput,
    OutputTooLarge,
    ProtocolError,
    ServerUnavailable,
    ToolError,
)
from .http import HTTP_FAULT
from .listing import fetch_definitions, read_tools
from .protocol import ME, DiedOnProbe, Era, Wire, negotiate
from .transports import Transport, Watched, open_transport

log = logging.getLogger(__name__)

CALL_WAIT_S = 10.0
"""How long a call waits for a server that is being connected to."""
SOON_S = 2.0
"""How long it waits for the next attempt, after a server that was there has gone."""
HEALTHY_S = 5.0
"""A connection that held so long is opened again at once after its end."""
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 1.0, 60.0
REFRESH_PAUSE_S = 0.2
"""Changes of the tool list that come together are read together."""


class Connection:
    """Run `run()` as a task of its own; everything else may be used by any task."""

    def __init__(
        self,
        name: str,
        settings: ServerSettings,
        *,
        max_message_bytes: int = 16 * 2**20,
        on_change: Callable[[], None] = lambda: None,
        on_stderr: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.name = name
        self.tools: tuple[Tool, ...] = ()
        self.state = ServerState.CONNECTING
        self.error: str | None = None
        self.warnings: tuple[str, ...] = ()
        self._settings = settings
        self._max_message_bytes = max_message_bytes
        self._on_change = on_change
        self._on_stderr = on_stderr
        self._era: Era | None = None if settings.protocol == "auto" else Era(settings.protocol)
        self._wire: Wire | None = None
        self._transport: Transport | None = None
        self._title: str | None = None
        self._changed = anyio.Event()
        self._settled = anyio.Event()
        self._wanted = anyio.Event()
        self._has_been_ready = False
        self._is_retired = False
        """Whether the last connection was left because the server had forgotten our session."""
        self._next_attempt = 0.0
        self._told: str | None = None
        self._retry_s = 0.0

    def __repr__(self) -> str:
        return f"<Connection {self.name}: {self.state}>"

    @property
    def info(self) -> ServerInfo:
        return ServerInfo(
            name=self.name,
            state=self.state,
            transport=self._settings.kind,
            protocol=self._wire.version if self._wire is not None else None,
            title=self._title,
            tools=len(self.tools),
            error=self.error,
            warnings=self.warnings,
            pid=self._transport.pid if self._transport is not None else None,
        )

    async def settled(self) -> None:
        """Wait until the first attempt to connect has come to something."""
        await self._settled.wait()

    async def run(self) -> None:
        """Keep the server connected until cancelled."""
        try:
            while True:
                began = anyio.current_time()
                self._is_retired = False
                error = await self._attempt()
                held = self._is_retired or anyio.current_time() - began >= HEALTHY_S
                self._has_been_ready = self.state is ServerState.READY
                self._retry_s = (
                    0.0
                    if held and self._has_been_ready
                    else min(max(self._retry_s * 2, FIRST_BACKOFF_S), LONGEST_BACKOFF_S)
                )
                pause = self._retry_s * random.uniform(0.8, 1.2)  # noqa: S311 - spreads attempts, keeps no secret
                self._next_attempt = anyio.current_time() + pause
                self._become(ServerState.RETRYING, error)
                self._tell_lost(error, pause)
                await anyio.sleep(pause)
                self._become(ServerState.CONNECTING, error)
        finally:
            self._become(ServerState.STOPPED, None)

    async def call(self, call: ToolCall) -> JsonObject:
        """Send one `tools/call` and give its result as it came. Raises `CallError`."""
        try:
            measure(call.arguments)
        except NotStrict as error:
            raise InvalidArguments(f"the arguments are no strict JSON: {error}") from None
        try:
            return await self._send(await self._ready(), call)
        except _SessionLost:  # the server did not run it: it no longer knew our session
            return await self._send(await self._ready(), call)

    async def _send(self, wire: Wire, call: ToolCall) -> JsonObject:
        try:
            result = await wire.call_tool(call.tool, call.arguments, call.on_progress)
        except MCPError as error:
            raise self._translated(error, wire) from error
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise self._lost() from error
        except ValueError as error:  # the SDK cannot serialise it
            raise InvalidArguments(f"the arguments cannot be sent: {str(error)[:200]}") from error
        if result.get("resultType") == "input_required":
            raise ToolError(
                f"{call.tool.full_name} asks the person for input, which is not relayed",
                hint="Give it all it needs as arguments, or use it outside of a DAG.",
            )
        return result

    async def _ready(self) -> Wire:
        """What to send calls on; waits for an attempt that is under way, or soon."""
        deadline = anyio.current_time() + CALL_WAIT_S
        while True:
            if self._wire is not None and self._wire.is_usable:
                return self._wire
            now = anyio.current_time()
            if not self._is_expected(now) or now >= deadline:
                raise self._unavailable(now)
            changed = self._changed
            with anyio.move_on_after(deadline - now):
                await changed.wait()

    def _is_expected(self, now: float) -> bool:
        """Whether the server is likely to be there soon: it is being started, or was there until just now."""
        if self.state is ServerState.RETRYING:
            return self._has_been_ready and self._next_attempt - now <= SOON_S
        return self.state is not ServerState.STOPPED

    def _unavailable(self, now: float) -> ServerUnavailable:
        hint = "plait servers says how each server stands."
        if self.state is ServerState.RETRYING:
            hint = f"It is tried again in {max(0.0, self._next_attempt - now):.0f} s."
        return ServerUnavailable(f"{self.name} cannot be reached: {self.error or self.state}", hint=hint)

    def _lost(self) -> ConnectionLost:
        words = self._transport.last_words() if self._transport is not None else "the connection was closed"
        return ConnectionLost(
            f"{self.name} went away during the call: {words}",
            hint="Whether the call took effect is not known: look before you send it again.",
        )

    def _translated(self, error: MCPError, wire: Wire) -> CallError:
        data = error.error.data if isinstance(error.error.data, dict) else {}
        if error.code == types.CONNECTION_CLOSED or wire.has_ended:
            return self._lost()
        if error.code == types.PARSE_ERROR:
            return InvalidOutput(f"{self.name}: {error.message[:500]}")
        if error.code != HTTP_FAULT or "sent" not in data:
            return ProtocolError(f"{self.name}: {error.message[:2000]}", rpc_code=error.code)
        if data.get("sessionLost"):
            wire.retire()
            return _SessionLost(self.name)
        if "longer than" in error.message:
            return OutputTooLarge(f"{self.name}: {error.message}")
        if not data["sent"] or data.get("status") in {429, 502, 503, 504}:
            after = f" It asks to wait {data['retryAfter']} s." if "retryAfter" in data else ""
            return ServerUnavailable(f"{self.name}: {error.message}", hint=f"Try again later.{after}")
        if "status" in data:
            return ProtocolError(f"{self.name}: {error.message}", rpc_code=error.code)
        return ConnectionLost(
            f"{self.name}: {error.message}",
            hint="Whether the call took effect is not known: look before you send it again.",
        )

    # The owner's side.

    async def _attempt(self) -> str:
        """Connect, and stay until the end. Gives the reason of the end."""
        try:
            try:
                return await self._connect_and_stay()
            except* DiedOnProbe:
                log.info("server.ended_on_probe", extra={"server": self.name})
        except Exception as error:  # whatever ends a server ends this attempt alone
            return self._explained(error)
        self._era = Era.LEGACY
        try:
            return await self._connect_and_stay()
        except Exception as error:
            return self._explained(error)

    async def _connect_and_stay(self) -> str:
        try:
            async with self._session() as (session, wire):
                with anyio.fail_after(self._settings.startup_timeout_s):
                    self._era = await negotiate(session, wire, self._era, self._settings.probe_timeout_s)
                    await self._list(wire)
                self._title = _title(session)
                self._wire = wire
                self._has_been_ready = True
                self._become(ServerState.READY, None)
                await self._stay(wire)
                self._is_retired = not wire.has_ended
        finally:
            self._wire = None
        return self._transport.last_words() if self._transport is not None else "the connection was closed"

    async def _stay(self, wire: Wire) -> None:
        async with wire.listening():
            while True:
                await wire.news()
                if wire.has_ended:
                    return
                await anyio.sleep(REFRESH_PAUSE_S)
                if not wire.is_usable:
                    return
                wire.heard()
                with anyio.move_on_after(self._settings.startup_timeout_s):
                    await self._list(wire)
                    self._become(ServerState.READY, None)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[tuple[ClientSession, Wire]]:
        async with AsyncExitStack() as stack:
            self._transport = open_transport(self.name, self._settings, self._max_message_bytes, self._on_stderr)
            read, write = await stack.enter_async_context(self._transport.streams())
            watched = Watched(read)
            dispatcher: JSONRPCDispatcher[Any] = JSONRPCDispatcher(watched, write)
            wire = Wire(dispatcher)
            watched.on_end = wire.end
            session = ClientSession(dispatcher=dispatcher, client_info=ME, message_handler=wire.on_message)
            await stack.enter_async_context(session)
            yield session, wire

    async def _list(self, wire: Wire) -> None:
        definitions = await fetch_definitions(lambda params: wire.request("tools/list", params))
        tools, warnings = read_tools(self.name, definitions, self._settings.include, self._settings.exclude)
        for warning in warnings:
            if warning not in self.warnings:
                log.warning("server.tool", extra={"server": self.name, "warning": warning})
        self.tools, self.warnings = tuple(tools), tuple(warnings)

    def _tell_lost(self, error: str, retry_in_s: float) -> None:
        """Once for each reason: a server that stays away for the same one is not told again at every attempt."""
        level = logging.WARNING if error != self._told else logging.DEBUG
        self._told = error
        fields = {"server": self.name, "error": error, "retry_in_s": round(retry_in_s, 1)}
        log.log(level, "server.lost", extra=fields)

    def _become(self, state: ServerState, error: str | None) -> None:
        self.state, self.error = state, error
        if state is not ServerState.CONNECTING:
            self._settled.set()
        self._changed.set()
        self._changed = anyio.Event()
        self._on_change()

    def _explained(self, error: BaseException) -> str:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        match error:
            case CallError():
                return error.message + (f" ({error.hint})" if error.hint else "")
            case TimeoutError():
                return f"it did not answer within {self._settings.startup_timeout_s:g} s"
            case MCPError() if error.code != types.CONNECTION_CLOSED:
                return f"it answered with an error: {error.message[:300]}"
            case MCPError() | anyio.BrokenResourceError() | anyio.ClosedResourceError():
                return self._transport.last_words() if self._transport is not None else "the connection was closed"
        return f"{type(error).__name__}: {error}"[:300]


class _SessionLost(CallError):
    """The server no longer knows our session, so it did not run the call."""


def _title(session: ClientSession) -> str | None:
    info = session.server_info
    return f"{info.title or info.name} {info.version}".strip()[:120] if info is not None else None
