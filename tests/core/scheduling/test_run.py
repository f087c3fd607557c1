"""One run as a whole: how it ends, what it takes over."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.dag import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.events import Abort, Key, Sleep
from plait.core.scheduling.lifecycle import PAUSE_S
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


NEXT_STEP = Key("r", "", 0)


def large() -> Played:
    return Played(*({"id": f"t{number}", "for_each": [*range(1_000)]} for number in range(5)))


def test_many_calls_are_made_in_several_steps():
    played = large()
    made = []
    while len(played.run.ready) < 5_000:
        made.append(len(played.run.ready))
        assert played.run.commands.count(Sleep(NEXT_STEP, 0)) == len(made)
        played.run.wake(NEXT_STEP, played.now)
    assert made == [2_000, 4_000]
    assert played.run.commands.count(Sleep(NEXT_STEP, 0)) == 2
    assert set(played.statuses.values()) == {"ready"}


COSTLY = "${OUTPUT[big].items | group_by(@, &to_string(@)) | length(@)}"


@pytest.mark.parametrize(
    ("tasks", "outputs"),
    [
        ([{"id": f"v{n}", "value": COSTLY} for n in range(9)], [50] * 9),
        ([{"id": "v", "for_each": [*range(9)], "value": COSTLY}], [[50] * 9]),
        (
            [{"id": "v", "for_each": [*range(9)], "tasks": [{"id": "in", "value": COSTLY}]}],
            [[50] * 9],
        ),
    ],
)
def test_expressions_over_large_outputs_are_evaluated_in_several_steps(
    tasks: list[dict[str, Any]], outputs: list[Any]
):
    played = Played({"id": "big"}, *tasks)
    played.answer("big", {"items": [*range(50)] * 400})
    steps = 0
    while not played.run.is_done:
        steps += 1
        assert played.run.commands.count(Sleep(NEXT_STEP, PAUSE_S)) == steps
        played.run.wake(NEXT_STEP, played.now)
    assert steps > 3
    assert [output.value for output in played.run.outputs.values()][1:] == outputs


def test_calls_with_costly_arguments_are_made_in_several_steps_and_sent_meanwhile():
    each = {"id": "c", "for_each": [*range(9)], "arguments": {"x": COSTLY, "n": "$ITEM"}}
    played = Played({"id": "big"}, each)
    played.answer("big", {"items": [*range(50)] * 400})
    assert 0 < len(played.ready) < 9
    sent = 0
    while not played.run.is_done:
        if played.run.ready:
            played.answer(f"c[{sent}]", sent)
            sent += 1
        else:
            played.run.wake(NEXT_STEP, played.now)
    assert played.run.outputs["c"].value == [*range(9)]


def test_items_that_were_left_to_another_step_are_not_made_after_a_stop():
    each = {"id": "c", "for_each": [*range(9)], "arguments": {"x": COSTLY}}
    played = Played({"id": "big"}, each, timeout_s=5)
    played.answer("big", {"items": [*range(50)] * 400})
    played.run.stop("timeout", played.now)
    assert played.statuses["c"] == "skipped"
    played.run.wake(NEXT_STEP, played.now)
    assert played.run.ready == []


def test_the_calls_of_a_run_are_limited_also_where_they_are_made_in_several_steps():
    each = {"id": "c", "for_each": [*range(9)], "arguments": {"x": COSTLY}}
    played = Played({"id": "big"}, each, max_calls=5)
    played.answer("big", {"items": [*range(50)] * 400})
    while any(isinstance(one, Sleep) for one in played.run.commands):
        played.run.commands.clear()
        played.run.wake(NEXT_STEP, played.now)
    for number in range(4):
        played.answer(f"c[{number}]", number)
    assert played.statuses["c"] == "failed"
    assert {error.code for error in played.errors} == {"limit_exceeded"}
    assert played.run.states["c"].output.value == [0, 1, 2, 3, *[None] * 5]  # type: ignore[union-attr]  # it has one


def test_a_run_that_is_stopped_between_two_steps_makes_no_more_calls():
    played = large()
    played.run.stop("cancelled", played.now)
    assert Abort(NEXT_STEP) in played.run.commands
    assert set(played.statuses.values()) == {"cancelled"}
    played.run.wake(NEXT_STEP, played.now)
    assert played.run.status == "cancelled"
    assert set(played.statuses.values()) == {"cancelled"}


def test_answers_between_two_steps_ask_for_no_further_step():
    played = large()
    played.answer("t0[0]")
    assert played.run.commands.count(Sleep(NEXT_STEP, 0)) == 1
    played.run.wake(NEXT_STEP, played.now)
    assert played.statuses["t4"] == "pending"
    played.run.wake(NEXT_STEP, played.now)
    assert played.statuses["t4"] == "ready"
