"""`repeat`, step by step: which call follows an answer, and what comes out in the end."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.conflicts import find_conflicts, planned_accesses
from plait.core.scheduling.events import (
    Abort,
    Call,
    CancelRequested,
    Failed,
    Key,
    Sleep,
    Succeeded,
    Woke,
)
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.notices import Changed
from plait.core.scheduling.repeats import joined
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler, Step
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.core.values.principal import Principal
from plait.errors import CallTimeout, InvalidDag, ServerUnavailable, ToolError

from ..tables import table
from .played import CATALOG, Played

PAGES = {"set": {"page": "next"}}
POLL = {"until": "state == 'done'"}
KEY = Key("r", "a")


def paged(**fields: Any) -> dict[str, Any]:
    return {"id": "a", "arguments": {"q": "x"}, "repeat": PAGES, **fields}


def arguments(played: Played) -> dict[str, Any]:
    """The arguments of the one call that could start."""
    [call] = played.run.ready
    return call.arguments


def test_pages_follow_each_other_until_there_is_no_next_and_make_one_list():
    played = Played(paged(select="items"), {"id": "b", "arguments": {"x": "$OUTPUT[a]"}})
    assert arguments(played) == {"q": "x"}
    played.answer("a", {"items": [1, 2], "next": 2})
    assert played.statuses == {"a": "ready", "b": "pending"}
    assert arguments(played) == {"q": "x", "page": 2}
    played.answer("a", {"items": [3], "next": 3})
    played.answer("a", {"items": [], "next": None})
    assert arguments(played) == {"x": [1, 2, 3]}
    state = played.run.states["a"]
    assert (state.attempts, state.rounds) == (3, 2)


@table("last", [None, False, "", 2])
def test_a_page_that_names_no_other_is_the_last(last: Any):
    played = Played(paged(arguments={"page": 2}))
    played.answer("a", {"next": last})
    assert played.statuses == {"a": "success"}


@table("more", [0, 1, True, "x", ["y"]])
def test_any_other_value_names_the_next_page(more: Any):
    played = Played(paged(arguments={"page": 2}))
    played.answer("a", {"next": more})
    assert arguments(played) == {"page": more}


def test_a_condition_ends_pages_before_their_last():
    tests = {"while": "length(items) == `2`", "until": "stop"}
    played = Played(paged(repeat={**PAGES, **tests}, select="items[]"))
    played.answer("a", {"items": [1, 2], "next": 2})
    played.answer("a", {"items": [3], "next": 3})
    assert played.run.outputs["a"].value == [1, 2, 3]
    stopped = Played(paged(repeat={**PAGES, **tests}))
    stopped.answer("a", {"items": [1, 2], "next": 2, "stop": True})
    assert stopped.statuses == {"a": "success"}


def test_expressions_see_the_arguments_of_the_call_and_what_the_task_may_refer_to():
    repeat = {"set": {"page": "[$ARGUMENTS.page, $OUTPUT[o].step]"}}
    played = Played({"id": "o"}, paged(arguments={"page": 1}, repeat=repeat))
    played.answer("o", {"step": 7})
    played.answer("a", {})
    assert arguments(played) == {"page": [1, 7]}


@table(
    ("pages", "expected"),
    [
        ([[1], [2, 3]], [1, 2, 3]),
        ([[1], None, []], [1]),
        ([None], [None]),
        ([{"n": 1}, {"n": 2}], [{"n": 1}, {"n": 2}]),
        ([[1], {"n": 2}], [[1], {"n": 2}]),
        (["a"], ["a"]),
        ([], []),
    ],
)
def test_the_output_is_one_list(pages: list[Any], expected: list[Any]):
    assert joined([Output.of(page) for page in pages]).value == expected


def test_lists_in_the_wrapper_of_a_server_are_joined_and_images_follow_each_other():
    first = Output({"result": [1]}, ({"type": "image", "data": "a"},), 14, is_wrapped=True)
    second = Output({"result": [2]}, ({"type": "image", "data": "b"},), 14, is_wrapped=True)
    output = joined([first, second])
    assert output.value == [1, 2]
    assert [block["data"] for block in output.attachments] == ["a", "b"]
    assert output.size_bytes == 28


def test_the_same_call_is_made_again_after_a_pause_until_something_is_so():
    played = Played({"id": "a", "repeat": POLL, "select": "state"})
    played.answer("a", {"state": "open"})
    assert played.statuses == {"a": "backing_off"}
    assert played.run.commands == [Sleep(KEY, 2.0)]
    assert not played.run.holds(KEY)
    played.run.wake(KEY, played.now + 2)
    played.answer("a", {"state": "done"})
    assert played.run.outputs["a"].value == "done"


def test_polling_goes_on_as_long_as_its_while_is_true():
    played = Played({"id": "a", "repeat": {"while": "left", "every_s": 5}})
    played.answer("a", {"left": 1})
    assert played.run.commands == [Sleep(KEY, 5.0)]
    played.run.wake(KEY, played.now)
    played.answer("a", {"left": 0})
    assert played.statuses == {"a": "success"}


def test_pages_can_be_some_time_apart():
    played = Played(paged(repeat={**PAGES, "every_s": 0.5}))
    played.answer("a", {"next": 2})
    assert played.run.commands == [Sleep(KEY, 0.5)]


def test_a_max_that_is_written_is_enough_and_noted_if_there_is_more():
    played = Played(paged(repeat={**PAGES, "max": 2}, select="next"))
    played.answer("a", {"next": 2})
    played.answer("a", {"next": 3})
    assert played.statuses == {"a": "success"}
    assert played.run.notes == ["a stopped after 2 calls, its max; there is more"]
    exact = Played(paged(repeat={**PAGES, "max": 2}))
    exact.answer("a", {"next": 2})
    exact.answer("a", {"next": None})
    assert exact.run.notes == []


def test_more_pages_than_by_default_fail_the_task_which_keeps_what_it_has():
    played = Played(paged(select="[next]"), {"id": "b", "arguments": {"x": "$OUTPUT[a]"}})
    for page in range(1, 101):
        played.answer("a", {"next": page})
    assert played.statuses == {"a": "failed", "b": "skipped"}
    assert played.codes["a"] == "limit_exceeded"
    assert played.run.states["a"].output.value == [*range(1, 101)]  # type: ignore[union-attr]  # it has one


def test_polling_that_does_not_end_times_out():
    played = Played({"id": "a", "repeat": {**POLL, "max": 2}})
    played.answer("a", {})
    played.run.wake(KEY, played.now)
    played.answer("a", {})
    assert (played.statuses, played.codes) == ({"a": "timeout"}, {"a": "timeout"})
    assert played.run.notes == []


def test_a_page_that_fails_fails_the_task_and_those_before_it_are_kept():
    played = Played(paged(select="items"))
    played.answer("a", {"items": [1], "next": 2})
    played.answer("a", ToolError("no"))
    assert played.codes == {"a": "tool_error"}
    assert played.run.states["a"].output.value == [1]  # type: ignore[union-attr]  # it has one


def test_each_page_has_retries_of_its_own():
    played = Played(paged(retries=1))
    for page in (2, 3):
        played.answer("a", ServerUnavailable("later"))
        assert played.run.holds(KEY)
        played.run.wake(KEY, played.now)
        played.answer("a", {"next": page})
    assert arguments(played) == {"q": "x", "page": 3}
    assert played.run.states["a"].attempts == 4


def test_arguments_that_the_tool_does_not_take_are_not_sent():
    played = Played(
        {
            "id": "a",
            "tool": "s:typed",
            "arguments": {"name": "x"},
            "repeat": {"set": {"name": "n"}},
            "allow_repeat": True,
        }
    )
    played.answer("a", {"n": 7})
    assert played.codes == {"a": "invalid_arguments"}
    assert played.run.ready == []


def test_an_expression_that_cannot_be_applied_fails_the_task_and_names_its_place():
    played = Played(paged(repeat={"set": {"page": "sum(items)"}}))
    played.answer("a", {"items": ["x"]})
    [error] = played.errors
    assert error.code == "invalid_expression"
    assert error.message.startswith("repeat.set.page: ")


def test_each_item_has_pages_of_its_own():
    task = paged(for_each=["x", "y"], arguments={"q": "$ITEM"}, select="items")
    played = Played(task)
    played.answer("a[0]", {"items": [1], "next": 2})
    played.answer("a[1]", {"items": [9], "next": None})
    assert played.run.open[Key("r", "a", 0)].arguments == {"q": "x", "page": 2}
    played.answer("a[0]", {"items": [2], "next": None})
    assert played.run.outputs["a"].value == [[1, 2], [9]]


def test_the_pages_of_an_item_that_fails_leave_nothing_behind():
    each = paged(for_each=["x", "y"], arguments={"q": "$ITEM"}, select="items")
    played = Played(each)
    played.answer("a[0]", {"items": ["x" * 500], "next": 2})
    played.answer("a[0]", ToolError("no"))
    played.answer("a[1]", {"items": [1], "next": None})
    items = played.run.states["a"].items
    assert items is not None
    assert [one and one.value for one in items.outputs] == [None, [1]]
    assert played.run.usage.bytes == sum(one.memory_bytes for one in items.outputs if one)
    within = Played({"id": "g", "tasks": [each]})
    within.answer("g.a[0]", {"items": ["x" * 500], "next": 2})
    within.answer("g.a[0]", ToolError("no"))
    within.answer("g.a[1]", {"items": [1], "next": None})
    assert within.statuses == {"g": "failed"}
    assert within.run.usage.bytes == 0


def test_only_the_waits_of_a_page_itself_are_added_up():
    scheduler = Scheduler(Limits(1))
    [other] = submitted(scheduler, "w", {}, 0).commands
    submitted(scheduler, "r", {"repeat": PAGES}, 0)
    [first] = scheduler.handle(Succeeded(other.key, Output(1)), 3).commands
    run = scheduler.runs["r"]
    scheduler.handle(Succeeded(first.key, Output({"next": 2})), 4)
    assert [*run.waited.values()] == [3]
    assert [wait.seconds for wait in run.states["a"].waits] == [3]


def test_pages_count_as_calls_and_as_memory():
    few = Played(paged(), max_calls=2)
    few.answer("a", {"next": 2})
    few.answer("a", {"next": 3})
    assert few.codes == {"a": "limit_exceeded"}
    small = Played(paged(select="text"), max_bytes=300)
    small.answer("a", {"text": "x" * 200, "next": 2})
    small.answer("a", {"text": "x" * 200, "next": 3})
    assert small.codes == {"a": "output_too_large"}


def test_polling_counts_only_the_output_that_is_kept():
    played = Played({"id": "a", "repeat": POLL}, max_bytes=700)
    for _ in range(20):
        played.answer("a", {"log": "x" * 200})
        played.run.wake(KEY, played.now)
    played.answer("a", {"log": "x" * 200, "state": "done"})
    assert played.statuses == {"a": "success"}


def test_a_run_that_stops_ends_the_pause_and_the_page_under_way():
    played = Played({"id": "a", "repeat": POLL}, paged(id="b"))
    played.answer("a", {})
    played.answer("b", {"next": 2})
    played.start()
    played.run.stop("cancelled", played.now)
    assert played.statuses == {"a": "cancelled", "b": "cancelled"}
    assert [one for one in played.run.commands if isinstance(one, Abort)] == [
        Abort(KEY),
        Abort(Key("r", "b")),
    ]


def test_what_waits_for_a_page_is_decided_by_the_whole():
    played = Played(paged(), {"id": "b", "trigger_rule": "one_failed", "depends_on": ["a"]})
    played.answer("a", {"next": 2})
    assert played.statuses["b"] == "pending"
    played.answer("a", CallTimeout("late"))
    assert played.statuses == {"a": "timeout", "b": "ready"}


def test_polling_is_never_answered_from_the_cache_and_pages_may_be():
    tasks = [{"id": "a", "tool": "s:do", "cache": 60, "repeat": POLL}, paged(id="b", cache=60)]
    tasks[1]["tool"] = "s:do"
    plan = check(read_dag({"tasks": tasks}), CATALOG, Policy())
    assert {id: task.cache_s for id, task in plan.tasks.items()} == {"a": 0.0, "b": 60.0}


def test_a_tool_that_may_not_be_called_twice_is_not_repeated():
    task = {"id": "a", "tool": "s:typed", "arguments": {"name": "x"}, "repeat": POLL}
    with pytest.raises(InvalidDag) as caught:
        check(read_dag({"tasks": [task]}), CATALOG, Policy())
    assert [(one.path, one.code) for one in caught.value.problems] == [
        ("tasks[0].repeat", "not_repeatable")
    ]
    check(read_dag({"tasks": [{**task, "allow_repeat": True}]}), CATALOG, Policy())


def submitted(scheduler: Scheduler, id: str, task: dict[str, Any], now: float) -> Step:
    plan = check(read_dag({"tasks": [{"id": "a", "tool": "s:do", **task}]}), CATALOG, Policy())
    conflicts = find_conflicts(plan, planned_accesses(plan), {})
    return scheduler.submit(Run(id, plan, principal=Principal(id), conflicts=conflicts), now)


@table("every_s", [None, 5])
def test_another_run_may_use_the_resource_between_two_pages(every_s: float | None):
    scheduler = Scheduler(Limits(8))
    repeat = {**PAGES} if every_s is None else {**PAGES, "every_s": every_s}
    reads = {"reads": ["db:x"], "repeat": repeat}
    [first] = submitted(scheduler, "r", reads, 0).commands
    assert submitted(scheduler, "w", {"writes": ["db:x"]}, 0).commands == []
    step = scheduler.handle(Succeeded(first.key, Output({"next": 2})), 1)
    assert Key("w", "a") in [one.key for one in step.commands if isinstance(one, Call)]
    if every_s is not None:
        step = scheduler.handle(Woke(first.key), 6)
    assert first.key not in [one.key for one in step.commands if isinstance(one, Call)]
    step = scheduler.handle(Succeeded(Key("w", "a"), Output(1)), 7)
    [page] = step.commands
    assert isinstance(page, Call)
    assert (page.key, page.arguments, page.attempt) == (first.key, {"page": 2}, 1)
    waits = [one for one in step.notices if isinstance(one, Changed) and one.key == page.key]
    assert [(wait.why, wait.seconds) for one in waits for wait in one.waits] == [
        ("conflict", 6 if every_s is None else 1)
    ]


def test_a_retry_of_a_page_keeps_its_resource():
    scheduler = Scheduler(Limits(8))
    reads = {"reads": ["db:x"], "repeat": PAGES, "retries": 1}
    [first] = submitted(scheduler, "r", reads, 0).commands
    submitted(scheduler, "w", {"writes": ["db:x"]}, 0)
    step = scheduler.handle(Failed(first.key, ServerUnavailable("later")), 1)
    assert not any(isinstance(one, Call) for one in step.commands)


def test_a_stopped_run_frees_what_a_call_held_that_paused_before_another_attempt():
    scheduler = Scheduler(Limits(8))
    tasks = [
        {"id": "a", "tool": "s:do", "writes": ["db:x"], "retries": 1},
        {"id": "b", "tool": "s:do", "reads": ["db:x"], "trigger_rule": "always"},
    ]
    plan = check(read_dag({"tasks": tasks}), CATALOG, Policy())
    conflicts = find_conflicts(plan, planned_accesses(plan), {})
    [call, *_] = scheduler.submit(Run("r", plan, conflicts=conflicts), 0).commands
    scheduler.handle(Failed(call.key, ServerUnavailable("later")), 1)
    commands = scheduler.handle(CancelRequested("r"), 2).commands
    assert [one.key.task for one in commands if isinstance(one, Call)] == ["b"]


def test_pages_take_turns_with_the_calls_of_others():
    scheduler = Scheduler(Limits(1))
    [first] = submitted(scheduler, "r", {"repeat": PAGES}, 0).commands
    assert submitted(scheduler, "w", {}, 0).commands == []
    step = scheduler.handle(Succeeded(first.key, Output({"next": 2})), 1)
    assert [one.key.run for one in step.commands] == ["w"]


OPTIONAL = "If it may be missing, write not_null"


@table(
    ("repeat", "note"),
    [
        ({"set": {"page": "nxt"}},
         f"set.page: the answer has no nxt; it has next. Did you mean next? {OPTIONAL}(nxt, null)"),
        ({"while": "more", "set": {"page": "2"}},
         f"while: the answer has no more; it has next. {OPTIONAL}(more, null)"),
        ({"until": "!pending"},
         f"until: the answer has no pending; it has next. {OPTIONAL}(pending, null)"),
    ],
)  # fmt: skip
def test_a_name_that_the_first_answer_lacks_is_noted(repeat: dict[str, Any], note: str) -> None:
    played = Played(paged(repeat=repeat))
    played.answer("a", {"next": "x"})
    assert played.statuses == {"a": "success"}
    assert played.run.notes == [f"tasks.a.repeat.{note}"]


def test_a_name_that_later_pages_lack_ends_them_without_a_note() -> None:
    played = Played(paged())
    played.answer("a", {"next": 2})
    played.answer("a", {})
    assert played.statuses == {"a": "success"}
    assert played.run.notes == []


def test_a_page_without_a_next_is_noted_and_feeds_a_change() -> None:
    change = {"id": "w", "tool": "s:typed", "arguments": {"name": "${OUTPUT[a] | to_string(@)}"}}
    played = Played(paged(), change)
    played.answer("a", {"items": []})
    assert played.ready == ["w"]
    assert played.run.notes != []


@table(("field", "text"), [("until", "a.state == 'done'"), ("set", {"page": "a.state"})])
def test_the_id_of_the_task_itself_is_refused_by_its_first_answer(field: str, text: Any) -> None:
    played = Played(paged(repeat={field: text}))
    played.answer("a", {"state": "open"})
    [error] = played.errors
    where = "repeat.until" if field == "until" else "repeat.set.page"
    assert (error.code, error.message, error.hint) == (
        "invalid_expression",
        f"{where}: the answer has no a.state; it has state",
        f"It is read from the answer itself: write state. {OPTIONAL}(a.state, null).",
    )
    nested = Played(paged(repeat={field: text}))
    nested.answer("a", {"a": {"state": "done"}, "state": "open"})
    assert nested.statuses["a"] != "failed"
    later = Played(paged(repeat={field: text}))
    later.answer("a", {"queued": True})
    assert later.statuses["a"] != "failed"


def test_what_no_answer_has_is_named_when_the_calls_are_used_up() -> None:
    played = Played(paged(repeat={"until": "stat == 'done'", "max": 1}))
    played.answer("a", {"state": "open"})
    [error] = played.errors
    assert error.message == (
        "what repeat waits for had not come after one call: the answer has no stat; it has state"
    )
    assert error.hint == f"Did you mean state? {OPTIONAL}(stat, null)."
    assert played.run.notes == []
