"""Learning from calls that end: how long a tool takes and what it answers, and how many calls its
server takes at once. Answers from the cache teach nothing, nor do calls that were not sent.

Calls at once may slow each other down: they share processors, a disk, or a server that answers one
request at a time. So the duration of a call says what it would take alone only if it was alone. Its
*share* is its duration with each moment divided by the calls that were in flight then, of all runs:
equal to the duration if it was alone, and never more than the work that went into it where calls
take turns. One clock that runs slower the more calls there are gives all shares.
"""

from __future__ import annotations

from ...errors import (
    CallError,
    CallTimeout,
    CircuitOpen,
    ConnectionLost,
    ServerOff,
    ServerUnavailable,
)
from ..tools.tool_stats import ToolStats
from .events import Aborted, Failed, Key, Succeeded
from .limits import ConcurrencyLimits
from .locating import Waiting

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


class Learning:
    """Learns of tools and servers while calls come and go. Times are in seconds."""

    def __init__(self, learned: ToolStats, limits: ConcurrencyLimits[Waiting]) -> None:
        self._learned = learned
        self._limits = limits
        self.crowd = Crowd()
        """The calls in flight: enter each that starts, and `end` takes it out."""

    def __repr__(self) -> str:
        return f"<Learning: {self._learned}, {self.crowd}>"

    def end(self, call: Waiting, event: Succeeded | Failed | Aborted, now: float) -> None:
        """Learn from *event*, the end of *call*."""
        share_s = self.crowd.leave(call.key, now)
        match event:
            case Succeeded(output=output, cached=False):
                tool, started = call.tool, now if call.started_at is None else call.started_at
                seconds = now - started - call.paused_s  # pauses: its client was asked
                is_alone = not call.paused_s and was_alone(share_s, seconds)
                if output is None:
                    self._learned.took(tool, seconds, alone=is_alone)
                else:
                    self._learned.saw(tool, seconds, output.value, alone=is_alone)
                if (limit := self._limits.adaptive.get(tool.server_key)) is not None:
                    in_flight = self._limits.servers[tool.server_key].taken
                    limit.succeeded(tool.full_name, seconds, in_flight)
                    self._limits.resize(tool.server_key)
            case Failed(error=error) if not isinstance(error, CircuitOpen | ServerOff):
                self._failed(call, error, now)

    def _failed(self, call: Waiting, error: CallError, now: float) -> None:
        server = call.tool.server_key
        if error.retry_after_s:
            self._limits.hold(server, error.retry_after_s, now)
        is_of_the_server = isinstance(error, ConnectionLost | ServerUnavailable) or (
            isinstance(error, CallTimeout) and error.was_sent
        )
        if is_of_the_server and (limit := self._limits.adaptive.get(server)) is not None:
            limit.failed(now if call.started_at is None else call.started_at, now)
            self._limits.resize(server)
