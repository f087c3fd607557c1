"""Graphs in boxes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.cli.boxes import DASHED, DOWN, LEFT, RIGHT, SOLID, UP, Net, boxes, rows_of
from plait.cli.style import Line, bare
from plait.cli.widths import width_of
from plait.core.results.graph import Edge, EdgeKind, Graph, Level, Node

from ..core.results.graphs import (
    CONFLICTS,
    DIAMOND,
    FOR_EACH,
    GRAPHS,
    GROUPS,
    KINDS,
    NAMES,
    drawn,
    large,
    task,
)

LINES = {text: mask for signs in (DASHED, SOLID) for mask, text in signs.items() if mask}
STEPS = {DOWN: (0, 1, UP), LEFT: (-1, 0, RIGHT), RIGHT: (1, 0, LEFT)}
"""The ways that a line goes on: never up."""
Place = tuple[int, int]


def text_of(lines: list[Line] | None) -> list[str]:
    assert lines is not None
    return ["".join(map(bare, line)) for line in lines]


def borders(rows: list[str]) -> tuple[dict[Place, str], dict[Place, str]]:
    """The places in which lines leave boxes, and those in which they come to them, each with the id
    of the box: boxes of two rows, the first of which is the id."""
    leaving: dict[Place, str] = {}
    coming: dict[Place, str] = {}
    for y, row in enumerate(rows):
        for found in re.finditer(r"[│┃] (n\d) +[│┃]", row):
            for x in range(*found.span()):
                if rows[y - 1][x] == "▼":
                    coming[x, y - 1] = found[1]
                if rows[y + 2][x] in "┬┯":
                    leaving[x, y + 2] = found[1]
    return leaving, coming


def reached(rows: list[str], start: Place) -> set[Place]:
    """The places to which a line leads that leaves a box at *start*."""
    seen: set[tuple[int, int, int]] = set()
    ends: set[Place] = set()
    left = [(start[0], start[1] + 1, UP)]
    while left:
        x, y, back = step = left.pop()
        if step in seen:
            continue
        seen.add(step)
        if rows[y][x] == "▼":
            ends.add((x, y))
            continue
        mask = LINES[rows[y][x]]
        if mask == UP | DOWN and back in (LEFT, RIGHT):  # it goes on behind the line down
            mask = LEFT | RIGHT
        assert mask & back
        for way, (dx, dy, behind) in STEPS.items():
            if mask & way and way != back:
                left.append((x + dx, y + dy, behind))
    return ends


@st.composite
def levels(draw: st.DrawFn) -> Level:
    """Small DAGs, with conflicts."""
    count = draw(st.integers(2, 9))
    pairs = [(one, other) for other in range(count) for one in range(other)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=14))
    kinds = draw(st.lists(st.sampled_from(EdgeKind), min_size=len(edges), max_size=len(edges)))
    layers = [0] * count
    for one, other in sorted(edges, key=lambda edge: edge[1]):
        layers[other] = max(layers[other], layers[one] + 1)
    nodes = tuple(
        Node(f"n{at}", "s:t", layer, is_critical=draw(st.booleans()))
        for at, layer in enumerate(layers)
    )
    return Level(nodes, tuple(Edge(*edge, kind) for edge, kind in zip(edges, kinds, strict=True)))


@given(levels())
def test_whoever_follows_a_line_comes_to_what_waits(level: Level):
    lines = boxes(Graph(level), 200)
    if lines is None:  # it is shown by layers
        return
    rows = text_of(lines)
    leaving, coming = borders(rows)
    found: dict[str, set[str]] = {}
    for place, id in leaving.items():
        ends = {coming[end] for end in reached(rows, place)}
        assert ends
        found.setdefault(id, set()).update(ends)
    wanted: dict[str, set[str]] = {}
    for edge in level.edges:
        wanted.setdefault(level.nodes[edge.source].id, set()).add(level.nodes[edge.target].id)
    assert found == wanted


def test_most_small_dags_fit():
    drawn_so = [boxes(drawn(tasks), 80) for tasks in (DIAMOND, KINDS, GROUPS, FOR_EACH, CONFLICTS)]
    assert all(lines is not None for lines in drawn_so)


@pytest.mark.parametrize("width", [20, 40, 80, 120])
@pytest.mark.parametrize("name", GRAPHS)
def test_no_line_is_wider_than_the_terminal(name: str, width: int):
    lines = boxes(GRAPHS[name](), width)
    assert all(width_of(line) <= width for line in text_of(lines or []))


def test_all_lines_of_a_box_are_equally_wide():
    rows = text_of(boxes(drawn(NAMES[:2]), 80))
    assert {width_of(row.rstrip()) for row in rows if row.startswith(("┏", "┃", "┗"))} == {31}
    assert "\\x1b[31m" in "".join(rows)


def test_what_does_not_fit_is_not_in_boxes():
    wide = [task(f"t{n}") for n in range(9)]
    assert boxes(drawn(wide), 80) is None
    assert boxes(drawn(wide), 120) is not None
    assert boxes(drawn([{"id": "g", "tasks": wide}]), 80) is None
    assert boxes(large(), 10_000) is None


def net(source: int, target: int) -> Net:
    return Net(frozenset({source}), frozenset({target}), is_dashed=False)


def test_a_net_ends_above_the_one_that_comes_down_in_its_column():
    ending, coming = net(5, 9), net(1, 5)
    assert rows_of([coming, ending]) == {ending: 0, coming: 1}
    assert rows_of([net(1, 5), net(9, 14)]) == {net(1, 5): 0, net(9, 14): 0}
    assert rows_of([net(3, 3)]) == {}
    assert rows_of([net(1, 5), net(5, 1)]) is None
