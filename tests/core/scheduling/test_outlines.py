"""What is known of the tasks of a plan before anything runs."""

from __future__ import annotations

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.outlines import outlines_of, outlines_of_inner
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from tests.fakes import tool

CATALOG = Catalog([tool("s:do"), tool("s:new")], [ServerInfo("s", ServerState.READY)])
PLAN = check(
    read_dag(
        {
            "tasks": [
                {"id": "a", "tool": "s:do"},
                {"id": "b", "tool": "s:new", "depends_on": ["a"]},
            ]
        }
    ),
    CATALOG,
    Policy(),
    cost=lambda task: 2.0 if task.tool.name == "do" else None,
)


def test_outlines_say_what_is_known_before_anything_runs():
    first, second = outlines_of(PLAN)
    assert (first.id, first.tool, first.layer, first.needs) == ("a", "s:do", 0, ())
    assert (second.layer, second.needs, second.reused_inputs) == (1, ("a",), ())
    assert (first.expected_s, second.expected_s) == (2.0, None)
    assert first.remaining_s == 4.0  # an unknown tool counts as the median of the known ones


def test_tasks_in_groups_have_outlines_with_the_groups_around_them():
    each = {"id": "each", "tool": "s:do", "for_each": [1, 2]}
    deep = {"id": "deep", "tasks": [{"id": "d", "tool": "s:new"}]}
    group = {"id": "g", "for_each": [1], "tasks": [each, deep]}
    plan = check(read_dag({"tasks": [group]}), CATALOG, Policy())
    assert [(one.parts, one.is_call) for one in outlines_of_inner(plan)] == [
        ((("g", True), ("each", True)), True),
        ((("g", True), ("deep", False)), False),
        ((("g", True), ("deep", False), ("d", False)), True),
    ]
