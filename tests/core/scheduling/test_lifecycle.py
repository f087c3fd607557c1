"""The tasks of a run, step by step: what the end of one means for the others. The laws of it are in
test_scheduler.py."""

from __future__ import annotations

from typing import Any

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.events import Abort, Failure, Key, Sleep
from plait.core.scheduling.run import Run
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.errors import CallTimeout, ToolError

from ..runs import result_at
from ..tables import table
from .played import CATALOG, Played


def test_what_hangs_on_a_failure_is_skipped_and_names_its_root():
    played = Played(
        {"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c", "depends_on": ["b"]}, {"id": "d"}
    )
    played.answer("a", ToolError("no"))
    played.answer("d")
    assert played.statuses == {"a": "failed", "b": "skipped", "c": "skipped", "d": "success"}
    assert [(error.id, error.code, error.caused_by) for error in played.errors] == [
        ("a", "tool_error", None), ("b", "dependency_failed", "a"), ("c", "dependency_failed", "a"),
    ]  # fmt: skip
    assert played.run.status == "partial"


@table(
    ("rule", "after_success", "after_failure"),
    [
        ("all_success", "ready", "skipped"),
        ("all_done", "ready", "ready"),
        ("one_failed", "skipped", "ready"),
        ("one_success", "ready", "skipped"),
        ("none_failed", "ready", "skipped"),
        ("always", "ready", "ready"),
    ],
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


@table(("output", "expected"), [({"n": 3}, "ready"), ({"n": 0}, "skipped"), ({}, "skipped")])
def test_a_condition_that_is_not_true_skips_its_task(output: Any, expected: str):
    played = Played({"id": "a"}, {"id": "b", "depends_on": ["a"], "when": "a.n"})
    played.answer("a", output)
    assert played.statuses["b"] == expected


def test_a_path_that_is_not_there_fails_its_task_before_it_is_sent():
    played = Played({"id": "a"}, {"id": "b", "arguments": {"x": "$OUTPUT[a].items[2].name"}})
    played.answer("a", {"items": [1, 2]})
    assert (played.statuses["b"], played.run.states["b"].attempts) == ("failed", 0)
    [error] = played.errors
    assert error.code == "reference_error"
    assert "a list of 2" in error.message


def test_resolved_arguments_that_do_not_fit_the_tool_are_not_sent():
    played = Played(
        {"id": "a"}, {"id": "b", "tool": "s:typed", "arguments": {"name": "$OUTPUT[a].n"}}
    )
    played.answer("a", {"n": 5})
    [error] = played.errors
    assert (error.code, played.run.states["b"].attempts) == ("invalid_arguments", 0)
    assert "Signature: s:typed(name: string)" in str(error.hint)


def test_what_is_wrong_with_resolved_arguments_is_named_or_counted():
    arguments = {f"n{number}": "$OUTPUT[a].name" for number in range(8)}
    played = Played({"id": "a"}, {"id": "b", "tool": "s:numbers", "arguments": arguments})
    played.answer("a", {"name": "x"})
    [error] = played.errors
    assert error.code == "invalid_arguments"
    assert error.message.count(" must be ") == 5
    assert error.message.endswith("; and 3 more")


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
    assert result_at(played.run, played.now).outputs == {"a": [None, {"ok": True}]}


def test_the_errors_of_items_stand_in_their_order_and_the_first_names_the_task():
    played = Played({"id": "a", "for_each": ["x", "y"]})
    played.answer("a[1]", CallTimeout("late"))
    played.answer("a[0]", ToolError("no"))
    assert [(error.index, error.code) for error in played.errors] == [
        (0, "tool_error"),
        (1, "timeout"),
    ]
    assert played.codes["a"] == "tool_error"


def test_with_fail_fast_an_item_that_cannot_be_made_keeps_the_others_from_being_sent():
    item = {"id": "a", "for_each": "$OUTPUT[l]", "arguments": {"x": "$ITEM.n"}}
    played = Played({"id": "l"}, item)
    played.answer("l", [{"n": 1}, {}])
    assert played.ready == ["a[0]"]
    played = Played({"id": "l"}, item, fail_fast=True)
    played.answer("l", [{"n": 1}, {}])
    assert (played.ready, played.run.is_done, played.statuses["a"]) == ([], True, "failed")


UNDO = {"id": "undo", "depends_on": ["a"], "trigger_rule": "always"}


def sleeps(played: Played) -> list[tuple[int | None, float]]:
    """The sleeps of the run as a whole that were begun: the item in their keys, and how long."""
    commands = played.run.commands
    found = [one for one in commands if isinstance(one, Sleep) and not one.key.task]
    return [(sleep.key.item, sleep.seconds) for sleep in found]


@table("why", ["cancelled", "timeout", "fail_fast"])
def test_tasks_that_run_always_run_once_the_run_is_stopped(why: str):
    played = Played(
        {"id": "a"},
        {"id": "b", "depends_on": ["a"]},
        UNDO,
        {"id": "last", "depends_on": ["undo"], "trigger_rule": "always"},
        {"id": "no", "depends_on": ["undo"]},
        {"id": "bad"},
        timeout_s=9.0,
        fail_fast=True,
        cleanup_s=5,
    )
    played.start()
    match why:
        case "timeout":
            played.run.wake(Key("r", ""), 9.0)
        case "cancelled":
            played.run.stop("cancelled", 1.0)
        case "fail_fast":
            played.answer("bad", ToolError("no"))
    assert not played.run.is_done
    assert {id for id, status in played.statuses.items() if status == "ready"} == {"undo"}
    assert sleeps(played) == [(None, 9.0), (1, 5)]
    played.answer("undo", "undone")
    played.answer("last")
    assert {id: played.statuses[id] for id in ("a", "undo", "last")} == {
        "a": "cancelled",
        "undo": "success",
        "last": "success",
    }
    assert not {"ready", "running", "pending", "success"} & {
        played.statuses[id] for id in ("a", "b", "no", "bad")
    }
    expected = {"cancelled": "cancelled", "timeout": "timeout", "fail_fast": "partial"}
    assert (played.run.is_done, played.run.status) == (True, expected[why])
    assert Abort(Key("r", "", 1)) in played.run.commands
    assert [one for one in played.run.commands if one == Abort(Key("r", ""))] == (
        [] if why == "timeout" else [Abort(Key("r", ""))]
    )


def test_what_cleans_up_ends_with_its_time():
    played = Played({"id": "a"}, UNDO, {**UNDO, "id": "z", "depends_on": ["undo"]}, cleanup_s=5)
    played.start()
    played.run.stop("cancelled", 1.0)
    played.start()
    played.run.stop("cancelled", 2.0)
    assert played.statuses == {"a": "cancelled", "undo": "running", "z": "pending"}
    played.run.wake(Key("r", "", 1), 6.0)
    assert played.statuses == {"a": "cancelled", "undo": "cancelled", "z": "skipped"}
    assert played.codes == {"a": "cancelled", "undo": "timeout", "z": "timeout"}
    assert "cleanup_s of 5 s" in played.errors[1].message
    assert (played.run.status, played.run.stopped_by) == ("cancelled", "cancelled")
    assert Abort(Key("r", "undo")) in played.run.commands


def test_a_run_that_has_to_end_at_once_cleans_up_no_more():
    played = Played({"id": "a"}, UNDO)
    played.start()
    played.run.stop("cancelled", 1.0, at_once=True)
    assert played.statuses == {"a": "cancelled", "undo": "cancelled"}
    assert (played.run.is_done, played.ready, sleeps(played)) == (True, [], [])


def test_a_list_of_which_nothing_was_sent_has_no_output_for_what_runs_always():
    clean = {"id": "undo", "arguments": {"x": "$OUTPUT[each]"}, "trigger_rule": "always"}
    played = Played({"id": "each", "for_each": [1, 2]}, clean, timeout_s=5)
    played.run.stop("timeout", played.now)
    assert played.statuses == {"each": "skipped", "undo": "failed"}
    assert played.codes["undo"] == "reference_error"
    sent = Played({"id": "each", "for_each": [1, 2]}, clean, timeout_s=5)
    sent.answer("each[0]", 7)
    sent.run.stop("timeout", sent.now)
    [call] = sent.run.ready
    assert call.arguments == {"x": [7, None]}


def test_a_task_that_runs_always_and_has_started_is_not_stopped():
    items = {"id": "each", "for_each": [1, 2], "trigger_rule": "always"}
    played = Played({"id": "bad"}, items, fail_fast=True)
    played.answer("bad", ToolError("no"))
    played.answer("each[0]", ToolError("no"))
    assert played.statuses["each"] == "running", "and its failure stops no other item"
    played.answer("each[1]", "E")
    assert [(error.id, error.index) for error in played.errors] == [("bad", None), ("each", 0)]


def test_what_cleans_up_sees_what_a_stopped_list_had_made():
    made = {"id": "a", "for_each": ["x", "y"]}
    played = Played(made, {**UNDO, "arguments": {"made": "$OUTPUT[a]"}})
    played.answer("a[0]", "X")
    played.run.stop("cancelled", 2.0)
    assert [call.arguments for call in played.run.ready] == [{"made": ["X", None]}]


def test_calls_that_were_ready_are_not_made_once_the_run_only_cleans_up():
    played = Played({"id": "a"}, {"id": "b"}, UNDO)
    first = played.run.ready.pop(0)
    played.run.start(first, 0.0)
    waiting = played.run.ready.pop(0)  # as the scheduler takes it, to wait for slots
    played.run.stop("cancelled", 1.0)
    assert (played.run.withdrawn, played.ready) == ([waiting], ["undo"])


def test_a_call_that_cannot_be_sent_is_not_withdrawn_with_what_it_stops():
    played = Played({"id": "a"}, UNDO, fail_fast=True)
    call = played.run.ready.pop(0)
    played.run.refuse(call, ToolError("its file was not found"), 1.0)
    assert (played.run.withdrawn, played.ready) == ([], ["undo"])


def test_otherwise_a_task_that_runs_always_is_one_that_waits_for_all():
    played = Played({"id": "a"}, {**UNDO, "when": "a.n"})
    played.answer("a", {"n": 0})
    assert (played.statuses["undo"], played.run.status) == ("skipped", "success")


SOME = {"id": "a", "for_each": ["x", "y"], "on_item_failure": "skip"}


def test_a_task_that_may_lose_items_succeeds_if_one_of_them_does():
    played = Played(
        SOME,
        {"id": "b", "arguments": {"x": "$OUTPUT[a]"}},
        {"id": "undo", "depends_on": ["a"], "trigger_rule": "one_failed"},
        {"id": "c", "depends_on": ["a"], "trigger_rule": "none_failed"},
    )
    played.answer("a[0]", ToolError("no"))
    played.answer("a[1]", {"ok": True})
    assert played.statuses == {"a": "success", "b": "ready", "undo": "skipped", "c": "ready"}
    assert [call.arguments for call in played.run.ready] == [{"x": [None, {"ok": True}]}, {}]
    played.answer("b")
    played.answer("c")
    assert [(error.id, error.index, error.code) for error in played.errors] == [
        ("a", 0, "tool_error")
    ]
    assert (played.run.status, played.codes) == ("partial", {"undo": "condition"})


def test_a_task_that_may_lose_items_fails_with_all_of_them():
    played = Played(SOME, {"id": "b", "depends_on": ["a"]})
    played.answer("a[0]", ToolError("no"))
    played.answer("a[1]", CallTimeout("late"))
    assert played.statuses == {"a": "failed", "b": "skipped"}
    assert (played.run.status, played.codes["a"]) == ("failed", "tool_error")
    nothing = Played({**SOME, "for_each": []})
    assert (nothing.statuses["a"], nothing.run.status) == ("success", "success")


@table(
    ("answer", "stopped_by", "statuses"),
    [
        ("well", None, {"a": "success", "b": "success"}),
        (ToolError("no"), "fail_fast", {"a": "failed", "b": "cancelled"}),
    ],
)
def test_fail_fast_waits_for_the_last_item_of_a_task_that_may_lose_some(
    answer: Any, stopped_by: str | None, statuses: dict[str, str]
):
    played = Played(SOME, {"id": "b"}, fail_fast=True)
    played.answer("a[0]", ToolError("no"))
    assert played.statuses["a"] == "running"
    played.answer("a[1]", answer)
    if stopped_by is None:
        played.answer("b")
    assert (played.run.stopped_by, played.statuses) == (stopped_by, statuses)


def test_an_item_that_cannot_be_made_is_lost_like_one_that_failed():
    played = Played(
        {"id": "l"},
        {**SOME, "for_each": "$OUTPUT[l]", "arguments": {"x": "$ITEM.n"}},
        {"id": "v", "for_each": "$OUTPUT[l]", "value": "$ITEM.n", "on_item_failure": "skip"},
        fail_fast=True,
    )
    played.answer("l", [{"n": 1}, {}])
    played.answer("a[0]", "A")
    assert played.run.outputs["v"].value == [1, None]
    assert played.run.outputs["a"].value == ["A", None]
    assert (played.run.stopped_by, played.run.status) == (None, "partial")


def test_for_each_over_nothing_succeeds_with_nothing():
    played = Played({"id": "a", "for_each": []}, {"id": "b", "depends_on": ["a"]})
    assert (played.statuses["a"], played.ready) == ("success", ["b"])


@table("items", [5, "text", None])
def test_for_each_over_what_is_no_list_fails_its_task(items: Any):
    played = Played({"id": "a"}, {"id": "b", "for_each": "$OUTPUT[a].items"})
    played.answer("a", {"items": items})
    assert [error.code for error in played.errors] == ["reference_error"]


def test_a_failed_item_ends_a_fail_fast_run_and_the_others_are_cancelled():
    played = Played({"id": "a", "for_each": [1, 2, 3]}, {"id": "b"}, fail_fast=True)
    played.answer("a[0]", "first")
    played.answer("a[1]", ToolError("no"))
    assert played.statuses == {"a": "failed", "b": "cancelled"}
    assert {(error.id, error.index, error.code) for error in played.errors} == {
        ("a", 1, "tool_error"), ("b", None, "fail_fast"),
    }  # fmt: skip
    assert played.run.states["a"].output == Output(["first", None, None])
    assert {command.key.item for command in played.run.commands if command.key.task == "a"} == {2}


def test_an_item_whose_arguments_cannot_be_made_fails_alone():
    item = {"id": "a", "for_each": "$OUTPUT[l]", "arguments": {"x": "$ITEM.n"}}
    played = Played({"id": "l"}, item)
    played.answer("l", [{"n": 1}, {}])
    assert played.ready == ["a[0]"]
    played.answer("a[0]", "well")
    assert played.statuses["a"] == "failed"
    assert [(error.index, error.code) for error in played.errors] == [(1, "reference_error")]


@table(
    ("when", "code"),
    [("a.n", None), ("b == `null`", None), ("b.n", "condition")],
)
def test_a_condition_sees_the_outputs_of_what_succeeded_and_null_for_the_rest(
    when: str, code: str | None
):
    played = Played(
        {"id": "a"},
        {"id": "b"},
        {"id": "c", "depends_on": ["a", "b"], "when": when, "trigger_rule": "all_done"},
    )
    played.answer("b", ToolError("no"))
    played.answer("a", {"n": 1})
    assert played.codes.get("c") == code


def test_what_depends_on_a_task_that_its_condition_skipped_is_skipped_too():
    played = Played(
        {"id": "a"},
        {"id": "b", "depends_on": ["a"], "when": "a.n"},
        {"id": "c", "depends_on": ["b"]},
    )
    played.answer("a", {"n": False})
    assert played.statuses == {"a": "success", "b": "skipped", "c": "skipped"}
    assert played.run.states["c"].error == Failure(
        "condition", "skipped: b was skipped", caused_by="b"
    )
    assert (played.run.status, played.errors) == ("success", [])


UNTAKEN = {"id": "deploy", "depends_on": ["a"], "when": "a.go"}


ONE_FAILED = {"trigger_rule": "one_failed"}


@table(
    ("tasks", "answer", "ready"),
    [
        ([{"id": "b", "depends_on": ["a"]}], ToolError("no"), True),
        ([{"id": "b", "depends_on": ["a"]}], CallTimeout("late"), True),
        ([UNTAKEN | {"id": "b"}], ToolError("no"), True),
        ([UNTAKEN | {"id": "b"}], {"go": False}, False),
        ([UNTAKEN, {"id": "b", "depends_on": ["deploy"]}], {"go": False}, False),
        ([{"id": "b", "depends_on": ["a"], **ONE_FAILED}], {"go": False}, False),
        ([UNTAKEN, {"id": "b", "depends_on": ["deploy"], **ONE_FAILED}], {"go": False}, False),
    ],
)
def test_a_fallback_runs_after_a_failure_and_what_hangs_on_it_and_not_after_a_condition(
    tasks: list[dict[str, Any]], answer: Any, ready: bool
):
    """The root cause decides: Airflow's `one_failed` and GitHub's `failure()` do not count skips,
    and a clean-up of what never ran does harm."""
    fallback = {"id": "fallback", "depends_on": ["b"], **ONE_FAILED}
    after = {"id": "after", "depends_on": ["fallback"]}
    played = Played({"id": "a"}, *tasks, fallback, after)
    played.answer("a", answer)
    assert played.statuses["fallback"] == ("ready" if ready else "skipped")
    if not ready:
        assert (played.run.status, played.errors) == ("success", [])


def test_a_task_waits_for_an_earlier_one_with_the_same_resource_even_if_that_is_ready_later():
    write = {"writes": ["x"]}
    played = Played(
        {"id": "a"}, {"id": "b", "depends_on": ["a"], **write}, {"id": "c", **write}, {"id": "d"}
    )
    assert (played.ready, played.statuses["c"]) == (["a", "d"], "pending")
    played.answer("a", ToolError("no"))
    assert (played.statuses["b"], played.ready) == ("skipped", ["c"])


def test_under_layers_what_conflicts_stands_in_a_later_layer():
    played = Played(
        {"id": "a", "writes": ["x"]},
        {"id": "b", "writes": ["x"]},
        {"id": "c", "depends_on": ["a"]},
        schedule="layers",
    )
    played.answer("a")
    assert played.ready == ["b", "c"]
    played = Played(
        {"id": "a", "writes": ["x"]},
        {"id": "b", "writes": ["x"]},
        {"id": "c", "depends_on": ["b"]},
        schedule="layers",
    )
    played.answer("a")
    assert played.ready == ["b"]


def test_the_outputs_of_items_count_too():
    played = Played({"id": "a", "for_each": [1, 2]}, max_bytes=100)
    played.start()
    for index in range(2):
        played.run.succeed(Key("r", "a", index), Output("x" * 70, size_bytes=72), 1.0)
    assert [(error.index, error.code) for error in played.errors] == [(1, "output_too_large")]


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


def test_the_calls_of_a_run_are_limited_and_the_tasks_beyond_them_fail():
    played = Played(
        {"id": "a"},
        {"id": "b", "for_each": "$OUTPUT[a]", "arguments": {"x": "$ITEM"}},
        {"id": "c", "for_each": "$OUTPUT[a]", "arguments": {"x": "$ITEM"}},
        {"id": "d", "depends_on": ["a"]},
        max_calls=4,
    )
    played.answer("a", [1, 2])
    assert played.codes == {"c": "limit_exceeded"}
    assert played.run.usage.calls == 4
    [error] = played.errors
    assert error.message == "it has 2 calls or values, and this run has made 3 of at most 4"
    assert error.hint == "Send the rest as another DAG."


def test_made_values_are_limited_as_calls_are():
    played = Played(
        {"id": "a"},
        {"id": "v", "for_each": "$OUTPUT[a]", "value": "$ITEM"},
        {"id": "w", "value": 1, "depends_on": ["v"], "trigger_rule": "all_done"},
        max_calls=4,
    )
    played.answer("a", [1, 2, 3, 4])
    assert played.codes == {"v": "limit_exceeded", "w": "limit_exceeded"}
    assert played.run.usage.calls == 4


# Values.


def test_a_value_is_made_of_outputs_without_a_call():
    played = Played(
        {"id": "a"},
        {"id": "b"},
        {"id": "v", "value": {"sum": ["$OUTPUT[a].n", "$OUTPUT[b].n"], "text": "${OUTPUT[a].n}!"}},
        {"id": "c", "arguments": {"x": "$OUTPUT[v].sum[1]"}},
    )
    played.answer("a", {"n": 1})
    assert played.statuses["v"] == "pending"
    played.answer("b", {"n": 2})
    assert played.run.outputs["v"] == Output.of({"sum": [1, 2], "text": "1!"})
    assert played.run.usage.calls == 4, "a value counts as one"
    assert [call.arguments for call in played.run.ready] == [{"x": 2}]
    state = played.run.states["v"]
    assert (state.attempts, state.started_at, state.cached) == (0, None, False)


def test_a_select_shapes_a_value():
    played = Played({"id": "v", "value": [3, 1, 2], "select": "max(@)"})
    assert played.run.outputs["v"].value == 3
    assert played.run.is_done


@table("value", [None, False, 0, "", [], {}])
def test_any_json_value_is_a_value(value: Any):
    played = Played({"id": "v", "value": value})
    assert (played.statuses["v"], played.run.outputs["v"].value) == ("success", value)


def test_values_are_made_for_each_item_and_the_items_that_fail_are_reported():
    played = Played(
        {"id": "a"},
        {
            "id": "v",
            "for_each": "$OUTPUT[a]",
            "value": {"n": "$ITEM.n", "at": "$INDEX"},
            "select": "n",
        },
    )
    played.answer("a", [{"n": 7}, {}, {"n": 9}])
    assert played.statuses["v"] == "failed"
    output = played.run.states["v"].output
    assert output is not None
    assert output.value == [7, None, 9]
    assert [(error.index, error.code) for error in played.errors] == [(1, "reference_error")]


def test_values_of_an_empty_list_are_an_empty_list():
    played = Played({"id": "v", "for_each": [], "value": "$ITEM"})
    assert played.run.outputs["v"].value == []


def test_a_value_whose_reference_leads_nowhere_fails_and_what_needs_it_is_skipped():
    played = Played(
        {"id": "a"}, {"id": "v", "value": "$OUTPUT[a].gone"}, {"id": "w", "value": "$OUTPUT[v]"}
    )
    played.answer("a", {"n": 1})
    assert played.codes == {"v": "reference_error", "w": "dependency_failed"}
    assert played.run.status == "partial"


def test_a_value_keeps_to_rules_and_conditions():
    played = Played(
        {"id": "a"},
        {"id": "no", "value": 1, "when": "a.ok"},
        {"id": "late", "value": "${OUTPUT[a].x ?? 5}", "trigger_rule": "all_done"},
    )
    played.answer("a", ToolError("no"))
    assert played.codes == {"a": "tool_error", "no": "dependency_failed"}
    assert played.run.outputs["late"].value == 5


def test_values_count_for_what_a_run_may_keep():
    played = Played({"id": "a"}, {"id": "v", "value": ["$OUTPUT[a]"] * 9}, max_bytes=100)
    played.answer("a", "x" * 20)
    assert played.codes == {"v": "output_too_large"}


def test_a_value_that_multiplies_an_output_is_not_put_together():
    played = Played({"id": "a"}, {"id": "v", "value": ["$OUTPUT[a]"] * 12})
    played.start()
    played.run.succeed(Key("r", "a"), Output.of("x" * 1_000_000), 1.0)
    assert played.codes == {"v": "output_too_large"}
    assert [error.message for error in played.errors] == [
        "the value holds more than 9,000,018 bytes; at most 8,388,608 are put together"
    ]


def test_under_fail_fast_a_value_that_fails_ends_the_run():
    played = Played(
        {"id": "a"}, {"id": "b"}, {"id": "v", "value": "$OUTPUT[a].gone"}, fail_fast=True
    )
    played.answer("a", {})
    assert played.run.stopped_by == "fail_fast"
    assert played.statuses == {"a": "success", "b": "cancelled", "v": "failed"}


# Groups.


STEPS = [{"id": "b", "arguments": {"x": "$ITEM"}}, {"id": "c", "arguments": {"x": "$OUTPUT[b]"}}]


def two(rule: str, *ends: Any) -> Played:
    """Two tasks that end as given (None: skipped by a condition), and one with *rule* behind."""
    tasks = [{"id": "o"}, {"id": "a"}, {"id": "b"}]
    tasks = [
        {**one, "when": "o.no"} if end is None else one
        for one, end in zip(tasks[1:], ends, strict=True)
    ]
    played = Played(
        {"id": "o"}, *tasks, {"id": "z", "depends_on": ["a", "b"], "trigger_rule": rule}
    )
    played.answer("o", {"no": False})
    for one, end in zip("ab", ends, strict=True):
        if end is not None:
            played.answer(one, end)
    return played


@table(
    ("rule", "ends", "status", "code", "cause"),
    [
        ("one_success", (1, ToolError("no")), "ready", None, None),
        ("one_success", (1, None), "ready", None, None),
        ("one_success", (None, ToolError("no")), "skipped", "condition", "a"),
        ("one_success", (ToolError("no"), ToolError("no")), "skipped", "dependency_failed", "a"),
        ("none_failed", (1, None), "ready", None, None),
        ("none_failed", (None, None), "ready", None, None),
        ("none_failed", (None, ToolError("no")), "skipped", "dependency_failed", "b"),
    ],
)
def test_rules_tell_failures_from_skips_by_a_condition(
    rule: str, ends: Any, status: str, code: str | None, cause: str | None
):
    state = two(rule, *ends).run.states["z"]
    assert state.status == status
    error = state.error
    assert (error and error.code, error and error.caused_by) == (code, cause)
