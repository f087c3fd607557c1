"""Problems of form, each with its place and what would be right."""

from plait.core.language.dag import Task
from plait.core.language.forms import (
    MAX_NESTING,
    OF_CALLS,
    OF_GROUPS,
    count,
    duplicates,
    nested,
    one_of_its_kind,
)
from plait.core.values.problems import REMOVE

from ..tables import table


@table(
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


@table("field", ["repeat", "arguments"])
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


@table(("tasks", "codes"), [(0, 1), (1, 0), (5, 0), (6, 1)])
def test_a_document_has_at_least_one_task_and_not_too_many(tasks: int, codes: int):
    assert len(list(count(tasks, 5, may_be_empty=False))) == codes
    assert list(count(0, 5, may_be_empty=True)) == []


def test_a_call_for_each_item_at_a_pace_becomes_a_group():
    [problem] = one_of_its_kind({"tool", "for_each", "max_concurrency"}, "tasks[0]", "a")
    assert problem.fix is None
    assert '"max_concurrency": 1, "tasks"' in str(problem.hint)
    [problem] = one_of_its_kind({"tool", "max_concurrency"}, "tasks[0]", "a")
    assert problem.fix == REMOVE
