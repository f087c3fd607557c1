"""Writes the drawings of all graphs again."""

from __future__ import annotations

from plait.cli.graph_lines import graph_lines
from plait.cli.style import bare
from plait.core.results.dot import dot
from plait.core.results.graph import Graph
from plait.core.results.mermaid import mermaid
from plait.core.results.svg import svg

from . import FOLDER, GRAPHS


def lines(graph: Graph, width: int) -> str:
    drawn = graph_lines(graph, width)
    return "\n".join("".join(map(bare, line)).rstrip() for line in drawn)


for name, make in GRAPHS.items():
    graph = make()
    drawings = {"mmd": mermaid(graph), "dot": dot(graph), "svg": svg(graph)}
    drawings |= {f"{width}.txt": lines(graph, width) for width in (40, 80, 120)}
    for end, text in drawings.items():
        (FOLDER / f"{name}.{end}").write_text(f"{text}\n", encoding="utf-8")
