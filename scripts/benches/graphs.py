"""The shapes of DAGs that are measured, with arguments as models write them: two or three, with
references."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import isqrt
from typing import Any

Document = dict[str, Any]
Shape = Callable[[int], Document]

LAYER = 20
"""Tasks in a layer of the layered shape."""


def wide(count: int) -> Document:
    return _document([()] * count)


def chain(count: int) -> Document:
    return _document([(index - 1,) if index else () for index in range(count)])


def layered(count: int) -> Document:
    """Make layers: each task refers to one to three of the layer before, chosen by a seeded
    generator."""
    chooser = random.Random(count)
    return _document([_some(chooser, index) for index in range(count)])


def grid(count: int) -> Document:
    """Make a diamond grid: each task refers to its neighbours above and to the left."""
    side = isqrt(count)
    return _document([_neighbours(index, side) for index in range(count)])


SHAPES: dict[str, Shape] = {
    "wide": wide,
    "chain": chain,
    "random layered": layered,
    "diamond grid": grid,
}


def _document(needs: Sequence[tuple[int, ...]]) -> Document:
    return {"tasks": [_task(index, before) for index, before in enumerate(needs)]}


def _task(index: int, needs: tuple[int, ...]) -> Document:
    arguments: Document = {"query": f"needle {index}", "limit": 10 + index % 90}
    if needs:
        arguments["query"] = f"$OUTPUT[t{needs[0]}].items[0].title"
    if len(needs) > 1:
        arguments["labels"] = [f"$OUTPUT[t{need}].items[1].title" for need in needs[1:]]
    return {"id": f"t{index}", "tool": "lean:find", "arguments": arguments}


def _some(chooser: random.Random, index: int) -> tuple[int, ...]:
    start = index // LAYER * LAYER
    before = range(max(0, start - LAYER), start)
    return tuple(sorted(chooser.sample(before, chooser.randint(1, 3)))) if before else ()


def _neighbours(index: int, side: int) -> tuple[int, ...]:
    above, left = index - side, index - 1 if index % side else -1
    return tuple(need for need in (above, left) if need >= 0)
