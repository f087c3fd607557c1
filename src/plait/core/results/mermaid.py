"""A graph as a Mermaid flowchart. Nodes have numbers, so that no name can break it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from ..scheduling.events import Status
from ..values.printable import printable
from .graph import Edge, EdgeKind, Graph, Level, Node

MOST_EDGES = 499
"""Most edges that Mermaid draws, unless the page around it sets `maxEdges`."""
LONGEST = 80
"""Characters of a text."""
_ARROWS = {EdgeKind.DATA: "-->", EdgeKind.ORDER: "-.->", EdgeKind.WHEN: "-. when .->"}
_FAILED = ("failed", "fill:#fee2e2,stroke:#b91c1c,color:#7f1d1d")
_CLASSES = {
    Status.SUCCESS: ("success", "fill:#dcfce7,stroke:#15803d,color:#14532d"),
    Status.FAILED: _FAILED,
    Status.TIMEOUT: _FAILED,
    Status.CANCELLED: ("cancelled", "fill:#fef3c7,stroke:#b45309,color:#78350f"),
    Status.SKIPPED: ("skipped", "fill:#f3f4f6,stroke:#6b7280,color:#374151"),
    Status.RUNNING: ("running", "fill:#dbeafe,stroke:#1d4ed8,color:#1e3a8a"),
}
_CRITICAL = ("critical", "stroke-width:3px")


def mermaid(graph: Graph) -> str:
    """Draw *graph*: edges without data are dashed, those of conflicts name the resource. Tasks of a
    run are coloured by their status; those on the critical path have a thick border."""
    chart = _Chart()
    lines = [*chart.level(graph.level, "  ")]
    return "\n".join(["flowchart LR", *lines, *chart.edges, *chart.classes()])


class _Chart:
    def __init__(self) -> None:
        self.edges: list[str] = []
        self._numbers = count()
        self._members: dict[tuple[str, str], list[str]] = {}
        """The names of the tasks in each class."""

    def level(self, level: Level, indent: str) -> Iterator[str]:
        """Yield the lines of the tasks of *level*, and note their edges and classes."""
        names: list[str] = []
        for node in level.nodes:
            name = f"t{next(self._numbers)}"
            names.append(name)
            self._note(node, name)
            if node.inner is None:
                yield f'{indent}{name}["{"<br/>".join(map(_label, node.rows))}"]'
                continue
            title = " ".join(filter(None, (node.id, node.times)))
            yield f'{indent}subgraph {name}["{", ".join(map(_label, [title, *_rest(node)]))}"]'
            yield from self.level(node.inner, f"{indent}  ")
            yield f"{indent}end"
        self.edges += [
            f"  {names[edge.source]} {_arrow(edge)} {names[edge.target]}" for edge in level.edges
        ]

    def classes(self) -> Iterator[str]:
        """Yield the lines that say how the tasks look."""
        for (name, style), names in self._members.items():
            yield f"  classDef {name} {style}"
            yield f"  class {','.join(names)} {name}"

    def _note(self, node: Node, name: str) -> None:
        if node.outcome is not None and node.outcome.status in _CLASSES:
            self._members.setdefault(_CLASSES[node.outcome.status], []).append(name)
        if node.is_critical:
            self._members.setdefault(_CRITICAL, []).append(name)


def _rest(node: Node) -> Iterator[str]:
    """Yield the texts of a group that stand behind its title."""
    if node.has_condition:
        yield "on a condition"
    if node.end:
        yield node.end


def _arrow(edge: Edge) -> str:
    if edge.kind is EdgeKind.CONFLICT:
        return f'-. "{_label(edge.label)}" .->'
    return _ARROWS[edge.kind]


def _label(text: str) -> str:
    """Return *text* on one line, without what means something to Mermaid or to HTML."""
    text = printable(text)
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    text = text.replace("#", "#35;").replace("&", "&amp;").replace("<", "&lt;")
    return text.replace('"', "#quot;").replace("`", "#96;")
