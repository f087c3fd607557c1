"""Time limits of a connection, and the pauses between its attempts to reach the server."""

from __future__ import annotations

import random
from dataclasses import dataclass

GRACE_S = 2.0
"""Time for a process to end by itself after its stdin was closed, and again after SIGTERM."""
WRITE_TIMEOUT_S = 10.0
"""Longest time for which a process may leave its input unread while the pipe and our buffer are
full."""


@dataclass(frozen=True, slots=True)
class ConnectTimings:
    """Time limits of a connection, in seconds."""

    call_wait_s: float = 10.0
    """Longest wait of a call for a server that is connecting."""
    soon_s: float = 2.0
    """A call waits for the next attempt if a server that was ready is retried within this time."""
    healthy_s: float = 5.0
    """A connection that lasted this long, or answered a call, is opened again at once after its
    end."""
    ping_s: float = 5.0
    """Longest wait for a sign of life of a server that answers no calls."""
    busy_ping_s: float = 60.0
    """The same while a call is open that was sent before those, on which it may be working."""
    first_backoff_s: float = 1.0
    longest_backoff_s: float = 60.0
    drain_s: float = 5.0
    """Longest wait for open requests of a session that the server has forgotten, next to the
    session that is opened in its place."""
    refresh_pause_s: float = 0.2
    """Time in which changes of lists are collected before the lists are read again."""
    grace_s: float = GRACE_S
    write_timeout_s: float = WRITE_TIMEOUT_S


CRASHES = 5
"""Starts of a process in a row that failed, after which it is started once in the longest pause."""


class Backoff:
    """Pauses between the attempts to connect to one server: each is twice the last one, until a
    connection lasts. A process, which costs each time what its start costs, gets the longest pause
    after `CRASHES`."""

    def __init__(self, timings: ConnectTimings, *, is_process: bool = False) -> None:
        self._timings = timings
        self._is_process = is_process
        self._failures = 0
        self._last_s = 0.0
        self._asked_s = 0.0

    def record_asked(self, seconds: float) -> None:
        """Note the pause that the server asks for after a failure; 0 if it does not."""
        self._asked_s = seconds

    def next_s(self, *, has_lasted: bool) -> float:
        """Return the pause before the next attempt, in seconds."""
        if has_lasted:
            self._last_s, self._failures = 0.0, 0
        else:
            self._failures += 1
            self._last_s = min(
                max(self._last_s * 2, self._timings.first_backoff_s),
                self._timings.longest_backoff_s,
            )
        asked, self._asked_s = self._asked_s, 0.0
        jitter = random.uniform(0.8, 1.2)  # noqa: S311 - spreads attempts, keeps no secret
        is_looping = self._is_process and self._failures >= CRASHES
        least_s = self._timings.longest_backoff_s if is_looping else 0.0
        return max(asked, least_s, self._last_s * jitter)
