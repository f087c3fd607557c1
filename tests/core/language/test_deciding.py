"""Fields of other engines that decide what runs: none is left out, each has its hint."""

from __future__ import annotations

from typing import Any

from plait.core.language.dag import DAG_FIELDS, TASK_FIELDS
from plait.core.language.deciding import decides, hint_for
from plait.core.language.reader import read_dag
from plait.core.values.problems import Problem

from ..tables import table

TASK: dict[str, Any] = {"id": "a", "tool": "s:t", "arguments": {}}
OTHER: dict[str, Any] = {"id": "b", "tool": "s:t", "arguments": {}}


def problem_with(document: dict[str, Any], name: str) -> Problem:
    [found] = [one for one in read_dag(document).problems if one.path.split(".")[-1] == name]
    return found


@table(
    ("field", "value", "named"),
    [
        *((name, [["a", "b"]], "depends_on") for name in ("edges", "connections", "dependencies")),
        *((name, [["a", "b"]], "depends_on") for name in ("links", "layers", "flow")),
        *((name, "a", "depends_on") for name in ("entry", "StartAt")),
        *((name, "sequential", "depends_on") for name in ("mode", "execution", "strategy", "type")),
        ("strategy", "in order", "depends_on"),
        *((name, {"dry_run": True}, "dry_run") for name in ("options", "execution_options")),
        ("config", {"fail_fast": True}, "fail_fast"),
        ("simulation", True, "dry_run: true"),
        ("execute", False, "dry_run: true"),
        *(("mode", text, "dry_run: true") for text in ("dry_run", "dry-run", "plan")),
        ("action", "plan", "dry_run: true"),
        ("cron", "0 8 * * *", "depends_on"),
    ],
)
def test_a_field_of_a_document_that_decides_what_runs_has_no_fix(
    field: str, value: Any, named: str
) -> None:
    problem = problem_with({"tasks": [TASK, OTHER], field: value}, field)
    assert problem.fix is None
    assert named in str(problem.hint)


ORDER = """blocked_by previous prev from source await inputs_from phase stage sequence layer level
    wave downstream children successors goto edges run_before"""
CONDITIONS = "guard precondition assert else otherwise"
AGAIN = "poll polling paginate pagination all_pages until wait_until while"


@table(
    ("field", "named"),
    [
        *((name, "depends_on") for name in ORDER.split()),
        *((name, "as when") for name in CONDITIONS.split()),
        *((name, "as repeat") for name in AGAIN.split()),
        ("dry_run", "dry_run: true next to tasks"),
    ],
)
def test_a_field_of_a_task_that_decides_what_runs_has_no_fix(field: str, named: str) -> None:
    problem = problem_with({"tasks": [{**TASK, field: "b"}, OTHER]}, field)
    assert problem.fix is None
    assert named in str(problem.hint)


@table("field", ["type", "mode", "strategy"])
def test_the_order_within_a_group_is_not_left_out(field: str) -> None:
    group = {"id": "g", "tasks": [TASK, OTHER], field: "sequential"}
    problem = problem_with({"tasks": [group]}, field)
    assert problem.fix is None
    assert "depends_on" in str(problem.hint)


@table("field", ["limit", "max_items"])
def test_a_limit_of_items_is_written_into_the_list(field: str) -> None:
    problem = problem_with({"tasks": [{**TASK, "for_each": [1, 2], field: 1}]}, field)
    assert problem.fix is None
    assert "for_each" in str(problem.hint)


@table(
    ("field", "value"),
    [
        ("type", "function"),
        ("type", "plan"),
        ("title", "plan"),
        ("mode", "dag"),
        ("colour", "red"),
        ("metadata", {"name": "x", "priority": "high"}),
    ],
)
def test_a_field_that_decides_nothing_is_left_out(field: str, value: Any) -> None:
    assert hint_for(field, value, TASK_FIELDS, TASK, is_label=field != "mode") is None
    assert hint_for(field, value, DAG_FIELDS, (), is_label=field != "mode") is None


def test_fields_of_retries_and_repeats_have_their_own_words() -> None:
    assert hint_for("limit", 1, {"max"}, {"for_each"}, is_label=False) is None
    assert hint_for("until", "a", {"max"}, (), is_label=False) is None


@table(("name", "expected"), [("skip_if", True), ("colour", False)])
def test_a_name_decides_by_its_words(name: str, expected: bool) -> None:
    assert decides(name) is expected
