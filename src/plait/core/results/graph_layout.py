"""Places for the tasks of one level of a graph: ranks one after the other, and places in each.

This is the method of Sugiyama, Tagawa and Toda (1981), kept small. Each task is one rank behind all
that it waits for, also where it waits for a resource alone. An edge over several ranks goes through
a *joint* in each between; the edges of one task share theirs. Sweeps over the ranks order the tasks
of each by the mean place of their neighbours, and move each as near to that mean as the order
allows: the least squares under an order, by pooling adjacent violators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..planning.plan import in_order
from .graph import EdgeKind, Level

MAX_JOINTS = 40_000
SWEEPS = 4


class Link(NamedTuple):
    """A part of an edge: from a slot of rank `rank` to one of the next."""

    rank: int
    source: int
    target: int
    is_dashed: bool
    """Whether it is part of a conflict."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of one level. A slot is a task, by its place in the level, or a joint: those have
    the numbers behind."""

    ranks: Sequence[Sequence[int]]
    """The slots of each rank, in their order."""
    starts: Sequence[int]
    """The beginning of each slot across its rank."""
    breadths: Sequence[int]
    """The size of each slot across its rank."""
    links: Sequence[Link]

    def middle(self, slot: int) -> int:
        return self.starts[slot] + self.breadths[slot] // 2

    @property
    def breadth(self) -> int:
        """The size of the widest rank."""
        ends = [start + size for start, size in zip(self.starts, self.breadths, strict=True)]
        return max(ends, default=0)


def lay_out(
    level: Level, breadths: Sequence[int], gap: int, joint: int, most: int | None = None
) -> Layout | None:
    """Lay *level* out. *breadths* are the sizes of its tasks across their rank, *joint* is that of
    a joint, *gap* the least distance. None if it would need more than *most*, or too many
    joints."""
    rank_of = _ranks(level)
    made = None if rank_of is None else _linked(level, rank_of)
    if made is None:
        return None
    ranks, links = made
    count = sum(map(len, ranks))
    sizes = [*breadths, *[joint] * (count - len(breadths))]
    totals = [sum(sizes[slot] + gap for slot in rank) - gap for rank in ranks]
    widest = max(totals, default=0)
    if most is not None and widest > most:
        return None
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for link in links:
        before[link.target].append(link.source)
        after[link.source].append(link.target)
    _order(ranks, before, after)
    room = widest * 3 // 2 if most is None else most
    starts = _starts(ranks, sizes, gap, room, before, after)
    return Layout(ranks, starts, sizes, links)


def _ranks(level: Level) -> list[int] | None:
    """Return the rank of each task; None if they wait for each other, in an imported run."""
    needs: dict[str, set[str]] = {str(place): set() for place in range(len(level.nodes))}
    for edge in level.edges:
        needs[str(edge.target)].add(str(edge.source))
    order = in_order({id: tuple(found) for id, found in needs.items()})
    if len(order) < len(needs):
        return None
    ranks = [0] * len(needs)
    for id in order:
        ranks[int(id)] = 1 + max((ranks[int(need)] for need in needs[id]), default=-1)
    return ranks


def _linked(level: Level, rank_of: Sequence[int]) -> tuple[list[list[int]], list[Link]] | None:
    """Return the slots of each rank and the links between them; None for too many joints."""
    ranks: list[list[int]] = [[] for _ in range(1 + max(rank_of, default=-1))]
    for place, rank in enumerate(rank_of):
        ranks[rank].append(place)
    count = len(rank_of)
    last: dict[tuple[int, bool], list[int]] = {}
    """The slots that each task's edges of one kind go through, from itself on."""
    links: dict[Link, None] = {}
    for edge in sorted(level.edges, key=lambda edge: rank_of[edge.target]):
        is_dashed = edge.kind is EdgeKind.CONFLICT
        way = last.setdefault((edge.source, is_dashed), [edge.source])
        rank = rank_of[edge.source]
        while rank + len(way) < rank_of[edge.target]:
            ranks[rank + len(way)].append(count)
            links[Link(rank + len(way) - 1, way[-1], count, is_dashed)] = None
            way.append(count)
            count += 1
            if count > len(rank_of) + MAX_JOINTS:
                return None
        before = rank_of[edge.target] - 1
        links[Link(before, way[before - rank], edge.target, is_dashed)] = None
    return ranks, [*links]


def _order(
    ranks: list[list[int]], before: Sequence[Sequence[int]], after: Sequence[Sequence[int]]
) -> None:
    """Order the slots of each of *ranks* by the mean place of their neighbours."""
    place: dict[int, float] = {}
    for rank in ranks:
        place |= {slot: at for at, slot in enumerate(rank)}
    for sweep in range(SWEEPS):
        neighbours = before if sweep % 2 == 0 else after
        for rank in ranks if sweep % 2 == 0 else reversed(ranks):
            means = {slot: _mean([place[one] for one in neighbours[slot]]) for slot in rank}
            places = {slot: place[slot] if (mean := means[slot]) is None else mean for slot in rank}
            rank.sort(key=places.__getitem__)
            place |= {slot: at for at, slot in enumerate(rank)}


def _starts(
    ranks: Sequence[Sequence[int]],
    sizes: Sequence[int],
    gap: int,
    room: int,
    before: Sequence[Sequence[int]],
    after: Sequence[Sequence[int]],
) -> list[int]:
    middles: dict[int, float] = {}
    starts = [0] * len(sizes)
    for sweep in range(-1, SWEEPS + 1):
        neighbours = before if sweep % 2 == 0 else after
        for rank in ranks if sweep % 2 == 0 else reversed(ranks):
            offsets, total = [], 0
            for slot in rank:
                offsets.append(total)
                total += sizes[slot] + gap
            wanted = []
            for slot, offset in zip(rank, offsets, strict=True):
                mean = _mean([middles[one] for one in neighbours[slot] if one in middles])
                if mean is None:
                    mean = middles.get(slot, (room - total) / 2 + offset + sizes[slot] // 2)
                wanted.append(mean - sizes[slot] // 2 - offset)
            slack = max(0, room - total + gap)
            for slot, offset, free in zip(rank, offsets, _pooled(wanted), strict=True):
                starts[slot] = offset + round(min(max(free, 0), slack))
                middles[slot] = starts[slot] + sizes[slot] // 2
    least = min(starts, default=0)
    return [start - least for start in starts]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _pooled(wanted: Sequence[float]) -> list[float]:
    """Return the values that never go down and are nearest to *wanted*."""
    pools: list[tuple[float, int]] = []
    for value in wanted:
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (one, ones), (other, others) = pools[-2:]
            pools[-2:] = [((one * ones + other * others) / (ones + others), ones + others)]
    return [value for value, number in pools for _ in range(number)]
