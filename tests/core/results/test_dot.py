"""Graphs in DOT."""

from __future__ import annotations

import re

import pytest

from plait.core.results.dot import dot

from .graphs import GRAPHS, large, looked_at


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_drawn_as_it_was_looked_at(name: str):
    assert dot(GRAPHS[name]()) + "\n" == looked_at(name, "dot")


def test_no_name_can_break_the_drawing():
    [line] = [line for line in dot(GRAPHS["names"]()).splitlines() if line.startswith("  t0 [")]
    label = line.removeprefix('  t0 [label="a\\n').partition('", penwidth')[0]
    assert not re.search(r'(?<!\\)(?:\\\\)*"|&(?!amp;)|\x1b|\u202e', label)
    assert re.fullmatch(r"(?:[^\\]|\\[\\\"])*", label)


def test_a_large_dag_has_a_line_for_each_task_and_edge():
    graph = large()
    lines = dot(graph).splitlines()
    assert len([line for line in lines if "->" in line]) == len(graph.level.edges)
