"""Invalid fields: the problem that each is, and the value that was meant."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from plait.core.language.dag import Dag, Task
from plait.core.language.validation import HINTS, fixed_field, problem_of, without_invalid
from plait.core.values.problems import REMOVE, Fix, Op, Problem

from ..tables import table

CALL: dict[str, Any] = {"id": "a", "tool": "s:t"}


def error_of(model: Any, members: dict[str, Any]) -> ValidationError:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(members, by_alias=True, by_name=False)
    return refused.value


def problem(field: str, value: Any) -> Problem:
    """The only problem of a call with that field."""
    [detail] = error_of(Task, {**CALL, field: value}).errors(include_url=False)
    return problem_of(detail, "tasks[1]", "a", None)


@table(
    ("field", "value", "code", "message"),
    [
        ("depends_on", {}, "wrong_type", "depends_on must be a list; it is {}."),
        ("depends_on", [[]], "wrong_type", "depends_on[0] must be a string; it is []."),
        ("timeout_s", 0, "wrong_type", "timeout_s must be above 0; it is 0."),
        ("tool", "", "wrong_type", 'tool must be a non-empty string; it is "".'),
        (
            "on_item_failure",
            "x",
            "wrong_type",
            'on_item_failure must be "fail" or "skip"; it is "x".',
        ),
        ("id", "a b", "invalid_id", 'Invalid id "a b".'),
    ],
)
def test_an_invalid_field_is_described_in_the_words_of_json(
    field: str, value: Any, code: str, message: str
) -> None:
    found = problem(field, value)
    assert (found.code, found.message) == (code, message)
    assert found.path.startswith(f"tasks[1].{field}")


def test_a_missing_field_has_the_hint_for_it() -> None:
    [detail] = error_of(Task, {"tool": "s:t"}).errors(include_url=False)
    assert problem_of(detail, "tasks[0]", None, None) == Problem(
        "tasks[0].id", "missing_field", "id is missing.", HINTS["id"]
    )


def test_the_advice_of_a_fix_stands_in_place_of_the_hint() -> None:
    [detail] = error_of(Task, {**CALL, "depends_on": "b"}).errors(include_url=False)
    fix = Fix(Op.REPLACE, ["b"])
    found = problem_of(detail, "tasks[0]", "a", fix)
    assert (found.fix, found.hint) == (fix, fix.advice)


@table(
    ("model", "field", "value", "fix"),
    [
        (Task, "timeout_s", "5s", Fix(Op.REPLACE, 5.0)),
        (Task, "weight", "2", Fix(Op.REPLACE, 2)),
        (Task, "weight", "0", None),  # the model takes no 0 either
        (Task, "weight", [], None),
        (Task, "when", True, REMOVE),
        (Task, "on_item_failure", "continue", Fix(Op.REPLACE, "skip")),
        (Dag, "fail_fast", "yes", Fix(Op.REPLACE, True)),
        (Dag, "schedule", "parallel", Fix(Op.REPLACE, "eager")),
    ],
)
def test_a_value_is_fixed_if_the_model_takes_what_was_meant(
    model: Any, field: str, value: Any, fix: Fix | None
) -> None:
    members = {**(CALL if model is Task else {"tasks": ()}), field: value}
    [detail] = error_of(model, members).errors(include_url=False)
    assert fixed_field(model, field, value, detail) == fix


def test_members_without_the_invalid_ones_have_one_problem_for_each_place() -> None:
    members = {"id": "a", "retries": 1.5, "weight": 0, "tool": "s:t"}
    valid, problems = without_invalid(
        members, error_of(Task, members), lambda detail: problem_of(detail, "tasks[0]", "a", None)
    )
    assert valid == CALL
    assert [problem.path for problem in problems] == ["tasks[0].retries", "tasks[0].weight"]
