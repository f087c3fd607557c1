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


def apart(items: int) -> Document:
    """Make the five tasks of a group for each of *items*, without a group."""
    steps = [_needed(f"{index}_", step) for index in range(items) for step in range(STEPS)]
    return {"tasks": steps}


def grouped(items: int) -> Document:
    """Make a group of five tasks, each of which refers to the one before, for *items*."""
    steps = [_needed("", step) for step in range(STEPS)]
    return {"tasks": [{"id": "each", "for_each": list(range(items)), "tasks": steps}]}


def made(values: int) -> Document:
    """Make *values* of the output of one call."""
    value = {"title": "$OUTPUT[t0].items[0].title", "of": "${OUTPUT[t0].total ?? 0}"}
    tasks = [{"id": f"v{index}", "value": value} for index in range(values)]
    return {"tasks": [_task(0, ()), *tasks]}


def paged(pages: int) -> Document:
    """Make tasks of a hundred pages, *pages* in all."""
    other = "$ARGUMENTS.query == 'a' && 'b' || 'a'"
    repeat = {"set": {"query": other}, "while": "items", "max": PAGES}
    tasks = [_task(index, ()) for index in range(pages // PAGES)]
    return {"tasks": [{**task, "repeat": repeat, "select": "items"} for task in tasks]}


STEPS = 5
PAGES = 100


def _needed(before: str, step: int) -> Document:
    """Make one step of a chain of tasks."""
    arguments: Document = {"query": f"$OUTPUT[{before}s{step - 1}].items[0].title"}
    if not step:
        arguments = {"query": "needle", "limit": 10}
    return {"id": f"{before}s{step}", "tool": "lean:find", "arguments": arguments}


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
