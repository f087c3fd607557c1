"""Names of members in any spelling: each known one is found, each other one reported."""

from __future__ import annotations

from typing import Any

from plait.core.language.dag import DAG_FIELDS, TASK_FIELDS
from plait.core.language.spelling import Spelling, Stray, snake_case, spelled
from plait.core.values.problems import MAX_GUESSES, Fix, Op, Problem

from ..tables import table

TASK: dict[str, Any] = {"id": "a", "tool": "s:t"}
FIELDS = frozenset({"max", "delay_s"})


def spelling_of(members: dict[str, Any]) -> Spelling:
    understood, foreign = {"args": "arguments"}, {"if": "when"}
    return spelled(members, TASK_FIELDS, understood, foreign, "tasks[0]", "a", MAX_GUESSES)


@table(
    ("name", "snake"),
    [
        ("dependsOn", "depends_on"),
        ("depends-on", "depends_on"),
        ("timeoutS", "timeout_s"),
        ("id", "id"),
        ("URL", "url"),
    ],
)
def test_a_name_in_another_case_is_that_in_snake_case(name: str, snake: str) -> None:
    assert snake_case(name) == snake


def test_a_name_that_is_understood_is_noted_and_that_of_another_engine_has_a_fix() -> None:
    spelling = spelling_of({**TASK, "args": {}, "dependsOn": ["b"], "if": "x"})
    assert spelling.members == {**TASK, "arguments": {}, "depends_on": ["b"], "when": "x"}
    assert spelling.notes == [
        'tasks[0]: "args" was read as arguments',
        'tasks[0]: "dependsOn" was read as depends_on',
    ]
    assert [(problem.path, problem.fix) for problem in spelling.problems] == [
        ("tasks[0].if", Fix(Op.RENAME, "when"))
    ]
    assert spelling.strays == {"if": Stray("x", "when")}


def test_the_nearest_name_is_sought_for_a_limited_number_of_members() -> None:
    members = {"maxx": 1, "delay": 2, "dellay_s": 3}
    spelling = spelled(members, FIELDS, {}, {}, "retries", None, 1)
    assert spelling.members == {"max": 1}
    assert [problem.fix for problem in spelling.problems] == [Fix(Op.RENAME, "max"), None, None]


@table(
    ("name", "value", "hint"),
    [
        ("timeout_ms", 1500, 'Write "timeout_s": 1.5, in seconds, in its place.'),
        ("timeoutMs", 500, 'Write "timeout_s": 0.5, in seconds, in its place.'),
        ("timeoutMinutes", 2, 'Write "timeout_s": 120, in seconds, in its place.'),
        ("timeout_ms", "long", "Write timeout_s, in seconds."),
    ],
)
def test_a_time_in_another_unit_is_not_renamed_but_has_its_seconds(
    name: str, value: Any, hint: str
) -> None:
    [problem] = spelling_of({"id": "a", "tool": "s:t", name: value}).problems
    assert (problem.fix, problem.hint) == (None, hint)


@table("name", ["as", "item_name", "loopVar", "loop_control", "indexVar"])
def test_the_name_of_an_item_is_not_left_out_where_texts_may_use_it(name: str) -> None:
    task = {"id": "a", "tool": "s:t", "for_each": [1], name: "user"}
    [problem] = spelling_of(task).problems
    assert problem.fix is None
    assert problem.hint == "The item is $ITEM, its number $INDEX: leave this out and write those."


def test_of_two_names_of_one_field_the_usual_one_is_kept_and_the_other_reported() -> None:
    members = {**TASK, "arguments": {"x": 1}, "args": {"x": 2}}
    spelling = spelling_of(members)
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


def test_a_known_field_that_is_null_was_not_given_and_an_unknown_one_is_reported() -> None:
    members = {**TASK, "arguments": None, "args": None, "zork": None}
    spelling = spelling_of(members)
    assert (spelling.members, spelling.notes) == (TASK, [])
    assert [problem.path for problem in spelling.problems] == ["tasks[0].zork"]


@table(
    ("name", "fix"),
    [
        ("litteral", Fix(Op.RENAME, "literal")),
        ("allowRepeats", Fix(Op.RENAME, "allow_repeat")),
        ("titel", None),
        ("limit", None),
        ("liberal", Fix(Op.RENAME, "literal")),
    ],
)
def test_a_field_that_switches_a_check_off_is_meant_only_by_its_name_or_a_slip(
    name: str, fix: Fix | None
) -> None:
    task = {"id": "a", "tool": "s:t", name: True}
    [problem] = spelling_of(task).problems
    assert problem.fix == fix


@table(
    ("name", "value"),
    [
        *((name, "x") for name in ("exclude", "criteria", "gate", "mock", "muted", "approved")),
        *((name, 1) for name in ("concurrency", "parallelism", "step_number", "rate_limit")),
        *((name, ["b"]) for name in ("upstream_tasks", "consumes", "predecessor", "position")),
        *(("status", text) for text in ("disabled", "skip", "on_failure")),
        *(("type", text) for text in ("approval", "wait", "condition")),
    ],
)
def test_what_may_decide_what_runs_is_not_left_out(name: str, value: Any) -> None:
    [problem] = spelling_of({"id": "a", "tool": "s:t", "for_each": [1], name: value}).problems
    assert problem.fix is None


@table(
    ("name", "value"),
    [
        *((name, "to be sure") for name in ("description", "reasoning", "notes", "displayName")),
        *(("type", text) for text in ("tool", "function", "tool_call")),
        *(("status", text) for text in ("pending", "TODO", "not-started")),
    ],
)
def test_what_is_for_readers_and_what_is_so_anyhow_is_left_out(name: str, value: Any) -> None:
    [problem] = spelling_of({"id": "a", "tool": "s:t", name: value}).problems
    assert problem.fix == Fix(Op.REMOVE)


@table(
    ("name",),
    [(name,) for name in ("item_var", "check", "catch", "triggered_by", "filters", "exclude")],
)
def test_a_name_that_is_only_a_little_like_a_field_is_not_taken_for_it(name: str) -> None:
    [problem] = spelling_of({"id": "a", "tool": "s:t", name: "x"}).problems
    assert problem.fix is None


@table(
    "name",
    [
        "unless",
        "skip_if",
        "skipWhen",
        "enabled",
        "disabled",
        "on_failure",
        "continue_on_error",
        "manual",
        "confirm",
    ],
)
def test_a_field_that_decides_what_runs_is_neither_left_out_nor_taken_for_another(
    name: str,
) -> None:
    spelling = spelling_of({**TASK, name: "a.ok"})
    assert spelling.members == TASK
    [problem] = spelling.problems
    assert (problem.path, problem.fix) == (f"tasks[0].{name}", None)
    assert "Fields: " in str(problem.hint)


@table("name", ["plan_only", "simulate", "preview_only", "stop_on_error"])
def test_a_document_that_asks_for_a_preview_in_other_words_is_not_run_without_them(
    name: str,
) -> None:
    spelling = spelled({"tasks": [TASK], name: True}, DAG_FIELDS, {}, {}, "", None, MAX_GUESSES)
    assert [problem.fix for problem in spelling.problems] == [None]
