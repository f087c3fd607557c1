"""The resources that calls share, and what comes out of them.

What one call writes, another may read: a resource gives what went into each call that wrote it, or
anything in it or around it. A call that writes may also give back, or write elsewhere, what was
there before: a copy does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeAlias, TypeVar

from ..tools.claims import ResourceClaim

Steps: TypeAlias = tuple[str, ...]
"""The way to a resource, from what contains it."""
Claims: TypeAlias = Mapping[str, Sequence[ResourceClaim]]
"""The resources that tasks access, by whole id: where they are not known yet, what contains all
that they may be."""

Item = TypeVar("Item")


class Contents:
    """The tools, as bits, whose data each resource holds."""

    __slots__ = ("_beneath", "_here")

    def __init__(self) -> None:
        self._here: dict[Steps, int] = {}
        self._beneath: dict[Steps, int] = {}

    def write(self, steps: Steps, bits: int) -> None:
        """Add *bits* to a resource."""
        here, beneath = self._here, self._beneath
        here[steps] = here.get(steps, 0) | bits
        for size in range(len(steps)):
            above = steps[:size]
            beneath[above] = beneath.get(above, 0) | bits

    def read(self, steps: Steps) -> int:
        """Return the bits of a resource: its own, and those of all in it and around it."""
        bits = self._beneath.get(steps, 0)
        for size in range(len(steps) + 1):
            bits |= self._here.get(steps[:size], 0)
        return bits


class Places(Generic[Item]):
    """Items, each at the resources that it was added to."""

    __slots__ = ("_beneath", "_here")

    def __init__(self) -> None:
        self._here: defaultdict[Steps, list[Item]] = defaultdict(list)
        self._beneath: defaultdict[Steps, list[Item]] = defaultdict(list)

    def add(self, steps: Steps, item: Item) -> None:
        self._here[steps].append(item)
        for size in range(len(steps)):
            self._beneath[steps[:size]].append(item)

    def find(self, steps: Steps) -> Iterator[Item]:
        """Yield the items at a resource, at all in it and at all around it; some maybe twice."""
        yield from self._beneath.get(steps, ())
        for size in range(len(steps) + 1):
            yield from self._here.get(steps[:size], ())


def steps_of(claims: Iterable[ResourceClaim]) -> Iterator[tuple[Steps, bool]]:
    """Yield the way to each resource of *claims*, and whether it is written."""
    for claim in claims:
        is_elsewhere = claim.steps[0].startswith("file@")  # a file of a server on another machine
        yield ("file:", *claim.steps) if is_elsewhere else claim.steps, claim.writes


def overlap(one: Steps, other: Steps) -> bool:
    """Return whether one resource is the other, or contains it."""
    size = min(len(one), len(other))
    return one[:size] == other[:size]


def shown(steps: Steps) -> str:
    """Return the key of the resource at *steps*, as it is written: `file:/x`, `db:t`."""
    first = next((at for at, step in enumerate(steps[:2]) if step.endswith(":")), 0)
    while first + 1 < len(steps) and steps[first + 1].startswith("file@"):
        first += 1
    is_file = steps[first].startswith("file")
    return steps[first] + ("/" if is_file else "") + "/".join(steps[first + 1 :])
