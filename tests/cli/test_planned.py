"""A dry run as lines."""

from __future__ import annotations

from typing import Any

from plait.cli.planned import MAX_CONFLICTS, plan_report
from plait.cli.style import TIMES, fold

from .records import shown


def plan(**members: Any) -> Any:
    return {
        "estimate": {"tasks": 2, "layers": 2, "max_parallelism": 1},
        "layers": [["a"], ["b"]],
        "critical_path": ["a", "b"],
        "conflicts": [],
        "writes": [],
        "explanation": ["1. a: call s:say."],
        "notes": [],
        **members,
    }


def lines(**members: Any) -> list[str]:
    return shown(plan_report(plan(**members), "dag.json"))


def test_a_plan_shows_layers_the_critical_path_and_that_nothing_changes():
    assert lines() == [
        "dag.json: 2 tasks, 2 layers, at most 1 at once",
        "  0  a",
        "  1  b",
        "critical path  a → b",
        "estimate  none: these tools were never called",
        "changes  nothing: every tool is read-only",
        "in words",
        "  1. a: call s:say.",
    ]


def test_a_plan_shows_what_it_changes_and_its_notes():
    writes = [{"id": "a", "tool": "s:say"}, {"id": "b", "tool": "s:put"}]
    assert lines(writes=writes, notes=["a note"])[-4:] == [
        "changes  a s:say, b s:put",
        "in words",
        "  1. a: call s:say.",
        "note  a note",
    ]


def test_an_estimate_says_what_it_does_not_know():
    times = {"execution_time_ms": 1500, "sequential_time_ms": 3000, "speedup": 2}
    estimate = {**plan()["estimate"], **times}
    said = (
        f"estimate  1.50 s wall, 3.00 s one at a time (2.0{TIMES}), by the last calls of each tool"
    )
    assert lines(estimate=estimate)[-4] == said
    untimed = [f"s:t{number}" for number in range(7)]
    assert lines(estimate={**estimate, "untimed_tools": untimed})[-4].endswith(
        "; never called: s:t0, s:t1, s:t2, s:t3, s:t4 and 2 more"
    )


def conflicts(number: int) -> list[str]:
    found = {"id": "b", "waits_for": "a", "resource": "db:users", "why": "write after write"}
    return [
        line for line in lines(conflicts=[found] * number) if "waits for" in line or "more" in line
    ]


def test_a_conflict_says_who_waits_for_whom_and_why():
    assert conflicts(1) == ["conflict  b waits for a (db:users: write after write)"]


def test_conflicts_above_a_number_are_counted():
    assert len(conflicts(MAX_CONFLICTS)) == MAX_CONFLICTS
    assert len(conflicts(MAX_CONFLICTS + 1_234)) == MAX_CONFLICTS + 1
    assert conflicts(MAX_CONFLICTS + 1_234)[-1] == "  … 1,234 more: see all with --json"


def test_a_plan_of_many_tasks_keeps_to_the_width_of_a_terminal():
    ids = [f"task{number}" for number in range(200)]
    many = plan_report(plan(layers=[ids], critical_path=ids), "many.json")
    folded = shown(part for line in many for part in fold(line, 40))
    assert all(len(line) <= 40 for line in folded)
    assert set(ids) <= set(" ".join(folded).split())
