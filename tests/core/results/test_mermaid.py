"""Graphs in Mermaid."""

from __future__ import annotations

import re

import pytest

from plait.core.results.mermaid import mermaid

from .graphs import GRAPHS, large, looked_at


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_drawn_as_it_was_looked_at(name: str):
    assert mermaid(GRAPHS[name]()) + "\n" == looked_at(name, "mmd")


def test_no_name_can_break_the_chart():
    [line] = [line for line in mermaid(GRAPHS["names"]()).splitlines() if line.startswith("  t0[")]
    label = line.removeprefix('  t0["').removesuffix('"]').replace("a<br/>", "", 1)
    assert not re.search(r'["<`\x1b\u202e]|#(?!quot;|35;|96;)|&(?!amp;|lt;)', label)


def test_a_large_dag_has_a_line_for_each_task_and_edge():
    graph = large()
    lines = mermaid(graph).splitlines()
    assert len([line for line in lines if "-->" in line]) == len(graph.level.edges)
