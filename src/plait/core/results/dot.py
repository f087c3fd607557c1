"""A graph in DOT, the language of Graphviz. Nodes have numbers, so that no name can break it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from ..scheduling.events import Status
from ..values.printable import printable
from .graph import Edge, EdgeKind, Graph, Level, Node

LONGEST = 80
"""Characters of a text."""
_FILLS = {
    Status.SUCCESS: "#dcfce7",
    Status.FAILED: "#fee2e2",
    Status.TIMEOUT: "#fee2e2",
    Status.CANCELLED: "#fef3c7",
    Status.SKIPPED: "#f3f4f6",
    Status.RUNNING: "#dbeafe",
}


def dot(graph: Graph) -> str:
    """Draw *graph*: edges without data are dashed, those of conflicts name the resource. Tasks of a
    run are coloured by their status; those on the critical path have a thick border."""
    drawing = _Drawing()
    tasks = [*drawing.level(graph.level, "  ")]
    return "\n".join(
        [
            f"digraph {_quoted(graph.name or graph.run_id or 'DAG')} {{",
            "  rankdir=LR;",
            "  compound=true;",
            '  node [shape=box, style="rounded,filled", fillcolor=white, fontname="sans-serif"];',
            '  edge [fontname="sans-serif", fontsize=10];',
            *tasks,
            *drawing.edges,
            "}",
        ]
    )


class _Drawing:
    def __init__(self) -> None:
        self.edges: list[str] = []
        self._numbers = count()

    def level(self, level: Level, indent: str) -> Iterator[str]:
        """Yield the lines of the tasks of *level*, and note its edges."""
        ends: list[tuple[str, str | None]] = []
        for node in level.nodes:
            name = f"t{next(self._numbers)}"
            if node.inner is None:
                ends.append((name, None))
                yield f"{indent}{name} [{', '.join(_attributes(node))}];"
                continue
            ends.append((f"{name}_", f"cluster_{name}"))
            yield f"{indent}subgraph cluster_{name} {{"
            yield from (f"{indent}  {attribute};" for attribute in _attributes(node))
            yield f"{indent}  {name}_ [shape=point, style=invis];"
            yield from self.level(node.inner, f"{indent}  ")
            yield f"{indent}}}"
        self.edges += [_edge(edge, ends[edge.source], ends[edge.target]) for edge in level.edges]


def _attributes(node: Node) -> Iterator[str]:
    yield f"label={_quoted(*node.rows)}"
    if node.outcome is not None and node.outcome.status in _FILLS:
        if node.inner is not None:
            yield 'style="filled"'
        yield f'fillcolor="{_FILLS[node.outcome.status]}"'
    if node.is_critical:
        yield "penwidth=3"


def _edge(edge: Edge, source: tuple[str, str | None], target: tuple[str, str | None]) -> str:
    """Return the line of *edge*. An edge of a group ends at the border of its cluster, which has a
    point inside for that."""
    attributes = [] if edge.kind is EdgeKind.DATA else ["style=dashed"]
    if edge.kind is EdgeKind.CONFLICT:
        attributes += [f"label={_quoted(edge.label)}", "constraint=false"]
    elif edge.kind is EdgeKind.WHEN:
        attributes.append('label="when"')
    attributes += [f"ltail={source[1]}"] if source[1] else []
    attributes += [f"lhead={target[1]}"] if target[1] else []
    shown = f" [{', '.join(attributes)}]" if attributes else ""
    return f"  {source[0]} -> {target[0]}{shown};"


def _quoted(*rows: str) -> str:
    """Return *rows* as a text of DOT, a line each."""
    return '"' + r"\n".join(map(_escaped, rows)) + '"'


def _escaped(text: str) -> str:
    text = printable(text)
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
