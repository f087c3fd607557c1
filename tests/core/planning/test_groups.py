"""Groups of tasks: what they give, what they need, and what is refused about them."""

from typing import Any

from plait.core.planning.plan import Plan, PlannedTask

from ..tables import table
from .typed import refused, typed

LIST = {"id": "a", "tool": "s:list"}


def read(id: str, path: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "tool": "s:read", "arguments": {"path": path}, **fields}


def group(*tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "g", "for_each": "$OUTPUT[a].items", "tasks": list(tasks), **fields}


def planned(*tasks: dict[str, Any], **fields: Any) -> PlannedTask:
    return typed(LIST, group(*tasks, **fields)).tasks["g"]


def said(*tasks: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """The path and code of each problem, with the fix."""
    return [
        (problem.path, problem.code, problem.fix.to if problem.fix is not None else None)
        for problem in refused(*tasks)
    ]


def test_a_lone_leaf_is_the_output_and_several_are_an_object_of_them():
    lone = planned(read("r", "$ITEM.title"), {"id": "v", "value": "$OUTPUT[r]"})
    assert lone.arguments.value == "${OUTPUT[v] ?? null}"
    several = planned(read("r", "x"), read("s", "y"))
    assert several.arguments.value == {
        "r": "${OUTPUT[r] ?? null}",
        "s": "${OUTPUT[s] ?? null}",
    }


def test_what_tasks_in_a_group_need_from_around_it_the_group_waits_for():
    found = planned(read("r", "$OUTPUT[a].items[0].title", when="a.total > 1"))
    assert found.needs == ("a",)
    assert found.requires == {"a"}
    guarded = {"id": "g", "tasks": [read("r", '${OUTPUT[a].total ?? "x"}')]}
    plan = typed(LIST, guarded)
    assert (plan.tasks["g"].needs, plan.tasks["g"].requires) == (("a",), frozenset())
    assert plan.tasks["g"].inner is not None
    assert plan.tasks["g"].inner.tasks["g.r"].needs == ()
    for steps in (("t", "u"), ("u", "t")):
        parts = {"t": "$OUTPUT[a].items[0].title", "u": '${OUTPUT[a].total ?? "x"}'}
        both = {"id": "g", "tasks": [read(id, parts[id]) for id in steps]}
        assert typed(LIST, both).tasks["g"].requires == {"a"}, "one of them needs it"


def test_an_item_needs_its_leaves_its_value_and_what_other_tasks_need():
    def needed(*tasks: dict[str, Any], **fields: Any) -> set[str]:
        return set(planned(*tasks, **fields).needed)

    r, s = read("r", "x"), read("s", "y")
    after = {"id": "t", "value": 1, "depends_on": ["r"]}
    assert needed(r, s) == {"g.r", "g.s"}
    assert needed(r, s, value="$OUTPUT[r]") == {"g.r", "g.s"}
    assert needed(r, s, value="${OUTPUT[r] ?? null}") == {"g.s"}
    assert needed(r, after) == {"g.r", "g.t"}
    assert needed(r, {**after, "trigger_rule": "all_done"}) == {"g.t"}
    assert needed(r, {**after, "trigger_rule": "none_failed"}) == {"g.r", "g.t"}


def test_groups_nest_and_the_items_of_each_have_a_name():
    inner = {
        "id": "h",
        "for_each": ["x"],
        "tasks": [read("r", "${ITEM[g].title} ${ITEM} ${INDEX[g]}")],
    }
    plan: Plan = typed(LIST, group(inner))
    [call] = [task for task in plan.all_tasks() if task.id == "g.h.r"]
    assert [one.task for one in call.arguments.references] == [
        "$ITEM[g]",
        "$ITEM[g.h]",
        "$INDEX[g]",
    ]


@table(
    ("tasks", "expected"),
    [
        ([group(read("r", "$ITEM.titel"))],
         [("tasks[1].tasks[0].arguments.path", "invalid_reference", "$ITEM.title")]),
        ([group(read("r", "$OUTPUT[q]"))],
         [("tasks[1].tasks[0].arguments.path", "unknown_task", None)]),
        ([group(read("r", "x")), read("s", "$OUTPUT[r]")],
         [("tasks[2].arguments.path", "unknown_task", None)]),
        ([group(read("r", "$ITEM[h].title"))],
         [("tasks[1].tasks[0].arguments.path", "unknown_task", None)]),
        ([group({"id": "r", "value": "$OUTPUT[g]"})],
         [("tasks[1].tasks[0].value", "self_reference", None)]),
        ([group({"id": "r", "value": 1, "when": "g"})],
         [("tasks[1].tasks[0].when", "self_reference", None)]),
        ([group(read("r", "$OUTPUT[s]"), read("s", "$OUTPUT[r]"))],
         [("tasks[1].tasks", "cycle", None)]),
        ([group(read("r", "of ${OUTPUT[b]}")), {"id": "b", "value": "$OUTPUT[g]"}],
         [("tasks", "cycle", None)]),
        ([group()], [("tasks[1].tasks", "limit_exceeded", None)]),
        ([group(read("r", "x"), read("r", "y"))],
         [("tasks[1].tasks[1].id", "duplicate_id", None)]),
        ([group(read("r", "x")), {"id": "g.r", "value": 1}],
         [("tasks[2].id", "duplicate_id", None)]),
        ([group(read("r", "x"), retries=2)], [("tasks[1].retries", "unknown_field", None)]),
        ([read("r", "x", fail_fast=True)], [("tasks[1].fail_fast", "unknown_field", None)]),
        ([group(read("r", "x"), tool="s:read")], [("tasks[1].tasks", "unknown_field", None)]),
        ([group(read("r", "x")), read("s", "$OUTPUT[g].x")],
         [("tasks[2].arguments.path", "invalid_reference", None)]),
        ([group({"id": "v", "value": {"n": 1}}), read("s", "$OUTPUT[g][0].m")],
         [("tasks[2].arguments.path", "invalid_reference", None)]),
        ([group(group(group(group(read("r", "x")))))],
         [("tasks[1].tasks[0].tasks[0].tasks[0].tasks", "limit_exceeded", None)]),
    ],
)  # fmt: skip
def test_what_is_wrong_about_a_group_is_refused_at_its_place(tasks: Any, expected: Any):
    assert said(LIST, *tasks) == expected


def test_the_calls_of_a_group_count_for_each_of_its_items():
    many = {"id": "g", "for_each": [1, 2, 3], "tasks": [read("r", "x"), read("s", "y")]}
    assert [problem.code for problem in refused(many, max_calls=5)] == ["limit_exceeded"]
    assert typed(many, max_calls=6).tasks["g"].inner is not None


def test_a_group_costs_what_its_longest_chain_does():
    chain = [read("r", "x"), read("s", "y", depends_on=["r"]), read("t", "z")]
    plan = typed({"id": "g", "tasks": chain}, cost=lambda task: 2.0)
    assert plan.costs["g"] == 4.0
    assert plan.untimed == ()
