"""One downstream server, owned by one task for its whole life.

`run` is that task: in one attempt after another it opens the transport, agrees on a protocol, reads
the lists and waits for the end. Attempts do not overlap, except that a session which the server has
forgotten may wait for its last answers next to the new one. All else (calls, requests, settings)
comes from other tasks, and never opens or closes anything: it uses the session that the owner has
published, or waits for one.

Invariants:

- `_session` is set only while the session can take calls: after the lists were read, and before the
  transport is closed. So a caller needs no lock, only a look at `_usable_session`.
- The state (`availability.py`) changes in the owner's task alone. Each change wakes everything that
  waits, and is a notice for observers.
- A call waits for its server only while that is likely to be there soon, and a limited time. To an
  idle server, the call itself is what starts it: the owner waits for the first use.
- A call is sent again only if nothing of it reached the server (`Unsent`), and once.
- Whatever ends an attempt ends that attempt alone. The pause before the next one grows until a
  connection lasts (`Backoff`).

A connection for each call, or a pool of them, would be simpler to reason about, but a server is
stateful: it keeps a session, and most are processes that can exist only once.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import anyio
import mcp_types as types
from anyio.abc import TaskGroup

from ..config import ServerSettings
from ..core.ports import Caller, RelayRequest, ServerListing, ToolCall, as_rpc_error
from ..core.tools.cached_listing import CachedListing
from ..core.tools.catalog import ServerInfo, ServerState, Tool
from ..core.tools.server_notices import Drift, ServerChanged, ServerNotice, ToolsDrifted
from ..core.values.strict import JsonObject, NotStrict, measure
from ..errors import CallError, InvalidArguments, RpcError, ServerUnavailable
from ..redaction import Secrets
from .availability import Availability
from .calling import call_tool, relay
from .eras.era_cache import EraCache
from .eras.handshake import DiedOnProbe, Era, negotiate
from .error_texts import ErrorTexts
from .listings.server_lists import ServerLists
from .session import ProtocolSession, open_session
from .subscriptions import ServerSubscriptions
from .timings import Backoff, ConnectTimings
from .transports.faults import DID_NOT_ANSWER, Unsent, explained
from .transports.lines import OnNotification
from .transports.transport import OpenTransport, Transport, open_transport
from .transports.url import TransportGuess
from .upkeep import Upkeep
from .usage import UsageTracker

log = logging.getLogger(__name__)

OF_THE_PROCESS = (
    "command",
    "args",
    "env",
    "cwd",
    "builtin",
    "root",
    "allow_commands",
    "read_only",
    "tools",
    "protect",
)
OF_THE_SERVER = ("kind", "url", "headers", "protocol", *OF_THE_PROCESS)
"""The settings that need a new connection if they change."""


@dataclass(eq=False, slots=True)
class _Attempt:
    """One attempt to connect. It is left at its end, or as soon as the server has forgotten its
    session."""

    reason: str = ""
    """The reason of the end."""
    was_ready: bool = False
    has_held: bool = False
    """Whether it was ready for long enough, or of enough use, to open another at once."""
    left: anyio.Event = field(default_factory=anyio.Event)

    def leave(self, reason: str) -> None:
        if not self.left.is_set():
            self.reason = reason
            self.left.set()


class Connection:
    """Run `run()` in a task of its own; everything else may be used by any task."""

    def __init__(
        self,
        name: str,
        settings: ServerSettings,
        *,
        shared_as: str = "",
        max_message_bytes: int = 16 * 2**20,
        timings: ConnectTimings | None = None,
        remembered: CachedListing | None = None,
        open_transport: OpenTransport = open_transport,
        on_change: Callable[[], None] = lambda: None,
        observe: Callable[[ServerNotice], None] = lambda notice: None,
        on_stderr: Callable[[str], None] = lambda line: None,
        on_notification: OnNotification = lambda method, params: None,
        roots_caller: Caller | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        """*on_change* is called after each change of the state or of a list; *observe* takes the
        notices for observers. *remembered* is what is known of the server from an earlier start.
        *roots_caller* answers for roots outside of any request.

        *secrets* are redacted in every error that leaves the connection, whether its text is the
        server's, the system's or a library's. Results stay as they came.
        """
        self.name = name
        self._shared_as = shared_as
        self.use = UsageTracker(settings.idle_s)
        self._timings = timings or ConnectTimings()
        self._availability = Availability(name, self._timings, self._report)
        self._remembered = remembered or CachedListing()
        self._era = EraCache(settings.protocol, self._remembered)
        self._lists = ServerLists(
            name,
            settings,
            self._remembered,
            on_change,
            on_notification,
            self._report_drift,
            shared_as=shared_as,
        )
        self._subscriptions = ServerSubscriptions()
        self._is_watched = False
        """Whether its watched resources count as a use."""
        self._asking_kinds: set[str] = set()
        """Kept for `ServerRequests` from one session to the next."""
        self._settings = settings
        self._way = TransportGuess(settings)
        self._max_message_bytes = max_message_bytes
        self._open_transport = open_transport
        self._on_change = on_change
        self._observe = observe
        self._on_stderr = on_stderr
        self._on_notification = on_notification
        self._roots_caller = roots_caller
        self._texts = ErrorTexts(secrets or Secrets())
        self._session: ProtocolSession | None = None
        self._transport: Transport | None = None
        self._backoff = Backoff(self._timings)

    def __repr__(self) -> str:
        return f"<Connection {self.name}: {self.state}>"

    @property
    def state(self) -> ServerState:
        return self._availability.state

    @property
    def error(self) -> str | None:
        return self._availability.error

    @property
    def tools(self) -> tuple[Tool, ...]:
        return self._lists.tools

    @property
    def offers(self) -> ServerListing | None:
        """All that the server lists, None if unknown. The same object until something changes."""
        return self._lists.offers

    @property
    def info(self) -> ServerInfo:
        greeting = self._session.greeting if self._session is not None else None
        warnings = self._lists.warnings + self._lists.drift.warnings
        return ServerInfo(
            name=self.name,
            state=self.state,
            transport=self._way.settings.kind,
            protocol=greeting.version if greeting is not None else None,
            title=self._era.title,
            tools=len(self.tools),
            error=self.error,
            warnings=tuple(map(self._texts.clean, warnings)),
            pid=self._transport.pid if self._transport is not None else None,
            shared_as=self._shared_as,
        )

    @property
    def is_process(self) -> bool:
        return self._settings.kind == "stdio"

    @property
    def is_known(self) -> bool:
        """Whether its tools are known, from the server itself or from an earlier start."""
        return isinstance(self._remembered.get("tools"), list)

    async def wait_settled(self) -> None:
        """Wait until the first attempt to connect has succeeded or failed."""
        await self._availability.wait_settled()

    async def wait_started(self) -> None:
        """Wait until the first attempt has succeeded or failed, after an idle time also the next
        one."""
        await self._availability.wait_started()

    def recall(self) -> None:
        """List what the server had at an earlier start, until it has listed its own."""
        if not self._availability.is_in_first_attempt or self.tools:
            return
        self._era.recall()
        if self.is_known:
            self._lists.recall()
            self._availability.announce()

    def fits(self, settings: ServerSettings) -> bool:
        """Whether *settings* lead to the same server, in the same process."""
        return all(getattr(settings, key) == getattr(self._settings, key) for key in OF_THE_SERVER)

    def adjust(self, settings: ServerSettings) -> None:
        """Apply *settings*, which it `fits`."""
        if settings == self._settings:
            return
        self._settings = settings
        self._way.adjust(settings)
        self.use.adjust(settings.idle_s)
        self._lists.adjust(settings)
        self._availability.announce()

    # Calls and requests, from any task.

    async def call(self, call: ToolCall) -> JsonObject:
        """Send one `tools/call` and return its result: as it came, or clean if the tool failed.
        Raises `CallError`."""
        try:
            measure(call.arguments if call.params is None else call.params)
        except NotStrict as error:
            raise InvalidArguments(f"the arguments are not strict JSON: {error}") from None
        send = partial(call_tool, self.name, call=call)
        return self._texts.cleaned_result(await self._with_session(call.caller, send))

    async def request(self, request: RelayRequest) -> JsonObject:
        """Send one request as it is. Raises `RpcError`: the server's own, or one from
        `as_rpc_error`."""
        try:
            measure([request.params, request.meta, request.caller.capabilities])
            send = partial(relay, self.name, request=request, subscriptions=self._subscriptions)
            return await self._with_session(request.caller, send)
        except NotStrict as error:
            raise RpcError(
                types.INVALID_PARAMS, f"the params are not strict JSON: {error}"
            ) from None
        except CallError as error:
            raise as_rpc_error(error) from error
        finally:
            self._count_watched(bool(self._subscriptions.watched))

    async def notify(self, method: str, params: JsonObject) -> None:
        """Notify the server, if it is connected and its era has notifications of clients."""
        if (session := self._usable_session) is not None and session.era is Era.LEGACY:
            await session.notify(method, params)

    def release_watched(self) -> None:
        """Let the server stop though resources of it are watched."""
        self._count_watched(False)

    def _count_watched(self, is_watched: bool) -> None:
        """Count watched resources as one use of the server."""
        if is_watched and not self._is_watched:
            self.use.begin()
        elif self._is_watched and not is_watched:
            self.use.end()
        self._is_watched = is_watched

    async def _with_session(
        self, caller: Caller, send: Callable[[ProtocolSession], Awaitable[JsonObject]]
    ) -> JsonObject:
        """Run *send*, retrying once if nothing reached the server. Raises `CallError` and
        `RpcError`, with clean texts."""
        is_retry = False
        self.use.begin()
        try:
            while True:
                try:
                    return await send(self._usable_session or await self._wait_usable(caller))
                except Unsent as error:  # the server just ended, or had forgotten our session
                    if is_retry:
                        raise ServerUnavailable(
                            f"{self.name} takes no calls: {error.message}", hint="Try again later."
                        ) from None
                    is_retry = True
        except CallError as error:
            self._texts.clean_error(error)
            raise
        except RpcError as error:
            raise self._texts.cleaned_rpc(error) from None
        finally:
            self.use.end()

    @property
    def _usable_session(self) -> ProtocolSession | None:
        session = self._session
        return session if session is not None and session.is_usable else None

    async def _wait_usable(self, caller: Caller) -> ProtocolSession:
        """Wait for a session on which calls can be sent, from an attempt that is under way or due
        soon. Raises `ServerUnavailable`."""
        longest_s = self._timings.call_wait_s
        if self._availability.is_fresh_start and self.is_known:
            longest_s = max(longest_s, self._settings.startup_timeout_s)
        deadline = anyio.current_time() + longest_s
        with caller.waiting():
            while (session := self._usable_session) is None:
                await self._availability.wait_changed(deadline)
        return session

    # The owner's task.

    async def run(self, begin: anyio.Event | None = None) -> None:
        """Keep the server connected until cancelled, once *begin* is set; a lazy one only while it
        is in use, or its tools are unknown."""
        try:
            if begin is not None:
                await begin.wait()
            async with anyio.create_task_group() as tasks:
                await self._keep_connected(tasks)
        finally:
            self._availability.become(ServerState.STOPPED, None)

    async def _keep_connected(self, tasks: TaskGroup) -> None:
        """Connect again and again. Sessions that are left stay in *tasks* for a while."""
        error: str | None = None
        while True:
            if self.is_known and not self.use.is_wanted:
                self._availability.become(ServerState.IDLE, error)
                await self.use.wait_wanted()
                self._availability.become(ServerState.CONNECTING, error)
            began = anyio.current_time()
            attempt = _Attempt()
            tasks.start_soon(self._try, attempt)
            await attempt.left.wait()
            error = attempt.reason
            self._availability.attempted(was_ready=attempt.was_ready)
            lasted_s = anyio.current_time() - began
            if (
                not attempt.was_ready
                and self._era.drop_recalled()
                and lasted_s < self._settings.probe_timeout_s
            ):
                continue  # an earlier start found another era: try again at once
            if self.is_known and not self.use.is_wanted:
                error = None if attempt.was_ready else error
                continue
            is_healthy = attempt.has_held or lasted_s >= self._timings.healthy_s
            pause = self._backoff.next_s(has_lasted=attempt.was_ready and is_healthy)
            self._availability.become(ServerState.RETRYING, error, pause)
            await anyio.sleep(pause)
            self._availability.become(ServerState.CONNECTING, error)

    async def _try(self, attempt: _Attempt) -> None:
        """Connect, and stay connected until the end, whose reason is that of *attempt*."""
        known, startup_s = self._era.era, self._settings.startup_timeout_s
        is_tried_again = False
        try:
            try:
                deadline = anyio.current_time() + startup_s
                await self._connect_and_stay(attempt, self._era.guess(), deadline)
            except* DiedOnProbe:
                log.info("server.ended_on_probe", extra={"server": self.name})
                is_tried_again = self._era.died_on_probe()
            if is_tried_again:
                deadline = anyio.current_time() + startup_s
                await self._connect_and_stay(attempt, Era.LEGACY, deadline)
        except Exception as error:  # whatever ends a server ends this attempt alone
            if attempt.was_ready or not self._way.guess_sse(error):
                self._failed(attempt, error)
            elif not await self._is_sse(attempt, deadline):
                self._way.was_no_sse()
                self._failed(attempt, error)
        finally:
            if not attempt.was_ready:
                self._era.failed(known)
            attempt.leave(attempt.reason or self._exit_reason())

    async def _is_sse(self, attempt: _Attempt, deadline: float) -> bool:
        """Connect to a server that may speak SSE, and stay. Returns whether it did."""
        try:
            await self._connect_and_stay(attempt, Era.LEGACY, deadline)
        except Exception as error:
            if attempt.was_ready:
                self._failed(attempt, error)
        return attempt.was_ready

    def _failed(self, attempt: _Attempt, error: BaseException) -> None:
        if attempt.left.is_set():
            return
        self._backoff.record_failure(error)
        hint = "" if attempt.was_ready else self._way.hint(error)
        attempt.reason = f"{self._explained(error)} ({hint})" if hint else self._explained(error)

    async def _connect_and_stay(self, attempt: _Attempt, era: Era | None, deadline: float) -> None:
        """Open a session until *deadline*, and keep it until its end."""
        settings, limit = self._way.settings, self._max_message_bytes
        self._transport = self._open_transport(
            self.name, settings, limit, self._on_stderr, self._timings
        )
        opening = open_session(
            self._transport,
            self._subscriptions,
            self._on_notification,
            server=self.name,
            asking_kinds=self._asking_kinds,
            roots_caller=self._roots_caller,
        )
        with anyio.fail_after(deadline - anyio.current_time()) as opened:
            async with opening as session:
                opened.deadline = math.inf  # closing has bounds of its own
                with anyio.fail_after(deadline - anyio.current_time()) as starting:
                    greeting = await negotiate(session, era, self._settings.probe_timeout_s)
                    async with session.following_changes():
                        session.take_stale()
                        await self._lists.read(session)
                        starting.deadline = math.inf
                        self._era.met(greeting)
                        await self._stay(attempt, session)
        attempt.leave(self._exit_reason())

    async def _stay(self, attempt: _Attempt, session: ProtocolSession) -> None:
        """Publish *session* until it can take no more calls, and wait for those in flight."""
        attempt.was_ready = True
        self._session = session
        self._availability.become(ServerState.READY, None)
        upkeep = Upkeep(
            self.name,
            session,
            self._lists,
            self.use,
            self._timings,
            list_timeout_s=lambda: self._settings.startup_timeout_s,
            on_listed=lambda: self._availability.become(ServerState.READY, None),
            explain=self._explained,
        )
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._subscriptions.restore, session)
                await upkeep.run()
                tasks.cancel_scope.cancel()
        finally:
            self._session = None
            attempt.has_held = session.has_answered or (
                session.is_retired and not session.is_forgotten
            )
        if session.is_forgotten:  # the next session is opened meanwhile
            attempt.leave(self._exit_reason())
        if session.is_retired:  # the server may still answer earlier requests, or refuse them
            await session.wait_answered(self._timings.drain_s)

    def _report_drift(self, drift: Drift) -> None:
        self._observe(ToolsDrifted(self.name, drift, anyio.current_time()))

    def _report(self, before: ServerState, retry_in_s: float | None, is_repeated: bool) -> None:
        """Report the server as it is now to observers, and to everything that reads its lists."""
        now = anyio.current_time()
        self._observe(ServerChanged(self.info, before, now, retry_in_s, is_repeated))
        self._on_change()

    def _exit_reason(self) -> str:
        if self._transport is None:
            return "the connection was closed"
        return self._texts.clean(self._transport.exit_reason())

    def _explained(self, error: BaseException) -> str:
        return self._texts.clean(
            explained(
                error,
                self._exit_reason(),
                self._settings.startup_timeout_s,
                self._transport.delay_reason() if self._transport is not None else DID_NOT_ANSWER,
            )
        )
