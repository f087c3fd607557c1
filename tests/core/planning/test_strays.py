"""Arguments that stand next to `tool` are put into `arguments` by their fix."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.values.problems import Problem
from plait.core.values.strict import dumps
from plait.errors import InvalidDag
from tests.fakes import tool

from ..patching import patched
from ..tables import table

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
CATALOG = Catalog(
    [
        tool("s:any"),
        tool(
            "s:create",
            {
                **dict.fromkeys(("title", "body", "description", "status", "type", "filter"), TEXT),
                **dict.fromkeys(("limit", "timeout", "name", "action", "items"), TEXT),
                "n": NUMBER,
                "content-type": TEXT,
            },
            ["title"],
        ),
        tool("s:act", {"action": TEXT, "function": TEXT}, ["action", "function"]),
    ],
    [ServerInfo("s", ServerState.READY)],
)


def problems(*tasks: dict[str, Any]) -> list[Problem]:
    with pytest.raises(InvalidDag) as refused:
        check(read_dag({"tasks": list(tasks)}), CATALOG, Policy())
    return list(refused.value.problems)


def fixed(*tasks: dict[str, Any], rounds: int = 1) -> list[dict[str, Any]]:
    """Return *tasks* with all their fixes applied, which makes them right."""
    document: Any = {"tasks": list(tasks)}
    for _ in range(rounds):
        found = problems(*document["tasks"])
        fixes: list[Any] = [p.document()["fix"] for p in found if p.fix is not None]
        document = patched(document, fixes)
    check(read_dag(dumps(document)), CATALOG, Policy())
    made: list[dict[str, Any]] = document["tasks"]
    return made


A = {"id": "a", "tool": "s:create"}


@table(
    "strays",
    [
        {"title": "x"},
        {"title": "x", "body": "y", "description": "z", "status": "open", "type": "bug"},
        {"title": "x", "limit": "5"},
        {"title": "x", "name": "n"},
        {"title": "x", "content-type": "text/plain"},
        {"title": "x", "action": "go"},
        {"title": "$OUTPUT[b].x"},
    ],
)
@table("arguments", [{}, {"arguments": {}}, {"arguments": {"n": 5}}])
def test_arguments_that_stand_next_to_the_tool_are_moved(
    strays: dict[str, Any], arguments: dict[str, Any]
) -> None:
    b = {"id": "b", "tool": "s:any"}
    [task, _] = fixed({**A, **strays, **arguments}, b)
    assert task == {**A, "arguments": {**arguments.get("arguments", {}), **strays}}


def test_the_problem_says_where_it_belongs() -> None:
    [problem] = problems({**A, "title": "x"})
    assert problem.document() == {
        "path": "tasks[0].title",
        "id": "a",
        "code": "unknown_field",
        "message": '"title" is an argument of s:create, not a field of a task.',
        "hint": "Write it into arguments.",
        "fix": {
            "op": "replace",
            "path": "tasks[0]",
            "value": {"id": "a", "tool": "s:create", "arguments": {"title": "x"}},
        },
    }


def test_the_fix_goes_together_with_the_other_fixes_of_the_task_and_of_others() -> None:
    b = {"id": "b", "tool": "s:create", "if": "a", "priority": "2", "note": 1, "title": "y"}
    b |= {"dependz_on": ["a"], "arguments": {"n": "5", "bdy": "z"}}
    made = fixed({**A, "note": 1, "arguments": {"title": "x"}}, b, {**A, "id": "c", "title": "z"})
    assert made == [
        {**A, "arguments": {"title": "x"}},
        {
            "id": "b",
            "tool": "s:create",
            "when": "a",
            "priority": 2,
            "depends_on": ["a"],
            "arguments": {"n": 5, "body": "z", "title": "y"},
        },
        {**A, "id": "c", "arguments": {"title": "z"}},
    ]


def test_what_the_tool_needs_is_its_argument_though_other_engines_have_a_field_of_that_name() -> (
    None
):
    [task] = fixed({"id": "a", "tool": "s:act", "action": "x", "function": "y"})
    assert task == {"id": "a", "tool": "s:act", "arguments": {"action": "x", "function": "y"}}


@table(("name", "field"), [("filter", "select"), ("timeout", "timeout_s")])
def test_a_name_that_may_be_a_field_as_well_has_no_fix(name: str, field: str) -> None:
    found = problems({**A, "arguments": {"title": "x"}, name: "n"})
    [problem] = [one for one in found if one.path == f"tasks[0].{name}"]
    assert problem.fix is None
    assert problem.hint == f'Write it into arguments, or name it "{field}".'


@table(
    "task",
    [
        {**A, "arguments": {"title": "x"}, "title": "y"},
        {**A, "arguments": {"title": "x"}, "zork": "y"},
        {"id": "a", "tool": "s:none", "title": "x"},
        {"id": "a", "tool": "s:any", "title": "x"},
        {**A, "title": "x", "arguments": 5},
        {**A, "title": "x" * 3_000},
    ],
)
def test_nothing_is_moved_that_does_not_belong_there_or_is_too_long(task: dict[str, Any]) -> None:
    fixes = [problem.fix for problem in problems(task) if problem.fix is not None]
    assert all(fix.path is None for fix in fixes)


DECIDING: list[dict[str, Any]] = [
    {"unless": "b.n > `2`"},
    {"skip_if": "b.n"},
    {"requires_approval": True},
    {"enabled": False},
    {"unless": "b.n", "enabled": False},
    {"when": False},
]
B = {"id": "b", "tool": "s:any"}


@table("kept", DECIDING)
@table(
    "task",
    [
        {**A, "title": "x"},
        {**A, "arguments": {"title": "x"}, "allow_repeat": True, "retries": 1, "retry_delay": 2},
    ],
)
def test_a_fix_of_the_whole_task_does_not_lose_what_has_no_fix(
    task: dict[str, Any], kept: dict[str, Any]
) -> None:
    tasks = [{**task, **kept}, B]
    found = problems(*tasks)
    fixes: list[Any] = [one.document()["fix"] for one in found if one.fix is not None]
    after = patched({"tasks": tasks}, fixes)["tasks"][0]
    assert after.items() >= kept.items()
    assert {one.path for one in problems(after, B)} == {f"tasks[0].{name}" for name in kept}


@table("kept", DECIDING[:-1])
@table(
    "task",
    [
        {"id": "a", "tool": "s:any", "for_each": "$OUTPUT[b].items", "when": "$ITEM.open"},
        {"id": "a", "tool": "s:any", "depends_on": ["b"], "when": "$STATUS[b] == 'failed'"},
    ],
)
def test_a_fix_of_a_condition_does_not_lose_another_one(
    task: dict[str, Any], kept: dict[str, Any]
) -> None:
    tasks = [{**task, **kept}, B]
    fixes: list[Any] = [one.document()["fix"] for one in problems(*tasks) if one.fix is not None]
    assert fixes
    after = patched({"tasks": tasks}, fixes)["tasks"][0]
    assert after.items() >= kept.items()


def test_a_fix_of_the_whole_task_is_not_given_where_a_field_is_not_at_hand() -> None:
    task = {"id": "a", "tool": "s:any", "for_each": "$OUTPUT[b].items", "when": "$ITEM.open"}
    found = problems({**task, "trigger_rule": "after lunch"}, B)
    assert [one.fix for one in found if one.path == "tasks[0].when"] == [None]
    group: dict[str, Any] = {"id": "g", "for_each": "$OUTPUT[b].items", "when": "$ITEM.open"}
    group |= {"tasks": [{"id": "c", "tool": "s:any", "unless": "b.n"}]}
    found = problems(group, B)
    assert [one.fix for one in found if one.path == "tasks[0].when"] == [None]


def test_a_filter_of_items_is_kept_until_its_own_fix_is_applied() -> None:
    task = {"id": "a", "tool": "s:act", "for_each": "$OUTPUT[b].items", "filter": "open"}
    task |= {"action": "x", "function": "y"}
    [made, _] = fixed(task, B, rounds=2)
    assert made == {
        "id": "a",
        "tool": "s:act",
        "for_each": "${OUTPUT[b].items | [?open]}",
        "arguments": {"action": "x", "function": "y"},
    }


def test_a_filter_of_items_may_be_an_argument_as_well() -> None:
    task = {**A, "arguments": {"title": "x"}, "for_each": "$OUTPUT[b].items", "filter": "open"}
    [problem] = problems(task, B)
    assert problem.fix is None
    assert problem.hint == "Write it into arguments, or as a filter into for_each."


def test_a_filter_of_a_task_without_items_goes_into_its_select_with_the_fix() -> None:
    task = {"id": "a", "tool": "s:act", "action": "x", "function": "y", "filter": "n"}
    [made] = fixed(task)
    arguments = {"action": "x", "function": "y"}
    assert made == {"id": "a", "tool": "s:act", "select": "n", "arguments": arguments}
