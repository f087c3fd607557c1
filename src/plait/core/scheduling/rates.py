"""Rate limits of servers: a sliding window, with the time as an argument.

No period of the length of a rate has more calls than it allows, so a server that counts its own
periods, wherever they begin, never counts more. A leaky bucket would let nearly twice as many
through: a full bucket at once, and what leaks meanwhile. A server that asks for quiet
(`Retry-After`) gets it from the same place.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

_WRITTEN = re.compile(
    r"\s*(?P<count>[0-9]{1,9})\s*/\s*(?P<times>[0-9]{1,6})?\s*(?P<call>s|min|h|day)\s*"
)
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3_600.0, "day": 86_400.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `calls` in any `seconds`."""

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


class SlidingWindow:
    """Decides when the next call may be sent. Each method takes the time in seconds."""

    __slots__ = ("_held_until", "_sent", "rate")

    def __init__(self, rate: Rate | None) -> None:
        self.rate = rate
        self._sent: deque[float] = deque()
        """The times of the calls that still count."""
        self._held_until = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until a call may be sent; 0 if it may be sent now."""
        held = max(0.0, self._held_until - now)
        if self.rate is None or self.rate.calls > self._counted(now):
            return held
        return max(held, self._sent[-self.rate.calls] + self.rate.seconds - now)

    def free(self, now: float) -> int:
        """Return the number of calls that may be sent at this moment."""
        if self._held_until > now:
            return 0
        return UNBOUNDED if self.rate is None else max(0, self.rate.calls - self._counted(now))

    def take(self, now: float) -> None:
        """Count a call that is sent."""
        if self.rate is not None:
            self._sent.append(now)

    def change(self, rate: Rate | None) -> None:
        """Apply another *rate* from now on. A pause that the server asked for goes on."""
        self.rate = rate
        self._sent.clear()

    def hold(self, seconds: float, now: float) -> None:
        """Send nothing for the *seconds* that the server asked for."""
        self._held_until = max(self._held_until, now + seconds)

    def _counted(self, now: float) -> int:
        """Return the number of calls in the period that ends now, and forget those before it."""
        assert self.rate is not None
        since = now - self.rate.seconds + _ALMOST_NOTHING
        while self._sent and self._sent[0] <= since:
            self._sent.popleft()
        return len(self._sent)


_ALMOST_NOTHING = 1e-5
"""The seconds by which a call may count too short. On a clock that counts from the start of a
machine, months ago, a shorter wait would be lost when it is added."""
