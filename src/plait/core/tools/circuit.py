"""The circuit of one server: whether a call may be sent, or is refused because earlier ones failed.

It is closed until failures open it; then calls are refused for a while. After that it is half open:
one call, the probe, is let through, and its end closes the circuit, or opens it for twice as long.
Time is an argument, and so is chance.

Failures count as evidence about the server, so each event counts once:

- In a row, only a failure of a call that was sent after the failure before it. A process that dies
  fails all of its calls at once: that is one death, whatever their number.
- An attempt after the first, of a call that is made again, says nothing new (`is_repeated`), unless
  it is the probe. Else the retries of one call alone would open the circuit.
- The share of failures counts once there were some in three seconds, for the same reason.
- A call that was sent before the circuit last changed says nothing any more.

A count in the manner of a leaky bucket would need no window, but could not say what it promises.
The seconds of the window are whole ones, so that a busy server costs eleven numbers, not one for
each call.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import NamedTuple

from ..values.strict import JsonObject

IN_A_ROW = 5
"""Failures in a row that open the circuit."""
WINDOW_S = 10
SHARE = 0.5
LEAST_CALLS = 20
LEAST_SECONDS = 3
"""The circuit opens too if this share of the calls within the window failed, of at least that many
calls, and in at least that many different seconds."""
FIRST_OPEN_S = 5.0
LONGEST_OPEN_S = 60.0
"""The shortest and the longest time for which it is open. It doubles each time, until the circuit
was closed for the longest."""
SPREAD = 0.2
"""The share of that time by which chance makes it longer or shorter."""


class CircuitState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Pass(NamedTuple):
    """Lets one call through."""

    at: float
    changes: int
    """The changes of the circuit before it."""


class _Second:
    """The calls that ended in one second, and the failures among them."""

    __slots__ = ("calls", "failed", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.calls = 0
        self.failed = 0


class Circuit:
    """Each pass that `admit` gives is answered by one of `answered`, `failed` and `released`."""

    __slots__ = ("_changes", "_closed_at", "_in_a_row", "_last_failure", "_openings", "_seconds",
                 "is_probing", "open_until")  # fmt: skip

    def __init__(self) -> None:
        self.open_until: float | None = None
        """None while it is closed. Once the time has passed, it is half open."""
        self.is_probing = False
        """Whether a probe is under way."""
        self._changes = 0
        self._in_a_row = 0
        self._last_failure = float("-inf")
        self._seconds: deque[_Second] = deque()
        """The seconds of the window in which calls ended."""
        self._openings = 0
        """Times that it opened since it was last closed for long."""
        self._closed_at = float("-inf")

    def __repr__(self) -> str:
        return f"<Circuit: {self._in_a_row} failures in a row, open until {self.open_until}>"

    def state(self, now: float) -> CircuitState:
        return state_of(self.open_until, now)

    def knows(self, admitted: Pass) -> bool:
        """Whether the end of that call still counts: the circuit has not changed since."""
        return admitted.changes == self._changes

    def admit(self, now: float) -> Pass | None:
        """Return the pass of a call that may be sent; None while the circuit is open, or half open
        with a probe under way."""
        if self.open_until is not None:
            if now < self.open_until or self.is_probing:
                return None
            self.is_probing = True
        return Pass(now, self._changes)

    def answered(self, admitted: Pass, now: float) -> None:
        """Note that the server answered the call."""
        if not self.knows(admitted):
            return
        if self.open_until is not None:
            self._change(None)
            self._closed_at = now
            return
        self._in_a_row = 0
        self._second(now).calls += 1

    def failed(
        self, admitted: Pass, now: float, chance: float, *, is_repeated: bool = False
    ) -> None:
        """Note that the call failed. *chance* is a random number from 0 to 1."""
        if not self.knows(admitted):
            return
        if self.open_until is not None:
            self._open(now, chance)
        elif not is_repeated:
            if admitted.at >= self._last_failure:
                self._in_a_row += 1
                self._last_failure = now
            second = self._second(now)
            second.calls += 1
            second.failed += 1
            if self._in_a_row >= IN_A_ROW or self._too_many_failed():
                self._open(now, chance)

    def released(self, admitted: Pass) -> None:
        """Note that the call ended without saying anything about the server."""
        if self.knows(admitted):
            self.is_probing = False

    def server_is_back(self, now: float) -> None:
        """Note that the server was connected anew: the next call is a probe."""
        if self.open_until is not None:
            self.open_until = min(self.open_until, now)

    def _open(self, now: float, chance: float) -> None:
        if self.open_until is None and now - self._closed_at >= LONGEST_OPEN_S:
            self._openings = 0
        seconds = min(FIRST_OPEN_S * 2.0 ** min(self._openings, 30), LONGEST_OPEN_S)
        self._openings += 1
        spread = 1 - SPREAD + 2 * SPREAD * chance
        self._change(now + min(seconds * spread, LONGEST_OPEN_S))

    def _change(self, open_until: float | None) -> None:
        self.open_until = open_until
        self.is_probing = False
        self._changes += 1
        self._in_a_row = 0
        self._seconds.clear()

    def _second(self, now: float) -> _Second:
        """Return the second of *now*, and forget those that are too old."""
        number = int(now)
        if not self._seconds or self._seconds[-1].number != number:
            while self._seconds and self._seconds[0].number <= number - WINDOW_S:
                self._seconds.popleft()
            self._seconds.append(_Second(number))
        return self._seconds[-1]

    def _too_many_failed(self) -> bool:
        with_failures = [second.failed for second in self._seconds if second.failed]
        calls = sum(second.calls for second in self._seconds)
        is_spread = len(with_failures) >= LEAST_SECONDS
        return is_spread and calls >= LEAST_CALLS and sum(with_failures) >= SHARE * calls


def circuit_document(open_until: float | None, now: float) -> JsonObject:
    """Return the members that show a circuit among those of its server; empty while it is
    closed."""
    match state_of(open_until, now):
        case CircuitState.CLOSED:
            return {}
        case CircuitState.HALF_OPEN as state:
            return {"circuit": str(state)}
        case CircuitState.OPEN as state:
            assert open_until is not None
            return {"circuit": str(state), "retry_after_s": round(open_until - now, 1)}


def state_of(open_until: float | None, now: float) -> CircuitState:
    """Return the state of a circuit that is open until then; closed if None."""
    if open_until is None:
        return CircuitState.CLOSED
    return CircuitState.OPEN if now < open_until else CircuitState.HALF_OPEN
