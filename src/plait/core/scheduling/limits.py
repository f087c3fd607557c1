"""Concurrency limits: how much may run at once, the slots that a call takes, and the call that
starts next.

*The idea.* `acquire_next` is the one place that decides what starts. It pops the most urgent lane
(`lanes.py`) from a queue, starts its first call if that fits, and parks the lane at the first full
limit if it does not. When slots are freed, a limit puts back into the queue as many of its parked
lanes as it has free slots, the most urgent first. So the cost of an event is the logarithm of the
number of lanes, however many calls wait.

*The invariants.*

1. All slots of a call are taken together, or none.
2. After `acquire_next` nothing that waits would fit: a call that is left waits for a limit that is
   full, or that keeps its free slots for a more urgent lane.
3. Of the calls that fit, the most urgent starts first. A lane too wide for what is free keeps its
   place at its limit. Narrower lanes behind it may start, but only as many calls as the limit has
   slots: then the limit keeps free slots for the wide lane (`lanes.py`).
4. Direct calls (by tool name, outside of runs) and calls of runs that need the same slots
   alternate: after a direct call has started, its lane *yields*, that is, sorts behind the lanes of
   runs of the same priority, until a call of a run has started that took what the lane waits for.
   Neither kind can starve the other, at the cost of one flag a lane.

*Why not the obvious way.* Waking every waiter when a slot is freed, and letting each try again,
starts the right calls but costs a crowd of wake-ups for one slot; and a fixed share for each kind
of call would leave slots unused.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Literal

from .adaptive import AdaptiveLimit
from .lanes import NO_RUN, CallT, Lane, Lease, Limit, RateLimit, SlotRequest, Urgency
from .rates import UNBOUNDED, Rate


@dataclass(frozen=True, slots=True)
class Limits:
    """Most calls in flight, in the whole gateway and at single servers; and the rates of
    servers."""

    gateway: int = 32
    servers: tuple[tuple[str, int | Literal["auto"]], ...] = ()
    rates: tuple[tuple[str, Rate], ...] = ()


class ConcurrencyLimits(Generic[CallT]):
    """Every limit and every lane: the one place that decides what starts."""

    def __init__(self, limits: Limits) -> None:
        self.gateway: Limit[CallT] = Limit("gateway", limits.gateway)
        self.adaptive = {
            name: AdaptiveLimit(limits.gateway) for name, slots in limits.servers if slots == "auto"
        }
        self.servers: dict[str, Limit[CallT]] = {
            name: Limit(f"server {name}", self.adaptive[name].slots if slots == "auto" else slots)
            for name, slots in limits.servers
        }
        self.rates: dict[str, RateLimit[CallT]] = {
            name: RateLimit(f"rate of {name}", rate) for name, rate in limits.rates
        }
        self.tools: dict[tuple[str, int], Limit[CallT]] = {}
        self.runs: dict[str, Limit[CallT]] = {}
        self.lanes: dict[str, dict[SlotRequest, Lane[CallT]]] = {NO_RUN: {}}
        """By run."""
        self._yielding: dict[Lane[CallT], None] = {}
        self._queue: list[tuple[Urgency, int, Lane[CallT]]] = []
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
            self._give_back(lane)
            lane.calls.clear()
            self._leave(lane)

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
            self._give_back(lane)
            self._leave(lane)
            lane.stopped_at = None
        elif was_first:
            self._enter(lane)
            for limit in lane.limits:
                if limit.kept_for is lane:  # it is less urgent now, and keeps slots from fewer
                    self._wake(limit)

    @property
    def is_settled(self) -> bool:
        """Whether `acquire_next` would give nothing: no call is new in line, and none waits for
        slots that were returned."""
        return not self._queue and not any(limit.parked for limit in self._freed)

    def acquire_at_once(self, request: SlotRequest, now: float) -> Lease[CallT] | None:
        """Take slots for a call that need not wait, as `add` and `acquire_next` would; None if it
        has to wait. Call it only when `is_settled`."""
        lane = self._lane(request)
        for rate in self.rates.values():
            rate.now = now
        if lane.calls or lane.full() is not None:
            return None
        self._take_turns(lane)
        lease = self._take(lane)
        self._count_passing(lane, None)
        return lease

    def acquire_next(self, now: float) -> Iterator[tuple[CallT, Lease[CallT]]]:
        """Take the calls that may start now, most urgent first, with their slots, which return with
        `release`."""
        for rate in self.rates.values():
            rate.now = now
        for limit in self._freed:
            if limit.parked:
                self._wake(limit)
        self._freed.clear()
        while self._queue:
            urgency, stamp, lane = heapq.heappop(self._queue)
            if stamp != lane.stamp:
                continue
            if (full := lane.full()) is not None:
                self._park(lane, full, urgency)
                continue
            _, call = heapq.heappop(lane.calls)
            held = self._take(lane)
            self._leave(lane)
            self._count_passing(lane, urgency)
            if lane.weight > 1:
                self._give_back(lane)
            if lane.withdrawn:
                lane.tidy()
            if self._yielding or lane.request.run == NO_RUN:
                self._take_turns(lane)
            if not lane.calls:
                lane.stopped_at = None
            elif (full := lane.full()) is not None:
                self._park(lane, full, lane.urgency)
            else:
                self._enter(lane)
            yield call, held

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

    def change(self, limits: Limits) -> None:
        """Apply new *limits*. Calls in flight keep their slots, even if those exceed the new
        limits."""
        for lanes in self.lanes.values():
            for lane in lanes.values():
                self._give_back(lane)
        self._give(self.gateway, limits.gateway)
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
            self._give(self.servers.setdefault(name, Limit(f"server {name}", slots)), slots)
        self._change_rates(dict(limits.rates))
        self._forget_empty_lanes()
        self._renew_lanes()

    def _adapted(self, server: str, limits: Limits) -> AdaptiveLimit:
        limit = self.adaptive.get(server) or AdaptiveLimit(limits.gateway)
        limit.bound(limits.gateway)
        return limit

    def _change_rates(self, rates: dict[str, Rate]) -> None:
        for name in {**self.rates, **rates}:
            limit = self.rates.setdefault(name, RateLimit(f"rate of {name}"))
            if limit.bucket.rate != rates.get(name):
                limit.bucket.change(rates.get(name))
                self._freed[limit] = None

    def _give(self, limit: Limit[CallT], slots: int) -> None:
        limit.capacity = slots
        self._freed[limit] = None

    def hold(self, server: str, seconds: float, now: float) -> None:
        """Send nothing to *server* for the *seconds* that it asked for."""
        if server not in self.rates:
            self.rates[server] = RateLimit(f"rate of {server}")
            self._renew_lanes(server)
        self.rates[server].bucket.hold(seconds, now)

    def look_again(self, server: str) -> None:
        """Look at *server* again: the time that `to_watch` gave has passed."""
        self.rates[server].is_watched = False
        self._freed[self.rates[server]] = None

    def to_watch(self, now: float) -> Iterator[tuple[str, float]]:
        """Yield the servers whose rate keeps calls waiting, each once, with the seconds until the
        next may be sent."""
        for server, rate in self.rates.items():
            while rate.parked and rate.parked[0][1] != rate.parked[0][2].stamp:
                heapq.heappop(rate.parked)  # its calls were withdrawn, or wait elsewhere
            if rate.parked and not rate.is_watched:
                rate.is_watched = True
                yield server, rate.bucket.wait(now)

    def _lane(self, request: SlotRequest) -> Lane[CallT]:
        lanes = self.lanes[request.run]
        if (lane := lanes.get(request)) is None:
            lane = lanes[request] = Lane(request, self._limits(request))
        return lane

    def _limits(self, request: SlotRequest) -> tuple[Limit[CallT], ...]:
        limits = (  # the gateway's after the narrower ones: its slots are kept last
            self.servers.get(request.server),
            self._tool_limit(request.tools),
            self.runs.get(request.run),
            self.gateway,
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
        direct = self.lanes[NO_RUN] = {
            request: lane for request, lane in self.lanes[NO_RUN].items() if lane.calls
        }
        self._yielding = {lane: None for lane in self._yielding if lane.request in direct}

    def _renew_lanes(self, server: str | None = None) -> None:
        """Rebind the lanes of *server* (None: all) to the current limits."""
        for lanes in self.lanes.values():
            for request, lane in lanes.items():
                if server in {None, request.server}:
                    lane.use(self._limits(request))

    def _take_turns(self, started: Lane[CallT]) -> None:
        """Alternate between direct calls and calls of runs: a call of *started* has started."""
        if started.request.run == NO_RUN:
            started.yields = True
            self._yielding[started] = None
            return
        for lane in [one for one in self._yielding if one.has_given_way_to(started)]:
            del self._yielding[lane]
            lane.yields = False
            if lane.calls:
                self._enter(lane)

    def _take(self, lane: Lane[CallT]) -> Lease[CallT]:
        taken = lane.takes or tuple([(limit, limit.slots(lane.weight)) for limit in lane.limits])
        for limit, slots in taken:
            limit.acquire(slots)
        return Lease(taken, None if lane.stopped_at is None else lane.stopped_at.name)

    def _enter(self, lane: Lane[CallT], woken_by: Limit[CallT] | None = None) -> None:
        self._leave(lane)
        self._stamp = lane.stamp = self._stamp + 1
        if woken_by is not None:
            lane.woken_by = woken_by
            woken_by.woken += 1
        heapq.heappush(self._queue, (lane.urgency, lane.stamp, lane))

    def _leave(self, lane: Lane[CallT]) -> None:
        if lane.woken_by is not None:
            lane.woken_by.woken -= 1
            lane.woken_by = None
        lane.stamp = 0

    def _count_passing(self, started: Lane[CallT], urgency: Urgency | None) -> None:
        """Count a call of *started* for the wide lane that it passed at each limit, if any; keep
        slots for a lane that was passed too often."""
        for limit in started.limits:
            if not limit.parked or (lane := limit.first_parked()) is None or lane.weight == 1:
                continue
            if lane is not started and (urgency is None or lane.urgency < urgency):
                lane.passed += 1
                self._keep_slots(limit, lane)

    def _keep_slots(self, limit: Limit[CallT], lane: Lane[CallT]) -> None:
        """Keep free slots of *limit* for *lane*, if it was passed too often and no more urgent lane
        has them."""
        if lane.passed >= limit.capacity and not limit.is_kept_from(lane):
            limit.kept_for = lane

    def _give_back(self, lane: Lane[CallT], behind: Limit[CallT] | None = None) -> None:
        """Keep no slots for *lane* any longer, at the limits behind *behind* (None: at all), and
        count anew who passes it, if that is all."""
        limits = lane.limits
        if behind is None:
            lane.passed = 0
        elif not isinstance(behind, RateLimit):  # only time can help there: all are given back
            limits = limits[limits.index(behind) + 1 :]
        kept = [limit for limit in limits if limit.kept_for is lane]
        for limit in kept:
            limit.kept_for = None
        for limit in kept:
            self._wake(limit)

    def _park(self, lane: Lane[CallT], full: Limit[CallT], urgency: Urgency) -> None:
        self._leave(lane)
        if lane.weight > 1:
            self._give_back(lane, behind=full)
            if full.free < full.slots(lane.weight) and not isinstance(full, RateLimit):
                self._keep_slots(full, lane)
        self._stamp = lane.stamp = self._stamp + 1
        lane.stopped_at = full
        heapq.heappush(full.parked, (urgency, lane.stamp, lane))
        for limit in lane.limits:
            if limit.parked:
                self._wake(limit)

    def _wake(self, limit: Limit[CallT]) -> None:
        """Queue one lane of those parked at *limit* for each free slot, the most urgent first.

        More would only be parked again. A lane that starts a call, or is parked elsewhere, no
        longer counts: then the next one is woken.
        """
        too_wide = []
        while limit.parked and limit.woken < limit.free:
            entry = heapq.heappop(limit.parked)
            _, stamp, lane = entry
            if stamp != lane.stamp:
                continue
            if lane.full() is limit:
                too_wide.append(entry)
                if limit.kept_for is lane or limit.is_kept_from(lane):
                    break  # and so it is from all behind
            else:
                self._enter(lane, limit)
        for entry in too_wide:
            heapq.heappush(limit.parked, entry)
