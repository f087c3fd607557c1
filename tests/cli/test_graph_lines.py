"""Graphs as lines of text."""

from __future__ import annotations

import pytest

from plait.cli.graph_lines import MOST_NAMED, graph_lines
from plait.cli.style import bare, fold, length

from ..core.results.graphs import GRAPHS, drawn, large, looked_at, task


def text_of(name: str, width: int) -> str:
    lines = graph_lines(GRAPHS[name](), width)
    return "".join(f"{''.join(map(bare, line)).rstrip()}\n" for line in lines)


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_drawn_as_it_was_looked_at(name: str, width: int):
    assert text_of(name, width) == looked_at(name, f"{width}.txt")


def test_without_boxes_there_is_a_line_for_each_task_by_layer():
    lines = [
        "".join(map(bare, line)) for line in graph_lines(GRAPHS["kinds"](), 80, in_boxes=False)
    ]
    assert lines[:4] == ["layer 1", "  a  s:read  critical path", "layer 2", lines[3]]
    assert "      if a" in lines
    assert "      after b" in lines
    assert "      reads a, d" in lines
    resource = [
        "".join(map(bare, line)) for line in graph_lines(GRAPHS["conflicts"](), 80, in_boxes=False)
    ]
    assert "      not with one (file:out/a.txt)" in resource


def test_a_narrow_terminal_gets_lines_that_fold():
    lines = list(graph_lines(GRAPHS["failed_run"](), 20))
    assert all(length(part) <= 20 for line in lines for part in fold(line, 20))


def test_a_large_dag_is_shown_by_layers_and_a_line_names_some():
    assert sum("s:read" in "".join(map(bare, line)) for line in graph_lines(large(), 80)) == 1_000
    ids = [f"t{n}" for n in range(60)]
    many = drawn([*map(task, ids), task("all", "s:write", *ids)])
    last = "".join(map(bare, list(graph_lines(many, 80))[-1]))
    assert last.count(",") <= MOST_NAMED + 1
