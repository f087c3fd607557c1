"""The one task that opens and closes the connections to one server.

In one attempt after another it opens the transport, agrees on a protocol, reads the lists,
publishes the session, and waits for the end. Attempts do not overlap, except that a session which
the server has forgotten may wait for its last answers next to the new one.

Whatever ends an attempt ends that attempt alone. The pause before the next one grows until a
connection lasts (`Backoff`). To an idle server, a call is what starts it: the owner waits for the
first use.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from ..config import ServerSettings
from ..core.tools.catalog import ServerState
from ..errors import ServerUnavailable
from .availability import Availability
from .eras.era_cache import EraCache
from .eras.handshake import DiedOnProbe, Era, negotiate
from .error_texts import ErrorTexts
from .listings.server_lists import ServerLists
from .session import ProtocolSession
from .subscriptions import ServerSubscriptions
from .timings import Backoff, ConnectTimings
from .transports.faults import DID_NOT_ANSWER, asked_pause_s, explained
from .transports.transport import Transport
from .transports.url import TransportGuess
from .upkeep import Upkeep
from .usage import UsageTracker

log = logging.getLogger(__name__)

OWN = "it is this gateway, which must not be a server of itself; remove it from the settings"


@dataclass(eq=False, slots=True)
class _Attempt:
    """One attempt to connect. It is left at its end, or as soon as the server has forgotten its
    session."""

    reason: str = ""
    """The reason of the end."""
    was_ready: bool = False
    is_own: bool = False
    """Whether it led to this gateway."""
    has_held: bool = False
    """Whether it was ready for long enough, or of enough use, to open another at once."""
    left: anyio.Event = field(default_factory=anyio.Event)

    def leave(self, reason: str) -> None:
        if not self.left.is_set():
            self.reason = reason
            self.left.set()


@dataclass(eq=False, kw_only=True, slots=True)
class Owner:
    """The owner of the server *name*; `run` is its task. It alone changes the *availability*."""

    name: str
    way: TransportGuess
    era: EraCache
    lists: ServerLists
    subscriptions: ServerSubscriptions
    use: UsageTracker
    availability: Availability
    texts: ErrorTexts
    timings: ConnectTimings
    open_transport: Callable[[ServerSettings], Transport]
    open_session: Callable[[Transport], AbstractAsyncContextManager[ProtocolSession]]
    own_mark: str = ""
    """The mark of this gateway; empty if it has none."""

    session: ProtocolSession | None = field(default=None, init=False)
    """Set only while it can take calls: after the lists were read, and before the transport is
    closed."""
    transport: Transport | None = field(default=None, init=False)
    """The transport of the latest attempt."""
    _backoff: Backoff = field(init=False)
    _starting: anyio.CancelScope | None = field(default=None, init=False)
    """The scope that bounds the start that is under way."""
    _start_began: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        is_process = self.way.settings.kind == "stdio"
        self._backoff = Backoff(self.timings, is_process=is_process)

    def __repr__(self) -> str:
        return f"<Owner of {self.name}: {self.availability.state}>"

    def adjust(self, settings: ServerSettings) -> None:
        """Use *settings* of the same server, also for the time of a start that is under way."""
        self.way.adjust(settings)
        if self._starting is not None and not self._starting.cancel_called:
            self._starting.deadline = self._deadline

    @property
    def _deadline(self) -> float:
        return self._start_began + self.way.settings.startup_timeout_s

    async def run(self, begin: anyio.Event | None = None) -> None:
        """Keep the server connected until cancelled, once *begin* is set; a lazy one only while it
        is in use, or its tools are unknown."""
        try:
            if begin is not None:
                await begin.wait()
            async with anyio.create_task_group() as tasks:
                await self._keep_connected(tasks)
        finally:
            self.availability.become(ServerState.STOPPED, None)

    async def _keep_connected(self, tasks: TaskGroup) -> None:
        """Connect again and again. Sessions that are left stay in *tasks* for a while."""
        error: str | None = None
        while True:
            if self.lists.are_known and not self.use.is_wanted:
                self.availability.become(ServerState.IDLE, error)
                await self.use.wait_wanted()
            if self.availability.state is not ServerState.CONNECTING:
                self.availability.become(ServerState.CONNECTING, error)
            began = anyio.current_time()
            attempt = _Attempt()
            tasks.start_soon(self._try, attempt)
            await attempt.left.wait()
            error = attempt.reason
            if attempt.is_own:
                self.availability.become(ServerState.REFUSED, OWN)
                await anyio.sleep_forever()
            self.availability.attempted(was_ready=attempt.was_ready)
            lasted_s = anyio.current_time() - began
            if (
                not attempt.was_ready
                and self.era.drop_recalled()
                and lasted_s < self.way.settings.probe_timeout_s
            ):
                continue  # an earlier start found another era: try again at once
            if self.lists.are_known and not self.use.is_wanted:
                error = None if attempt.was_ready else error
                continue
            is_healthy = attempt.has_held or lasted_s >= self.timings.healthy_s
            pause = self._backoff.next_s(has_lasted=attempt.was_ready and is_healthy)
            self.availability.become(ServerState.RETRYING, error, pause)
            await anyio.sleep(pause)

    async def _try(self, attempt: _Attempt) -> None:
        """Connect, and stay connected until the end, whose reason is that of *attempt*."""
        known = self.era.era
        is_tried_again = False
        try:
            try:
                self._start_began = anyio.current_time()
                await self._connect_and_stay(attempt, self.era.guess())
            except* DiedOnProbe:
                log.info("server.ended_on_probe", extra={"server": self.name})
                is_tried_again = self.era.died_on_probe()
            if is_tried_again:
                self._start_began = anyio.current_time()
                await self._connect_and_stay(attempt, Era.LEGACY)
        except Exception as error:  # whatever ends a server ends this attempt alone
            if attempt.was_ready or not self.way.guess_sse(error):
                self._failed(attempt, error)
            elif not await self._is_sse(attempt):
                self.way.was_no_sse()
                self._failed(attempt, error)
        finally:
            if not attempt.was_ready:
                self.era.failed(known)
            attempt.leave(attempt.reason or self._exit_reason())

    async def _is_sse(self, attempt: _Attempt) -> bool:
        """Connect to a server that may speak SSE, and stay. Returns whether it did."""
        try:
            await self._connect_and_stay(attempt, Era.LEGACY)
        except Exception as error:
            if attempt.was_ready:
                self._failed(attempt, error)
        return attempt.was_ready

    def _failed(self, attempt: _Attempt, error: BaseException) -> None:
        if attempt.left.is_set():
            return
        self._backoff.record_asked(asked_pause_s(error))
        hint = "" if attempt.was_ready else self.way.hint(error)
        attempt.reason = f"{self._explained(error)} ({hint})" if hint else self._explained(error)

    async def _connect_and_stay(self, attempt: _Attempt, era: Era | None) -> None:
        """Open a session within the time of a start, and keep it until its end."""
        self.transport = self.open_transport(self.way.settings)
        with self._bounded() as opened:
            async with self.open_session(self.transport) as session:
                self._unbound(opened)  # closing has bounds of its own
                with self._bounded() as starting:
                    probe_s = self.way.settings.probe_timeout_s
                    greeting = await negotiate(session, era, probe_s)
                    if self.own_mark and greeting.mark == self.own_mark:
                        attempt.is_own = True
                        raise ServerUnavailable(OWN)
                    async with session.following_changes():
                        session.take_stale()
                        await self.lists.read(session)
                        self._unbound(starting)
                        self.era.met(greeting)
                        await self._stay(attempt, session)
        attempt.leave(self._exit_reason())

    @contextmanager
    def _bounded(self) -> Iterator[anyio.CancelScope]:
        """Bound the block by the time of a start, until `_unbound`."""
        with anyio.fail_after(self._deadline - anyio.current_time()) as scope:
            self._starting = scope
            try:
                yield scope
            finally:
                self._starting = None

    def _unbound(self, scope: anyio.CancelScope) -> None:
        scope.deadline, self._starting = math.inf, None

    async def _stay(self, attempt: _Attempt, session: ProtocolSession) -> None:
        """Publish *session* until it can take no more calls, and wait for those in flight."""
        attempt.was_ready = True
        self.session = session
        self.availability.become(ServerState.READY, None)
        upkeep = Upkeep(
            self.name,
            session,
            self.lists,
            self.use,
            self.timings,
            list_timeout_s=lambda: self.way.settings.startup_timeout_s,
            on_listed=lambda: self.availability.become(ServerState.READY, None),
            explain=self._explained,
        )
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.subscriptions.keep, session)
                await upkeep.run()
                tasks.cancel_scope.cancel()
        finally:
            self.session = None
            attempt.has_held = session.has_answered or (
                session.is_retired and not session.is_forgotten
            )
        if session.is_forgotten:  # the next session is opened meanwhile
            attempt.leave(self._exit_reason())
        if session.is_retired:  # the server may still answer earlier requests, or refuse them
            await session.wait_answered(self.timings.drain_s)

    def _exit_reason(self) -> str:
        if self.transport is None:
            return "the connection was closed"
        return self.texts.clean(self.transport.exit_reason())

    def _explained(self, error: BaseException) -> str:
        return self.texts.clean(
            explained(
                error,
                self._exit_reason(),
                self.way.settings.startup_timeout_s,
                self.transport.delay_reason() if self.transport is not None else DID_NOT_ANSWER,
            )
        )
