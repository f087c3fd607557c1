"""A plan as nodes: what can come into each, and in which order they are."""

from __future__ import annotations

from typing import Any

from plait.core.flows.nodes import Node, Nodes

from .cases import GATE
from .plans import QUERY, READ, plan_of, post, value


def nodes_of(*tasks: Any) -> Nodes:
    return Nodes(plan_of(*tasks), lambda _: 1, {}, {})


def ids(nodes: Any) -> list[str]:
    return [node.id for node in nodes]


def test_a_task_is_linked_to_what_it_is_given_and_to_what_decides_it() -> None:
    post_ = post("$OUTPUT[query].x", when="read.ok", depends_on=["gate"])
    node = nodes_of(READ, QUERY, GATE, post_).by_id["post"]
    assert (ids(node.given_by), ids(node.decided_by)) == (["query"], ["read"])
    assert {*ids(node.waits_for)} == {"query", "read", "gate"}
    assert node.tool == "chat:post"


def test_a_group_has_a_node_before_its_tasks_one_behind_and_one_for_its_end() -> None:
    group = {"id": "g", "when": "read.ok", "tasks": [QUERY], "value": "$OUTPUT[query].x"}
    nodes = nodes_of(READ, group, value("v", '${OUTPUT[g] ?? "none"}'), value("w", "$OUTPUT[g]"))
    assert ids(nodes.in_order) == ["read", "g", "g.query", "g", "g", "v", "w"]
    _, before, inner, behind, end, guarded, whole = nodes.in_order
    assert inner.around is before is behind.around
    assert ids(before.decided_by) == ["read"]
    assert [*behind.given_by] == [inner]
    assert [*end.given_by] == [behind, inner]
    assert [*guarded.given_by] == [end]
    assert [*whole.given_by] == [behind] == [nodes.by_id["g"]]


def test_what_has_ended_before_a_node_begins_is_what_it_waits_for_whatever_the_rule() -> None:
    group = {"id": "g", "tasks": [QUERY], "depends_on": ["read"], "trigger_rule": "always"}
    nodes = nodes_of(READ, group, post('${OUTPUT[g] ?? "none"}'))
    left, seen = [nodes.by_id["post"]], set[Node]()
    while left:
        seen.add(node := left.pop())
        left += nodes.before(node)
    assert {*ids(seen)} == {"post", "g", "g.query", "read"}
