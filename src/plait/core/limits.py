"""How much may run at once: limits, what a call takes of them, and who goes next.

Calls that are ready wait in lanes. All calls of a lane take the same room of the same limits, so if the first does
not fit, none does. A lane whose first call does not fit is parked at the limit that is full, and looked at again
only when that limit has room: what is waiting is never scanned.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

from .pace import Rate

Urgency: TypeAlias = "tuple[float, ...]"
"""Smaller goes first."""

Unit = TypeVar("Unit")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many calls may be in flight: in the whole gateway, and at single servers; and how often one is called."""

    gateway: int = 32
    servers: tuple[tuple[str, int | Literal["auto"]], ...] = ()
    rates: tuple[tuple[str, Rate], ...] = ()


class Limit(Generic[Unit]):
    """A number of slots, how many are taken, and the lanes that wait for one."""

    __slots__ = ("called", "capacity", "name", "parked", "taken")

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self.capacity = capacity
        self.taken = 0
        self.called = 0
        """Lanes that were parked here and are in the queue again, each for a slot that is free."""
        self.parked: list[tuple[Urgency, int, Lane[Unit]]] = []

    def __repr__(self) -> str:
        return f"<Limit {self.name}: {self.taken} of {self.capacity}>"

    @property
    def room(self) -> int:
        return self.capacity - self.taken


class Lane(Generic[Unit]):
    """Calls that take the same room, most urgent first. A call wider than a limit takes all of it."""

    __slots__ = ("called_by", "stamp", "takes", "units")

    def __init__(self, limits: tuple[Limit[Unit], ...], weight: int) -> None:
        self.takes = tuple((limit, min(weight, limit.capacity)) for limit in limits)
        self.units: list[tuple[Urgency, Unit]] = []
        self.stamp = 0
        """Which of its entries, in the queue or at a limit, is the current one."""
        self.called_by: Limit[Unit] | None = None

    def full(self) -> Limit[Unit] | None:
        """The first limit that has no room for a call of this lane."""
        return next((limit for limit, slots in self.takes if limit.room < slots), None)


class Ledger(Generic[Unit]):
    """Every limit and every lane: the one place that decides what starts."""

    def __init__(self, limits: Limits) -> None:
        self.gateway: Limit[Unit] = Limit("gateway", limits.gateway)
        self.servers: dict[str, Limit[Unit]] = {
            name: Limit(name, slots) for name, slots in limits.servers if slots != "auto"
        }
        self.runs: dict[str, Limit[Unit]] = {}
        self.lanes: dict[tuple[str, str, int], Lane[Unit]] = {}
        self._queue: list[tuple[Urgency, int, Lane[Unit]]] = []
        self._stamp = 0
        self._freed: dict[Limit[Unit], None] = {}

    def open_run(self, run: str, slots: int | None) -> None:
        if slots is not None:
            self.runs[run] = Limit(run, slots)

    def close_run(self, run: str) -> None:
        """Forget the limits and the waiting calls of *run*. What it still holds is given back by `give_back`."""
        self.runs.pop(run, None)
        for name in [name for name in self.lanes if name[0] == run]:
            lane = self.lanes.pop(name)
            lane.units.clear()
            self._leave(lane)

    def add(self, run: str, server: str, weight: int, urgency: Urgency, unit: Unit) -> None:
        """*unit* is ready to start."""
        lane = self._lane(run, server, weight)
        is_first = not lane.units or urgency < lane.units[0][0]
        heapq.heappush(lane.units, (urgency, unit))
        if is_first:
            self._enter(lane)

    def take_next(self) -> Iterator[tuple[Unit, Lane[Unit]]]:
        """What may start now, most urgent first; its room is taken. Each is given back once, by `give_back`."""
        for limit in self._freed:
            self._call(limit)
        self._freed.clear()
        while self._queue:
            urgency, stamp, lane = heapq.heappop(self._queue)
            if stamp != lane.stamp:
                continue
            if (full := lane.full()) is not None:
                self._park(lane, full, urgency)
                continue
            _, unit = heapq.heappop(lane.units)
            for limit, slots in lane.takes:
                limit.taken += slots
            self._leave(lane)
            if lane.units:
                self._enter(lane)
            yield unit, lane

    def give_back(self, lane: Lane[Unit]) -> None:
        """A call of *lane* has ended."""
        for limit, slots in lane.takes:
            limit.taken -= slots
            self._freed[limit] = None

    def _lane(self, run: str, server: str, weight: int) -> Lane[Unit]:
        name = (run, server, weight)
        if name not in self.lanes:
            limits = (self.gateway, self.servers.get(server), self.runs.get(run))
            self.lanes[name] = Lane(tuple(limit for limit in limits if limit is not None), weight)
        return self.lanes[name]

    def _enter(self, lane: Lane[Unit], called_by: Limit[Unit] | None = None) -> None:
        self._leave(lane)
        self._stamp = lane.stamp = self._stamp + 1
        if called_by is not None:
            lane.called_by = called_by
            called_by.called += 1
        heapq.heappush(self._queue, (lane.units[0][0], lane.stamp, lane))

    def _leave(self, lane: Lane[Unit]) -> None:
        if lane.called_by is not None:
            lane.called_by.called -= 1
            lane.called_by = None
        lane.stamp = 0

    def _park(self, lane: Lane[Unit], full: Limit[Unit], urgency: Urgency) -> None:
        self._leave(lane)
        self._stamp = lane.stamp = self._stamp + 1
        heapq.heappush(full.parked, (urgency, lane.stamp, lane))
        for limit, _ in lane.takes:
            self._call(limit)

    def _call(self, limit: Limit[Unit]) -> None:
        """Queue one lane of those parked at *limit* for each slot that is free, the most urgent first.

        More would only be parked again. A lane that starts a call, or is parked elsewhere, no longer counts: then
        the next one is called.
        """
        too_wide = []
        while limit.parked and limit.called < limit.room:
            entry = heapq.heappop(limit.parked)
            _, stamp, lane = entry
            if stamp != lane.stamp:
                continue
            if lane.full() is limit:
                too_wide.append(entry)
            else:
                self._enter(lane, limit)
        for entry in too_wide:
            heapq.heappush(limit.parked, entry)
