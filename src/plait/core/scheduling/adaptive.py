"""Adaptive concurrency limits: how many calls at once a server handles well, measured while it
runs.

*The idea.* The gradient algorithm of Netflix's concurrency-limits ("Performance Under Load", 2018;
its Gradient2 limit). By Little's law a server that is not saturated answers as fast with more calls
in flight; once it is saturated, further calls only queue, and latency grows. So the limit grows by
a few slots (`HEADROOM`, smoothed) while calls take what they usually take, and shrinks in
proportion as they take longer than `TOLERANCE` times that. The latency of one tool says nothing
about another, so each call is compared with the usual time of its own tool, and only the ratio is
averaged.

A failure of the server (no answer in time, connection lost, too many requests) takes a tenth off:
additive increase and multiplicative decrease, as in TCP. Calls that were in flight together count
as one failure, or a single outage would shrink the limit once for each of them.

*The invariants.* The limit stays between 1 and `most`. It grows only on calls that used at least
half of it: fewer calls in flight say nothing about what the limit would allow. The usual time of a
tool adapts a hundred times slower than the current ratio (`_USUAL`, `_LATELY`), so a lasting
slowdown is noticed before it becomes usual.

*Why not the obvious way.* A fixed number is wrong for most servers most of the time, and whoever
sets it guesses. Pure additive increase and multiplicative decrease finds the limit only by making
the server fail.
"""

from __future__ import annotations

FIRST = 8
TOLERANCE = 1.5
"""The limit shrinks once calls take longer than this multiple of their usual time."""
HEADROOM = 4.0
"""Slots by which the limit grows, before smoothing."""
SMOOTHING = 0.2
AFTER_FAILURE = 0.9
_USUAL = 1 / 100
"""Weight of one call in the usual time of its tool."""
_LATELY = 1 / 5
"""Weight of one call in the recent times."""
_MOST_TOOLS = 1_000


class AdaptiveLimit:
    """The limit of one server. Report each call to it with `succeeded` or `failed`; `slots` is the
    limit."""

    __slots__ = ("_lately", "_shrunk_at", "_usual", "most", "value")

    def __init__(self, most: int) -> None:
        self.most = most
        self.value = float(min(FIRST, most))
        self._usual: dict[str, float] = {}
        """The usual time of a call, in seconds, by tool."""
        self._lately = 1.0
        """The recent times of calls over their usual times."""
        self._shrunk_at = float("-inf")

    @property
    def slots(self) -> int:
        return max(1, int(self.value))

    def bound(self, most: int) -> None:
        """Bound the limit: at most *most* slots from now on."""
        self.most = most
        self._set(self.value)

    def succeeded(self, tool: str, seconds: float, in_flight: int) -> None:
        """Learn from a call that took *seconds*, with *in_flight* calls at the server, itself
        included."""
        usual = self._usual.get(tool)
        if usual is None:
            if len(self._usual) >= _MOST_TOOLS:
                self._usual.clear()
            self._usual[tool] = seconds
            return
        self._usual[tool] = usual + (seconds - usual) * _USUAL
        ratio = seconds / usual if usual > 0 else 1.0
        self._lately += (min(ratio, 10.0) - self._lately) * _LATELY
        if in_flight * 2 >= self.slots:  # else the calls say nothing of the limit
            gradient = max(0.5, min(1.0, TOLERANCE / self._lately))
            wanted = self.value * gradient + HEADROOM
            self._set(self.value + (wanted - self.value) * SMOOTHING)

    def failed(self, started_at: float, now: float) -> None:
        """Learn that the server failed a call that was sent at *started_at*."""
        if started_at >= self._shrunk_at:
            self._shrunk_at = now
            self._set(self.value * AFTER_FAILURE)

    def _set(self, value: float) -> None:
        self.value = max(1.0, min(value, float(self.most)))
