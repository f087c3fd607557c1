"""How often a server may be called: a leaky bucket, with the time as an argument.

It works as aiolimiter does: a bucket holds so many calls and leaks evenly, so a burst up to its
size goes at once and the long-run rate is kept. A server that asks for quiet (`Retry-After`) gets
it from the same place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WRITTEN = re.compile(
    r"\s*(?P<count>[0-9]{1,9})\s*/\s*(?P<times>[0-9]{1,6})?\s*(?P<unit>s|min|h|day)\s*"
)
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3_600.0, "day": 86_400.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `calls` in any `seconds`, but for one burst of that size."""

    calls: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Rate:
        """`30/s`, `100/min`, `5000/h`, `10/5s`. Raises `ValueError`, saying what would be right."""
        match = _WRITTEN.fullmatch(text)
        calls = int(match["count"]) if match else 0
        times = int(match["times"] or 1) if match else 0
        if match is None or not calls or not times:
            raise ValueError(
                'a rate is written as calls per time: "30/s", "100/min", "5000/h" or "10/5s"'
            )
        return cls(calls, times * _SECONDS[match["unit"]])


UNBOUNDED = 2**31


class LeakyBucket:
    """When the next call may be sent. Drive it by its verbs, each with the time in seconds."""

    __slots__ = ("_at", "_held_until", "_level", "rate")

    def __init__(self, rate: Rate | None) -> None:
        self.rate = rate
        self._level = 0.0
        """Calls in the bucket, when it was last looked at."""
        self._at = 0.0
        self._held_until = 0.0

    def wait(self, now: float) -> float:
        """The seconds until a call may be sent; 0 if it may be now."""
        held = max(0.0, self._held_until - now)
        if self.rate is None:
            return held
        excess = self._leaked(now) + 1 - self.rate.calls
        return max(
            held, excess * self.rate.seconds / self.rate.calls if excess > _ALMOST_NOTHING else 0.0
        )

    def room(self, now: float) -> int:
        """How many calls may be sent at this moment."""
        if self._held_until > now:
            return 0
        return (
            UNBOUNDED
            if self.rate is None
            else int(self.rate.calls - self._leaked(now) + _ALMOST_NOTHING)
        )

    def take(self, now: float) -> None:
        """A call is sent."""
        if self.rate is not None:
            self._level = self._leaked(now) + 1
            self._at = now

    def hold(self, seconds: float, now: float) -> None:
        """The server asked for so many seconds without calls."""
        self._held_until = max(self._held_until, now + seconds)

    def _leaked(self, now: float) -> float:
        assert self.rate is not None
        return max(0.0, self._level - (now - self._at) * self.rate.calls / self.rate.seconds)


_ALMOST_NOTHING = 1e-5
"""Of a call: what adding up fractions may leave behind. On a clock that counts from the start of a
machine, months ago, a smaller part would be a time that is lost when it is added."""
