"""Rate limits of servers: a leaky bucket, with the time as an argument.

It works as aiolimiter does: a bucket holds a number of calls and leaks evenly, so a burst up to its
size goes at once and the long-run rate is kept. A server that asks for quiet (`Retry-After`) gets
it from the same place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WRITTEN = re.compile(
    r"\s*(?P<count>[0-9]{1,9})\s*/\s*(?P<times>[0-9]{1,6})?\s*(?P<call>s|min|h|day)\s*"
)
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3_600.0, "day": 86_400.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `calls` in any `seconds`, except for one burst of that size."""

    calls: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Parse `30/s`, `100/min`, `5000/h` or `10/5s`. Raises `ValueError` with the correct
        form."""
        match = _WRITTEN.fullmatch(text)
        calls = int(match["count"]) if match else 0
        times = int(match["times"] or 1) if match else 0
        if match is None or not calls or not times:
            raise ValueError(
                'a rate is written as calls per time: "30/s", "100/min", "5000/h" or "10/5s"'
            )
        return cls(calls, times * _SECONDS[match["call"]])


UNBOUNDED = 2**31


class LeakyBucket:
    """Decides when the next call may be sent. Each method takes the time in seconds."""

    __slots__ = ("_at", "_held_until", "_level", "rate")

    def __init__(self, rate: Rate | None) -> None:
        self.rate = rate
        self._level = 0.0
        """Calls in the bucket at the last look."""
        self._at = 0.0
        self._held_until = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until a call may be sent; 0 if it may be sent now."""
        held = max(0.0, self._held_until - now)
        if self.rate is None:
            return held
        excess = self._leaked(now) + 1 - self.rate.calls
        return max(
            held, excess * self.rate.seconds / self.rate.calls if excess > _ALMOST_NOTHING else 0.0
        )

    def free(self, now: float) -> int:
        """Return the number of calls that may be sent at this moment."""
        if self._held_until > now:
            return 0
        return (
            UNBOUNDED
            if self.rate is None
            else int(self.rate.calls - self._leaked(now) + _ALMOST_NOTHING)
        )

    def take(self, now: float) -> None:
        """Count a call that is sent."""
        if self.rate is not None:
            self._level = self._leaked(now) + 1
            self._at = now

    def change(self, rate: Rate | None) -> None:
        """Apply another *rate*, with an empty bucket. A pause that the server asked for goes on."""
        self.rate = rate
        self._level = self._at = 0.0

    def hold(self, seconds: float, now: float) -> None:
        """Send nothing for the *seconds* that the server asked for."""
        self._held_until = max(self._held_until, now + seconds)

    def _leaked(self, now: float) -> float:
        assert self.rate is not None
        return max(0.0, self._level - (now - self._at) * self.rate.calls / self.rate.seconds)


_ALMOST_NOTHING = 1e-5
"""The part of a call that rounding may leave in the bucket. On a clock that counts from the start
of a machine, months ago, a smaller part would be a time that is lost when it is added."""
