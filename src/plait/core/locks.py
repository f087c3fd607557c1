"""Who may touch what, and who goes first: requests for resources, granted in the order in which they were made.

A request holds all its claims from the moment it is granted until it is released; it is granted once no earlier
request that has not been released conflicts with it. So nothing is taken bit by bit, nothing can deadlock, and a
writer is not kept waiting by readers that came after it. Two claims conflict if one resource is or holds the other,
and one of them writes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from .claims import Claim

Holder = TypeVar("Holder")


class Request(Generic[Holder]):
    """Claims of one holder. `blocker` is the latest of the earlier requests that it waits for, None once granted."""

    __slots__ = ("because", "blocker", "claims", "followers", "holder", "number")

    def __init__(self, holder: Holder, claims: Sequence[Claim], number: int) -> None:
        self.holder = holder
        self.claims = claims
        self.number = number
        self.blocker: Request[Holder] | None = None
        self.because: tuple[Claim, Claim] | None = None
        """The claim of the blocker, and its own, that cannot both be held. Kept when the request is granted."""
        self.followers: dict[Request[Holder], None] = {}
        """Requests whose blocker it is."""


class _Line(Generic[Holder]):
    """Requests for one resource, by number, each with the claim that puts it here."""

    __slots__ = ("entries", "numbers")

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.entries: list[tuple[Request[Holder], Claim]] = []

    def append(self, request: Request[Holder], claim: Claim) -> None:
        self.numbers.append(request.number)
        self.entries.append((request, claim))

    def remove(self, number: int) -> None:
        index = bisect_left(self.numbers, number)
        if index < len(self.numbers) and self.numbers[index] == number:
            del self.numbers[index], self.entries[index]

    def last_before(self, number: int) -> tuple[Request[Holder], Claim] | None:
        index = bisect_left(self.numbers, number)
        return self.entries[index - 1] if index else None


class _Place(Generic[Holder]):
    """One resource: who asked for it, and for what it holds; those that write once more by themselves."""

    __slots__ = ("beneath", "beneath_writing", "here", "here_writing")

    def __init__(self) -> None:
        self.here: _Line[Holder] = _Line()
        self.here_writing: _Line[Holder] = _Line()
        self.beneath: _Line[Holder] = _Line()
        self.beneath_writing: _Line[Holder] = _Line()

    @property
    def is_empty(self) -> bool:
        return not self.here.numbers and not self.beneath.numbers


class Locks(Generic[Holder]):
    """All requests that have not been released. Asking and releasing cost as much as the steps of the claims, not as
    the requests there are."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, ...], _Place[Holder]] = {}
        self._last = 0

    def __repr__(self) -> str:
        return f"<Locks on {len(self._places)} places>"

    @property
    def is_free(self) -> bool:
        """Whether nothing is held or asked for."""
        return not self._places

    def ask(self, holder: Holder, claims: Sequence[Claim]) -> Request[Holder]:
        """A request, granted at once if its `blocker` is None; else `release` of another one gives it."""
        self._last += 1
        request = Request(holder, claims, self._last)
        self._block(request)
        for claim in claims:
            for line in self._lines(claim):
                line.append(request, claim)
        return request

    def release(self, request: Request[Holder]) -> list[Request[Holder]]:
        """Take *request* back, granted or not; gives those that are granted now, the earliest first."""
        for claim in request.claims:
            for line in self._lines(claim):
                line.remove(request.number)
            self._forget(claim)
        if request.blocker is not None:
            del request.blocker.followers[request]
        followers, request.followers = request.followers, {}
        for follower in followers:
            self._block(follower)
        return sorted((one for one in followers if one.blocker is None), key=lambda one: one.number)

    def _block(self, request: Request[Holder]) -> None:
        """Find what *request* waits for."""
        found = [entry for claim in request.claims if (entry := self._conflicting(claim, request.number)) is not None]
        if not found:
            request.blocker = None
            return
        blocker, (held, own) = max(found, key=lambda entry: entry[0].number)
        request.blocker, request.because = blocker, (held, own)
        blocker.followers[request] = None

    def _conflicting(self, claim: Claim, number: int) -> tuple[Request[Holder], tuple[Claim, Claim]] | None:
        """The latest request before *number* that conflicts with *claim*."""
        latest: tuple[Request[Holder], Claim] | None = None
        for line in self._conflicting_lines(claim):
            entry = line.last_before(number)
            if entry is not None and (latest is None or entry[0].number > latest[0].number):
                latest = entry
        return None if latest is None else (latest[0], (latest[1], claim))

    def _conflicting_lines(self, claim: Claim) -> Iterator[_Line[Holder]]:
        for length in range(1, len(claim.steps) + 1):
            if (place := self._places.get(claim.steps[:length])) is not None:
                yield place.here if claim.writes else place.here_writing
        if (place := self._places.get(claim.steps)) is not None:
            yield place.beneath if claim.writes else place.beneath_writing

    def _lines(self, claim: Claim) -> Iterator[_Line[Holder]]:
        """Where *claim* is written down: at its resource, and at all that hold it."""
        place = self._place(claim.steps)
        yield place.here
        if claim.writes:
            yield place.here_writing
        for length in range(1, len(claim.steps)):
            place = self._place(claim.steps[:length])
            yield place.beneath
            if claim.writes:
                yield place.beneath_writing

    def _place(self, steps: tuple[str, ...]) -> _Place[Holder]:
        if (place := self._places.get(steps)) is None:
            place = self._places[steps] = _Place()
        return place

    def _forget(self, claim: Claim) -> None:
        for length in range(len(claim.steps), 0, -1):
            steps = claim.steps[:length]
            if (place := self._places.get(steps)) is not None and place.is_empty:
                del self._places[steps]
