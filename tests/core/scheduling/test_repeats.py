"""`repeat`, step by step: which call follows an answer, and what comes out in the end."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.dag import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.events import Abort, Key, Sleep
from plait.core.scheduling.repeats import joined
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
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
    assert played.run.states["a"].attempts == 3


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
