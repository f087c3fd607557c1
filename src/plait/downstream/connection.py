"""One downstream server, owned by one task for its whole life.

The owner opens the transport, agrees on a protocol, lists the tools and waits for the end; then it
starts again. Other tasks only call `call`, which never waits longer for a server than it takes to
know that it is not there.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping

import anyio
import mcp_types as types
from mcp import MCPError

from ..config import ServerSettings
from ..core.ports import Caller, RelayRequest, RpcError, ServerListing, ToolCall, as_rpc_error
from ..core.tools.cached_listing import CachedListing
from ..core.tools.catalog import ServerInfo, ServerState, Tool
from ..core.tools.server_notices import Drift, ServerChanged, ServerNotice, ToolsDrifted
from ..core.values.strict import JsonObject, NotStrict, measure
from ..errors import CallError, InvalidArguments, ServerUnavailable
from ..redaction import Secrets
from ..waiting import Signal
from .backoff import Backoff
from .calling import call_tool, relay
from .eras.era_cache import EraCache
from .eras.handshake import DiedOnProbe, Era, negotiate
from .listings.listed import Listed
from .listings.subscriptions import ServerSubscriptions
from .opening import opened
from .session import OnSaid, ProtocolSession
from .transports.faults import Unsent, explained
from .transports.transport import ConnectTimings, OpenTransport, Transport, open_transport
from .usage import UsageTracker

log = logging.getLogger(__name__)

OF_THE_PROCESS = ("command", "args", "env", "cwd", "builtin", "root", "allow_commands")
OF_THE_SERVER = ("kind", "url", "headers", "protocol", *OF_THE_PROCESS)
"""The settings that a server cannot take over while it runs."""
MOST_DETAILS_BYTES = 64 * 1024
"""The `data` of a server's error."""


class Connection:
    """Run `run()` as a task of its own; everything else may be used by any task."""

    def __init__(
        self,
        name: str,
        settings: ServerSettings,
        *,
        max_message_bytes: int = 16 * 2**20,
        patience: ConnectTimings | None = None,
        remembered: CachedListing | None = None,
        open_transport: OpenTransport = open_transport,
        on_change: Callable[[], None] = lambda: None,
        notify: Callable[[ServerNotice], None] = lambda notice: None,
        on_stderr: Callable[[str], None] = lambda line: None,
        on_said: OnSaid = lambda method, params: None,
        unasked: Caller | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        """Every error that leaves the connection leaves it without *secrets*, whether its words are
        a library's, the system's or the server's own. Results stay as they came."""
        self.name = name
        self.state = ServerState.CONNECTING
        self.error: str | None = None
        self.use = UsageTracker(settings.idle_s)
        self._remembered = remembered or CachedListing()
        self._verdict = EraCache(settings.protocol, self._remembered)
        self._listed = Listed(name, settings, self._remembered, on_said, self._drifted)
        self._interests = ServerSubscriptions()
        self._is_watched = False
        """Whether it is in use because something of it is watched."""
        self._asking_kinds: set[str] = set()
        """The kinds of requests that the server is known to ask something for that cannot be told
        apart."""
        self._settings = settings
        self._max_message_bytes = max_message_bytes
        self._patience = patience or ConnectTimings()
        self._open_transport = open_transport
        self._on_change = on_change
        self._notify = notify
        self._on_stderr = on_stderr
        self._on_said = on_said
        self._unasked = unasked
        self._secrets = secrets or Secrets()
        self._wire: ProtocolSession | None = None
        self._transport: Transport | None = None
        self._changed = Signal()
        self._settled = anyio.Event()
        self._has_been_ready = False
        self._is_retired = False
        """Whether the last connection was left because the server had forgotten our session."""
        self._is_starting = True
        """Whether the first attempt of this start is still under way."""
        self._attempts = 0
        """How many have ended."""
        self._next_attempt = 0.0
        self._lost_by: str | None = None
        """The reason of the last failed attempt."""
        self._pauses = Backoff(self._patience)

    def __repr__(self) -> str:
        return f"<Connection {self.name}: {self.state}>"

    @property
    def tools(self) -> tuple[Tool, ...]:
        return self._listed.tools

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._listed.warnings

    @property
    def offers(self) -> ServerListing | None:
        """All that it lists; None as long as that is not known. The same object as long as nothing
        changes."""
        return self._listed.offers

    @property
    def info(self) -> ServerInfo:
        greeting = self._wire.greeting if self._wire is not None else None
        return ServerInfo(
            name=self.name,
            state=self.state,
            transport=self._settings.kind,
            protocol=greeting.version if greeting is not None else None,
            title=self._verdict.title,
            tools=len(self.tools),
            error=self.error,
            warnings=tuple(map(self._secrets.redact, self.warnings + self._listed.drift.warnings)),
            pid=self._transport.pid if self._transport is not None else None,
        )

    @property
    def is_process(self) -> bool:
        return self._settings.kind == "stdio"

    async def settled(self) -> None:
        """Wait until the first attempt to connect has come to something."""
        await self._settled.wait()

    async def woken(self) -> None:
        """Wait until the start of a server that was idle has come to something, too."""
        attempts = self._attempts
        while attempts == self._attempts and (
            self.state is ServerState.IDLE or self._is_in_first_attempt
        ):
            await self._changed.wait()

    @property
    def _is_in_first_attempt(self) -> bool:
        return self._is_starting and self.state is ServerState.CONNECTING

    def recall(self) -> None:
        """Take what is remembered of the server for what it has, until it is there itself."""
        if not self._is_in_first_attempt or self.tools:
            return
        self._verdict.recall()
        if self.is_known:
            self._listed.recall()
            self._become(self.state, self.error)

    @property
    def is_known(self) -> bool:
        """Whether its tools are known, from it or from an earlier start."""
        return isinstance(self._remembered.get("tools"), list)

    def fits(self, settings: ServerSettings) -> bool:
        """Whether it would be the same server, in the same process, with *settings*."""
        return all(getattr(settings, key) == getattr(self._settings, key) for key in OF_THE_SERVER)

    def adjust(self, settings: ServerSettings) -> None:
        """Go by *settings*, which it fits, from now on."""
        if settings == self._settings:
            return
        self._settings = settings
        self.use.adjust(settings.idle_s)
        self._listed.adjust(settings)
        self._become(self.state, self.error)

    async def run(self, begin: anyio.Event | None = None) -> None:
        """Keep the server connected until cancelled, once *begin* is set; a lazy one only while it
        is used, or nothing is known of it."""
        error: str | None = None
        try:
            if begin is not None:
                await begin.wait()
            while True:
                if self.is_known and not self.use.is_wanted:
                    self._become(ServerState.IDLE, error)
                    await self.use.wanted()
                    self._become(ServerState.CONNECTING, error)
                began = anyio.current_time()
                self._is_retired = False
                error = await self._attempt()
                self._attempts += 1
                self._has_been_ready = self.state is ServerState.READY
                if self._has_been_misled(anyio.current_time() - began):
                    continue
                if self.is_known and not self.use.is_wanted:
                    error = None if self._has_been_ready else error
                    continue
                has_been_healthy = (
                    self._is_retired or anyio.current_time() - began >= self._patience.healthy_s
                )
                pause = self._pauses.next_s(has_held=self._has_been_ready and has_been_healthy)
                self._next_attempt = anyio.current_time() + pause
                self._become(ServerState.RETRYING, error, pause)
                await anyio.sleep(pause)
                self._become(ServerState.CONNECTING, error)
        finally:
            self._become(ServerState.STOPPED, None)

    def _has_been_misled(self, seconds: float) -> bool:
        """Whether an attempt of so many *seconds* failed that took the era for what it was at an
        earlier start, and the next is worth making at once."""
        was_misled = not self._has_been_ready and self._verdict.drop_recalled()
        return was_misled and seconds < self._settings.probe_timeout_s

    async def call(self, call: ToolCall) -> JsonObject:
        """Send one `tools/call` and give its result as it came. Raises `CallError`."""
        try:
            measure(call.arguments if call.params is None else call.params)
        except NotStrict as error:
            raise InvalidArguments(f"the arguments are not strict JSON: {error}") from None
        return await self._sent(lambda wire: call_tool(self.name, wire, call), call.caller)

    async def request(self, request: RelayRequest) -> JsonObject:
        """Send one request as it is. Raises `RpcError`: the server's own, or one that
        `as_rpc_error` makes."""
        try:
            measure([request.params, request.meta, request.caller.capabilities])
            return await self._sent(
                lambda wire: relay(self.name, wire, request, self._interests), request.caller
            )
        except NotStrict as error:
            raise RpcError(
                types.INVALID_PARAMS, f"the params are not strict JSON: {error}"
            ) from None
        except CallError as error:
            raise as_rpc_error(error) from error
        finally:
            self._keep_for_watchers()

    async def notify(self, method: str, params: JsonObject) -> None:
        """Tell the server something, if it is there, and of an era in which clients do."""
        if self._wire is not None and self._wire.is_usable and self._wire.era is Era.LEGACY:
            await self._wire.notify(method, params)

    def let_watchers_go(self) -> None:
        """The server is to end: what is watched of it keeps it no longer."""
        self._watch(False)

    def _keep_for_watchers(self) -> None:
        """As long as anything is watched, the server is in use."""
        self._watch(bool(self._interests.watched))

    def _watch(self, is_watched: bool) -> None:
        if is_watched and not self._is_watched:
            self.use.begin()
        elif self._is_watched and not is_watched:
            self.use.end()
        self._is_watched = is_watched

    async def _sent(
        self, send: Callable[[ProtocolSession], Awaitable[JsonObject]], caller: Caller
    ) -> JsonObject:
        """Run *send*, retrying once if nothing reached the server. Raises `CallError`."""
        self.use.begin()
        try:
            try:
                return await send(self._usable or await self._ready(caller))
            except Unsent:  # the server was just going, or had forgotten our session
                pass
            try:
                return await send(self._usable or await self._ready(caller))
            except Unsent as error:
                said = f"{self.name} takes no calls: {error.message}"
                raise ServerUnavailable(said, hint="Try again later.") from None
        except CallError as error:
            error.reword(self._secrets.redact)
            if error.rpc_error is not None:
                error.rpc_error = self._redacted(error.rpc_error)
            raise
        except RpcError as error:
            raise self._redacted(error) from None
        finally:
            self.use.end()

    def _redacted(self, error: RpcError) -> RpcError:
        """*error* of the server's own. Details that cannot be searched in time are left out."""
        try:
            data = (
                self._secrets.redact_all(error.data)
                if measure(error.data) <= MOST_DETAILS_BYTES
                else None
            )
        except NotStrict:
            data = None
        return RpcError(error.code, self._secrets.redact(error.message), data)

    @property
    def _usable(self) -> ProtocolSession | None:
        return self._wire if self._wire is not None and self._wire.is_usable else None

    async def _ready(self, caller: Caller) -> ProtocolSession:
        """What to send calls on; waits for an attempt that is under way, or soon."""
        deadline = anyio.current_time() + self._wait_s
        with caller.waiting():
            while (wire := self._usable) is None:
                now = anyio.current_time()
                if not self._is_expected(now) or now >= deadline:
                    raise self._unavailable(now)
                with anyio.move_on_after(deadline - now):
                    await self._changed.wait()
        return wire

    @property
    def _wait_s(self) -> float:
        """How long a call waits: for a server that is known and just starts, as long as that may
        take."""
        is_long = self._is_starting and self.is_known
        return max(self._patience.call_wait_s, self._settings.startup_timeout_s if is_long else 0.0)

    def _is_expected(self, now: float) -> bool:
        """Whether the server is likely to be there soon: it is being started, or was there until
        just now."""
        if self.state is ServerState.RETRYING:
            return self._has_been_ready and self._next_attempt - now <= self._patience.soon_s
        return self.state is not ServerState.STOPPED

    def _unavailable(self, now: float) -> ServerUnavailable:
        hint = "plait servers says how each server stands."
        if self.state is ServerState.RETRYING:
            hint = f"It is tried again in {max(0.0, self._next_attempt - now):.0f} s."
        return ServerUnavailable(
            f"{self.name} cannot be reached: {self.error or self.state}", hint=hint
        )

    # The owner's side.

    async def _attempt(self) -> str:
        """Connect, and stay until the end. Gives the reason of the end."""
        known = self._verdict.era
        try:
            try:
                return await self._connect_and_stay(self._verdict.guess())
            except* DiedOnProbe:
                log.info("server.ended_on_probe", extra={"server": self.name})
                is_tried_again = self._verdict.died_on_probe()
            return (
                await self._connect_and_stay(Era.LEGACY) if is_tried_again else self._last_words()
            )
        except Exception as error:  # whatever ends a server ends this attempt alone
            self._pauses.hear(error)
            return self._explained(error)
        finally:
            if self.state is not ServerState.READY:
                self._verdict.failed(known)

    async def _connect_and_stay(self, era: Era | None) -> str:
        try:
            self._transport = self._open_transport(
                self.name, self._settings, self._max_message_bytes, self._on_stderr, self._patience
            )
            opening = opened(
                self._transport,
                self._interests,
                self._on_said,
                kinds=self._asking_kinds,
                unasked=self._unasked,
            )
            async with opening as wire:
                with anyio.fail_after(self._settings.startup_timeout_s) as starting:
                    greeting = await negotiate(wire, era, self._settings.probe_timeout_s)
                    async with wire.listens():
                        wire.heard()
                        await self._listed.read(wire)
                        starting.deadline = math.inf
                        self._verdict.met(greeting)
                        self._wire = wire
                        self._has_been_ready = True
                        self._become(ServerState.READY, None)
                        async with anyio.create_task_group() as tasks:
                            tasks.start_soon(self._leave_unused, wire)
                            tasks.start_soon(self._interests.restore, wire)
                            await self._stay(wire)
                            tasks.cancel_scope.cancel()
                self._is_retired = wire.is_retired
        finally:
            self._wire = None
        return self._last_words()

    async def _leave_unused(self, wire: ProtocolSession) -> None:
        await self.use.unwanted()
        log.info("server.unused", extra={"server": self.name})
        wire.retire()

    async def _stay(self, wire: ProtocolSession) -> None:
        """Follow the changes of its lists, until the end."""
        while True:
            await wire.news()
            if wire.has_ended:
                return
            await anyio.sleep(self._patience.refresh_pause_s)
            if not wire.is_usable:
                return
            await self._refresh(wire, wire.heard())

    async def _refresh(self, wire: ProtocolSession, stale: Mapping[str, JsonObject | None]) -> None:
        """Read lists again. A server that cannot give them keeps the tools it had, and the calls in
        flight."""
        before = self.tools, self.warnings
        try:
            with anyio.fail_after(self._settings.startup_timeout_s):
                await self._listed.read(wire, stale)
        except (MCPError, CallError, TimeoutError) as error:
            log.warning(
                "server.not_listed", extra={"server": self.name, "error": self._explained(error)}
            )
        if (self.tools, self.warnings) != before:
            self._become(ServerState.READY, None)

    def _drifted(self, drift: Drift) -> None:
        self._notify(ToolsDrifted(self.name, drift, anyio.current_time()))

    def _become(
        self, state: ServerState, error: str | None, retry_in_s: float | None = None
    ) -> None:
        before, self.state, self.error = self.state, state, error
        is_repeated = False
        if retry_in_s is not None:
            is_repeated, self._lost_by = error == self._lost_by, error
        now = anyio.current_time()
        self._notify(ServerChanged(self.info, before, now, retry_in_s, is_repeated))
        if state is not ServerState.CONNECTING:
            self._settled.set()
            self._is_starting = state is ServerState.IDLE
        self._changed.notify()
        self._on_change()

    def _last_words(self) -> str:
        last_words = (
            self._transport.last_words()
            if self._transport is not None
            else "the connection was closed"
        )
        return self._secrets.redact(last_words)

    def _explained(self, error: BaseException) -> str:
        return self._secrets.redact(
            explained(error, self._last_words(), self._settings.startup_timeout_s)
        )
