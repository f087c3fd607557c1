"""`plait graph`: a DAG or a past run, drawn."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.values.printable import printable
from .binary import check_place
from .documents import STDIN, Source, read_document
from .exits import Exit, Misused
from .graph_lines import graph_lines
from .invocation import Invocation
from .options import GraphFormat
from .style import Verbatim, bare

if TYPE_CHECKING:
    from ..core.history_store import History
    from ..core.results.graph import Graph
    from ..engine.gateway import Gateway
    from .session import Session

ENDS = {
    ".mmd": GraphFormat.MERMAID,
    ".mermaid": GraphFormat.MERMAID,
    ".dot": GraphFormat.DOT,
    ".gv": GraphFormat.DOT,
    ".txt": GraphFormat.ASCII,
    ".svg": GraphFormat.SVG,
}
"""The formats of files, by the end of their names."""
UNDRAWN = "so nothing was drawn"


def is_file(word: str) -> bool:
    """Whether *word* names a file with a DAG, or standard input, rather than a run."""
    is_path = "/" in word or os.sep in word or word.endswith((".json", ".toml"))
    return not word or word == STDIN or is_path or os.path.exists(word)


def format_of(given: GraphFormat | None, output: Path | None) -> str | None:
    """Return the format that was asked for, by name or by the end of the file; None for the default
    of the stream."""
    if given is None and output is not None:
        given = ENDS.get(output.suffix.lower())
    return None if given is None else given.value


def check_output(output: Path | None) -> None:
    """Check that the drawing can be written to *output*. Raises `Misused`."""
    if output is not None:
        check_place(output, UNDRAWN)


async def draw_dag(
    gateway: Gateway, invocation: Invocation, source: Source, form: str | None, output: Path | None
) -> int:
    """Check the DAG in *source* and draw it."""
    from .live import showing, starting_rows

    invocation.document = source.name
    document = await invocation.work(partial(read_document, source))
    async with showing(invocation.console.err, partial(starting_rows, gateway)):
        graph = await gateway.graph(document.value)
    await invocation.work(partial(_draw, graph, invocation, form, output))
    return Exit.SUCCESS


async def draw_run(
    history: History, session: Session, word: str, form: str | None, output: Path | None
) -> int:
    """Draw the run whose id is *word*, or begins with it. Raises `Misused`."""
    from ..core.results.graph import graph_of_record
    from .history import find, result_in

    entry = (await find(history, word)).entry
    result = await result_in(history, entry, session.secrets)
    if result is None:
        text = f"{entry.id} is a call of one tool by its name, which has no graph."
        raise Misused(text, hint="DAG|RUN")
    path = result.metrics.critical_path
    graph = graph_of_record(result.record, path, session.secrets.redact)
    _draw(graph, session, form, output)
    return Exit.SUCCESS


def _draw(graph: Graph, invocation: Invocation, form: str | None, output: Path | None) -> None:
    """Draw *graph* where it is to go."""
    out = invocation.console.out
    default = GraphFormat.ASCII if out.is_terminal and output is None else GraphFormat.MERMAID
    chosen = GraphFormat(form or default)
    if chosen is GraphFormat.ASCII and output is None:
        out.lines(graph_lines(graph, out.width, in_boxes=not out.is_plain))
        return
    text = _text(graph, chosen, out.width)
    if chosen is GraphFormat.MERMAID:
        _note_size(graph, invocation)
    if output is None:
        out.lines((Verbatim(line),) for line in text.splitlines())
        return
    invocation.save([(output, f"{text}\n".encode())], see="")
    invocation.console.err.line(f"saved in {output}")


def _note_size(graph: Graph, invocation: Invocation) -> None:
    from ..core.results.mermaid import MOST_EDGES

    if (count := graph.level.edge_count) > MOST_EDGES:
        invocation.console.err.line(
            f"It has {count:,} edges; Mermaid draws at most {MOST_EDGES} unless its page sets "
            "maxEdges. --format svg draws all."
        )


def _text(graph: Graph, form: GraphFormat, width: int) -> str:
    match form:
        case GraphFormat.ASCII:
            lines = graph_lines(graph, width)
            return "\n".join(printable("".join(map(bare, line))).rstrip() for line in lines)
        case GraphFormat.MERMAID:
            from ..core.results.mermaid import mermaid

            return mermaid(graph)
        case GraphFormat.DOT:
            from ..core.results.dot import dot

            return dot(graph)
        case GraphFormat.SVG:
            from ..core.results.svg import svg

            return svg(graph)
