"""Statistics of calls, from their attempts: how many, which failed how, and how long they took.

Durations are counted in buckets, each 10 % wider than the one before, so that the figures of two
processes, or of all tools of a server, can be added up. Percentiles are right within 5 %; all else
is exact.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SUCCESS = "success"
"""The code of an attempt that did not fail."""
_WIDTH = math.log(1.1)
_LEAST_MS = 0.01


def bucket_of(ms: float) -> int:
    """Return the bucket that a duration falls into."""
    return round(math.log(max(ms, _LEAST_MS)) / _WIDTH)


@dataclass(slots=True)
class Tally:
    """The attempts with one code and of about one duration, all in milliseconds."""

    count: int
    total_ms: float
    min_ms: float
    max_ms: float

    def add_one(self, ms: float) -> None:
        """Add an attempt of this duration."""
        self.count += 1
        self.total_ms += ms
        if ms < self.min_ms:
            self.min_ms = ms
        elif ms > self.max_ms:
            self.max_ms = ms

    def add(self, other: Tally) -> None:
        self.count += other.count
        self.total_ms += other.total_ms
        self.min_ms = min(self.min_ms, other.min_ms)
        self.max_ms = max(self.max_ms, other.max_ms)


@dataclass(frozen=True, slots=True)
class Figures:
    """The attempts of one tool, or of one server: `name` is either's."""

    name: str
    tallies: Mapping[tuple[str, int], Tally] = field(default_factory=dict)
    """By code and bucket."""

    @property
    def count(self) -> int:
        return sum(tally.count for tally in self.tallies.values())

    @property
    def failures(self) -> dict[str, int]:
        """The number of failed attempts, by code."""
        failures: Counter[str] = Counter()
        for (code, _), tally in self.tallies.items():
            if code != SUCCESS:
                failures[code] += tally.count
        return dict(failures)

    @property
    def total_ms(self) -> float:
        return sum(tally.total_ms for tally in self.tallies.values())

    @property
    def mean_ms(self) -> float:
        return self.total_ms / max(self.count, 1)

    @property
    def min_ms(self) -> float:
        return min((tally.min_ms for tally in self.tallies.values()), default=0.0)

    @property
    def max_ms(self) -> float:
        return max((tally.max_ms for tally in self.tallies.values()), default=0.0)

    def percentile_ms(self, share: float) -> float:
        """Return the duration that this *share* of the attempts do not exceed."""
        counts: Counter[int] = Counter()
        for (_, bucket), tally in self.tallies.items():
            counts[bucket] += tally.count
        left = share * self.count
        for bucket in sorted(counts):
            left -= counts[bucket]
            if left <= 0:
                return float(min(max(math.exp(bucket * _WIDTH), self.min_ms), self.max_ms))
        return 0.0


def by_server(figures: Iterable[Figures]) -> list[Figures]:
    """Add up the figures of tools (`server:tool`) for each server."""
    servers: dict[str, dict[tuple[str, int], Tally]] = {}
    for one in figures:
        tallies = servers.setdefault(one.name.partition(":")[0], {})
        for key, tally in one.tallies.items():
            into = tallies.setdefault(key, Tally(0, 0.0, tally.min_ms, tally.max_ms))
            into.add(tally)
    return [Figures(name, tallies) for name, tallies in sorted(servers.items())]
