"""Locks on resources: requests for claims, granted in the order in which they were made.

*The idea.* A claim reads or writes one resource, a path of steps such as `file`, `srv`, `data`. Two
claims conflict if one resource is or contains the other and one of them writes. A request makes all
claims of a call at once; it is granted once no *earlier* request that is not released conflicts
with it, and holds all its claims until it is released.

Resources form a tree of places. Each place keeps the requests for itself (`here`) and for anything
inside (`beneath`), and of both those that write once more. A writer conflicts with `here` of every
place on its way and `beneath` of its own; a reader with the writing halves of the same. All these
lists are sorted by request number, so finding an earlier conflicting request is one binary search
for each place on the way.

*The invariants.*

1. Of two conflicting requests, the earlier is granted first. So readers that arrive later never
   overtake a waiting writer, and because every wait points from a later to an earlier request, no
   cycle of waits (deadlock) can exist.
2. A waiting request has exactly one `blocker`, an earlier conflicting request, and is among its
   `followers`. Releasing a request therefore looks at its followers alone, never at everything that
   waits.

*Why not the obvious way.* One reader-writer lock for each resource, taken one after the other,
deadlocks unless all callers agree on an order, and knows nothing of folders. Recording *all*
blockers of a request costs the square of the number of requests when many conflict. With one
blocker, the next has to be found when that one is released, and the choice matters: with the
latest, a hostile order of releases makes a request change its blocker at every release. So the
first blocker is the latest, which is the one that ends last if calls end in order, and each further
one is picked from the candidates as if at random (`_SCATTER`): then a request changes its blocker
an expected logarithm of times, whatever the order of releases, and the same events still give the
same result.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Generic, TypeAlias, TypeVar

from ..tools.claims import ResourceClaim

Holder = TypeVar("Holder")


class LockRequest(Generic[Holder]):
    """Claims of one holder. `blocker` is one of the earlier requests that it waits for, at first
    the latest of them; None once granted."""

    __slots__ = ("because", "blocker", "claims", "followers", "holder", "number", "ways")

    def __init__(
        self,
        holder: Holder,
        claims: Sequence[ResourceClaim],
        number: int,
        ways: Sequence[Way[Holder]],
    ) -> None:
        self.holder = holder
        self.claims = claims
        self.number = number
        self.ways = ways
        """For each claim, the places on the way to its resource, which is the last."""
        self.blocker: LockRequest[Holder] | None = None
        self.because: tuple[ResourceClaim, ResourceClaim] | None = None
        """The claim of the blocker and its own that conflict. Kept when the request is granted."""
        self.followers: dict[LockRequest[Holder], None] = {}
        """The requests that it blocks."""


Entry: TypeAlias = "tuple[int, LockRequest[Holder], ResourceClaim]"
"""A request, under its number, with the claim that puts it into a line."""
Line: TypeAlias = "Sequence[Entry[Holder]]"
"""Entries by number."""
Way: TypeAlias = "list[_Place[Holder]]"


class _Place(Generic[Holder]):
    """One resource: the requests for it and for anything inside of it; the writers among them once
    more."""

    __slots__ = ("beneath", "beneath_writing", "here", "here_writing", "inner", "outer", "step")

    def __init__(self, outer: _Place[Holder] | None, step: str) -> None:
        self.outer = outer
        self.step = step
        self.inner: dict[str, _Place[Holder]] = {}
        self.here: list[Entry[Holder]] = []
        self.beneath: list[Entry[Holder]] = []
        self.here_writing: list[Entry[Holder]] = []
        self.beneath_writing: list[Entry[Holder]] = []

    def leave_if_empty(self) -> None:
        if not self.here and not self.inner and self.outer is not None:
            self.outer.inner.pop(self.step, None)


class Locks(Generic[Holder]):
    """All requests that have not been released. The cost of asking and releasing grows with the
    steps of the claims and the logarithm of the number of requests."""

    def __init__(self) -> None:
        self._root: _Place[Holder] = _Place(None, "")
        self._last = 0

    def __repr__(self) -> str:
        return f"<Locks: {self._last} requests so far, {'none' if self.is_free else 'some'} left>"

    @property
    def is_free(self) -> bool:
        """Whether there are no requests."""
        return not self._root.inner

    def ask(self, holder: Holder, claims: Sequence[ResourceClaim]) -> LockRequest[Holder]:
        """Make a request. It is granted if it has no `blocker`; otherwise the release of another
        one grants it."""
        self._last += 1
        request = LockRequest(holder, claims, self._last, [self._way(claim) for claim in claims])
        self._block(request, self._latest_before(request))
        for claim, way in zip(claims, request.ways, strict=True):
            entry = (request.number, request, claim)
            for line in _lines(way, claim):
                line.append(entry)
        return request

    def release(self, request: LockRequest[Holder]) -> list[LockRequest[Holder]]:
        """Release *request*, granted or not; gives the requests that this grants, the earliest
        first."""
        for claim, way in zip(request.claims, request.ways, strict=True):
            for line in _lines(way, claim):
                _remove(line, request.number)
        for way in request.ways:
            for place in reversed(way):
                place.leave_if_empty()
        if request.blocker is not None:
            del request.blocker.followers[request]
        followers, request.followers = request.followers, {}
        for follower in followers:
            self._block(follower, self._any_before(follower))
        return sorted((one for one in followers if one.blocker is None), key=lambda one: one.number)

    def _block(
        self, request: LockRequest[Holder], found: tuple[Entry[Holder], ResourceClaim] | None
    ) -> None:
        """Let *request* wait for the one that was *found*, over their two claims; grant it if
        None."""
        request.blocker = None
        if found is not None:
            (_, blocker, claim), own = found
            request.blocker, request.because = blocker, (claim, own)
            blocker.followers[request] = None

    def _latest_before(
        self, request: LockRequest[Holder]
    ) -> tuple[Entry[Holder], ResourceClaim] | None:
        found = [(line[index - 1], claim) for line, index, claim in _in_the_way(request)]
        return max(found, key=lambda pair: pair[0][0], default=None)

    def _any_before(
        self, request: LockRequest[Holder]
    ) -> tuple[Entry[Holder], ResourceClaim] | None:
        """Pick one that *request* still waits for, as if at random: whatever the order in which
        the others are released, it changes as often as the logarithm of their number. The latest
        could change at every release."""
        for line, index, claim in _in_the_way(request):
            return line[request.number * _SCATTER % index], claim
        return None

    def _way(self, claim: ResourceClaim) -> Way[Holder]:
        place = self._root
        way = []
        for step in claim.steps:
            inner = place.inner.get(step)
            if inner is None:
                inner = place.inner[step] = _Place(place, step)
            place = inner
            way.append(place)
        return way


_SCATTER = 2_654_435_761
"""A prime near 2**32 over the golden ratio: its multiples are spread evenly (Knuth, multiplicative
hashing)."""


def _in_the_way(
    request: LockRequest[Holder],
) -> Iterator[tuple[list[Entry[Holder]], int, ResourceClaim]]:
    """Yield each line with requests that *request* waits for, the number of its first entries that
    they are, and the claim."""
    for claim, way in zip(request.claims, request.ways, strict=True):
        for line in _conflicting_lines(way, claim):
            if index := bisect_left(line, (request.number,)):
                yield line, index, claim


def _lines(way: Way[Holder], claim: ResourceClaim) -> Iterator[list[Entry[Holder]]]:
    """Yield the lines that hold *claim*: at its resource, and at every place around it."""
    last = way[-1]
    yield last.here
    if claim.writes:
        yield last.here_writing
    for place in way[:-1]:
        yield place.beneath
        if claim.writes:
            yield place.beneath_writing


def _conflicting_lines(way: Way[Holder], claim: ResourceClaim) -> Iterator[list[Entry[Holder]]]:
    if claim.writes:
        yield from [place.here for place in way if place.here]
        yield way[-1].beneath
    else:
        yield from [place.here_writing for place in way if place.here_writing]
        yield way[-1].beneath_writing


def _remove(line: list[Entry[Holder]], number: int) -> None:
    index = bisect_left(line, (number,))
    if index < len(line) and line[index][0] == number:
        del line[index]
