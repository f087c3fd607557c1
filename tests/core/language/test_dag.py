"""The models of a DAG, as a program makes them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from plait.core.language.dag import DAG_FIELDS, HOW_IT_RUNS, Dag, Task
from plait.core.language.retries import Retries

from ..tables import table


def test_a_dag_has_the_defaults_of_the_contract() -> None:
    dag = Dag(tasks=[Task(id="a", tool="s:t")])
    assert (dag.return_, dag.fail_fast, dag.schedule, dag.max_concurrency) == (
        None,
        False,
        "eager",
        None,
    )
    assert (dag.timeout_s, dag.wait_s, dag.resume_from, dag.dry_run, dag.detail) == (
        None,
        None,
        None,
        False,
        "concise",
    )
    [task] = dag.tasks
    assert (task.arguments, task.depends_on, task.for_each, task.select, task.when) == (
        {},
        (),
        None,
        None,
        None,
    )
    assert (task.trigger_rule, task.retries, task.allow_repeat, task.priority) == (
        "all_success",
        0,
        False,
        0,
    )
    assert (task.timeout_s, task.weight) == (None, None)


@table("id", ["a", "A", "_", "0", "a-b.c_d", "x" * 64])
def test_an_id_that_the_contract_allows_is_one(id: str) -> None:
    assert Task(id=id, tool="s:t").id == id


@table("id", ["", " a", "a\n", ".a", "é", "a/b", "x" * 65])
def test_an_id_that_the_contract_forbids_is_refused_in_python_too(id: str) -> None:
    with pytest.raises(ValidationError):
        Task(id=id, tool="s:t")


def test_return_has_its_own_name_in_json_and_another_in_python() -> None:
    tasks = (Task(id="a", tool="s:t"),)
    dag = Dag(tasks=tasks, return_=["a"])
    assert dag == Dag.model_validate({"tasks": tasks, "return": ["a"]})
    assert dag.model_dump(by_alias=True)["return"] == ("a",)
    assert "return" in DAG_FIELDS
    assert "return_" not in DAG_FIELDS


def test_lists_become_tuples_so_that_a_dag_cannot_change() -> None:
    inner = [Task(id="b", tool="s:t", depends_on=["c"], reads=["file:x"])]
    dag = Dag(tasks=[Task(id="a", tasks=inner)])
    [group] = dag.tasks
    assert group.tasks == tuple(inner)
    assert (inner[0].depends_on, inner[0].reads) == (("c",), ("file:x",))


@table("arguments", ["$OUTPUT[a]", {"x": "no reference"}, {}])
def test_arguments_are_an_object_or_one_reference(arguments: Any) -> None:
    assert Task(id="b", tool="s:t", arguments=arguments).arguments == arguments


@table("arguments", ["text", "$OUTPUT[a] and more", [1], None])
def test_nothing_else_is_taken_as_arguments(arguments: Any) -> None:
    with pytest.raises(ValidationError):
        Task(id="b", tool="s:t", arguments=arguments)


def test_a_task_makes_a_value_unless_it_has_a_tool_or_tasks() -> None:
    call, group = Task(id="a", tool="s:t"), Task(id="g", tasks=[Task(id="a", tool="s:t")])
    assert [task.is_value for task in (call, group, Task(id="v", value=1))] == [False, False, True]


def test_a_value_that_is_null_is_one() -> None:
    assert Task(id="v", value=None).has_value
    assert not Task(id="v").has_value


def test_a_number_of_retries_is_that_of_their_object() -> None:
    assert Task(id="a", tool="s:t", retries=2).retrying == Retries(max=2)
    given = Retries(max=1, on=["timeout"])
    assert Task(id="a", tool="s:t", retries=given).retrying == given


def test_each_field_says_what_a_task_does_or_how_it_runs() -> None:
    """A field that is new has to be put into one of the two: see `HOW_IT_RUNS`."""
    what = {
        "id",
        "tool",
        "value",
        "tasks",
        "arguments",
        "depends_on",
        "for_each",
        "repeat",
        "select",
        "when",
        "trigger_rule",
        "fail_fast",
    }
    assert what | HOW_IT_RUNS == Task.model_fields.keys()
    assert not what & HOW_IT_RUNS
