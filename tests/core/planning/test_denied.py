"""Denied calls: refused where they are certain, accepted where they may never be made."""

from __future__ import annotations

from typing import Any

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules
from plait.errors import InvalidDag
from tests.fakes import tool

from ..tables import table

CATALOG = Catalog(
    [tool("s:list", closed=False), tool("s:delete", closed=False)],
    [ServerInfo("s", ServerState.READY)],
)
DENYING = Policy(tables=(Rules(deny=("*:delete",), lines={("deny", 0): 7}),))
WHY = 's:delete is denied because [policy] deny = ["*:delete"], line 7'

LIST = {"id": "a", "tool": "s:list"}
SOME = {"id": "b", "tool": "s:list", "depends_on": ["a"], "when": "a.open"}
DELETE = {"id": "d", "tool": "s:delete"}
ITEMS = "$OUTPUT[a].items"


def group(*tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "g", "tasks": list(tasks), **fields}


@table(
    ("tasks", "place"),
    [
        ([DELETE], "tasks[0].tool"),
        ([LIST, {**DELETE, "arguments": {"x": "$OUTPUT[a].x"}}], "tasks[1].tool"),
        ([{**DELETE, "for_each": [1, 2]}], "tasks[0].tool"),
        ([LIST, {**DELETE, "for_each": [ITEMS, 2]}], "tasks[1].tool"),
        ([group(DELETE)], "tasks[0].tasks[0].tool"),
        ([group(DELETE, for_each=[1, 2])], "tasks[0].tasks[0].tool"),
        # What depends on a list that is not known yet runs all the same.
        (
            [
                LIST,
                {"id": "b", "tool": "s:list", "for_each": ITEMS},
                {**DELETE, "depends_on": ["b"]},
            ],
            "tasks[2].tool",
        ),
        # A default, and a rule that is written down, let it run after a skip.
        ([LIST, SOME, {**DELETE, "arguments": {"x": "${OUTPUT[b] ?? 1}"}}], "tasks[2].tool"),
        (
            [LIST, SOME, {**DELETE, "depends_on": ["b"], "trigger_rule": "all_done"}],
            "tasks[2].tool",
        ),
    ],
)
def test_a_denied_call_that_is_certain_is_refused(tasks: list[Any], place: str) -> None:
    try:
        check(read_dag({"tasks": tasks}), CATALOG, DENYING)
    except InvalidDag as refused:
        [problem] = refused.problems
        assert (problem.path, problem.code) == (place, "policy_denied")
        assert problem.id in {"d", "g.d"}
        assert problem.message == f"{WHY}."
    else:
        raise AssertionError("it was accepted")


@table(
    ("tasks", "place"),
    [
        ([LIST, {**DELETE, "depends_on": ["a"], "when": "a.open"}], "tasks[1].tool"),
        ([LIST, {**DELETE, "for_each": ITEMS}], "tasks[1].tool"),
        ([LIST, group(DELETE, depends_on=["a"], when="a.open")], "tasks[1].tasks[0].tool"),
        ([LIST, group(DELETE, for_each=ITEMS)], "tasks[1].tasks[0].tool"),
        ([LIST, SOME, {**DELETE, "depends_on": ["b"]}], "tasks[2].tool"),
        (
            [
                LIST,
                SOME,
                {"id": "c", "tool": "s:list", "depends_on": ["b"]},
                group({**DELETE, "arguments": {"x": "$OUTPUT[c].x"}}),
            ],
            "tasks[3].tasks[0].tool",
        ),
    ],
)
def test_a_denied_call_that_may_never_be_made_is_noted(tasks: list[Any], place: str) -> None:
    plan = check(read_dag({"tasks": tasks}), CATALOG, DENYING)
    assert f"{place}: {WHY}; the task fails if it comes to its call" in plan.notes
