"""A graph in boxes for a terminal, from the top down.

Between two ranks is a channel, in which edges turn. The edges of one slot are a *net*, and so are
those of several slots to the same ones: it goes down to its row, along it, and down to where it
ends. No two nets are joined, so that whoever follows a line comes to what it is for: each comes to
a box in a column of its own, nets that would touch have rows of their own, and where lines cross,
the one that goes down is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from ..core.results.graph import Graph, Level, Node
from ..core.results.graph_layout import Layout, Link, lay_out
from ..core.values.printable import printable
from .report import MARKS
from .style import Line, Look, Styled
from .widths import cut_text, letters, width_of

WIDEST = 31
"""The widest box of a task."""
GAP = 2
MAX_TASKS = 500
"""Most tasks in boxes: the lines of more cannot be followed by eye."""
UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8
SOLID = dict(enumerate(" │││─┘┐┤─└┌├─┴┬┼"))
DASHED = {**SOLID, UP: "┆", DOWN: "┆", UP | DOWN: "┆", LEFT: "┄", RIGHT: "┄", LEFT | RIGHT: "┄"}
LIGHT, HEAVY = "┌─┐│└┘┬", "┏━┓┃┗┛┯"
"""The parts of a border. That of the critical path is heavy."""

Cell = tuple[str, Look | None]


def boxes(graph: Graph, width: int) -> list[Line] | None:
    """Draw *graph* in boxes; None if it does not fit into *width*."""
    if sum(1 for _ in graph.level.all_nodes()) > MAX_TASKS:
        return None
    canvas = _level(graph.level, width)
    return None if canvas is None else canvas.lines()


@dataclass(slots=True)
class _Canvas:
    width: int
    rows: list[list[Cell]] = field(default_factory=list)

    def grow(self, height: int) -> int:
        """Add empty rows; return the number of the first."""
        first = len(self.rows)
        self.rows += [[(" ", None)] * self.width for _ in range(height)]
        return first

    def put(self, x: int, y: int, text: str, look: Look | None = None) -> None:
        """Write *text*. A wide letter takes its cell and the next ones."""
        for letter, cells in letters(text):
            self.rows[y][x : x + cells] = [(letter, look), *[("", look)] * (cells - 1)]
            x += cells

    def paste(self, x: int, y: int, other: _Canvas) -> None:
        for number, row in enumerate(other.rows):
            self.rows[y + number][x : x + other.width] = row

    def lines(self) -> list[Line]:
        lines: list[Line] = []
        for row in self.rows:
            parts = [
                (look, "".join(text for text, _ in cells))
                for look, cells in groupby(row, key=itemgetter(1))
            ]
            lines.append(
                tuple(text if look is None else Styled(text, look) for look, text in parts)
            )
        return lines


class Net(NamedTuple):
    """Lines that belong together, by the columns in which they come and go."""

    sources: frozenset[int]
    targets: frozenset[int]
    is_dashed: bool

    @property
    def is_straight(self) -> bool:
        return self.sources == self.targets and len(self.sources) == 1

    @property
    def span(self) -> tuple[int, int]:
        columns = self.sources | self.targets
        return min(columns), max(columns)


def _level(level: Level, width: int) -> _Canvas | None:
    """Draw *level*; None if it does not fit into *width*."""
    drawn = [_box(node, width) for node in level.nodes]
    made = [one for one in drawn if one is not None]
    if len(made) < len(drawn):
        return None
    layout = lay_out(level, [one.width for one in made], GAP, 1, width)
    if layout is None:
        return None
    canvas = _Canvas(layout.breadth)
    nets: list[Net] = []
    for number, rank in enumerate(layout.ranks):
        arrivals = [x for net in nets for x in net.targets]
        _rank(canvas, rank, number, layout, made, level, arrivals)
        if number + 1 == len(layout.ranks):
            break
        found = _nets([link for link in layout.links if link.rank == number], layout, len(made))
        if found is None or not _channel(canvas, found):
            return None
        nets = found
    return canvas


def _rank(
    canvas: _Canvas,
    rank: Sequence[int],
    number: int,
    layout: Layout,
    drawn: Sequence[_Canvas],
    level: Level,
    arrivals: Sequence[int],
) -> None:
    """Draw the boxes of *rank*, to which lines come in the columns *arrivals*, and the lines from
    them, and past them, to its lower end."""
    height = max((len(drawn[slot].rows) for slot in rank if slot < len(drawn)), default=1)
    top = canvas.grow(height)
    for slot in rank:
        if slot < len(drawn):
            canvas.paste(layout.starts[slot], top, drawn[slot])
    for x in arrivals:
        canvas.put(x, top, "▼")
    for link in layout.links:
        if link.rank != number:
            continue
        x, y = _port(layout, link.source, len(drawn), is_dashed=link.is_dashed), top
        line = (DASHED if link.is_dashed else SOLID)[UP | DOWN]
        if link.source < len(drawn):
            y += len(drawn[link.source].rows)
            is_heavy = level.nodes[link.source].is_critical
            canvas.put(x, y - 1, (HEAVY if is_heavy else LIGHT)[6])
        for below in range(y, top + height):
            canvas.put(x, below, line)


def _port(layout: Layout, slot: int, tasks: int, *, is_dashed: bool) -> int:
    """Return the column in which lines leave *slot*."""
    return layout.middle(slot) + (is_dashed and slot < tasks)


def _channel(canvas: _Canvas, nets: Sequence[Net]) -> bool:
    """Draw *nets* between two ranks; return whether that is possible."""
    rows = rows_of(nets)
    if rows is None:
        return False
    height = 1 + max(rows.values(), default=-1) or 1
    top = canvas.grow(height)
    masks: dict[tuple[int, int], list[tuple[int, bool]]] = {}

    def mark(x: int, y: int, mask: int, *, is_dashed: bool) -> None:
        masks.setdefault((x, y), []).append((mask, is_dashed))

    for net in nets:
        own = rows.get(net)
        first, last = net.span
        for x in net.sources | net.targets if own is None else net.sources:
            for y in range(height if own is None else own):
                mark(x, y, UP | DOWN, is_dashed=net.is_dashed)
        if own is None:
            continue
        for x in net.targets:
            for y in range(own + 1, height):
                mark(x, y, UP | DOWN, is_dashed=net.is_dashed)
        for x in range(first, last + 1):
            mask = LEFT * (x > first) | RIGHT * (x < last)
            mask |= UP * (x in net.sources) | DOWN * (x in net.targets)
            mark(x, own, mask, is_dashed=net.is_dashed)
    for (x, y), marks in masks.items():
        if any(mask == UP | DOWN for mask, _ in marks):  # what only passes is under it
            marks = [one for one in marks if one[0] != LEFT | RIGHT]
        mask = 0
        for one, _ in marks:
            mask |= one
        canvas.put(x, top + y, (DASHED if all(one for _, one in marks) else SOLID)[mask])
    return True


def _nets(links: Sequence[Link], layout: Layout, tasks: int) -> list[Net] | None:
    """Join *links* to nets, from left to right; None if too many come to one box."""
    ends: dict[tuple[int, bool], set[int]] = {}
    for link in links:
        ends.setdefault((link.source, link.is_dashed), set()).add(link.target)
    joined: dict[tuple[frozenset[int], bool], set[int]] = {}
    for (source, is_dashed), found in ends.items():
        column = _port(layout, source, tasks, is_dashed=is_dashed)
        joined.setdefault((frozenset(found), is_dashed), set()).add(column)
    order = sorted(joined, key=lambda key: sorted(joined[key]))
    targets: dict[tuple[frozenset[int], bool], set[int]] = {key: set() for key in order}
    for slot in {link.target for link in links}:
        coming = [key for key in order if slot in key[0]]
        columns = _arrivals(layout, slot, [joined[key] for key in coming], is_box=slot < tasks)
        if columns is None:
            return None
        for key, column in zip(coming, columns, strict=True):
            targets[key].add(column)
    nets = [Net(frozenset(joined[key]), frozenset(targets[key]), key[1]) for key in order]
    return sorted(nets, key=lambda net: net.span)


def _arrivals(
    layout: Layout, slot: int, coming: Sequence[set[int]], *, is_box: bool
) -> list[int] | None:
    """Return the columns in which nets come to *slot*, from left to right as they come from the
    columns *coming*; None if there are too many. What comes from right above goes straight on."""
    middle = layout.middle(slot)
    if len(coming) == 1:
        straight = min(coming[0], key=lambda x: abs(x - middle))
        return [straight if is_box and abs(straight - middle) == 1 else middle]
    above = next((at for at, columns in enumerate(coming) if columns == {middle}), None)
    first = (len(coming) - 1) // 2 if above is None else above
    columns = [middle + 2 * (at - first) for at in range(len(coming))]
    start = layout.starts[slot]
    is_within = start < columns[0] and columns[-1] < start + layout.breadths[slot] - 1
    return columns if is_within else None


def rows_of(nets: Sequence[Net]) -> dict[Net, int] | None:
    """Return the row of each net that turns; None if they would touch in every order."""
    left = [net for net in nets if not net.is_straight]
    rows: dict[Net, int] = {}
    while left:
        free = [
            net
            for net in left
            if not any(net.targets & other.sources for other in left if other is not net)
        ]
        if not free:
            return None
        for net in free:
            left.remove(net)
            above = [row for one, row in rows.items() if one.sources & net.targets]
            row = 1 + max(above, default=-1)
            while any(taken == row and _touch(net, one) for one, taken in rows.items()):
                row += 1
            rows[net] = row
    return rows


def _touch(one: Net, other: Net) -> bool:
    return one.span[0] <= other.span[1] + 1 and other.span[0] <= one.span[1] + 1


def _box(node: Node, width: int) -> _Canvas | None:
    """Draw the box of *node*; None if it does not fit into *width*."""
    parts = HEAVY if node.is_critical else LIGHT
    inner: _Canvas | None = None
    most = min(width, WIDEST)
    if node.inner is not None:
        inner = _level(node.inner, width - 4)
        if inner is None:
            return None
        most = max(most, inner.width + 4)
    if most < 9 or most > width:
        return None
    texts = [cut_text(printable(text), most - 4) for text in node.rows]
    mark = _mark(node)
    if mark is not None:
        texts[0] = cut_text(texts[0], most - 6)
    room = max([width_of(text) for text in texts[1:]], default=0)
    room = max(room, width_of(texts[0]) + (0 if mark is None else 2), inner.width if inner else 0)
    room += room % 2 == 0  # so that it has a middle
    if room + 4 > width:
        room -= 2
    canvas = _Canvas(room + 4)
    canvas.grow(2 + len(texts) + (len(inner.rows) if inner else 0))
    canvas.put(0, 0, parts[0] + parts[1] * (room + 2) + parts[2])
    for y in range(1, len(canvas.rows) - 1):
        canvas.put(0, y, parts[3])
        canvas.put(room + 3, y, parts[3])
    canvas.put(0, len(canvas.rows) - 1, parts[4] + parts[1] * (room + 2) + parts[5])
    x = 2
    if mark is not None:
        canvas.put(2, 1, mark.text, mark.look)
        x = 4
    canvas.put(x, 1, cut_text(texts[0], room - x + 2), Look.BOLD)
    for y, text in enumerate(texts[1:], 2):
        canvas.put(2, y, cut_text(text, room), Look.DIM)
    if inner is not None:
        canvas.paste(2, 1 + len(texts), inner)
    return canvas


def _mark(node: Node) -> Styled | None:
    """Return the sign of the status of a task that ran."""
    return None if node.outcome is None else MARKS.get(str(node.outcome.status))
