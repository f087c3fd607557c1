"""One downstream server, for everything that calls it or asks about it.

One task, its owner (`owner.py`), opens and closes it. All else (calls, requests, settings) comes
from other tasks, and never opens or closes anything: it uses the session that the owner has
published, or waits for one.

Invariants:

- A published session can take calls. So a caller needs no lock, only a look at `_usable_session`.
- The state (`availability.py`) changes in the owner's task alone. Each change wakes everything that
  waits, and is a notice for observers.
- A call waits for its server only while that is likely to be there soon, and a limited time. To an
  idle server, the call itself is what starts it.
- A call is sent again only if nothing of it reached the server (`Unsent`), and once.

A connection for each call, or a pool of them, would be simpler to reason about, but a server is
stateful: it keeps a session, and most are processes that can exist only once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import mcp_types as types
from mcp import MCPError

from ..config import ServerSettings
from ..config.models import Need
from ..core.ports import (
    NO_CLIENT,
    Caller,
    RelayRequest,
    ServerListing,
    ServerPins,
    ToolCall,
    as_rpc_error,
)
from ..core.tools.cached_listing import CachedListing
from ..core.tools.catalog import ServerInfo, ServerState, Tool
from ..core.tools.server_notices import Drift, ServerChanged, ServerNotice, ToolsDrifted
from ..core.values.strict import JsonObject, NotStrict, measure
from ..errors import CallError, InvalidArguments, RpcError, ServerUnavailable
from ..redaction import Secrets
from .availability import Availability
from .calling import call_tool, relay, request_answered
from .definition_check import DefinitionCheck
from .eras.era_cache import EraCache
from .eras.handshake import Era
from .error_texts import ErrorTexts
from .listings.server_lists import ServerLists
from .owner import Owner
from .server_requests.asking_kinds import AskingKinds
from .session import ProtocolSession, open_session
from .subscriptions import ServerSubscriptions
from .timings import ConnectTimings
from .transports.faults import Unsent
from .transports.lines import OnNotification
from .transports.transport import OpenTransport, open_transport
from .transports.url import TransportGuess
from .usage import UsageTracker


class Connection:
    """The server *name*. Run `run()` in a task of its own; any task may use everything else."""

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
        on_ready: Callable[[], None] = lambda: None,
        observe: Callable[[ServerNotice], None] = lambda notice: None,
        on_stderr: Callable[[str], None] = lambda line: None,
        on_notification: OnNotification = lambda method, params: None,
        roots_caller: Caller | None = None,
        secrets: Secrets | None = None,
        pins: ServerPins | None = None,
        need: Need | None = None,
        own_mark: str = "",
    ) -> None:
        """*on_change* is called after each change of the state or of a list, *on_ready* each time
        that a session was opened; *observe* takes the notices for observers. *remembered* is what
        is known of the server from an earlier start. *roots_caller* answers for roots outside of
        any request. *pins* has the definitions of tools as they were first used. With a *need* the
        server is off. One whose hello has *own_mark* is this gateway, and is refused.

        *secrets* are redacted in every error that leaves the connection, whether its text is the
        server's, the system's or a library's. Results stay as they came.
        """
        self.name = name
        self.use = UsageTracker(settings.idle_s)
        self._shared_as = shared_as
        self._settings = settings
        self._max_message_bytes = max_message_bytes
        self._timings = timings = timings or ConnectTimings()
        self._texts = ErrorTexts(secrets or Secrets())
        self._on_change = on_change
        self._on_ready = on_ready
        self._open_until: float | None = None
        """The time until which its circuit is open."""
        self._observe = observe
        self._availability = Availability(name, timings, self._report)
        remembered = remembered or CachedListing()
        self._lists = ServerLists(
            name,
            remembered,
            on_change,
            on_notification,
            self._report_drift,
            shared_as=shared_as,
        )
        self._definitions = DefinitionCheck(name, self._lists, pins)
        self._subscriptions = ServerSubscriptions()
        self._need = need
        self._is_watched = False
        """Whether its watched resources count as a use."""
        self._owner = Owner(
            name=name,
            way=TransportGuess(settings),
            era=EraCache(settings.protocol, remembered),
            own_mark=own_mark,
            lists=self._lists,
            subscriptions=self._subscriptions,
            use=self.use,
            availability=self._availability,
            texts=self._texts,
            timings=timings,
            open_transport=lambda given: open_transport(
                name, given, self._max_message_bytes, on_stderr, timings
            ),
            open_session=partial(
                open_session,
                subscriptions=self._subscriptions,
                on_notification=on_notification,
                server=name,
                asking_kinds=AskingKinds(),  # kept from one session to the next
                roots_caller=roots_caller,
            ),
        )

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
        session, transport = self._owner.session, self._owner.transport
        greeting = session.greeting if session is not None else None
        of_lists = self._lists.warnings + self._lists.drift.warnings
        warnings = of_lists + self._definitions.warnings
        return ServerInfo(
            name=self.name,
            state=self.state,
            transport=self._owner.way.settings.kind,
            protocol=greeting.version if greeting is not None else None,
            title=self._owner.era.title,
            tools=len(self.tools),
            error=self.error,
            warnings=tuple(map(self._texts.clean, warnings)),
            pid=transport.pid if transport is not None else None,
            open_until=self._open_until,
            shared_as=self._shared_as,
            needs=self._need.names if self._need is not None else (),
        )

    @property
    def is_process(self) -> bool:
        return self._settings.kind == "stdio"

    @property
    def is_known(self) -> bool:
        """Whether its tools are known, from the server itself or from an earlier start."""
        return self._lists.are_known

    async def run(self, begin: anyio.Event | None = None) -> None:
        """Keep the server connected until cancelled, once *begin* is set; a lazy one only while it
        is in use, or its tools are unknown. One that is off is never started."""
        if self._need is None:
            await self._owner.run(begin)
        else:
            self._availability.become(ServerState.NEEDY, self._need.reason)
            await anyio.sleep_forever()

    async def wait_settled(self) -> None:
        """Wait until the first attempt to connect has succeeded or failed."""
        await self._availability.wait_settled()

    async def wait_started(self) -> None:
        """Wait until the first attempt has succeeded or failed, after an idle time also the next
        one."""
        await self._availability.wait_started()

    def recall(self) -> None:
        """List what the server had at an earlier start, until it has listed its own."""
        if self._need is not None or not self._availability.is_in_first_attempt or self.tools:
            return
        self._owner.era.recall()
        if self.is_known:
            self._lists.recall()
            self._availability.announce()

    @property
    def startup_s(self) -> float:
        """The longest time that its start may take."""
        return self._settings.startup_timeout_s

    def adjust(self, settings: ServerSettings, max_message_bytes: int) -> None:
        """Apply *settings* of the same server, to a start that is under way too; the size of
        messages from the next start on."""
        self._max_message_bytes = max_message_bytes
        if settings == self._settings:
            return
        was_wanted = not self._settings.lazy and self.state is not ServerState.NOT_STARTED
        self._settings = settings
        self._owner.adjust(settings)
        self.use.adjust(settings.idle_s)
        if was_wanted:
            self.use.touch()
        self._availability.announce()

    def show_circuit(self, open_until: float | None) -> None:
        """List the server as one whose circuit is open until then; closed if None."""
        self._open_until = open_until
        self._availability.announce()

    # Calls and requests, from any task.

    async def call(self, call: ToolCall) -> JsonObject:
        """Send one `tools/call` and return its result: as it came, or clean if the tool failed.
        Raises `CallError`."""
        try:
            measure(call.arguments if call.params is None else call.params)
        except NotStrict as error:
            raise InvalidArguments(f"the arguments are not strict JSON: {error}") from None

        async def send(session: ProtocolSession) -> JsonObject:
            await self._definitions.check(call)
            return await call_tool(self.name, session, call)

        startup_s = call.policy.startup_timeout_s
        return self._texts.cleaned_result(await self._with_session(call.caller, startup_s, send))

    async def request(self, request: RelayRequest, startup_s: float | None = None) -> JsonObject:
        """Send one request as it is. A start may take its client *startup_s*. Raises `RpcError`:
        the server's own, or one from `as_rpc_error`."""
        try:
            measure([request.params, request.meta, request.caller.capabilities])
            send = partial(relay, self.name, request=request)
            return await self._with_session(request.caller, startup_s, send)
        except NotStrict as error:
            raise RpcError(
                types.INVALID_PARAMS, f"the params are not strict JSON: {error}"
            ) from None
        except CallError as error:
            raise as_rpc_error(error) from error

    async def watch(self, uri: str, startup_s: float | None = None) -> None:
        """Let the server send updates of the resource *uri*, until `unwatch`; any number of watches
        may be open. A start may take its client *startup_s*. Raises `RpcError`, and then it is not
        watched."""

        async def send(session: ProtocolSession) -> JsonObject:
            name = f"{self.name}: resources/subscribe"
            ask = partial(request_answered, self.name, session, NO_CLIENT, name)
            try:
                await self._subscriptions.subscribe(session, uri, ask)
            except MCPError as error:  # of the stream of changes
                raise RpcError(error.code, error.message, error.data) from error
            return {}

        try:
            measure(uri)
        except NotStrict as error:
            raise RpcError(types.INVALID_PARAMS, f"the URI is not strict JSON: {error}") from None
        self._subscriptions.watch(uri)
        self._count_watched()
        try:
            await self._with_session(NO_CLIENT, startup_s, send)
        except BaseException as error:
            self.unwatch(uri)
            if isinstance(error, CallError):
                raise as_rpc_error(error) from error
            raise

    def unwatch(self, uri: str) -> None:
        """End one watch of *uri*."""
        self._subscriptions.unwatch(uri)
        self._count_watched()

    def move_in(self, uri: str) -> None:
        """Begin a watch that another connection had before. Raises `RpcError` if there are too
        many."""
        self._subscriptions.move_in(uri)
        self._count_watched()

    def set_level(self, level: str | None) -> None:
        """Want log messages from *level* on."""
        self._subscriptions.set_level(level)

    async def notify(self, method: str, params: JsonObject) -> None:
        """Notify the server, if it is connected and its era has notifications of clients."""
        if (session := self._usable_session) is not None and session.era is Era.LEGACY:
            await session.notify(method, params)

    def _count_watched(self) -> None:
        """Count watched resources as one use of the server."""
        is_watched = bool(self._subscriptions.watched)
        if is_watched and not self._is_watched:
            self.use.begin()
        elif self._is_watched and not is_watched:
            self.use.end()
        self._is_watched = is_watched

    async def _with_session(
        self,
        caller: Caller,
        startup_s: float | None,
        send: Callable[[ProtocolSession], Awaitable[JsonObject]],
    ) -> JsonObject:
        """Run *send*, retrying once if nothing reached the server. Raises `CallError` and
        `RpcError`, with clean texts."""
        is_retry = False
        self.use.begin()
        try:
            while True:
                try:
                    session = self._usable_session or await self._wait_usable(caller, startup_s)
                    return await send(session)
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
        session = self._owner.session
        return session if session is not None and session.is_usable else None

    async def _wait_usable(self, caller: Caller, startup_s: float | None) -> ProtocolSession:
        """Wait for a session on which calls can be sent, from an attempt that is under way or due
        soon. In the configuration of the caller a start may take *startup_s*; None: as long as
        anywhere. Raises `ServerUnavailable`."""
        longest_s = self._timings.call_wait_s
        if self._availability.is_fresh_start and self.is_known:
            longest_s = max(longest_s, startup_s or self.startup_s)
        if startup_s is not None and startup_s < self.startup_s:  # others let it take longer
            longest_s = min(longest_s, startup_s)
        deadline = anyio.current_time() + longest_s
        with caller.waiting():
            while (session := self._usable_session) is None:
                await self._availability.wait_changed(deadline)
        return session

    def _report_drift(self, drift: Drift) -> None:
        self._observe(ToolsDrifted(self.name, drift, anyio.current_time()))

    def _report(self, before: ServerState, retry_in_s: float | None, is_repeated: bool) -> None:
        """Report the server as it is now to observers, and to everything that reads its lists."""
        now = anyio.current_time()
        if before is not ServerState.READY and self.state is ServerState.READY:
            self._on_ready()
        self._observe(ServerChanged(self.info, before, now, retry_in_s, is_repeated))
        self._on_change()
