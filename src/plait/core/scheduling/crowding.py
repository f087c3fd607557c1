"""How alone each call was while it was in flight.

Calls at once may slow each other down: they share processors, a disk, or a server that answers one
request at a time. So the duration of a call says what it would take alone only if it was alone. Its
*share* is its duration with each moment divided by the calls that were in flight then, of all runs:
equal to the duration if it was alone, and never more than the work that went into it where calls
take turns. One clock that runs slower the more calls there are gives all shares.
"""

from __future__ import annotations

from .events import Key

NEARLY = 0.8
"""Least share of its duration that a call has if it counts as alone."""


class Crowd:
    """The calls in flight of one process. Times are in seconds."""

    def __init__(self) -> None:
        self._entered: dict[Key, float] = {}
        """The calls in flight, each with the time of the slow clock at which it started."""
        self._slow_s = 0.0
        self._now = 0.0

    def __repr__(self) -> str:
        return f"<Crowd of {len(self._entered)}>"

    def enter(self, key: Key, now: float) -> None:
        """Note that the call of *key* starts."""
        if now != self._now:
            self._advance(now)
        self._entered[key] = self._slow_s

    def leave(self, key: Key, now: float) -> float:
        """Note that the call of *key* ends, and return its share."""
        if now != self._now:
            self._advance(now)
        return self._slow_s - self._entered.pop(key, self._slow_s)

    def _advance(self, now: float) -> None:
        """Move the slow clock on to *now*."""
        self._slow_s += (now - self._now) / max(1, len(self._entered))
        self._now = now


def was_alone(share_s: float, seconds: float) -> bool:
    """Return whether a call of *seconds* was nearly alone."""
    return share_s >= NEARLY * seconds
