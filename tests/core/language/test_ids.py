"""A task that is alone and has no id gets one from its fix; ids that clash get none."""

from __future__ import annotations

import json
from typing import Any

from plait.core.language.reader import read_dag
from plait.core.values.problems import Fix, Op

from ..tables import table

TASK: dict[str, Any] = {"tool": "s:do", "arguments": {"x": 1}}
GIVEN = {"id": "a", **TASK}


def fix_of(document: Any) -> Fix | None:
    """Return the fix of the only problem of *document*, that its task has no id."""
    [problem] = read_dag(json.dumps(document)).problems
    assert (problem.path, problem.code) == ("tasks[0].id", "missing_field")
    return problem.fix


@table(
    ("document", "fix"),
    [
        ({"tasks": [TASK]}, Fix(Op.REPLACE, GIVEN, "tasks[0]")),
        ([TASK], Fix(Op.REPLACE, GIVEN, "tasks[0]")),
        ({"tasks": [{**TASK, "id": None}]}, Fix(Op.REPLACE, GIVEN, "tasks[0]")),
        ({"tasks": TASK}, Fix(Op.REPLACE, [GIVEN], "tasks")),
        (TASK, Fix(Op.REPLACE, {"tasks": [GIVEN]}, "$")),
        ({**TASK, "wait_s": 1}, Fix(Op.REPLACE, {"wait_s": 1, "tasks": [GIVEN]}, "$")),
        ({"tasks": [{"value": 1}]}, Fix(Op.REPLACE, {"id": "a", "value": 1}, "tasks[0]")),
        (
            {"tasks": [TASK], "return": ["x"]},
            Fix(Op.REPLACE, {**GIVEN, "id": "x"}, "tasks[0]"),
        ),
    ],
)
def test_the_only_task_gets_an_id(document: Any, fix: Fix) -> None:
    assert fix_of(document) == fix


@table(
    "document",
    [
        {"tasks": [TASK], "return": ["x", "y"]},
        {"tasks": [TASK], "resume_from": "r1"},
        {"tasks": [{**TASK, "arguments": {"x": "y" * 10_000}}]},
    ],
)
def test_it_gets_none_where_another_task_may_be_meant_or_it_is_large(document: Any) -> None:
    assert fix_of(document) is None


def test_it_gets_none_if_more_is_wrong_with_it_or_there_are_others() -> None:
    for tasks in ([TASK, TASK], [{**TASK, "nosuch": 1}], [{"for_each": [1], "tasks": [GIVEN]}]):
        problems = read_dag({"tasks": tasks}).problems
        assert [one.fix for one in problems if one.path.endswith(".id")] == [None] * len(tasks)


def test_ids_that_clash_without_their_spaces_have_no_fix() -> None:
    tasks = [{**TASK, "id": " a"}, GIVEN, {**TASK, "id": "b "}]
    problems = read_dag({"tasks": tasks}).problems
    assert [(one.path, one.fix is None) for one in problems] == [
        ("tasks[0].id", True),
        ("tasks[2].id", False),
    ]
