"""One run, step by step: what the end of one task means for the others. The laws of it are in test_scheduler.py."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.catalog import Catalog, ServerInfo, ServerState
from plait.core.check import check
from plait.core.dag import read_dag
from plait.core.events import Abort, Key, Sleep, Status
from plait.core.output import Output
from plait.core.policy import Policy
from plait.core.result import TaskError, result_of
from plait.core.run import Run
from plait.errors import CallTimeout, ServerUnavailable, ToolError
from tests.fakes import tool

STRING = {"type": "string"}
CATALOG = Catalog(
    [tool("s:do", readOnlyHint=True), tool("s:typed", {"name": STRING}, ["name"])],
    [ServerInfo("s", ServerState.READY)],
)


class Played:
    """A run whose calls are answered by hand, one second apart."""

    def __init__(self, *tasks: dict[str, Any], **options: Any) -> None:
        document = {"tasks": [{"tool": "s:do", **task} for task in tasks], **options}
        self.run = Run("r", check(read_dag(document), CATALOG, Policy()))
        self.now = 0.0
        self.run.begin(self.now)

    @property
    def ready(self) -> list[str]:
        """The calls that could start, as `id` or `id[item]`."""
        return [_name(unit.key) for unit in self.run.ready]

    def start(self) -> None:
        while self.run.ready:
            self.run.start(self.run.ready.pop(0), self.now)

    def answer(self, name: str, answer: Any = None) -> None:
        """Start what is ready, and answer the call *name*: with an output, or an error."""
        self.start()
        self.now += 1
        key = next(key for key in self.run.open if _name(key) == name)
        if isinstance(answer, Exception):
            self.run.fail(key, answer, self.now)  # type: ignore[arg-type]  # the tests give CallErrors
        else:
            self.run.succeed(key, Output(answer), self.now)

    @property
    def statuses(self) -> dict[str, str]:
        return {id: str(state.status) for id, state in self.run.states.items()}

    @property
    def errors(self) -> list[TaskError]:
        return list(result_of(self.run, self.now).errors)


def _name(key: Key) -> str:
    return key.task if key.item is None else f"{key.task}[{key.item}]"


def test_what_hangs_on_a_failure_is_skipped_and_names_its_root():
    played = Played({"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c", "depends_on": ["b"]}, {"id": "d"})
    played.answer("a", ToolError("no"))
    played.answer("d")
    assert played.statuses == {"a": "failed", "b": "skipped", "c": "skipped", "d": "success"}
    assert [(error.id, error.code, error.caused_by) for error in played.errors] == [
        ("a", "tool_error", None), ("b", "dependency_failed", "a"), ("c", "dependency_failed", "a"),
    ]  # fmt: skip
    assert played.run.status == "partial"


@pytest.mark.parametrize(
    ("rule", "after_success", "after_failure"),
    [("all_success", "ready", "skipped"), ("all_done", "ready", "ready"), ("one_failed", "skipped", "ready")],
)
def test_the_trigger_rule_decides_what_runs(rule: str, after_success: str, after_failure: str):
    for answer, expected in ((None, after_success), (ToolError("no"), after_failure)):
        played = Played({"id": "a"}, {"id": "b", "depends_on": ["a"], "trigger_rule": rule})
        played.answer("a", answer)
        assert played.statuses["b"] == expected


def test_a_task_whose_links_all_have_defaults_runs_after_a_failure():
    played = Played({"id": "a"}, {"id": "b", "arguments": {"x": "${OUTPUT[a].y ?? 7}"}})
    played.answer("a", ToolError("no"))
    assert [unit.arguments for unit in played.run.ready] == [{"x": 7}]


@pytest.mark.parametrize(("output", "expected"), [({"n": 3}, "ready"), ({"n": 0}, "skipped"), ({}, "skipped")])
def test_a_condition_that_is_not_true_skips_its_task(output: Any, expected: str):
    played = Played({"id": "a"}, {"id": "b", "depends_on": ["a"], "when": "a.n"})
    played.answer("a", output)
    assert played.statuses["b"] == expected


def test_a_run_that_only_skipped_by_condition_succeeded():
    played = Played({"id": "a"}, {"id": "b", "depends_on": ["a"], "when": "a.n"})
    played.answer("a", {})
    assert played.run.status == "success"
    assert [error.code for error in played.errors] == ["condition"]


def test_a_path_that_is_not_there_fails_its_task_before_it_is_sent():
    played = Played({"id": "a"}, {"id": "b", "arguments": {"x": "$OUTPUT[a].items[2].name"}})
    played.answer("a", {"items": [1, 2]})
    assert (played.statuses["b"], played.run.states["b"].attempts) == ("failed", 0)
    [error] = played.errors
    assert error.code == "reference_error"
    assert "a list of 2" in error.message


def test_resolved_arguments_that_do_not_fit_the_tool_are_not_sent():
    played = Played({"id": "a"}, {"id": "b", "tool": "s:typed", "arguments": {"name": "$OUTPUT[a].n"}})
    played.answer("a", {"n": 5})
    [error] = played.errors
    assert (error.code, played.run.states["b"].attempts) == ("invalid_arguments", 0)
    assert "Signature: s:typed(name: string)" in str(error.hint)


def test_the_first_failure_ends_a_fail_fast_run():
    played = Played({"id": "a"}, {"id": "b"}, {"id": "c", "depends_on": ["b"]}, fail_fast=True)
    played.answer("a", ToolError("no"))
    assert played.statuses == {"a": "failed", "b": "cancelled", "c": "skipped"}
    assert Abort(Key("r", "b")) in played.run.commands
    assert {(error.id, error.code, error.caused_by) for error in played.errors} >= {("c", "fail_fast", "a")}


def test_layers_wait_for_the_whole_layer_before():
    tasks: list[dict[str, Any]] = [{"id": "a"}, {"id": "b"}, {"id": "c", "depends_on": ["a"]}]
    eager, layered = Played(*tasks), Played(*tasks, schedule="layers")
    for played in (eager, layered):
        played.answer("a")
    assert (eager.ready, layered.ready) == (["c"], [])
    layered.answer("b")
    assert layered.ready == ["c"]


def test_for_each_runs_once_for_each_item_and_keeps_their_order():
    played = Played({"id": "a", "for_each": ["x", "y"], "arguments": {"v": "$ITEM", "n": "$INDEX"}})
    assert [unit.arguments for unit in played.run.ready] == [{"v": "x", "n": 0}, {"v": "y", "n": 1}]
    played.answer("a[1]", "second")
    played.answer("a[0]", "first")
    assert played.run.outputs["a"].value == ["first", "second"]


def test_a_failed_item_is_null_and_one_error_and_the_list_still_comes_back():
    played = Played({"id": "a", "for_each": ["x", "y"]}, {"id": "b", "depends_on": ["a"]})
    played.answer("a[0]", ToolError("no"))
    played.answer("a[1]", {"ok": True})
    assert played.statuses == {"a": "failed", "b": "skipped"}
    assert [(error.id, error.index) for error in played.errors] == [("a", 0), ("b", None)]
    played = Played({"id": "a", "for_each": ["x", "y"]})
    played.answer("a[0]", ToolError("no"))
    played.answer("a[1]", {"ok": True})
    assert result_of(played.run, played.now).outputs == {"a": [None, {"ok": True}]}


def test_for_each_over_nothing_succeeds_with_nothing():
    played = Played({"id": "a", "for_each": []}, {"id": "b", "depends_on": ["a"]})
    assert (played.statuses["a"], played.ready) == ("success", ["b"])


@pytest.mark.parametrize("items", [{"no": "list"}, "text", None])
def test_for_each_over_what_is_no_list_fails_its_task(items: Any):
    played = Played({"id": "a"}, {"id": "b", "for_each": "$OUTPUT[a].items"})
    played.answer("a", {"items": items})
    assert [error.code for error in played.errors] == ["reference_error"]


def test_select_shapes_the_output_before_it_is_kept():
    played = Played({"id": "a", "select": "items[?n > `1`].n"})
    played.answer("a", {"items": [{"n": 1}, {"n": 2}]})
    assert played.run.outputs["a"].value == [2]


def test_a_select_that_cannot_be_applied_fails_its_task():
    played = Played({"id": "a", "select": "sum(items)"})
    played.answer("a", {"items": ["x"]})
    [error] = played.errors
    assert error.code == "invalid_expression"
    assert error.message.startswith("select: ")


def test_only_failures_that_may_pass_are_tried_again_with_growing_pauses():
    played = Played({"id": "a", "retries": 2}, {"id": "b", "retries": 2})
    played.answer("b", ToolError("for good"))
    played.answer("a", ServerUnavailable("not yet"))
    assert played.statuses == {"a": "backing_off", "b": "failed"}
    played.run.wake(Key("r", "a"), played.now)
    played.answer("a", CallTimeout("late"))
    assert played.run.commands == [Sleep(Key("r", "a"), 0.5), Sleep(Key("r", "a"), 1.0)]
    played.run.wake(Key("r", "a"), played.now)
    played.answer("a", CallTimeout("late"))
    assert (played.statuses["a"], played.run.states["a"].attempts) == (str(Status.TIMEOUT), 3)


def test_a_cancelled_run_keeps_what_it_has_and_names_every_task():
    played = Played(
        {"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c", "depends_on": ["b"]}, **{"return": ["*"]}
    )
    played.answer("a", {"x": 1})
    played.start()
    played.run.stop("cancelled", played.now)
    result = result_of(played.run, played.now)
    assert (str(result.status), result.outputs) == ("cancelled", {"a": {"x": 1}})
    assert [(task.id, task.status) for task in result.tasks] == [
        ("a", "success"), ("b", "cancelled"), ("c", "cancelled"),
    ]  # fmt: skip


def test_outputs_above_what_a_run_may_keep_fail_their_task():
    document = {"tasks": [{"id": "a", "tool": "s:do"}, {"id": "b", "tool": "s:do"}]}
    run = Run("r", check(read_dag(document), CATALOG, Policy()), max_bytes=100)
    run.begin(0)
    for unit in list(run.ready):
        run.start(unit, 0)
    run.succeed(Key("r", "a"), Output("x", size_bytes=80), 1)
    run.succeed(Key("r", "b"), Output("y", size_bytes=30), 1)
    assert run.states["b"].error is not None
    assert run.states["b"].error.code == "output_too_large"
