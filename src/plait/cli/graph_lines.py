"""A graph as lines of text: in boxes where they fit, else its tasks by layer."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.results.graph import EdgeKind, Graph, Level
from ..core.values.problems import some_of
from .boxes import boxes
from .report import MARKS
from .style import Line, Look, Styled

MOST_NAMED = 10
"""Most tasks that one line names."""
_WAITS = {
    EdgeKind.DATA: "reads",
    EdgeKind.WHEN: "if",
    EdgeKind.ORDER: "after",
    EdgeKind.CONFLICT: "not with",
}


def graph_lines(graph: Graph, width: int, *, in_boxes: bool = True) -> Iterator[Line]:
    """Draw *graph*; *in_boxes* only if they fit into *width*."""
    if graph.run_id is not None:
        yield (Styled("run", Look.DIM), f"  {graph.run_id}  {graph.status}")
    drawn = boxes(graph, width) if in_boxes else None
    if drawn is None:
        yield from _layers(graph.level, "")
        return
    yield from drawn
    nodes = graph.level.nodes
    signs = ["┃ critical path"] if any(node.is_critical for node in nodes) else []
    if any(edge.kind is EdgeKind.CONFLICT for edge in graph.level.edges):
        signs.append("┆ the same resource")
    if signs:
        yield (Styled("   ".join(signs), Look.DIM),)


def _layers(level: Level, indent: str) -> Iterator[Line]:
    """Show the tasks of *level* by layer, each with what it waits for."""
    waits: dict[int, dict[EdgeKind, list[str]]] = {}
    for edge in level.edges:
        label = f" ({edge.label})" if edge.label else ""
        found = waits.setdefault(edge.target, {}).setdefault(edge.kind, [])
        found.append(f"{level.nodes[edge.source].id}{label}")
    for number, layer in enumerate(level.layers, 1):
        yield (indent, Styled(f"layer {number}", Look.DIM))
        for place in layer:
            node = level.nodes[place]
            mark = MARKS.get(str(node.outcome.status)) if node.outcome is not None else None
            start = (f"{indent}  ",) if mark is None else (f"{indent}  ", mark, " ")
            _, *rest = node.rows
            critical = ["critical path"] if node.is_critical else []
            yield (
                *start,
                Styled(node.id, Look.BOLD),
                *[f"  {text}" for text in (*rest, *critical)],
            )
            for kind, names in waits.get(place, {}).items():
                line = f"{indent}      {_WAITS[kind]} {some_of(names, MOST_NAMED)}"
                yield (Styled(line, Look.DIM),)
            if node.inner is not None:
                yield from _layers(node.inner, f"{indent}      ")
