"""The tasks that a task waits for, by name, by references and by its expressions."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.planning.plan import Plan
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.values.problems import Fix, Op, Problem
from plait.errors import InvalidDag
from tests.fakes import tool

from ..tables import table

CATALOG = Catalog([tool("s:any")], [ServerInfo("s", ServerState.READY)])


def planned(*tasks: dict[str, Any]) -> Plan:
    named = [{"id": f"t{n}", "tool": "s:any", **task} for n, task in enumerate(tasks)]
    return check(read_dag({"tasks": named}), CATALOG, Policy())


def problems(*tasks: dict[str, Any]) -> list[Problem]:
    with pytest.raises(InvalidDag) as refused:
        planned(*tasks)
    return list(refused.value.problems)


def codes(found: list[Problem]) -> list[tuple[str, str]]:
    return [(problem.path, problem.code) for problem in found]


def test_a_reference_adds_its_own_dependency() -> None:
    plan = planned(
        {},
        {"arguments": {"x": ["$OUTPUT[t0].a"]}},
        {"for_each": "$OUTPUT[t1]"},
        {"depends_on": ["t2"]},
    )
    assert [task.needs for task in plan.tasks.values()] == [(), ("t0",), ("t1",), ("t2",)]


def test_a_task_requires_what_it_has_a_link_to_without_a_default() -> None:
    plan = planned(
        {},
        {"arguments": {"x": "${OUTPUT[t0] ?? 1}"}},
        {"arguments": {"x": "${OUTPUT[t0] ?? 1} $OUTPUT[t0]"}},
        {"arguments": {"x": "${OUTPUT[t0] ?? 1}"}, "depends_on": ["t0"]},
        {"for_each": "${OUTPUT[t0] ?? []}"},
    )
    assert [set(task.requires) for task in plan.tasks.values()] == [
        set(),
        set(),
        {"t0"},
        {"t0"},
        set(),
    ]
    assert all(task.needs == ("t0",) for task in list(plan.tasks.values())[1:])


def test_each_default_of_a_chain_guards_its_own_reference() -> None:
    plan = planned(
        {},
        {},
        {"arguments": {"x": "${OUTPUT[t0] ?? OUTPUT[t1] ?? null}"}},
        {"arguments": {"x": "by ${OUTPUT[t0] ?? OUTPUT[t1]}"}},
        {"for_each": "${OUTPUT[t0] ?? OUTPUT[t1] ?? []}"},
    )
    readers = [*plan.tasks.values()][2:]
    assert [task.needs for task in readers] == [("t0", "t1")] * 3
    assert [set(task.requires) for task in readers] == [set(), {"t1"}, set()]


def test_a_rule_that_is_written_down_decides_alone() -> None:
    guarded = {"arguments": {"x": "${OUTPUT[t0] ?? 1}"}}
    plan = planned({}, guarded, {**guarded, "trigger_rule": "all_success"})
    assert [set(task.requires) for task in plan.tasks.values()] == [set(), set(), {"t0"}]


def test_a_rule_that_is_written_down_in_a_group_decides_for_the_group_too() -> None:
    within = {"id": "b", "tool": "s:any", "arguments": {"x": "${OUTPUT[a] ?? 1}"}}
    for rule, required in (("all_success", {"a"}), ("all_done", set()), (None, set())):
        inner = within if rule is None else {**within, "trigger_rule": rule}
        tasks = [{"id": "a", "tool": "s:any"}, {"id": "g", "tasks": [inner]}]
        plan = check(read_dag({"tasks": tasks}), CATALOG, Policy())
        assert plan.tasks["g"].requires == required


def test_the_references_of_an_expression_are_dependencies_without_a_default() -> None:
    text = "${OUTPUT[t0].rows | [?id == $OUTPUT[t1].id] ?? []}"
    plan = planned({}, {}, {"arguments": {"x": text}}, {"for_each": text})
    readers = [*plan.tasks.values()][2:]
    assert [task.needs for task in readers] == [("t0", "t1")] * 2
    assert [set(task.requires) for task in readers] == [{"t1"}] * 2


def test_the_end_of_a_task_is_a_dependency_and_rarely_known_to_vary() -> None:
    plan = planned(
        {},
        {"arguments": {"x": "$STATUS[t0]"}},
        {"when": "$ERROR[t0].code == 'timeout'", "trigger_rule": "all_done"},
        {"select": "[$STATUS[t0], @]", "trigger_rule": "all_done"},
        {"arguments": {"x": "${ERROR[t0].code ?? 1}"}},
    )
    assert [task.needs for task in plan.tasks.values()] == [(), *[("t0",)] * 4]
    assert [set(task.requires) for task in plan.tasks.values()][1] == {"t0"}
    [note] = plan.notes
    assert note == (
        'tasks[1]: it runs only if t0 succeeds, so $STATUS[t0] is always "success"; write '
        "trigger_rule: all_done, or one_failed to run after failures alone"
    )


def test_a_task_that_may_lose_items_has_an_error_though_it_succeeded() -> None:
    lossy = {"id": "a", "tool": "s:any", "for_each": [1, 2], "on_item_failure": "skip"}
    within = [{"id": "x", "tool": "s:any", "arguments": {"x": "$ERROR[a].items"}}]

    def notes(*tasks: dict[str, Any]) -> list[str]:
        return [*check(read_dag({"tasks": [lossy, *tasks]}), CATALOG, Policy()).notes]

    assert notes({"id": "b", "value": "$ERROR[a].items"}, {"id": "g", "tasks": within}) == []
    [note] = notes({"id": "b", "value": "$STATUS[a]"})
    assert '$STATUS[a] is always "success"' in note
    other = [{"id": "a", "tool": "s:any"}, {"id": "x", "value": "$ERROR[a].code"}]
    [note] = notes({"id": "g", "tasks": other})
    assert "$ERROR[a] is always null" in note


def test_a_reference_in_a_key_or_an_escape_is_no_dependency() -> None:
    plan = planned({}, {"arguments": {"$OUTPUT[t0]": "$$OUTPUT[t9]"}, "literal": True})
    assert plan.layers == (("t0", "t1"),)


def test_the_order_of_the_tasks_does_not_matter() -> None:
    assert planned({"arguments": {"x": "$OUTPUT[t1]"}}, {}).layers == (("t1",), ("t0",))


@table(
    ("task", "note"),
    [
        (
            {"arguments": {"x": "$OUTPUT[t0].y"}},
            "$OUTPUT[t0].y has no value; write ${OUTPUT[t0].y ?? null}",
        ),
        (
            {"arguments": {"x": "$OUTPUT[t0]"}, "trigger_rule": "one_failed"},
            "$OUTPUT[t0] has no value; write ${OUTPUT[t0] ?? null}",
        ),
        (
            {"for_each": "$OUTPUT[t0].y"},
            "$OUTPUT[t0].y has no value; write ${OUTPUT[t0].y ?? []}",
        ),
        ({"for_each": "${OUTPUT[t0].y ?? []}"}, None),
        ({"arguments": {"x": "${OUTPUT[t0].y ?? 1}"}}, None),
        ({"depends_on": ["t0"]}, None),
        ({"arguments": {"x": "$OUTPUT[t0].y"}, "trigger_rule": "all_success"}, None),
    ],
)
def test_a_reference_that_leads_nowhere_when_its_rule_applies_gives_a_note(
    task: dict[str, Any], note: str | None
) -> None:
    plan = planned({}, {"trigger_rule": "all_done", **task})
    if note is None:
        assert plan.notes == ()
        return
    [found] = plan.notes
    rule = task.get("trigger_rule", "all_done")
    assert found == (
        f"tasks[1].trigger_rule: {rule} runs this task after a failure of t0 too, but then {note}"
    )


def test_a_list_with_failed_items_has_a_value_for_a_rule_that_allows_failures() -> None:
    use = {"trigger_rule": "all_done", "arguments": {"x": "$OUTPUT[t0]"}}
    assert planned({"for_each": [1]}, use).notes == ()


def test_when_needs_something_to_read() -> None:
    [problem] = problems({"when": "a"})
    assert problem.hint == "Begin each name with the id of a task, such as a.total."
    assert problem.message == "a is not a dependency (at character 1)."
    assert planned({}, {"when": "t0.ok", "depends_on": ["t0"]}).tasks["t1"].when is not None


@table(
    ("task", "is_noted"),
    [
        ({"trigger_rule": "one_failed"}, True),
        ({"trigger_rule": "one_failed", "for_each": [1]}, True),
        ({"trigger_rule": "one_failed", "depends_on": ["t0"]}, False),
        ({"trigger_rule": "one_failed", "arguments": {"x": "${OUTPUT[t0].x ?? 1}"}}, False),
        ({"trigger_rule": "one_failed", "when": "$OUTPUT[t0] == null"}, False),
        ({"trigger_rule": "one_failed", "for_each": "${OUTPUT[t0].x ?? []}"}, False),
        ({"trigger_rule": "all_done"}, False),
        ({}, False),
    ],
)
def test_a_task_for_failures_that_depends_on_nothing_is_noted(
    task: dict[str, Any], is_noted: bool
) -> None:
    notes = planned({}, task).notes
    noted = [note for note in notes if note.startswith("tasks[1].trigger_rule: one_failed runs")]
    assert len(noted) == is_noted


def test_a_task_in_a_group_is_reached_by_the_group_from_outside() -> None:
    group = {"id": "g", "tasks": [{"id": "in", "tool": "s:any"}, {"id": "z", "tool": "s:any"}]}
    outer = {"id": "h", "tasks": [group]}

    def problem(**task: Any) -> Problem:
        document = {"tasks": [outer, {"id": "w", "tool": "s:any", **task}]}
        with pytest.raises(InvalidDag) as refused:
            check(read_dag(document), CATALOG, Policy())
        [found] = refused.value.problems
        return found

    for id in ("in", "h.g.in"):
        named = problem(depends_on=[id])
        assert named.message == f'The task "{id}" is in the group "h": only those in it see it.'
        assert named.fix == Fix(Op.REPLACE, "h")
        referred = problem(arguments={"x": f"$OUTPUT[{id}].y"})
        assert (referred.fix, referred.hint) == (None, "Refer to $OUTPUT[h], its value.")
    assert "refer to $OUTPUT[h]" in str(problem(when="in.ok").hint)
    assert "refer to $OUTPUT[h]" in str(problem(select="$OUTPUT[in].ok").hint)


@table("id", ["!load", "load?", "load:failed", "~load"])
def test_a_dependency_on_how_a_task_ends_has_no_fix(id: str) -> None:
    tasks = [{"id": "load", "tool": "s:any"}, {"id": "w", "tool": "s:any", "depends_on": [id]}]
    with pytest.raises(InvalidDag) as refused:
        check(read_dag({"tasks": tasks}), CATALOG, Policy())
    [problem] = refused.value.problems
    assert problem.fix is None
    assert "trigger_rule" in str(problem.hint)


def test_a_path_inside_of_the_brackets_is_written_behind_them() -> None:
    text = "n: $OUTPUT[load.total.sum]!"
    tasks = [
        {"id": "load", "tool": "s:any"},
        {"id": "w", "tool": "s:any", "arguments": {"x": text}},
    ]
    with pytest.raises(InvalidDag) as refused:
        check(read_dag({"tasks": tasks}), CATALOG, Policy())
    [problem] = refused.value.problems
    assert problem.fix == Fix(Op.REPLACE, "n: $OUTPUT[load].total.sum!")
