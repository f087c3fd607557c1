"""A graph as one SVG file: without scripts, and nothing in it is fetched. It follows the light or
dark scheme of its reader. Ranks stand from left to right."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from ..values.printable import printable
from .graph import EdgeKind, Graph, Level, Node
from .graph_layout import Layout, lay_out

LONGEST = 40
"""The widest text of a box, in cells."""
CELL, ROW, PAD = 8, 18, 12
"""The width of a letter, the height of a row of text, and the room around it, in pixels."""
GAP, JOINT, CHANNEL = 16, 8, 56
"""The room between tasks of a rank, that of a line that passes, and that between ranks."""
_UNKNOWN_TO_XML = re.compile("[\ufffe\uffff]")
_STYLE = """\
:root { color-scheme: light dark; --page: #ffffff; --ink: #111827; --dim: #4b5563; --line: #6b7280;
  --box: #ffffff; --success: #dcfce7; --failed: #fee2e2; --warned: #fef3c7; --skipped: #f3f4f6;
  --running: #dbeafe; --green: #15803d; --red: #b91c1c; --amber: #b45309; --blue: #1d4ed8; }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --ink: #f3f4f6; --dim: #9ca3af;
  --line: #9ca3af; --box: #161b22; --success: #052e16; --failed: #450a0a; --warned: #451a03;
  --skipped: #1f2937; --running: #172554; --green: #4ade80; --red: #f87171; --amber: #fbbf24;
  --blue: #60a5fa; } }
.page { fill: var(--page); }
text { fill: var(--dim); font: 13px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.id { fill: var(--ink); font-weight: bold; }
.box { fill: var(--box); stroke: var(--line); }
.success { fill: var(--success); stroke: var(--green); }
.failed, .timeout { fill: var(--failed); stroke: var(--red); }
.cancelled { fill: var(--warned); stroke: var(--amber); }
.skipped { fill: var(--skipped); }
.running { fill: var(--running); stroke: var(--blue); }
.critical { stroke-width: 3; }
.edge { fill: none; stroke: var(--line); }
.conflict { stroke-dasharray: 4 4; }
.arrow { fill: var(--line); }"""


def svg(graph: Graph) -> str:
    """Draw *graph*: dashed edges are conflicts. Tasks of a run are coloured by their status; those
    on the critical path have a thick border."""
    heading = [graph.name or "DAG"]
    heading += [f"run {graph.run_id}: {graph.status}"] if graph.run_id is not None else []
    title = _text(", ".join(heading))
    drawn = _level(graph.level)
    width, height = drawn.width + 2 * PAD, drawn.height + 2 * PAD
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{title}"',
            f'  width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
            f"<title>{title}</title>",
            f"<style>\n{_STYLE}\n</style>",
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" orient="auto"',
            '  markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse">',
            '  <path class="arrow" d="M0 0L8 4L0 8Z"/></marker></defs>',
            '<rect class="page" width="100%" height="100%"/>',
            f'<g transform="translate({PAD} {PAD})">',
            *drawn.parts,
            "</g>",
            "</svg>",
        ]
    )


class _Drawn(NamedTuple):
    width: int
    height: int
    parts: list[str]


@dataclass(frozen=True, slots=True)
class _Places:
    """The places of one level: ranks from left to right."""

    layout: Layout
    drawn: Sequence[_Drawn]
    lefts: Sequence[int]
    """The left end of each rank."""
    widths: Sequence[int]
    rank_of: dict[int, int]

    def right(self, slot: int) -> int:
        """Return where lines leave *slot*: a joint is passed from the left."""
        left = self.lefts[self.rank_of[slot]]
        return left + self.drawn[slot].width if slot < len(self.drawn) else left


def _level(level: Level) -> _Drawn:
    conflicts = _conflicts(level)
    drawn = [_box(node, conflicts.get(place, ())) for place, node in enumerate(level.nodes)]
    sizes = [one.height for one in drawn]
    layout = lay_out(level, sizes, GAP, JOINT) or _by_layer(level, sizes)
    widths = [
        max([drawn[slot].width for slot in rank if slot < len(drawn)], default=0)
        for rank in layout.ranks
    ]
    lefts = [sum(widths[:rank]) + CHANNEL * rank for rank in range(len(widths))]
    rank_of = {slot: number for number, rank in enumerate(layout.ranks) for slot in rank}
    places = _Places(layout, drawn, lefts, widths, rank_of)
    parts = [*_edges(level, places)]
    for slot, one in enumerate(drawn):
        parts.append(f'<g transform="translate({lefts[rank_of[slot]]} {layout.starts[slot]})">')
        parts += one.parts
        parts.append("</g>")
    width = lefts[-1] + widths[-1] if lefts else 0
    return _Drawn(width, layout.breadth, parts)


def _by_layer(level: Level, sizes: Sequence[int]) -> Layout:
    """Return a layout for a level with too many edges: each layer in document order, and edges that
    go straight."""
    starts = [0] * len(sizes)
    for layer in level.layers:
        at = 0
        for slot in layer:
            starts[slot] = at
            at += sizes[slot] + GAP
    return Layout(level.layers, starts, sizes, ())


def _edges(level: Level, places: _Places) -> Iterator[str]:
    """Yield the lines of *level*."""
    layout, count = places.layout, len(level.nodes)
    ends = [(link.source, link.target, link.is_dashed) for link in layout.links] or [
        (edge.source, edge.target, edge.kind is EdgeKind.CONFLICT) for edge in level.edges
    ]
    for source, target, is_dashed in ends:
        x, y = places.right(source), layout.middle(source)
        to_x, to_y = places.lefts[places.rank_of[target]], layout.middle(target)
        rank = places.rank_of[source]
        turn = max(x, places.lefts[rank] + places.widths[rank])
        half = (to_x - turn) // 2
        arrow = ' marker-end="url(#arrow)"' if target < count else ""
        yield (
            f'<path class="edge{" conflict" * is_dashed}" d="M{x} {y}H{turn}'
            f'C{turn + half} {y} {to_x - half} {to_y} {to_x} {to_y}"{arrow}/>'
        )


def _conflicts(level: Level) -> dict[int, list[str]]:
    """Return the rows of text on conflicts, by task."""
    rows: dict[int, list[str]] = {}
    for edge in level.edges:
        if edge.kind is EdgeKind.CONFLICT:
            row = f"not with {level.nodes[edge.source].id}: {edge.label}"
            rows.setdefault(edge.target, []).append(row)
    return rows


def _box(node: Node, conflicts: Sequence[str]) -> _Drawn:
    rows = [*node.rows, *conflicts]
    texts = [_cut(text) for text in rows]
    width = 2 * PAD + CELL * max(map(_cells, texts))
    height = 2 * PAD + ROW * len(texts) - 4
    inner = None if node.inner is None else _level(node.inner)
    if inner is not None:
        width = max(width, inner.width + 2 * PAD)
        height += inner.height + PAD
    kinds = ["box", *_kinds(node)]
    parts = [
        f"<title>{_text(' | '.join(rows))}</title>",
        f'<rect class="{" ".join(kinds)}" width="{width}" height="{height}" rx="6"/>',
    ]
    for number, text in enumerate(texts):
        look = ' class="id"' if number == 0 else ""
        parts.append(f'<text{look} x="{PAD}" y="{PAD + 10 + ROW * number}">{_text(text)}</text>')
    if inner is not None:
        top = height - inner.height - PAD
        parts += [f'<g transform="translate({PAD} {top})">', *inner.parts, "</g>"]
    return _Drawn(width, height, parts)


def _kinds(node: Node) -> Iterator[str]:
    if node.outcome is not None:
        yield str(node.outcome.status)
    if node.is_critical:
        yield "critical"


def _cut(text: str) -> str:
    """Cut *text*, made safe to show, to the width of a box."""
    text = printable(text)
    if _cells(text) <= LONGEST:
        return text
    while _cells(text) >= LONGEST:
        text = text[: len(text) - 1 - max(0, (_cells(text) - LONGEST) // 2)]
    return f"{text}…"


def _cells(text: str) -> int:
    """Return about how many cells *text* takes: the fonts of readers differ."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def _text(text: str) -> str:
    """Return *text* as text of XML, and of its attributes."""
    return escape(_UNKNOWN_TO_XML.sub("\ufffd", printable(text)))
