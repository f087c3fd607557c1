"""One run as a whole: how it ends, what it takes over."""

from __future__ import annotations

import gc

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.events import Abort, Key
from plait.core.scheduling.run import Run
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.errors import CallTimeout, ToolError
from tests.core.scheduling.places import conflicts_in

from ..runs import result_at
from .played import CATALOG, Played


def test_a_run_that_only_skipped_by_condition_succeeded():
    played = Played({"id": "a"}, {"id": "b", "depends_on": ["a"], "when": "a.n"})
    played.answer("a", {})
    assert (played.run.status, played.errors) == ("success", [])
    assert played.codes == {"b": "condition"}


def test_the_first_failure_ends_a_fail_fast_run():
    played = Played({"id": "a"}, {"id": "b"}, {"id": "c", "depends_on": ["b"]}, fail_fast=True)
    played.answer("a", ToolError("no"))
    assert played.statuses == {"a": "failed", "b": "cancelled", "c": "skipped"}
    assert Abort(Key("r", "b")) in played.run.commands
    assert {(error.id, error.code, error.caused_by) for error in played.errors} >= {
        ("c", "fail_fast", "a")
    }


def test_a_cancelled_run_keeps_what_it_has_and_names_every_task():
    played = Played(
        {"id": "a"},
        {"id": "b", "depends_on": ["a"]},
        {"id": "c", "depends_on": ["b"]},
        **{"return": ["*"]},
    )
    played.answer("a", {"x": 1})
    played.start()
    played.run.stop("cancelled", played.now)
    result = result_at(played.run, played.now)
    assert (str(result.status), result.outputs) == ("cancelled", {"a": {"x": 1}})
    assert [(task.id, task.status) for task in result.tasks] == [
        ("a", "success"), ("b", "cancelled"), ("c", "cancelled"),
    ]  # fmt: skip


def test_the_status_of_a_for_each_task_is_that_of_a_task_however_its_items_fare():
    played = Played({"id": "a", "for_each": [1, 2], "retries": 1})
    played.answer("a[0]", CallTimeout("late"))
    assert played.statuses["a"] == "running"
    played.run.wake(Key("r", "a", 0), played.now)
    played.answer("a[0]", CallTimeout("late"))
    played.answer("a[1]", "well")
    assert (played.statuses["a"], played.run.states["a"].attempts) == ("failed", 3)


def test_what_was_taken_over_is_as_it_was_and_lets_others_start():
    document = {
        "tasks": [
            {"id": "a", "tool": "s:do"},
            {"id": "b", "tool": "s:do", "arguments": {"x": "$OUTPUT[a]"}},
        ]
    }
    run = Run("r", check(read_dag(document), CATALOG, Policy()), reused={"a": Output("A")})
    run.begin(0.0)
    assert [(unit.key.task, unit.arguments) for unit in run.ready] == [("b", {"x": "A"})]
    assert (run.states["a"].status, run.states["a"].attempts) == ("success", 0)


def test_what_was_taken_over_is_in_nobodys_way():
    tasks = [{"id": id, "tool": "s:do", "writes": ["x"]} for id in "ab"]
    plan = check(read_dag({"tasks": tasks}), CATALOG, Policy())
    run = Run("r", plan, conflicts=conflicts_in(plan), reused={"a": Output("A")})
    run.begin(0.0)
    assert [unit.key.task for unit in run.ready] == ["b"]


def test_a_run_of_which_all_was_taken_over_ends_as_it_begins():
    run = Run(
        "r",
        check(read_dag({"tasks": [{"id": "a", "tool": "s:do"}]}), CATALOG, Policy()),
        reused={"a": Output(1)},
    )
    run.begin(0.0)
    assert (run.is_done, run.status) == (True, "success")


def test_a_run_that_is_dropped_leaves_nothing_to_the_collector():
    """Its outputs take up to hundreds of megabytes."""

    def played() -> None:
        inner = {"id": "b", "arguments": {"x": "$OUTPUT[a]"}}
        run = Played({"id": "a"}, {"id": "g", "for_each": [1, 2], "tasks": [inner]})
        run.answer("a", {"x": 1})
        run.start()
        run.run.stop("cancelled", run.now)
        assert run.statuses == {"a": "success", "g": "cancelled"}

    played()  # what is made once and stays
    gc.disable()
    try:
        gc.collect(0)
        played()
        assert gc.collect(0) == 0
    finally:
        gc.enable()
