"""Groups, step by step. The laws of them are in test_frame.py."""

from __future__ import annotations

from typing import Any

from plait.core.scheduling.events import Abort, Key, Status
from plait.core.scheduling.groups import MAX_FRAMES
from plait.core.tools.output import Output
from plait.errors import ToolError

from ..tables import table
from .played import Played

STEPS = [{"id": "b", "arguments": {"x": "$ITEM"}}, {"id": "c", "arguments": {"x": "$OUTPUT[b]"}}]


def group(*tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "g", "for_each": [10, 20, 30], "tasks": [*(tasks or STEPS)], **fields}


def test_each_item_of_a_group_goes_its_own_way():
    played = Played(group())
    assert played.ready == ["g[0].b", "g[1].b", "g[2].b"]
    played.answer("g[1].b", "B1")
    assert played.ready == ["g[1].c"]
    played.answer("g[1].c", "C1")
    played.answer("g[0].b", "B0")
    items = played.run.states["g"].items
    assert items is not None
    assert items.statuses == ["running", "success", "running"]
    for name in ("g[2].b", "g[0].c", "g[2].c"):
        played.answer(name, name)
    assert played.run.outputs["g"].value == ["g[0].c", "C1", "g[2].c"]
    assert (played.run.status, played.run.usage.calls) == ("success", 6)


def test_a_group_without_items_gives_one_value():
    played = Played(
        {"id": "a"},
        {
            "id": "g",
            "tasks": [{"id": "b"}, {"id": "c", "arguments": {"x": "$OUTPUT[a]"}}],
            "value": {"b": "$OUTPUT[b]", "c": "$OUTPUT[c]", "a": "$OUTPUT[a]"},
            "select": "[a, b, c]",
        },
        {"id": "z", "arguments": {"x": "$OUTPUT[g]"}},
    )
    played.answer("a", 1)
    assert played.ready == ["g.b", "g.c"]
    played.answer("g.b", 2)
    played.answer("g.c", 3)
    assert [call.arguments for call in played.run.ready] == [{"x": [1, 2, 3]}]


def test_an_item_fails_by_the_task_that_failed_and_the_others_go_on():
    played = Played(group())
    played.answer("g[0].b", ToolError("no"))
    played.answer("g[1].b", "B")
    played.answer("g[2].b", "B")
    played.answer("g[1].c", "C1")
    played.answer("g[2].c", "C2")
    output = played.run.states["g"].output
    assert output is not None
    assert output.value == [None, "C1", "C2"]
    assert (played.statuses["g"], played.run.status) == ("failed", "failed")
    assert [(error.id, error.code) for error in played.errors] == [("g[0].b", "tool_error")]
    assert played.run.tallies["g.c"].statuses == {
        "skipped": 1,
        "ready": 0,
        "running": 0,
        "success": 2,
    }


def test_a_failure_that_a_task_in_the_group_expects_fails_no_item():
    undo = {"id": "undo", "depends_on": ["b"], "trigger_rule": "one_failed"}
    played = Played(group({"id": "b"}, undo, for_each=[1]), {"id": "z", "value": "$OUTPUT[g]"})
    played.answer("g[0].b", ToolError("no"))
    played.answer("g[0].undo", "undone")
    assert played.run.outputs["z"].value == ["undone"]
    assert played.run.status == "partial", "something failed, and is reported"
    assert [error.id for error in played.errors] == ["g[0].b"]


def test_a_value_that_cannot_be_made_fails_its_item():
    played = Played(group({"id": "b"}, for_each=[1, 2], value="$OUTPUT[b].n"))
    played.answer("g[0].b", {"n": 1})
    played.answer("g[1].b", {})
    assert [(error.id, error.index, error.code) for error in played.errors] == [
        ("g", 1, "reference_error")
    ]


def test_items_of_a_group_start_only_when_their_turn_comes():
    played = Played(group(for_each=[*range(5)], max_concurrency=2))
    assert played.ready == ["g[0].b", "g[1].b"]
    played.answer("g[0].b", "B")
    assert played.ready == ["g[0].c"]
    played.answer("g[0].c", "C")
    assert played.ready == ["g[2].b"]
    many = Played(group(for_each=[*range(500)]))
    assert len(many.run.ready) == MAX_FRAMES


def test_what_tasks_in_a_group_gave_is_dropped_with_their_item():
    played = Played(group({"id": "b"}, for_each=[1, 2], value="x"))
    played.answer("g[0].b", "y" * 50)
    assert played.run.usage.bytes == Output.of("x").memory_bytes
    played.answer("g[1].b", ToolError("no"))
    assert played.run.usage.bytes == Output.of("x").memory_bytes


def test_the_end_of_a_run_ends_the_groups_in_it():
    played = Played(group({"id": "b"}, group(id="h")), timeout_s=9.0)
    played.answer("g[0].b", "B")
    assert played.ready == []
    played.run.wake(Key("r", ""), played.now)
    assert played.run.is_done
    assert {
        str(status)
        for status in played.run.tallies["g.h.b"].statuses
        if played.run.tallies["g.h.b"].statuses[status]
    } == {"cancelled"}
    assert played.statuses == {"g": "cancelled"}
    aborted = [command.key for command in played.run.commands if isinstance(command, Abort)]
    assert len(aborted) == len(set(aborted)) == 2 + 9


def test_under_fail_fast_a_failed_item_ends_the_run():
    played = Played(group(), {"id": "z"}, fail_fast=True)
    played.answer("g[1].b", ToolError("no"))
    assert (played.run.stopped_by, played.statuses) == (
        "fail_fast",
        {"g": "failed", "z": "cancelled"},
    )


def test_a_group_that_fails_fast_ends_an_item_at_its_first_failure_alone():
    steps: list[dict[str, Any]] = [{"id": "b"}, {"id": "c"}, {"id": "d", "depends_on": ["c"]}]
    played = Played(group(*steps, for_each=[1, 2], fail_fast=True))
    played.answer("g[0].b", ToolError("no"))
    assert [command.key.task for command in played.run.commands] == ["g.c"]
    assert played.run.tallies["g.d"].statuses[Status.SKIPPED] == 1
    for name in ("g[1].b", "g[1].c", "g[1].d"):
        played.answer(name, name)
    output = played.run.states["g"].output
    assert output is not None
    assert output.value == [None, {"b": "g[1].b", "d": "g[1].d"}]
    assert [error.id for error in played.errors] == ["g[0].b"]


def test_a_group_may_lose_items_in_a_run_that_fails_fast():
    played = Played(group(for_each=[1, 2], on_item_failure="skip"), fail_fast=True)
    played.answer("g[0].b", ToolError("no"))
    played.answer("g[1].b", "B")
    played.answer("g[1].c", "C")
    assert played.run.outputs["g"].value == [None, "C"]
    assert [error.id for error in played.errors] == ["g[0].b"]
    assert (played.run.stopped_by, played.run.status) == (None, "partial")


def test_a_task_in_a_group_may_lose_items_and_its_item_succeeds():
    some = {"id": "b", "for_each": [1, 2], "on_item_failure": "skip"}
    played = Played(group(some, for_each=[0]))
    played.answer("g[0].b[0]", ToolError("no"))
    played.answer("g[0].b[1]", "B")
    assert played.run.outputs["g"].value == [[None, "B"]]
    assert [error.id for error in played.errors] == ["g[0].b[0]"]
    assert played.run.status == "partial"


LEASE: list[dict[str, Any]] = [
    {"id": "take", "arguments": {"x": "$ITEM"}},
    {"id": "use", "depends_on": ["take"]},
    {"id": "give", "depends_on": ["use"], "trigger_rule": "always"},
]


def test_an_item_that_fails_fast_still_cleans_up_and_then_fails():
    other = {"id": "other"}
    steps = [*LEASE, other]
    played = Played(group(*steps, for_each=[1, 2], fail_fast=True, value="$OUTPUT[use]"))
    played.answer("g[0].take", "T")
    played.answer("g[0].use", ToolError("no"))
    items = played.run.states["g"].items
    assert items is not None
    assert (played.ready, items.statuses[0]) == (["g[0].give"], "running")
    played.answer("g[0].give", "G")
    assert items.statuses[0] == "failed"
    for name in ("take", "use", "give", "other"):
        played.answer(f"g[1].{name}", name)
    assert played.run.outputs == {}
    output = played.run.states["g"].output
    assert output is not None
    assert output.value == [None, "use"]
    assert [error.id for error in played.errors] == ["g[0].use"]
    assert played.run.status == "failed"


@table("why", ["cancelled", "timeout"])
def test_items_under_way_clean_up_when_the_run_is_stopped_and_no_others_begin(why: str):
    played = Played(group(*LEASE, for_each=[1, 2, 3, 4], max_concurrency=2), timeout_s=9)
    played.answer("g[0].take", "T")
    played.answer("g[0].use", "U")
    played.start()
    if why == "timeout":
        played.run.wake(Key("r", ""), 9.0)
    else:
        played.run.stop(why, 9.0)
    assert played.ready == ["g[1].give"]
    played.answer("g[0].give", "G")
    played.answer("g[1].give", "G")
    assert (played.run.status, played.statuses) == (why, {"g": "cancelled"})
    items = played.run.states["g"].items
    assert items is not None
    assert items.statuses == ["cancelled"] * 4
    assert played.run.tallies["g.give"].statuses[Status.SUCCESS] == 2
    assert played.run.usage.bytes == 0


def test_a_failed_item_of_a_run_that_fails_fast_lets_the_others_clean_up():
    played = Played(
        group(*LEASE, for_each=[1, 2, 3], max_concurrency=2), {"id": "z"}, fail_fast=True
    )
    played.answer("g[1].take", ToolError("no"))
    played.answer("g[1].give", "G")
    assert (played.run.stopped_by, played.ready) == ("fail_fast", ["g[0].give"])
    assert played.statuses == {"g": "running", "z": "cancelled"}
    played.answer("g[0].give", "G")
    assert played.statuses == {"g": "failed", "z": "cancelled"}
    items = played.run.states["g"].items
    assert items is not None
    assert items.statuses == ["cancelled", "failed", "cancelled"]
    assert (played.run.is_done, played.run.status) == (True, "failed")


def test_a_failed_item_of_a_run_that_fails_fast_leaves_nothing_of_the_others():
    steps: list[dict[str, Any]] = [
        {"id": "v", "value": "v" * 50},
        {"id": "b", "depends_on": ["v"]},
    ]
    played = Played(group(*steps, for_each=[1, 2]), fail_fast=True)
    assert played.run.usage.bytes > 0
    played.answer("g[1].b", ToolError("no"))
    assert (played.run.is_done, played.run.usage.bytes) == (True, 0)


def test_calls_that_became_ready_in_the_step_of_a_failure_were_never_in_line():
    steps = [{"id": "b"}, {"id": "v", "value": "$ITEM.n"}]
    played = Played(
        {"id": "a"}, group(*steps, for_each="$OUTPUT[a]", value="$OUTPUT[v]", fail_fast=True)
    )
    played.answer("a", [{}])
    assert (played.statuses["g"], played.ready, played.run.withdrawn) == ("failed", [], [])


def test_once_the_run_only_cleans_up_a_failed_item_ends_no_others():
    tidy = {"id": "tidy", "tasks": [{"id": "b", "for_each": [1, 2]}], "trigger_rule": "always"}
    played = Played({"id": "bad"}, {**tidy, "depends_on": ["bad"]}, fail_fast=True)
    played.answer("bad", ToolError("no"))
    played.answer("tidy.b[0]", ToolError("no"))
    played.answer("tidy.b[1]", "B")
    assert [error.id for error in played.errors] == ["bad", "tidy.b[0]"]


def test_a_group_without_items_cleans_up_and_is_cancelled():
    played = Played({"id": "g", "tasks": [{"id": "h", "tasks": LEASE_OF_ONE}]}, {"id": "z"})
    played.start()
    played.run.stop("cancelled", 1.0)
    assert played.ready == ["g.h.give"]
    played.answer("g.h.give", ToolError("no"))
    assert played.statuses == {"g": "cancelled", "z": "cancelled"}
    assert {error.id for error in played.errors} == {
        *("g", "g.h", "g.h.take", "g.h.use", "g.h.give", "z")
    }


LEASE_OF_ONE = [{**LEASE[0], "arguments": {}}, *LEASE[1:]]


def test_an_item_that_ends_with_a_failure_withdraws_its_calls_that_were_ready():
    some = {"id": "b", "for_each": [1, 2]}
    played = Played(group(some, for_each=[0], value="${OUTPUT[b] ?? 0}"), fail_fast=True)
    first = played.run.ready.pop(0)
    played.run.start(first, 0.0)
    waiting = played.run.ready.pop(0)
    played.run.fail(first.key, ToolError("no"), 1.0)
    assert played.run.withdrawn == [waiting]
    assert played.run.outputs["g"].value == [0]


def test_calls_of_a_group_that_were_ready_are_withdrawn_with_their_item():
    played = Played(group({"id": "b"}, {"id": "c"}, for_each=[1], fail_fast=True))
    first = played.run.ready.pop(0)
    played.run.start(first, 0.0)
    waiting = played.run.ready.pop(0)  # as the scheduler takes it, to wait for slots
    played.run.fail(first.key, ToolError("no"), 1.0)
    assert played.run.withdrawn == [waiting]
    assert played.run.is_done


def test_a_call_in_a_group_is_as_urgent_as_what_follows_from_it():
    played = Played(group(for_each=[1]), {"id": "z", "depends_on": ["g"]}, {"id": "y"})
    [in_group, alone] = played.run.ready
    assert played.run.urgency(in_group)[1] == -3.0
    assert played.run.urgency(alone)[1] == -1.0


def test_the_priorities_of_all_groups_around_a_call_are_its_own_too():
    inner = {"id": "h", "priority": 2, "tasks": [{"id": "b", "priority": -0.5}]}
    played = Played(group(inner, for_each=[1], priority=1), {"id": "y", "priority": 2})
    [nested, alone] = played.run.ready
    assert played.run.urgency(nested)[0] == -2.5
    assert played.run.urgency(alone)[0] == -2


def test_conditions_and_rules_hold_for_a_group():
    played = Played(
        {"id": "a"},
        group(when="a.ok"),
        group(id="h", depends_on=["a"], for_each=[1]),
        {"id": "i", "tasks": [{"id": "b"}], "depends_on": ["a"], "trigger_rule": "all_done"},
    )
    played.answer("a", {"ok": False})
    assert played.statuses == {"a": "success", "g": "skipped", "h": "ready", "i": "ready"}


def test_expressions_in_a_group_see_the_item_of_the_group():
    taken = {"id": "b", "select": "[@, $ITEM.n, $INDEX]", "arguments": {"x": "$ITEM.n"}}
    played = Played(group(taken, for_each=[{"n": 7}]))
    played.answer("g[0].b", "B")
    assert played.run.outputs["g"].value == [["B", 7, 0]]
