"""The state of one server as it changes, and whether calls should wait for it.

The owner of a connection changes the state, with `become`; anybody may read it, or wait for a
change. A call waits only for a server that is likely to be there soon: one that is starting, or was
there until just now.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio

from ..core.tools.catalog import ServerState
from ..errors import ServerOff, ServerUnavailable
from ..waiting import Signal
from .timings import ConnectTimings

_OFF = frozenset({ServerState.NEEDY, ServerState.REFUSED})
_BEFORE_READY = frozenset({ServerState.NOT_STARTED, ServerState.CONNECTING})


class Availability:
    """The state of the server *name*, which begins as not started. *report* is called for each
    change with the state before, the pause until the next attempt if there is one, and whether the
    same failure was reported last time; then everything that waits is woken."""

    def __init__(
        self,
        name: str,
        timings: ConnectTimings,
        report: Callable[[ServerState, float | None, bool], None],
    ) -> None:
        self.state = ServerState.NOT_STARTED
        self.error: str | None = None
        self.is_fresh_start = True
        """Whether the first attempt since the last start, or idle time, is under way or to come."""
        self.changed = Signal()
        self._name = name
        self._timings = timings
        self._report = report
        self._settled = anyio.Event()
        self._has_been_ready = False
        """Whether the latest attempt reached the server."""
        self._attempts = 0
        """Number of attempts that have ended."""
        self._next_attempt = 0.0
        self._lost_by: str | None = None
        """The reason of the last failed attempt."""

    def __repr__(self) -> str:
        return f"<Availability of {self._name}: {self.state}>"

    @property
    def is_in_first_attempt(self) -> bool:
        return self.is_fresh_start and self.state in _BEFORE_READY

    def become(
        self, state: ServerState, error: str | None, retry_in_s: float | None = None
    ) -> None:
        """Change to *state*, with the *error* of the last attempt. A server that is retried is
        expected again in *retry_in_s* seconds."""
        before, self.state, self.error = self.state, state, error
        is_repeated = False
        if retry_in_s is not None:
            self._next_attempt = anyio.current_time() + retry_in_s
            is_repeated, self._lost_by = error == self._lost_by, error
        if state is not ServerState.CONNECTING:
            self._settled.set()
            self.is_fresh_start = state is ServerState.IDLE
        if state is ServerState.READY:
            self._has_been_ready = True
        self._report(before, retry_in_s, is_repeated)
        self.changed.notify()

    def announce(self) -> None:
        """Report the server again because something else about it has changed."""
        self._report(self.state, None, False)
        self.changed.notify()

    def attempted(self, *, was_ready: bool) -> None:
        """Note the end of an attempt, and whether it reached the server."""
        self._attempts += 1
        self._has_been_ready = was_ready

    async def wait_settled(self) -> None:
        """Wait until the first attempt to connect has succeeded or failed."""
        await self._settled.wait()

    async def wait_started(self) -> None:
        """Wait until the first attempt has succeeded or failed, after an idle time also the next
        one."""
        attempts = self._attempts
        while attempts == self._attempts and (
            self.state is ServerState.IDLE or self.is_in_first_attempt
        ):
            await self.changed.wait()

    async def wait_changed(self, deadline: float) -> None:
        """Wait for the next change, at most until *deadline*. Raises `ServerUnavailable` if that
        has passed, or the server is not expected soon."""
        now = anyio.current_time()
        if not self._is_expected(now) or now >= deadline:
            hint = "plait servers shows the state of each server."
            if self.state in _OFF:
                raise ServerOff(f"{self._name} is off: {self.error}", hint=hint)
            if self.state is ServerState.RETRYING:
                hint = f"The next attempt is in {max(0.0, self._next_attempt - now):.0f} s."
            raise ServerUnavailable(
                f"{self._name} cannot be reached: {self.error or self.state}", hint=hint
            )
        with anyio.move_on_after(deadline - now):
            await self.changed.wait()

    def _is_expected(self, now: float) -> bool:
        """Whether the server is likely to be there soon: it is starting, or was there until just
        now."""
        if self.state is ServerState.RETRYING:
            return self._has_been_ready and self._next_attempt - now <= self._timings.soon_s
        return self.state is not ServerState.STOPPED and self.state not in _OFF
