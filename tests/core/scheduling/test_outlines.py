"""What is known of the tasks of a plan before anything runs."""

from __future__ import annotations

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.events import Key
from plait.core.scheduling.outlines import InnerOutline, outlines_of, outlines_of_inner
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


def test_a_place_has_the_items_of_the_groups_around_it_and_its_own():
    comment = InnerOutline("close.comment", "s:do", (("close", True), ("comment", False)), True)
    assert comment.place(Key("r", "close.comment", None, (3,))) == "close[3].comment"
    each = InnerOutline("g.each", "s:do", (("g", False), ("each", True)), True)
    assert each.place(Key("r", "g.each", 2)) == "g.each[2]"
    assert each.place(Key("r", "g.each")) == "g.each"
    deep = InnerOutline("a.b.c", "s:do", (("a", True), ("b", True), ("c", True)), True)
    assert deep.place(Key("r", "a.b.c", 5, (1, 2))) == "a[1].b[2].c[5]"
    assert deep.groups == ("a", "a.b")
