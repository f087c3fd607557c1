"""Problems of form, each with its place and what would be right."""

from typing import Any

import pytest
from pydantic import ValidationError

from plait.core.language.dag import Task
from plait.core.language.forms import (
    MAX_NESTING,
    OF_CALLS,
    OF_GROUPS,
    count,
    duplicates,
    nested,
    one_of_its_kind,
    problem_of,
    without_invalid,
)
from plait.core.language.reader import read_dag
from plait.core.values.problems import REMOVE


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tool"}, []),
        ({"value"}, []),
        ({"tasks"}, []),
        ({"tasks", "value", *OF_GROUPS}, []),
        ({"tool", *OF_CALLS}, []),
        (set(), ["tool"]),
        ({"tool", "value"}, ["value"]),
        ({"tool", "tasks", "value"}, ["tasks"]),
        ({"tool", *OF_GROUPS}, sorted(OF_GROUPS)),
        ({"value", "weight", "fail_fast"}, ["weight", "fail_fast"]),
        ({"tasks", "retries"}, ["retries"]),
        ({"tool", "for_each", "on_item_failure"}, []),
        ({"tasks", "on_item_failure"}, ["on_item_failure"]),
    ],
)
def test_a_task_is_of_one_kind_and_has_only_its_fields(fields: set[str], expected: list[str]):
    found = list(one_of_its_kind(fields, "tasks[3]", "a"))
    assert [problem.path for problem in found] == [f"tasks[3].{name}" for name in expected]


@pytest.mark.parametrize("field", ["repeat", "arguments"])
def test_what_a_task_does_is_not_left_out(field: str):
    [problem] = one_of_its_kind({"tasks", field}, "tasks[0]", "a")
    assert problem.fix is None
    assert problem.hint == f"Put {field} into a task that calls a tool."


def test_a_field_of_another_kind_of_task_is_left_out():
    [problem] = one_of_its_kind({"value", "cache"}, "tasks[0]", "a")
    assert problem.fix == REMOVE
    [problem] = one_of_its_kind({"tool", "on_item_failure"}, "tasks[0]", "a")
    assert problem.fix == REMOVE


def test_groups_are_not_empty_and_nest_only_so_deep():
    empty = Task(id="g", tasks=[])
    assert [problem.path for problem in nested("tasks[0]", empty)] == ["tasks[0].tasks"]
    full = Task(id="g", tasks=[Task(id="a", tool="s:t")])
    deep = "tasks[0]" + ".tasks[0]" * MAX_NESTING
    assert list(nested("tasks[0]", full)) == []
    [problem] = nested(deep, full)
    assert problem.message == "Groups nest at most 3 deep."


def test_ids_are_taken_once_in_a_group_and_by_the_paths_of_ids():
    def task(id: str, *inner: Task) -> Task:
        return Task(id=id, tasks=inner) if inner else Task(id=id, tool="s:t")

    assert duplicates([task("a"), task("g", task("a"), task("b"))]) == []
    found = duplicates([task("a"), task("g", task("b"), task("b")), task("a"), task("g.b")])
    assert [problem.path for problem in found] == [
        "tasks[1].tasks[1].id",
        "tasks[2].id",
        "tasks[3].id",
    ]
    assert found[0].message == 'The id "g.b" is taken by tasks[1].tasks[0].'


@pytest.mark.parametrize(("tasks", "codes"), [(0, 1), (1, 0), (5, 0), (6, 1)])
def test_a_document_has_at_least_one_task_and_not_too_many(tasks: int, codes: int):
    assert len(list(count(tasks, 5, may_be_empty=False))) == codes
    assert list(count(0, 5, may_be_empty=True)) == []


@pytest.mark.parametrize(
    ("field", "value", "meant"),
    [
        ("retries", "3", 3),
        ("timeout_s", "5s", 5.0),
        ("weight", [], None),
    ],
)
def test_a_field_of_the_wrong_type_says_what_was_meant(field: str, value: Any, meant: Any):
    tasks = [{"id": "a", "tool": "s:t"}, {"id": "b", "tool": "s:t", field: value}]
    [problem] = read_dag({"tasks": tasks}).problems
    assert (problem.path, problem.code) == (f"tasks[1].{field}", "wrong_type")
    assert (problem.fix.to if problem.fix is not None else None) == meant


def test_members_without_the_invalid_ones_have_one_problem_for_each_place():
    members = {"id": "a", "retries": 1.5, "weight": 0, "tool": "s:t"}
    with pytest.raises(ValidationError) as refused:
        Task.model_validate(members)
    valid, problems = without_invalid(
        members, refused.value, lambda detail: problem_of(detail, "tasks[0]", "a", None)
    )
    assert valid == {"id": "a", "tool": "s:t"}
    assert [problem.path for problem in problems] == ["tasks[0].retries", "tasks[0].weight"]
