"""Variant spellings: each is replaced by the usual one, with a note."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.dag import DAG_FIELDS, TASK_FIELDS
from plait.core.language.variants import dag_spelling, task_spelling
from plait.core.values.problems import Problem
from plait.core.values.strict import dumps

from ...profiles import share_of_examples
from ..strategies import json_values

TASK: dict[str, Any] = {"id": "a", "tool": "s:t"}


@pytest.mark.parametrize(
    ("members", "usual", "note"),
    [
        *[
            (
                {name: {"x": 1}},
                {"arguments": {"x": 1}},
                f'tasks[0]: "{name}" was read as arguments',
            )
            for name in ("args", "params", "parameters", "input", "inputs", "Arguments")
        ],
        *[
            (
                {name: ["b"]},
                {"depends_on": ["b"]},
                f'tasks[0]: "{name}" was read as depends_on',
            )
            for name in ("dependsOn", "depends-on", "needs", "after", "dependencies", "deps")
        ],
        ({"forEach": [1]}, {"for_each": [1]}, 'tasks[0]: "forEach" was read as for_each'),
        ({"timeoutS": 5}, {"timeout_s": 5}, 'tasks[0]: "timeoutS" was read as timeout_s'),
        (
            {"arguments": '{"x": 1}'},
            {"arguments": {"x": 1}},
            "tasks[0].arguments came as a JSON string; it was parsed",
        ),
        *[
            (
                {"depends_on": text},
                {"depends_on": ids},
                "tasks[0]: depends_on was a string; it was taken as a list",
            )
            for text, ids in [("b", ["b"]), ('["b", "c"]', ["b", "c"]), ("[b", ["[b"])]
        ],
    ],
)
def test_a_variant_of_a_task_is_read_and_noted(
    members: dict[str, Any], usual: dict[str, Any], note: str
) -> None:
    spelling = task_spelling({**TASK, **members}, TASK_FIELDS, "tasks[0]", "a")
    assert spelling.members == {**TASK, **usual}
    assert (spelling.notes, spelling.problems) == ([note], [])


@pytest.mark.parametrize(
    ("members", "usual", "note"),
    [
        (
            {"tasks": dumps([TASK])},
            {"tasks": [TASK]},
            "tasks came as a JSON string; it was parsed",
        ),
        (
            {"tasks": {"a": {"tool": "s:t"}, "b": {"id": "other", "tool": "s:t"}}},
            {"tasks": [TASK, {**TASK, "id": "b"}]},
            "tasks was a map; its keys were taken as ids",
        ),
        (
            {"tasks": {"a": 5}},
            {"tasks": [5]},
            "tasks was a map; its keys were taken as ids",
        ),
        ({"tasks": TASK}, {"tasks": [TASK]}, "tasks was one task; it was taken as a list of one"),
        ({"failFast": False}, {"fail_fast": False}, '"failFast" was read as fail_fast'),
        ({"return": "a"}, {"return": ["a"]}, "return was a string; it was taken as a list"),
    ],
)
def test_a_variant_of_a_document_is_read_and_noted(
    members: dict[str, Any], usual: dict[str, Any], note: str
) -> None:
    spelling = dag_spelling(members, DAG_FIELDS)
    assert (spelling.members, spelling.notes, spelling.problems) == (usual, [note], [])


def test_of_two_names_of_one_field_the_usual_one_is_kept_and_the_other_reported() -> None:
    members = {**TASK, "arguments": {"x": 1}, "args": {"x": 2}}
    spelling = task_spelling(members, TASK_FIELDS, "tasks[0]", "a")
    assert spelling.members["arguments"] == {"x": 1}
    assert spelling.problems == [
        Problem(
            "tasks[0].args",
            "unknown_field",
            '"args" is read as arguments, which is given already.',
            "Send only one of them.",
            "a",
        )
    ]


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ('{"x"', "not JSON: "),
        ('{"x": 1, "x": 2}', "not strict JSON: x appears twice in one object"),
    ],
)
def test_text_that_should_be_json_and_is_not_is_reported_and_left_out(text: str, flaw: str) -> None:
    spelling = task_spelling({**TASK, "arguments": text}, TASK_FIELDS, "tasks[0]", "a")
    [problem] = spelling.problems
    assert (problem.path, problem.code, problem.id) == ("tasks[0].arguments", "invalid_json", "a")
    assert problem.message.startswith(f"arguments is text that is {flaw}")
    assert spelling.members == TASK


def test_a_known_field_that_is_null_was_not_given_and_an_unknown_one_is_kept() -> None:
    members = {**TASK, "arguments": None, "args": None, "zork": None}
    spelling = task_spelling(members, TASK_FIELDS, "tasks[0]", "a")
    assert (spelling.members, spelling.notes) == ({**TASK, "zork": None}, [])


@share_of_examples(0.4)
@given(
    st.dictionaries(
        st.sampled_from(["arguments", "depends_on", "for_each", "zork"]),
        json_values().filter(lambda value: value is not None and not isinstance(value, str)),
    )
)
def test_usual_spelling_stays_as_it_is(members: dict[str, Any]) -> None:
    spelling = task_spelling(members, TASK_FIELDS, "tasks[0]", None)
    assert (spelling.members, spelling.notes, spelling.problems) == (members, [], [])
