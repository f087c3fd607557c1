"""Lanes, in which calls wait, and limits, for whose slots they wait. `limits.py` moves both.

*The idea.* A call needs one slot (or `weight` slots) of each of up to five limits: the gateway's,
its server's, its tool's, its run's, and its server's rate. Ten thousand ready calls rarely differ
in that: they need slots of the same few combinations. So calls with equal needs (`SlotRequest`)
share a *lane*, a heap ordered by urgency, and only the first call of a lane is ever examined: if it
does not fit, no other call of its lane does.

*The invariants.*

1. A lane with waiting calls has exactly one current entry: in the queue of `limits.py`, or parked
   at one limit that had no room when it was examined. Its `stamp` tells the current entry from
   stale ones, which stay in their heaps until they surface and are then dropped: deleting from the
   middle of a heap would cost its length.
2. A lane is parked at a limit that is full for it, so nothing that fits is parked.
3. A lane that needs several slots of a limit (a *wide* one) would never find them free while calls
   that need one keep coming. So it counts the less urgent calls that pass it at the limit where it
   is parked. After as many as the limit has slots, the limit keeps what becomes free for it: no
   less urgent call starts there before it (`kept_for`). Slots are idle for that only as long as the
   calls in flight take, and only after that number of calls. Slots of the gateway are kept last,
   once the call has those of its server, its tool and its run.
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
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from .rates import UNBOUNDED, LeakyBucket, Rate

Urgency: TypeAlias = "tuple[float, ...]"
"""The smaller one goes first."""

CallT = TypeVar("CallT")

NO_RUN = ""
"""Stands for the run in the keys and slot requests of direct calls."""

_LAST = float("inf")


class SlotRequest(NamedTuple):
    """The slots that a call needs. Calls with equal requests wait in one lane."""

    run: str
    """`NO_RUN` for a direct call."""
    server: str
    tools: tuple[str, int] | None
    """The limit that its tool shares with others: name and slots."""
    weight: int


class Limit(Generic[CallT]):
    """A number of slots, how many are taken, and the lanes that wait for one."""

    __slots__ = ("capacity", "kept_for", "name", "parked", "taken", "woken")

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self.capacity = capacity
        self.taken = 0
        self.woken = 0
        """Lanes that were parked here and are back in the queue, each for one free slot."""
        self.parked: list[tuple[Urgency, int, Lane[CallT]]] = []
        self.kept_for: Lane[CallT] | None = None
        """The lane for which free slots are kept: it needs several, and was passed often enough."""

    def __repr__(self) -> str:
        return f"<Limit {self.name}: {self.taken} of {self.capacity}>"

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

    def is_kept_from(self, lane: Lane[CallT]) -> bool:
        """Whether its free slots are kept for a lane that is more urgent than *lane*."""
        if self.kept_for is None or self.kept_for is lane:
            return False
        return not lane.calls or self.kept_for.urgency < lane.urgency

    def first_parked(self) -> Lane[CallT] | None:
        """Return the most urgent lane that is parked here; None if there is none."""
        while self.parked:
            _, stamp, lane = self.parked[0]
            if stamp == lane.stamp:
                return lane
            heapq.heappop(self.parked)
        return None


class RateLimit(Limit[CallT]):
    """A limit whose free slots are the calls that may be sent at this moment. Slots return with
    time, not with the end of a call."""

    __slots__ = ("bucket", "is_watched", "now")

    def __init__(self, name: str, rate: Rate | None = None) -> None:
        super().__init__(name, UNBOUNDED)
        self.bucket = LeakyBucket(rate)
        self.now = 0.0
        self.is_watched = False
        """Whether a wake-up is scheduled for it."""

    @property
    def free(self) -> int:
        return self.bucket.free(self.now)

    def slots(self, weight: int) -> int:
        return 1

    def acquire(self, slots: int) -> None:
        self.bucket.take(self.now)

    def release(self, slots: int) -> None:
        pass

    def reacquire(self, slots: int) -> None:
        pass


class Lane(Generic[CallT]):
    """Calls that need the same slots, most urgent first."""

    __slots__ = (
        "calls",
        "limits",
        "passed",
        "request",
        "stamp",
        "stopped_at",
        "takes",
        "weight",
        "withdrawn",
        "woken_by",
        "yields",
    )

    def __init__(self, request: SlotRequest, limits: tuple[Limit[CallT], ...]) -> None:
        self.request = request
        self.weight = request.weight
        self.use(limits)
        self.calls: list[tuple[Urgency, CallT]] = []
        self.stamp = 0
        """The stamp of its current entry, in the queue or at a limit."""
        self.woken_by: Limit[CallT] | None = None
        self.stopped_at: Limit[CallT] | None = None
        """The limit at which it was parked last, since it was last empty."""
        self.passed = 0
        """The less urgent calls that took slots of the limit at which it was parked, since it last
        started a call."""
        self.yields = False
        """Whether calls of runs go first now: this lane holds direct calls, and had its turn."""
        self.withdrawn: set[CallT] = set()
        """Withdrawn calls among `calls`; never the first."""

    @property
    def urgency(self) -> Urgency:
        """The urgency of its first call."""
        urgency = self.calls[0][0]
        return (urgency[0], _LAST, *urgency[2:]) if self.yields else urgency

    def use(self, limits: tuple[Limit[CallT], ...]) -> None:
        """Set the limits whose slots its calls take."""
        self.limits = limits
        self.takes = tuple((limit, 1) for limit in limits) if self.weight == 1 else ()
        """The slots of a call, if they cannot change with the limits."""

    def full(self) -> Limit[CallT] | None:
        """Return the first limit that has not enough free slots for a call of this lane, or keeps
        them for another; None if it fits."""
        weight = self.weight
        for limit in self.limits:
            if limit.free < (1 if weight == 1 else limit.slots(weight)):
                return limit
            if limit.kept_for is not None and limit.is_kept_from(self):
                return limit
        return None

    def has_given_way_to(self, started: Lane[CallT]) -> bool:
        """Whether a call of *started* took slots that calls of this lane wait for or, while none
        waits, will ask for."""
        return (
            self.stopped_at in started.limits
            if self.calls
            else self.request.server == started.request.server
        )

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


class Lease(NamedTuple, Generic[CallT]):
    """The slots that one call in flight holds."""

    taken: tuple[tuple[Limit[CallT], int], ...]
    waited_at: str | None
    """The limit at which its lane was parked last before it was sent; None if it was not."""
