"""Lanes, in which calls wait, and limits, for whose slots they wait. `limits.py` moves both.

*The idea.* A call needs one slot (or `weight` slots) of each of up to five limits: the gateway's,
its server's, its tool's, its run's, and its server's rate. Ten thousand ready calls rarely differ
in that: they need slots of the same few combinations. So calls with equal needs (`SlotRequest`)
share a *lane*, a heap ordered by urgency, and only the first call of a lane is ever examined: if it
does not fit, no other call of its lane does.

Lanes belong to *parties*: the runs of one caller are one, its direct calls another. Parties take
turns at each limit (start-time fair queueing): a limit counts the slots that it gave to each, and
of those who wait for it, the one furthest behind is next. A party that comes anew starts at the
count of the one that was served last, so nothing is saved up. Urgency decides within a party.

*The invariants.*

1. A lane with waiting calls has exactly one current entry: in the queue of `limits.py`, or parked
   at one limit that had no room when it was examined. Its `stamp` tells the current entry from
   stale ones, which stay in their heaps until they surface and are then dropped: deleting from the
   middle of a heap would cost its length.
2. A lane is parked at a limit that is full for it, or kept free for a wide one, so nothing that may
   start is parked.
3. Narrower calls may pass a *wide* one, which is next and does not fit, with as many slots as the
   limit has. From then on the limit is kept free for it.
4. `Limit.woken` counts the lanes that were parked at a limit and are in the queue again. Together
   they never claim more than the slots that are free, so no limit wakes a crowd of lanes for one
   slot.

*Why not the obvious way.* A semaphore a limit would make a call take its slots one after the other:
it would hold some while it waits for the rest, a less urgent call could overtake between two of
them, and two calls could wait for each other. One list of ready calls that is scanned whenever a
slot is freed costs the number of calls for each event, which is the square of it for a run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from .rates import UNBOUNDED, Rate, SlidingWindow

Urgency: TypeAlias = "tuple[float, ...]"
"""The smaller one goes first."""

CallT = TypeVar("CallT")

NO_RUN = ""
"""Stands for the run in the keys and slot requests of direct calls."""

NO_DESK = ""
"""Stands for the desk where there is one configuration alone."""

Party: TypeAlias = "tuple[str, bool]"
"""A caller, and whether these are its direct calls."""

_MOST_TURNS = 64
"""Parties whose turns a limit remembers: those that were served last."""


class SlotRequest(NamedTuple):
    """The slots that a call needs. Calls with equal requests wait in one lane."""

    run: str
    """`NO_RUN` for a direct call."""
    server: str
    """Its `server_key`."""
    tools: tuple[str, int] | None
    """The limit that its tool shares with others: name and slots."""
    weight: int
    caller: str = ""
    """The caller that it is for."""
    desk: str = NO_DESK
    """The configuration whose gateway limit it counts for, where several share one scheduler."""


class Limit(Generic[CallT]):
    """A number of slots, how many are taken, and the lanes that wait for one."""

    __slots__ = (
        "capacity",
        "clock",
        "name",
        "parked",
        "passes",
        "served",
        "taken",
        "turns",
        "wide",
        "woken",
    )

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self.capacity = capacity
        self.taken = 0
        self.woken = 0
        """Lanes that were parked here and are back in the queue, each for one free slot."""
        self.parked: Line[CallT] = Line()
        self.wide: Lane[CallT] | None = None
        """The lane that is next and needs more slots than are free."""
        self.passes = 0
        """The slots that others took while it waited."""
        self.turns: dict[Party, tuple[int, int]] = {}
        """By party: the slots that it was given, as counted by `clock`, and when it was served; the
        one served last stands last."""
        self.clock = 0
        """The count of the party that was served last."""
        self.served = 0

    def __repr__(self) -> str:
        return f"<Limit {self.name}: {self.taken} of {self.capacity}>"

    def serve(self, party: Party, slots: int) -> None:
        """Count *slots* that *party* is given."""
        self.served += 1
        ahead, _ = self.turn(party)
        self.clock += ahead
        self.turns.pop(party, None)
        self.turns[party] = self.clock + slots, self.served
        if len(self.turns) > _MOST_TURNS:
            del self.turns[next(iter(self.turns))]

    def turn(self, party: Party) -> tuple[int, int]:
        """Return the slots by which *party* is ahead, and when it was served; the smallest is
        next."""
        count, served = self.turns.get(party, (0, 0))
        return max(0, count - self.clock), served

    def turn_of(self, lane: Lane[CallT]) -> tuple[int, int]:
        return self.turn(lane.party)

    def is_kept_from(self, lane: Lane[CallT]) -> bool:
        """Whether *lane* has to wait for the wide one, which was passed often enough. A lane
        without calls is about to get its first, the last of its party."""
        wide = self.wide
        if wide is None or wide is lane or self.passes < self.capacity:
            return False
        return wide.party != lane.party or not lane.calls or wide.urgency < lane.urgency

    @property
    def free(self) -> int:
        return self.capacity - self.taken

    def slots(self, weight: int) -> int:
        """Return the slots that a call of that weight takes: all of them if it is wider than the
        limit."""
        return min(weight, self.capacity)

    def acquire(self, slots: int) -> None:
        self.taken += slots

    def release(self, slots: int) -> None:
        self.taken -= slots

    def reacquire(self, slots: int) -> None:
        """Take slots again for a call that had given them back: it is at its server, whether slots
        are free or not."""
        self.taken += slots


class RateLimit(Limit[CallT]):
    """A limit whose free slots are the calls that may be sent at this moment. Slots return with
    time, not with the end of a call."""

    __slots__ = ("is_watched", "now", "window")

    def __init__(self, name: str, rate: Rate | None = None) -> None:
        super().__init__(name, UNBOUNDED)
        self.window = SlidingWindow(rate)
        self.now = 0.0
        self.is_watched = False
        """Whether a wake-up is scheduled for it."""

    @property
    def free(self) -> int:
        return self.window.free(self.now)

    def slots(self, weight: int) -> int:
        return 1

    def acquire(self, slots: int) -> None:
        self.window.take(self.now)

    def release(self, slots: int) -> None:
        pass

    def reacquire(self, slots: int) -> None:
        pass


class Lane(Generic[CallT]):
    """Calls that need the same slots, most urgent first."""

    __slots__ = (
        "calls",
        "limits",
        "party",
        "request",
        "stamp",
        "stopped_at",
        "takes",
        "weight",
        "withdrawn",
        "woken_by",
    )

    def __init__(self, request: SlotRequest, limits: tuple[Limit[CallT], ...]) -> None:
        self.request = request
        self.party: Party = (request.caller, request.run == NO_RUN)
        self.weight = request.weight
        self.use(limits)
        self.calls: list[tuple[Urgency, CallT]] = []
        self.stamp = 0
        """The stamp of its current entry, in the queue or at a limit."""
        self.woken_by: Limit[CallT] | None = None
        self.stopped_at: Limit[CallT] | None = None
        """The limit at which it was parked last, since it was last empty."""
        self.withdrawn: set[CallT] = set()
        """Withdrawn calls among `calls`; never the first."""

    @property
    def urgency(self) -> Urgency:
        """The urgency of its first call."""
        return self.calls[0][0]

    def use(self, limits: tuple[Limit[CallT], ...]) -> None:
        """Set the limits whose slots its calls take."""
        self.limits = limits
        self.takes = tuple((limit, 1) for limit in limits) if self.weight == 1 else ()
        """The slots of a call, if they cannot change with the limits."""

    def full(self) -> Limit[CallT] | None:
        """Return the first limit without enough free slots for a call of this lane, or that is kept
        for a wide one; None if it may start."""
        weight = self.weight
        for limit in self.limits:
            if limit.free < (1 if weight == 1 else limit.slots(weight)):
                return limit
            if limit.wide is not None and limit.is_kept_from(self):
                return limit
        return None

    def is_too_wide_for(self, limit: Limit[CallT]) -> bool:
        return limit.free < limit.slots(self.weight)

    def drop(self, call: CallT) -> None:
        """Withdraw *call*. Withdrawn calls are never more than waiting ones, so that they do not
        pile up."""
        self.withdrawn.add(call)
        if 2 * len(self.withdrawn) > len(self.calls):
            self.calls = [entry for entry in self.calls if entry[1] not in self.withdrawn]
            heapq.heapify(self.calls)
            self.withdrawn.clear()
        self.tidy()

    def tidy(self) -> None:
        """Drop withdrawn calls at the front, so that the first call is a waiting one."""
        while self.withdrawn and self.calls[0][1] in self.withdrawn:
            self.withdrawn.discard(heapq.heappop(self.calls)[1])


class Line(dict[Party, "list[tuple[Urgency, int, Lane[CallT]]]"], Generic[CallT]):
    """Lanes that wait: a heap for each party that has an entry, also if that is stale."""

    __slots__ = ()

    def push(self, lane: Lane[CallT]) -> None:
        """Add *lane*; the entry is current as long as its stamp is."""
        entry = lane.calls[0][0], lane.stamp, lane
        if (heap := self.get(lane.party)) is None:
            self[lane.party] = [entry]
        else:
            heapq.heappush(heap, entry)

    def pop_next(self, turn: Callable[[Lane[CallT]], tuple[int, int]]) -> Lane[CallT] | None:
        """Take out the lane that is next: of the party with the smallest *turn*, of equals the most
        urgent. None without any."""
        if not self:
            return None
        if len(self) == 1:  # as in most gateways, at most times
            [(party, heap)] = self.items()
            while heap:
                _, stamp, lane = heapq.heappop(heap)
                if stamp == lane.stamp:
                    if not heap:
                        del self[party]
                    return lane
            del self[party]
            return None
        if (found := self.first(turn)) is not None:
            heap = self[found.party]
            heapq.heappop(heap)
            if not heap:
                del self[found.party]
        return found

    @property
    def alone(self) -> Lane[CallT] | None:
        """The only lane that waits here; None if there are more entries."""
        if len(self) == 1:
            [heap] = self.values()
            if len(heap) == 1 and heap[0][1] == heap[0][2].stamp:
                return heap[0][2]
        return None

    def first(self, turn: Callable[[Lane[CallT]], tuple[int, int]]) -> Lane[CallT] | None:
        """Return the lane that `pop_next` would take out."""
        entries = []
        for party in [*self]:
            heap = self[party]
            while heap[0][1] != heap[0][2].stamp:  # stale
                heapq.heappop(heap)
                if not heap:
                    del self[party]
                    break
            else:
                entries.append(heap[0])
        if not entries:
            return None
        return min(entries, key=lambda entry: (turn(entry[2]), entry[:2]))[2]


class Lease(NamedTuple, Generic[CallT]):
    """The slots that one call in flight holds."""

    taken: tuple[tuple[Limit[CallT], int], ...]
    waited_at: str | None
    """The limit at which its lane was parked last before it was sent; None if it was not."""
