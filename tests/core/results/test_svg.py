"""Graphs as SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from plait.core.results.graph import Edge, EdgeKind, Graph, Level, Node
from plait.core.results.svg import svg

from .graphs import GRAPHS, HOSTILE, WIDE, large, looked_at

SVG = "{http://www.w3.org/2000/svg}"


def read(graph: Graph) -> ElementTree.Element:
    return ElementTree.fromstring(svg(graph))


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_drawn_as_it_was_looked_at(name: str):
    assert svg(GRAPHS[name]()) + "\n" == looked_at(name, "svg")


@pytest.mark.parametrize("name", GRAPHS)
def test_nothing_in_it_runs_or_is_fetched(name: str):
    root = read(GRAPHS[name]())
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "style", "defs", "marker", "path", "rect", "g", "text"}
    names = {name for element in root.iter() for name in element.attrib}
    assert not any(name.startswith("on") or "href" in name for name in names)
    text = svg(GRAPHS[name]()).replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"url\(.*?\)|@import|//", text) == ["url(#arrow)"] * text.count("url(#arrow)")


def test_it_follows_the_scheme_of_its_reader():
    style = read(GRAPHS["chain"]()).find(f"{SVG}style")
    assert style is not None
    assert style.text is not None
    light, dark = style.text.split("@media (prefers-color-scheme: dark)")
    variables = set(re.findall(r"(--\w+):", light))
    assert variables == set(re.findall(r"(--\w+):", dark.partition("} }")[0]))
    assert set(re.findall(r"var\((--\w+)\)", dark)) == variables


def test_no_name_can_break_the_drawing():
    root = read(GRAPHS["names"]())
    titles = [title.text or "" for title in root.iter(f"{SVG}title")]
    shown = HOSTILE.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")
    assert titles[1] == f"a | {shown}"
    assert titles[2] == f"b | {WIDE}"
    odd = Graph(Level((Node("a", "s:\ufffe\uffff\ud800", 0),), ()), 'a "name" <&')
    root = read(odd)
    assert root.attrib["aria-label"] == 'a "name" <&'
    assert [title.text for title in root.iter(f"{SVG}title")][1] == "a | s:\ufffd\ufffd\\ud800"


def test_every_text_is_within_its_box():
    for name in GRAPHS:
        for group in read(GRAPHS[name]()).iter(f"{SVG}g"):
            box = group.find(f"{SVG}rect")
            for text in group.findall(f"{SVG}text") if box is not None else []:
                assert box is not None
                assert 12 + 8 * len(text.text or "") <= int(box.attrib["width"])
                assert int(text.attrib["y"]) < int(box.attrib["height"])


def test_a_run_shows_statuses_and_a_conflict_its_resource():
    kinds = [box.attrib["class"] for box in read(GRAPHS["failed_run"]()).iter(f"{SVG}rect")]
    assert kinds[1:4] == ["box success critical", "box failed critical", "box success"]
    root = read(GRAPHS["conflicts"]())
    assert "not with one: file:out/a.txt" in [text.text for text in root.iter(f"{SVG}text")]
    edges = [
        path.attrib["class"] for path in root.iter(f"{SVG}path") if "marker-end" in path.attrib
    ]
    assert edges == ["edge conflict"] * 2


def test_a_large_dag_is_drawn_and_one_with_too_many_edges_by_layers():
    graph = large()
    assert sum(1 for _ in read(graph).iter(f"{SVG}rect")) == 1 + 1_000
    nodes = tuple(Node(f"n{at}", "s:t", at) for at in range(300))
    chain = [Edge(at, at + 1, EdgeKind.DATA) for at in range(299)]
    edges = (*chain, *[Edge(at, 299, EdgeKind.DATA) for at in range(298)])
    root = read(Graph(Level(nodes, edges)))
    assert sum("marker-end" in path.attrib for path in root.iter(f"{SVG}path")) == len(edges)
