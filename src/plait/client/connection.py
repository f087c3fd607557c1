"""One downstream server, owned by one task for its whole life.

The owner opens the transport, agrees on a protocol, lists the tools and waits for the end; then it starts again.
Other tasks only call `call`, which never waits longer for a server than it takes to know that it is not there.
"""

from __future__ import annotations

import logging
import math
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
from ..core.printable import printable
from ..core.strict import JsonObject, NotStrict, measure
from ..errors import CallError, InvalidArguments, ServerUnavailable, ToolError
from .faults import SessionLost, Unsent, lost, translated
from .listing import fetch_definitions, read_tools, renewed
from .protocol import ME, DiedOnProbe, Era, Wire, negotiate
from .stdio import Writer
from .transports import Patience, Transport, Watched, open_transport

log = logging.getLogger(__name__)


class Connection:
    """Run `run()` as a task of its own; everything else may be used by any task."""

    def __init__(
        self,
        name: str,
        settings: ServerSettings,
        *,
        max_message_bytes: int = 16 * 2**20,
        patience: Patience | None = None,
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
        self._patience = patience or Patience()
        self._on_change = on_change
        self._on_stderr = on_stderr
        self._era: Era | None = None if settings.protocol == "auto" else Era(settings.protocol)
        self._wire: Wire | None = None
        self._transport: Transport | None = None
        self._title: str | None = None
        self._changed = anyio.Event()
        self._settled = anyio.Event()
        self._has_been_ready = False
        self._has_died_on_probe = False
        self._may_restart_at_once = True
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
                self._has_been_ready = self.state is ServerState.READY
                pause = self._pause_after(anyio.current_time() - began)
                self._next_attempt = anyio.current_time() + pause
                self._become(ServerState.RETRYING, error)
                self._tell_lost(error, pause)
                await anyio.sleep(pause)
                self._become(ServerState.CONNECTING, error)
        finally:
            self._become(ServerState.STOPPED, None)

    def _pause_after(self, held_s: float) -> float:
        """How long to wait for the next attempt, after one that held for *held_s*."""
        patience = self._patience
        if self._has_been_ready and (self._is_retired or held_s >= patience.healthy_s):
            self._retry_s = 0.0
        else:
            self._retry_s = min(max(self._retry_s * 2, patience.first_backoff_s), patience.longest_backoff_s)
        return self._retry_s * random.uniform(0.8, 1.2)  # noqa: S311 - spreads attempts, keeps no secret

    async def call(self, call: ToolCall) -> JsonObject:
        """Send one `tools/call` and give its result as it came. Raises `CallError`."""
        try:
            measure(call.arguments)
        except NotStrict as error:
            raise InvalidArguments(f"the arguments are no strict JSON: {error}") from None
        try:
            return await self._send(await self._ready(), call)
        except Unsent:  # the server was just going, or had forgotten our session
            pass
        try:
            return await self._send(await self._ready(), call)
        except Unsent as error:
            raise ServerUnavailable(f"{self.name} takes no calls: {error.message}", hint="Try again later.") from None

    async def _send(self, wire: Wire, call: ToolCall) -> JsonObject:
        try:
            result = await wire.call_tool(call.tool, call.arguments, call.on_progress)
        except MCPError as error:
            failure = translated(self.name, error.error, wire.last_words())
            if isinstance(failure, SessionLost):
                wire.retire()
            raise failure from error
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise lost(self.name, wire.last_words()) from error
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
        deadline: float | None = None
        while True:
            if self._wire is not None and self._wire.is_usable:
                return self._wire
            deadline = deadline or anyio.current_time() + self._patience.call_wait_s
            now = anyio.current_time()
            if not self._is_expected(now) or now >= deadline:
                raise self._unavailable(now)
            changed = self._changed
            with anyio.move_on_after(deadline - now):
                await changed.wait()

    def _is_expected(self, now: float) -> bool:
        """Whether the server is likely to be there soon: it is being started, or was there until just now."""
        if self.state is ServerState.RETRYING:
            return self._has_been_ready and self._next_attempt - now <= self._patience.soon_s
        return self.state is not ServerState.STOPPED

    def _unavailable(self, now: float) -> ServerUnavailable:
        hint = "plait servers says how each server stands."
        if self.state is ServerState.RETRYING:
            hint = f"It is tried again in {max(0.0, self._next_attempt - now):.0f} s."
        return ServerUnavailable(f"{self.name} cannot be reached: {self.error or self.state}", hint=hint)

    # The owner's side.

    async def _attempt(self) -> str:
        """Connect, and stay until the end. Gives the reason of the end."""
        known = self._era
        guess = Era.LEGACY if known is None and self._has_died_on_probe else known
        self._has_died_on_probe = False
        try:
            try:
                return await self._connect_and_stay(guess)
            except* DiedOnProbe:
                self._has_died_on_probe = known is None  # perhaps of the probe: it is spared it the next time
                log.info("server.ended_on_probe", extra={"server": self.name})
            if not self._has_died_on_probe or not self._may_restart_at_once:
                return self._last_words()
            self._has_died_on_probe = self._may_restart_at_once = False
            return await self._connect_and_stay(Era.LEGACY)
        except Exception as error:  # whatever ends a server ends this attempt alone
            return self._explained(error)
        finally:
            if known is Era.MODERN and self._settings.protocol == "auto" and self.state is not ServerState.READY:
                self._era = None  # it may have been replaced by an older one

    async def _connect_and_stay(self, era: Era | None) -> str:
        try:
            async with self._session() as (session, wire):
                with anyio.fail_after(self._settings.startup_timeout_s) as starting:
                    era = await negotiate(session, wire, era, self._settings.probe_timeout_s)
                    async with wire.listening():
                        wire.heard()
                        await self._list(wire)
                        starting.deadline = math.inf
                        self._era, self._title, self._wire = era, _title(session), wire
                        self._has_been_ready = self._may_restart_at_once = True
                        self._become(ServerState.READY, None)
                        await self._stay(wire)
                self._is_retired = wire.is_retired
        finally:
            self._wire = None
        return self._last_words()

    async def _stay(self, wire: Wire) -> None:
        """Follow the changes of its tools, until the end."""
        while True:
            await wire.news()
            if wire.has_ended:
                return
            await anyio.sleep(self._patience.refresh_pause_s)
            if not wire.is_usable:
                return
            wire.heard()
            await self._refresh(wire)

    async def _refresh(self, wire: Wire) -> None:
        """Read the list again. A server that cannot give it keeps the tools it had, and the calls in flight."""
        try:
            with anyio.fail_after(self._settings.startup_timeout_s):
                is_new = await self._list(wire)
        except (MCPError, CallError, TimeoutError) as error:
            log.warning("server.not_listed", extra={"server": self.name, "error": self._explained(error)})
        else:
            if is_new:
                self._become(ServerState.READY, None)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[tuple[ClientSession, Wire]]:
        async with AsyncExitStack() as stack:
            self._transport = open_transport(
                self.name, self._settings, self._max_message_bytes, self._on_stderr, self._patience
            )
            read, write = await stack.enter_async_context(self._transport.streams())
            watched = Watched(read)
            dispatcher: JSONRPCDispatcher[Any] = JSONRPCDispatcher(watched, write)
            wire = Wire(dispatcher, self._transport, write.direct if isinstance(write, Writer) else None)
            watched.on_end = wire.end
            stack.callback(wire.end)
            session = ClientSession(dispatcher=dispatcher, client_info=ME, message_handler=wire.on_message)
            await stack.enter_async_context(session)
            yield session, wire

    async def _list(self, wire: Wire) -> bool:
        """Read the tools; True if anything about them is new."""
        definitions = await fetch_definitions(lambda params: wire.request("tools/list", params))
        tools, warnings = read_tools(self.name, definitions, self._settings.include, self._settings.exclude)
        for warning in warnings:
            if warning not in self.warnings:
                log.warning("server.tool", extra={"server": self.name, "warning": warning})
        before, self.tools = self.tools, renewed(self.tools, tools)
        had, self.warnings = self.warnings, tuple(warnings)
        return self.tools is not before or self.warnings != had

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

    def _last_words(self) -> str:
        return self._transport.last_words() if self._transport is not None else "the connection was closed"

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
                return self._last_words()
        return f"{type(error).__name__}: {error}"[:300]


def _title(session: ClientSession) -> str | None:
    info = session.server_info
    return printable(f"{info.title or info.name} {info.version}".strip()[:120]) if info is not None else None
