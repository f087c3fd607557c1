"""A DAG as a graph: the same before a run and after it."""

from __future__ import annotations

import pytest

from plait.core.results.graph import Edge, EdgeKind, Graph, Level, Node, graph_of_record
from plait.core.scheduling.events import Status

from .graphs import (
    CHAIN,
    CONFLICTS,
    DIAMOND,
    FOR_EACH,
    GRAPHS,
    GROUPS,
    KINDS,
    drawn,
    large,
    ran,
    task,
)


def named(level: Level, edge: Edge) -> tuple[str, str, EdgeKind]:
    return level.nodes[edge.source].id, level.nodes[edge.target].id, edge.kind


def edges_of(graph: Graph) -> list[tuple[str, str, EdgeKind]]:
    return [named(graph.level, edge) for edge in graph.level.edges]


def node(graph: Graph, id: str) -> Node:
    [found] = [node for node in graph.level.all_nodes() if node.id == id]
    return found


def test_an_edge_says_why_a_task_waits():
    data, when, order = EdgeKind.DATA, EdgeKind.WHEN, EdgeKind.ORDER
    assert sorted(edges_of(drawn(KINDS))) == [
        ("a", "b", data),
        ("a", "c", order),
        ("a", "d", when),
        ("a", "e", data),
        ("b", "d", order),
        ("c", "e", order),
        ("d", "e", data),
    ]


HIDING = [
    {
        "id": "g",
        "tasks": [task("a"), {"id": "h", "tasks": [task("a"), task("b", "s:read", "a")]}],
    }
]
"""A task in a group in a group, which hides one around it."""


@pytest.mark.parametrize("tasks", [HIDING, CHAIN, DIAMOND, KINDS, GROUPS, FOR_EACH])
def test_a_run_has_the_graph_of_its_plan(tasks: list[dict[str, object]]):
    def shape(level: Level) -> object:
        return (
            [
                (node.id, node.tool, node.layer, node.inner and shape(node.inner))
                for node in level.nodes
            ],
            sorted(level.edges),
        )

    record = ran(tasks, set(), {"a": {"open": True}, "bugs": [{"id": 1}], "list": [1]})
    assert record.status == "success"
    assert shape(graph_of_record(record, ()).level) == shape(drawn(tasks).level)


def test_what_a_task_in_a_group_reads_from_outside_the_group_waits_for():
    group = {"id": "g", "tasks": [task("in", "s:read", "a"), task("a2", "s:read", "in")]}
    graph = drawn([task("a"), group])
    assert edges_of(graph) == [("a", "g", EdgeKind.DATA)]
    inner = graph.level.nodes[1].inner
    assert inner is not None
    assert [named(inner, edge) for edge in inner.edges] == [("in", "a2", EdgeKind.DATA)]
    hidden = {"id": "g", "tasks": [task("a"), task("b", "s:read", "a")]}
    assert edges_of(drawn([task("a"), hidden])) == []


def test_a_literal_argument_is_no_reference():
    tasks = [task("a"), {**task("b", "s:read", "a"), "literal": True, "depends_on": ["a"]}]
    assert edges_of(drawn(tasks)) == [("a", "b", EdgeKind.ORDER)]


def test_expressions_read_too():
    select = {**task("b", depends_on=["a"]), "select": "$OUTPUT[a].x"}
    again = {**task("c", depends_on=["a"]), "repeat": {"until": "done == $OUTPUT[a].x"}}
    edges = edges_of(drawn([task("a"), select, again]))
    assert {kind for _, _, kind in edges} == {EdgeKind.DATA}


def test_conflicts_name_the_resource_and_are_only_between_tasks_in_no_other_order():
    graph = GRAPHS["conflicts"]()
    assert [(*named(graph.level, edge), edge.label) for edge in graph.level.edges] == [
        ("one", "two", EdgeKind.CONFLICT, "file:out/a.txt"),
        ("other", "all", EdgeKind.CONFLICT, 'file:out/"<b>&.txt'),
    ]


def test_a_run_shows_the_conflicts_that_it_waited_for():
    graph = graph_of_record(ran(CONFLICTS, set(), {}), ())
    assert [(*named(graph.level, edge), edge.label) for edge in graph.level.edges] == [
        ("one", "two", EdgeKind.CONFLICT, "file:out/a.txt"),
        ("two", "all", EdgeKind.CONFLICT, "file:out/a.txt"),
    ]


def test_items_are_counted_where_their_number_is_known():
    graph = drawn(FOR_EACH)
    assert node(graph, "known").times == "for each of 3 items"
    assert node(graph, "unknown").times == "for each item"
    assert node(graph, "list").times == ""
    ended = graph_of_record(ran(FOR_EACH, set(), {"list": [7]}), ())
    assert node(ended, "unknown").times == "for each of 1 item"


def test_a_task_of_a_run_says_how_it_ended():
    graph = GRAPHS["failed_run"]()
    assert (graph.run_id, graph.status) == ("r_1", "partial")
    assert node(graph, "start").end == "success, 500 ms"
    assert node(graph, "left").end == "failed, tool_error, 2.00 s"
    assert node(graph, "join").end == "skipped, dependency_failed"
    assert node(graph, "each").end == "failed, 1 of 3 failed, tool_error, 1.25 s"
    assert node(graph, "mark").end == "failed, 2 of 2 failed, tool_error"
    assert [one.id for one in graph.level.nodes if one.is_critical] == ["start", "left"]


def test_a_task_of_a_group_has_the_worst_end_of_its_passages():
    record = ran(GROUPS, {"close.ask"}, {"bugs": [{"id": 1}, {"id": 2}]})
    outcome = node(graph_of_record(record, ()), "ask").outcome
    assert outcome is not None
    assert (outcome.status, outcome.failed) == (Status.FAILED, 2)
    unmet = ran([GROUPS[0], GROUPS[1]], {"bugs"}, {})
    before = node(graph_of_record(unmet, ()), "ask").outcome
    assert before is None or before.status is Status.PENDING


def test_secrets_are_taken_out_of_what_a_run_names():
    record = ran(CHAIN, set(), {})
    named = graph_of_record(
        type(record)(
            **{name: getattr(record, name) for name in record.__slots__}
            | {"dag": record.dag.model_copy(update={"name": "of swordfish"})}
        ),
        (),
        lambda text: text.replace("swordfish", "***"),
    )
    assert named.name == "of ***"


def test_a_large_dag_has_its_layers():
    graph = large()
    assert sum(len(layer) for layer in graph.level.layers) == 1_000
    assert all(
        graph.level.nodes[edge.source].layer < graph.level.nodes[edge.target].layer
        for edge in graph.level.edges
    )
