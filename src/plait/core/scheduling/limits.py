"""Concurrency limits: how much may run at once, the slots that a call takes, and the call that
starts next.

*The idea.* `acquire_next` is the one place that decides what starts. It pops the lane that is next
(`lanes.py`) from a queue, starts its first call if that fits, and parks the lane at the first full
limit if it does not. When slots are freed, a limit puts back into the queue as many of its parked
lanes as it has free slots, in their order; a lane that waits there alone starts without the queue.
So the cost of an event is the logarithm of the number of lanes, however many calls wait, and the
number of parties.

*The invariants.*

1. All slots of a call are taken together, or none.
2. After `acquire_next` nothing that waits would fit, but for what a wide call holds back: a call
   that is left waits for a limit that is full, or kept for that one.
3. Parties that wait for the same slots take turns. Of the calls of one party that fit, the most
   urgent starts first. A lane too wide for what is free keeps its place at its limit, and narrower
   lanes behind it may start for a while.

*Why not the obvious way.* Waking every waiter when a slot is freed, and letting each try again,
starts the right calls but costs a crowd of wake-ups for one slot; a fixed share for each party
would leave slots unused; and turns over all limits together, instead of at each, would keep a party
from a server as long as it has calls elsewhere.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Generic, Literal

from ..tools.catalog import shown
from .adaptive import AdaptiveLimit
from .lanes import (
    NO_DESK,
    NO_RUN,
    CallT,
    Lane,
    Lease,
    Limit,
    Line,
    Party,
    RateLimit,
    SlotRequest,
    Urgency,
)
from .rates import UNBOUNDED, Rate

MOST_DIRECT_LANES = 256
"""With more lanes of direct calls, the empty ones are forgotten."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Most calls in flight, in the whole gateway and at single servers; and the rates of
    servers."""

    gateway: int = 32
    servers: tuple[tuple[str, int | Literal["auto"]], ...] = ()
    rates: tuple[tuple[str, Rate], ...] = ()

    def joined(self, other: Limits) -> Limits:
        """Return the limits for calls of two configurations: of two numbers for one server, the
        smaller holds. The larger `gateway` bounds what is automatic."""
        servers, rates = dict(self.servers), dict(self.rates)
        for name, slots in other.servers:
            numbers = [one for one in (slots, servers.get(name, "auto")) if one != "auto"]
            servers[name] = min(numbers, default="auto")
        for name, rate in other.rates:
            rates[name] = min(rate, rates.get(name, rate), key=lambda one: one.calls / one.seconds)
        gateway = max(self.gateway, other.gateway)
        return Limits(gateway, tuple(servers.items()), tuple(rates.items()))


class ConcurrencyLimits(Generic[CallT]):
    """Every limit and every lane: the one place that decides what starts."""

    def __init__(self, limits: Limits) -> None:
        self._settings = {NO_DESK: limits}
        self.gateways: dict[str, Limit[CallT]] = {NO_DESK: Limit("gateway", limits.gateway)}
        """The limit of the whole gateway, by desk."""
        self.adaptive = {
            name: AdaptiveLimit(limits.gateway) for name, slots in limits.servers if slots == "auto"
        }
        self.servers: dict[str, Limit[CallT]] = {
            name: _limit_of(name, self.adaptive[name].slots if slots == "auto" else slots)
            for name, slots in limits.servers
        }
        self.rates: dict[str, RateLimit[CallT]] = {
            name: _rate_of(name, rate) for name, rate in limits.rates
        }
        self.tools: dict[tuple[str, int], Limit[CallT]] = {}
        self.runs: dict[str, Limit[CallT]] = {}
        self.lanes: dict[str, dict[SlotRequest, Lane[CallT]]] = {NO_RUN: {}}
        """By run."""
        self._parties: Counter[Party] = Counter()
        """The lanes of each party."""
        self._queue: Line[CallT] = Line()
        self._stamp = 0
        self._freed: dict[Limit[CallT], None] = {}

    def open_run(self, run: str, slots: int | None) -> None:
        self.lanes[run] = {}
        if slots is not None:
            self.runs[run] = Limit(f"run {run}", slots)

    def close_run(self, run: str) -> None:
        """Forget the limits and the waiting calls of *run*. Slots that it still holds return with
        `release`."""
        self.runs.pop(run, None)
        for lane in self.lanes.pop(run).values():
            lane.calls.clear()
            self._leave(lane)
            self._give_up(lane)
            self._forget_lane(lane)

    def add(self, request: SlotRequest, urgency: Urgency, call: CallT) -> None:
        """Queue *call*, which is ready to start."""
        lane = self._lane(request)
        is_first = not lane.calls or urgency < lane.calls[0][0]
        heapq.heappush(lane.calls, (urgency, call))
        if is_first:
            self._enter(lane)

    def withdraw(self, request: SlotRequest, call: CallT) -> None:
        """Withdraw *call*, which was added and has not started."""
        lane = self.lanes[request.run][request]
        was_first = lane.calls[0][1] is call
        lane.drop(call)
        if not lane.calls:
            self._leave(lane)
            self._give_up(lane)
        elif was_first:
            self._enter(lane)

    @property
    def is_settled(self) -> bool:
        """Whether `acquire_next` would give nothing: no call is new in line, and none waits for
        slots that were returned."""
        if self._queue:
            return False
        for limit in self._freed:  # noqa: SIM110 - a generator costs more than the rest
            if limit.parked:
                return False
        return True

    def acquire_at_once(self, request: SlotRequest, now: float) -> Lease[CallT] | None:
        """Take slots for a call that need not wait, as `add` and `acquire_next` would; None if it
        has to wait. Call it only when `is_settled`."""
        lane = self._lane(request)
        for rate in self.rates.values():
            rate.now = now
        if lane.calls or lane.full() is not None:
            return None
        return self._take(lane)

    def acquire_next(self, now: float) -> tuple[CallT, Lease[CallT]] | None:
        """Take the next call that may start now, with its slots, which return with `release`; None
        if there is none."""
        if self.is_settled:
            return None
        for rate in self.rates.values():
            rate.now = now
        if (lane := self._alone() or self._first_that_fits()) is None:
            return None
        _, call = heapq.heappop(lane.calls)
        held = self._take(lane)
        if lane.withdrawn:
            lane.tidy()
        if not lane.calls:
            self._leave(lane)
            lane.stopped_at = None
        elif (full := lane.full()) is not None:
            self._park(lane, full)
        else:
            self._enter(lane)
        return call, held

    def _alone(self) -> Lane[CallT] | None:
        """Take out the lane that waits alone for the slots that were returned, if it fits. None if
        others may be next: then they have to be put in order."""
        if self._queue:
            return None
        line: Line[CallT] | None = None
        for limit in self._freed:
            if limit.parked:
                if line is not None:
                    return None
                line = limit.parked
        if line is None or (lane := line.alone) is None or lane.full() is not None:
            return None
        line.clear()
        self._freed.clear()
        return lane

    def _first_that_fits(self) -> Lane[CallT] | None:
        """Take out the lane that is next and fits, and park those before it, which do not."""
        while True:
            for limit in self._freed:
                if limit.parked:
                    self._wake(limit)
            self._freed.clear()
            if (lane := self._queue.pop_next(_turn)) is None:
                return None
            if (full := lane.full()) is None:
                return lane
            self._park(lane, full)

    def release(self, held: Lease[CallT]) -> None:
        """Return the slots of a call that has ended."""
        for limit, slots in held.taken:
            limit.release(slots)
            self._freed[limit] = None

    def reacquire(self, held: Lease[CallT]) -> None:
        """Take slots again for a call that goes on. If none are free, nothing else starts until
        there are."""
        for limit, slots in held.taken:
            limit.reacquire(slots)

    def resize(self, server: str) -> None:
        """The adaptive limit of *server* may have changed."""
        limit, slots = self.servers[server], self.adaptive[server].slots
        if slots != limit.capacity:
            limit.capacity = slots
            self._freed[limit] = None

    def change(self, limits: Limits, desk: str = NO_DESK) -> None:
        """Apply new *limits* of *desk*, which may be new. Calls in flight keep their slots, even if
        those exceed the new limits."""
        self._settings[desk] = limits
        if desk not in self.gateways:
            self.gateways[desk] = Limit("gateway", limits.gateway)
        self._give(self.gateways[desk], limits.gateway)
        self._apply()

    def forget(self, desk: str) -> None:
        """Forget the limits of *desk*, which makes no calls any more."""
        del self._settings[desk], self.gateways[desk]
        self._apply()

    def _apply(self) -> None:
        """Let the limits of servers be those of all desks together."""
        limits = reduce(Limits.joined, self._settings.values(), Limits(gateway=1))
        self.adaptive = {
            name: self._adapted(name, limits) for name, slots in limits.servers if slots == "auto"
        }
        wanted = {
            name: self.adaptive[name].slots if slots == "auto" else slots
            for name, slots in limits.servers
        }
        for name in {**self.servers, **wanted}:
            slots = wanted.get(
                name, UNBOUNDED
            )  # a removed limit goes on counting, in case it comes back
            self._give(self.servers.setdefault(name, _limit_of(name, slots)), slots)
        self._change_rates(dict(limits.rates))
        self._forget_empty_lanes()
        self._renew_lanes()

    def _adapted(self, server: str, limits: Limits) -> AdaptiveLimit:
        limit = self.adaptive.get(server) or AdaptiveLimit(limits.gateway)
        limit.bound(limits.gateway)
        return limit

    def _change_rates(self, rates: dict[str, Rate]) -> None:
        for name in {**self.rates, **rates}:
            limit = self.rates.setdefault(name, _rate_of(name))
            if limit.window.rate != rates.get(name):
                limit.window.change(rates.get(name))
                self._freed[limit] = None

    def _give(self, limit: Limit[CallT], slots: int) -> None:
        limit.capacity = slots
        self._freed[limit] = None

    def hold(self, server: str, seconds: float, now: float) -> None:
        """Send nothing to *server* for the *seconds* that it asked for."""
        if server not in self.rates:
            self.rates[server] = _rate_of(server)
            self._renew_lanes(server)
        self.rates[server].window.hold(seconds, now)

    def look_again(self, server: str) -> None:
        """Look at *server* again: the time that `to_watch` gave has passed."""
        self.rates[server].is_watched = False
        self._freed[self.rates[server]] = None

    def to_watch(self, now: float) -> Iterator[tuple[str, float]]:
        """Yield the servers whose rate keeps calls waiting, each once, with the seconds until the
        next may be sent."""
        for server, rate in self.rates.items():
            if not rate.is_watched and rate.parked.first(rate.turn_of) is not None:
                rate.is_watched = True
                yield server, rate.window.wait(now)

    def _lane(self, request: SlotRequest) -> Lane[CallT]:
        lanes = self.lanes[request.run]
        if (lane := lanes.get(request)) is None:
            if len(lanes) >= MOST_DIRECT_LANES and request.run == NO_RUN:
                self._forget_empty_lanes()
                lanes = self.lanes[NO_RUN]
            lane = lanes[request] = Lane(request, self._limits(request))
            if len(self._parties) == 1 and lane.party not in self._parties:
                self._count_turns()
            self._parties[lane.party] += 1
        return lane

    def _count_turns(self) -> None:
        """Begin to count: a party that has been alone had its turn at each limit that it uses."""
        [party] = self._parties
        for limits in (self.gateways.values(), self.servers.values(), self.tools.values()):
            for limit in limits:
                if limit.taken:
                    limit.serve(party, 1)

    def _forget_lane(self, lane: Lane[CallT]) -> None:
        self._parties[lane.party] -= 1
        if not self._parties[lane.party]:
            del self._parties[lane.party]

    def _limits(self, request: SlotRequest) -> tuple[Limit[CallT], ...]:
        limits = (
            self.gateways[request.desk],
            self.servers.get(request.server),
            self._tool_limit(request.tools),
            self.runs.get(request.run),
            self.rates.get(request.server),
        )
        return tuple(limit for limit in limits if limit is not None)

    def _tool_limit(self, named: tuple[str, int] | None) -> Limit[CallT] | None:
        if named is None:
            return None
        if named not in self.tools:
            self.tools[named] = Limit(f"tools {named[0]}", named[1])
        return self.tools[named]

    def _forget_empty_lanes(self) -> None:
        """Drop empty lanes of direct calls: the end of no run does it, and new settings may change
        their requests."""
        lanes = self.lanes[NO_RUN]
        self.lanes[NO_RUN] = {request: lane for request, lane in lanes.items() if lane.calls}
        for lane in lanes.values():
            if not lane.calls:
                self._forget_lane(lane)

    def _renew_lanes(self, server: str | None = None) -> None:
        """Rebind the lanes of *server* (None: all) to the current limits."""
        for lanes in self.lanes.values():
            for request, lane in lanes.items():
                if server in {None, request.server}:
                    lane.use(self._limits(request))

    def _take(self, lane: Lane[CallT]) -> Lease[CallT]:
        taken = lane.takes or tuple([(limit, limit.slots(lane.weight)) for limit in lane.limits])
        is_shared = len(self._parties) > 1
        for limit, slots in taken:
            limit.acquire(slots)
            if is_shared:
                limit.serve(lane.party, slots)
            if limit.wide is lane:
                self._let_others_pass(limit)
            elif limit.wide is not None:
                limit.passes += slots
        return Lease(taken, None if lane.stopped_at is None else lane.stopped_at.name)

    def _enter(self, lane: Lane[CallT], woken_by: Limit[CallT] | None = None) -> None:
        self._leave(lane)
        self._stamp = lane.stamp = self._stamp + 1
        if woken_by is not None:
            lane.woken_by = woken_by
            woken_by.woken += 1
        self._queue.push(lane)

    def _leave(self, lane: Lane[CallT]) -> None:
        if lane.woken_by is not None:
            lane.woken_by.woken -= 1
            lane.woken_by = None
        lane.stamp = 0

    def _give_up(self, lane: Lane[CallT]) -> None:
        """Forget that *lane*, which is empty or waits elsewhere now, was parked at a limit."""
        if lane.stopped_at is not None and lane.stopped_at.wide is lane:
            self._let_others_pass(lane.stopped_at)
        lane.stopped_at = None

    def _let_others_pass(self, limit: Limit[CallT]) -> None:
        """Keep *limit* for no wide lane any more."""
        limit.wide, limit.passes = None, 0
        self._freed[limit] = None

    def _park(self, lane: Lane[CallT], full: Limit[CallT]) -> None:
        self._leave(lane)
        self._stamp = lane.stamp = self._stamp + 1
        if lane.stopped_at is not full:
            self._give_up(lane)
            lane.stopped_at = full
        full.parked.push(lane)
        for limit in lane.limits:
            if limit.parked and limit.woken < limit.free:
                self._wake(limit)

    def _wake(self, limit: Limit[CallT]) -> None:
        """Queue one lane of those parked at *limit* for each free slot, in their order.

        More would only be parked again. A lane that starts a call, or is parked elsewhere, no
        longer counts: then the next one is woken.
        """
        waiting = []
        while (
            limit.woken < limit.free and (lane := limit.parked.pop_next(limit.turn_of)) is not None
        ):
            if lane.full() is not limit:
                self._enter(lane, limit)
                continue
            waiting.append(lane)
            if limit.wide is None and lane.is_too_wide_for(limit):
                limit.wide, limit.passes = lane, 0
        for lane in waiting:
            limit.parked.push(lane)


def _limit_of(server: str, slots: int) -> Limit[CallT]:
    return Limit(f"server {shown(server)}", slots)


def _rate_of(server: str, rate: Rate | None = None) -> RateLimit[CallT]:
    return RateLimit(f"rate of {shown(server)}", rate)


def _turn(lane: Lane[CallT]) -> tuple[int, int]:
    """Return the turn of *lane* at the limit where it is latest, of those that others wait for."""
    return max(
        (limit.turn_of(lane) for limit in lane.limits if limit.parked or limit.woken),
        default=(0, 0),
    )
