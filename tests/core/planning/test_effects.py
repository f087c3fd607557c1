"""The tasks whose outputs go into calls that change something."""

from __future__ import annotations

from typing import Any

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import Plan
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from tests.fakes import tool

from ..tables import table

CATALOG = Catalog(
    [
        tool("s:read", closed=False, readOnlyHint=True),
        tool("s:write", closed=False),
        tool("s:free", closed=False, readOnlyHint=True),
    ],
    [ServerInfo("s", ServerState.READY)],
)


def planned(*tasks: dict[str, Any]) -> Plan:
    return check(read_dag({"tasks": [*tasks]}), CATALOG, Policy())


def read(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": "s:read", **more}


def write(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "tool": "s:write", **more}


def given(reference: str = "$OUTPUT[a]") -> dict[str, Any]:
    return {"arguments": {"x": reference}}


A = read("a", select="items[?open]")


@table(
    ("others", "feeds"),
    [
        ([write("w", **given())], {"a"}),
        ([write("w", **given("text ${OUTPUT[a] | length(@)}"))], {"a"}),
        ([write("w", for_each="$OUTPUT[a]")], {"a"}),
        ([write("w", **given("${OUTPUT[b] ?? OUTPUT[a]}")), read("b")], {"a", "b"}),
        ([write("w", **given("${OUTPUT[b] | [?contains($OUTPUT[a], id)]}")), read("b")],
         {"a", "b"}),
        ([read("b", **given()), write("w", **given("$OUTPUT[b]"))], {"a", "b"}),
        ([{"id": "v", "value": {"x": "$OUTPUT[a]"}}, write("w", **given("$OUTPUT[v]"))],
         {"a", "v"}),
        ([read("b", select="[?contains($OUTPUT[a], id)]"), write("w", **given("$OUTPUT[b]"))],
         {"a", "b"}),
        ([{"id": "g", "tasks": [read("i", **given()), read("j")]},
          write("w", **given("$OUTPUT[g].i"))], {"a", "g", "g.i", "g.j"}),
        ([{"id": "g", "tasks": [read("i", **given()), read("j")], "value": "$OUTPUT[i]"},
          write("w", **given("$OUTPUT[g]"))], {"a", "g", "g.i"}),
        ([{"id": "g", "for_each": "$OUTPUT[a]", "tasks": [write("w", **given("$ITEM.id"))]}],
         {"a"}),
        ([{"id": "g", "tasks": [read("i"), write("w", **given("$OUTPUT[i]"))]}], {"g.i"}),
        ([read("b", **given())], set()),
        ([write("w", depends_on=["a"])], set()),
        ([write("w", when="length(a) > 0")], set()),
        ([write("w", select="[?contains($OUTPUT[a], id)]")], set()),
        ([write("w", trigger_rule="all_done", **given("$STATUS[a]"))], set()),
    ],
)  # fmt: skip
def test_what_goes_into_a_call_that_changes_something_is_found(
    others: list[dict[str, Any]], feeds: set[str]
) -> None:
    tasks = [*planned(A, *others).all_tasks()]
    assert {task.id for task in tasks if task.feeds_changes} == feeds
    calls = {task.id for task in tasks if task.tool.full_name == "s:write"}
    groups = {"g"} if "g.w" in calls else set()
    assert {task.id for task in tasks if task.changes} == calls | groups


def test_nothing_is_looked_for_without_an_expression_over_an_output() -> None:
    plan = planned(read("a"), write("w", **given()))
    assert not any(task.changes or task.feeds_changes for task in plan.tasks.values())


@table(
    "task",
    [
        read("b", select="items[?open]"),
        read("b", when="length(a[?open]) > 0"),
        read("b", arguments={"x": "${OUTPUT[a] | [?open]}"}),
        read("b", for_each="${OUTPUT[a] | [?open]}"),
        read("b", repeat={"until": "length(items[?open]) > 0"}),
        {"id": "b", "tasks": [read("i", select="[?open]")]},
    ],
)
def test_every_place_of_a_filter_counts(task: dict[str, Any]) -> None:
    plan = planned(read("a"), write("w", **given("$OUTPUT[b]")), task)
    assert plan.tasks["w"].changes
    assert plan.tasks["b"].feeds_changes


def test_names_that_are_declared_are_known() -> None:
    output = {"type": "array", "items": {"type": "object", "properties": {"gone": {}}}}
    typed = Catalog(
        [
            tool(
                "s:typed",
                output={"type": "object", "properties": {"items": output}},
                readOnlyHint=True,
            )
        ],
        [ServerInfo("s", ServerState.READY)],
    )
    document = {
        "tasks": [
            {"id": "a", "tool": "s:typed", "select": "items[?gone && other]"},
            {"id": "v", "value": "${OUTPUT[b].items | [?gone]}"},
            {"id": "b", "tool": "s:typed"},
            {"id": "c", "tool": "s:typed", "when": "b.items", "repeat": {"until": "items"}},
        ]
    }
    plan = check(read_dag(document), typed, Policy())
    assert plan.tasks["a"].known_names >= {("items[?gone && other]", 7)}
    assert ("items[?gone && other]", 15) not in plan.tasks["a"].known_names
    assert plan.tasks["v"].known_names == {("[?gone]", 2)}
    assert plan.tasks["c"].known_names >= {("b.items", 2), ("items", 0)}
