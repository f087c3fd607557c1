"""Values of a wrong type: each becomes what it was certainly meant to be, and fits its field."""

from __future__ import annotations

from typing import Any

from plait.core.language.coercion import meant_for
from plait.core.language.reader import read_dag

from ..tables import table

A = {"id": "a", "tool": "s:t"}


@table(
    ("field", "value", "meant"),
    [
        ("timeout_s", "30s", 30),
        ("timeout_s", "1.5", 1.5),
        ("timeout_s", "500 ms", 0.5),
        ("timeout_s", "2 Minutes", 120),
        ("timeout_s", "1h", 3600),
        ("cache", "60s", 60),
        ("cache", "5m", 300),
        ("timeout_s", "soon", None),
        ("timeout_s", "200 h", None),
        ("retries", "2", 2),
        ("retries", 2.0, 2),
        ("retries", "many", None),
        ("allow_repeat", "true", True),
        ("allow_repeat", 1, True),
        ("cache", "false", False),
        ("cache", "60", 60),
        ("weight", "2", 2),
        ("priority", "-1", -1),
        ("trigger_rule", "ALL-DONE", "all_done"),
        ("trigger_rule", "on_failure", "one_failed"),
        ("trigger_rule", "all_don", "all_done"),
        ("trigger_rule", "never", None),
        ("select", 5, None),
        ("select", {"n": "total", "first": "items[0]"}, "{n: total, first: items[0]}"),
        ("select", {"n": 5}, None),
        ("select", {"a-b": "total"}, None),
        ("select", ["total"], None),
        ("tool", {"name": "s:t"}, "s:t"),
        ("tool", {"server": "s", "name": "t"}, "s:t"),
        ("tool", {"server": "s"}, None),
        ("tool", {"name": "s:t", "version": "1"}, None),
    ],
)
def test_a_field_of_a_task_gets_the_value_that_was_meant(
    field: str, value: Any, meant: Any
) -> None:
    [problem] = read_dag({"tasks": [{**A, field: value}]}).problems
    assert (problem.path, problem.code) == (f"tasks[0].{field}", "wrong_type")
    assert (problem.fix and problem.fix.to) == meant


@table(
    ("field", "value", "meant"),
    [
        ("fail_fast", "true", True),
        ("timeout_s", "30s", 30),
        ("wait_s", "5 s", 5),
        ("max_concurrency", "4", 4),
        ("schedule", "parallel", "eager"),
        ("schedule", "Layers", "layers"),
        ("detail", "verbose", "full"),
        ("dry_run", "maybe", None),
    ],
)
def test_an_option_of_the_document_gets_the_value_that_was_meant(
    field: str, value: Any, meant: Any
) -> None:
    [problem] = read_dag({"tasks": [A], field: value}).problems
    assert (problem.path, problem.fix and problem.fix.to) == (field, meant)


def test_an_option_that_means_something_else_is_not_taken_for_the_nearest() -> None:
    options = ("all_success", "all_done", "one_failed")
    assert list(meant_for("none_failed", "trigger_rule", options)) == []
    assert list(meant_for("one_success", "trigger_rule", options)) == []
    assert list(meant_for("all_failed", "trigger_rule", options)) == []
