"""A task whose dependencies have settled: whether it runs, its calls, the output that is kept."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from plait.core.expressions.evaluation import expression
from plait.core.language.reader import read_dag
from plait.core.language.scope import Scope
from plait.core.language.templates import MAX_ARGUMENT_BYTES
from plait.core.planning.check import check
from plait.core.planning.plan import PlannedTask
from plait.core.scheduling.calls import (
    MAX_COMPLAINTS,
    MAX_COPIED_BYTES,
    MAX_SENT_BYTES,
    blamed,
    calls_of,
    reason_to_skip,
    selected,
)
from plait.core.scheduling.events import Failure, Key, Status
from plait.core.scheduling.state import TaskState
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.errors import CallError, ExpressionFailed, InvalidArguments, OutputTooLarge
from tests.fakes import tool

from ..tables import table

NUMBERS = {f"n{number}": {"type": "integer"} for number in range(MAX_COMPLAINTS + 2)}
CATALOG = Catalog(
    [tool("s:do", readOnlyHint=True), tool("s:typed", NUMBERS)],
    [ServerInfo("s", ServerState.READY)],
)
KEY = Key("r", "b")


def planned(**task: Any) -> PlannedTask:
    tasks = [{"id": "a", "tool": "s:do"}, {"id": "b", "tool": "s:do", **task}]
    return check(read_dag({"tasks": tasks}), CATALOG, Policy()).tasks["b"]


def states(status: Status, **failure: Any) -> dict[str, TaskState]:
    state = TaskState(Key("r", "a"), "s:do", 0)
    state.status = status
    state.error = Failure("tool_error", "no", **failure)
    return {"a": state}


def test_the_arguments_of_a_call_hold_the_values_of_its_references():
    [call], items = calls_of(
        KEY, planned(arguments={"x": ["$OUTPUT[a].n"]}), Scope({"a": Output({"n": 7})})
    )
    assert (call.key, call.arguments, items) == (KEY, {"x": [7]}, None)


def test_a_for_each_task_has_one_call_for_each_item():
    each = planned(for_each="$OUTPUT[a]", arguments={"x": "$ITEM.n", "at": "$INDEX"})
    calls, items = calls_of(KEY, each, Scope({"a": Output([{"n": 1}, {"n": 2}])}))
    assert [call.key.item for call in calls] == [0, 1]
    assert [call.arguments for call in calls] == [{"x": 1, "at": 0}, {"x": 2, "at": 1}]
    assert items is not None
    assert items.left == 2


def test_an_item_without_what_it_refers_to_fails_alone():
    each = planned(for_each="$OUTPUT[a]", arguments={"x": "$ITEM.n"})
    calls, items = calls_of(KEY, each, Scope({"a": Output([{"n": 1}, {}])}))
    assert [call.key.item for call in calls] == [0]
    assert items is not None
    assert items.left == 1
    [(index, failure)] = items.errors
    assert (index, failure.code) == (1, "reference_error")


@table(
    ("output", "max_items", "message"),
    [
        ("text", 5, "for_each needs a list or an object; $OUTPUT[a] is text"),
        (None, 5, "for_each needs a list or an object; $OUTPUT[a] is null"),
        ([1, 2, 3], 2, "for_each has 3 items; at most 2 are run"),
    ],
)
def test_a_list_that_cannot_be_run_fails_the_task(output: Any, max_items: int, message: str):
    with pytest.raises(CallError) as error:
        calls_of(KEY, planned(for_each="$OUTPUT[a]"), Scope({"a": Output(output)}), max_items)
    assert error.value.message == message


@table("nothing", [None, ""])
def test_nothing_for_an_optional_argument_is_left_out_once_it_is_known(nothing: Any):
    typed = planned(
        tool="s:typed", arguments={"n0": "$OUTPUT[a].n", "n1": "${OUTPUT[a].x ?? null}"}
    )
    [call], _ = calls_of(KEY, typed, Scope({"a": Output({"n": nothing})}))
    assert (call.arguments, call.left_out) == ({}, (("n0",), ("n1",)))


def test_arguments_are_checked_with_their_values_and_not_all_problems_are_named():
    wrong = dict.fromkeys(NUMBERS, "$OUTPUT[a]")
    task = planned(tool="s:typed", arguments=wrong)
    with pytest.raises(InvalidArguments) as error:
        calls_of(KEY, task, Scope({"a": Output("text")}))
    assert error.value.message.count("must be an integer") == MAX_COMPLAINTS
    assert error.value.message.endswith("; and 2 more")
    assert error.value.hint is not None
    assert error.value.hint.startswith("Signature: ")


@table(
    ("task", "a_succeeded", "code"),
    [
        ({"arguments": {"x": "$OUTPUT[a]"}}, True, None),
        ({"arguments": {"x": "$OUTPUT[a]"}}, False, "dependency_failed"),
        ({"arguments": {"x": "${OUTPUT[a] ?? 1}"}}, False, None),
        ({"depends_on": ["a"]}, False, "dependency_failed"),
        ({"depends_on": ["a"], "trigger_rule": "all_done"}, False, None),
        ({"depends_on": ["a"], "trigger_rule": "one_failed"}, False, None),
        ({"depends_on": ["a"], "trigger_rule": "one_failed"}, True, "condition"),
        ({"depends_on": ["a"], "when": "a.n > `5`"}, True, None),
        ({"depends_on": ["a"], "when": "a.n > `9`"}, True, "condition"),
        ({"depends_on": ["a"], "when": "!a", "trigger_rule": "all_done"}, False, None),
    ],
)
def test_a_task_is_skipped_by_its_rule_or_its_condition(
    task: dict[str, Any], a_succeeded: bool, code: str | None
):
    outputs = {"a": Output({"n": 7})} if a_succeeded else {}
    a_ended = states(Status.SUCCESS if a_succeeded else Status.FAILED)
    found = reason_to_skip(planned(**task), Scope(outputs), a_ended)
    assert (None if found is None else found.code) == code


WRAPPED = Output({"result": []}, is_wrapped=True)
FULL = Output({"result": [{"n": 1}]}, is_wrapped=True)


@table(
    ("when", "output", "runs"),
    [
        ("!a.blocked", Output({"blocked": False}), True),
        ("!a.blocked", Output({"blocked": True}), False),
        ("!a.l[0].b", Output({"l": [{"b": False}]}), True),
        ("a.ok && !a.err", Output({"ok": True, "err": None}), True),
        ("!contains(a.l, 'y')", Output({"l": ["x"]}), True),
        ("a.ok == true", Output({"ok": True}), True),
        ("length(a) > `0`", WRAPPED, False),
        ("length(a) > `0`", FULL, True),
        ("a", WRAPPED, False),
        ("a", Output({"result": False}, is_wrapped=True), False),
        ("a[0].n", FULL, True),
        ("a.result[0].n", FULL, True),
        ("a.n > `5`", Output({"n": "7"}), False),
        ("a > `5`", Output("7"), False),
        ("a.n > `5` || a.n > '5'", Output({"n": "7"}), True),
        ("a.x == '$OUTPUT[a].x'", Output({"x": "7"}), True),
        ("length(a.none) > `0`", Output({}), False),
    ],
)
def test_a_condition_is_true_when_people_mean_it_to_be(when: str, output: Output, runs: bool):
    task = planned(depends_on=["a"], when=when)
    assert (reason_to_skip(task, Scope({"a": output}), states(Status.SUCCESS)) is None) is runs


@table(
    ("select", "output", "expected"),
    [
        ("value[?id < `5`]", Output({"value": [{"id": 1}, {"id": "b"}]}), [{"id": 1}]),
        ("value[?id < '2']", Output({"value": [{"id": 1}]}), []),
        ("[?!meta.archived].n", Output([{"n": 1, "meta": {"archived": False}}]), [1]),
        ("[].n", FULL, [1]),
        ("result[].n", FULL, [1]),
        ("{at: $INDEX, item: $ITEM, n: length(@)}", FULL, {"at": 3, "item": "x", "n": 1}),
        ("[?n == $OUTPUT[z].n].n", FULL, [1]),
    ],
)
def test_a_select_gives_what_people_mean(select: str, output: Output, expected: Any):
    scope = Scope({"z": Output({"n": 1})}, "x", 3)
    assert selected(expression(select), output, scope).value == expected


def test_a_select_that_multiplies_fails_its_task():
    with pytest.raises(ExpressionFailed, match="select: its result grows above the limit"):
        selected(expression("|".join(["[@,@]"] * 26)), Output("x"), Scope({}))


def test_a_condition_that_cannot_be_computed_fails():
    task = planned(depends_on=["a"], when="length(a.n) > `0`")
    with pytest.raises(ExpressionFailed, match=r"^when: "):
        reason_to_skip(task, Scope({"a": Output({"n": 7})}), states(Status.SUCCESS))


def test_the_task_at_the_root_is_blamed():
    assert blamed("a", states(Status.TIMEOUT)).message == "skipped: a timed out"
    root = {**states(Status.SKIPPED, caused_by="z"), "z": states(Status.FAILED)["a"]}
    assert blamed("a", root).message == "skipped: z failed"
    assert blamed("a", root).caused_by == "z"


def test_the_selected_part_of_an_output_is_kept_and_measured():
    output = Output({"items": [{"n": 1, "more": "x" * 100}]}, ({"type": "image"},), 130)
    assert selected(expression("items[].n"), output, Scope({})) == Output.of([1])


LARGE = "x" * 9_000
ROWS: list[Any] = [{"text": LARGE, "n": n} for n in range(3)]


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of each limit on bytes, as writing them all takes time."""
    assert (MAX_ARGUMENT_BYTES, MAX_COPIED_BYTES, MAX_SENT_BYTES) == (2**23, 2**24, 2**28)
    monkeypatch.setattr("plait.core.language.templates.MAX_ARGUMENT_BYTES", 80_000)
    monkeypatch.setattr("plait.core.scheduling.calls.MAX_ARGUMENT_BYTES", 80_000)
    monkeypatch.setattr("plait.core.scheduling.calls.MAX_COPIED_BYTES", 160_000)
    monkeypatch.setattr("plait.core.scheduling.calls.MAX_SENT_BYTES", 2_500_000)


small = pytest.mark.usefixtures("small_limits")


@pytest.mark.parametrize(
    "arguments",
    [
        {"x": ["$OUTPUT[a]"] * 60},
        {"x": ["$OUTPUT[a].text"] * 60},
        {"x": ["$OUTPUT[a].rows[*].text"] * 60},
        {"x": ["seen: $OUTPUT[a]"] * 60},
        {"x": ["${OUTPUT[a].text ?? 1}"] * 60},
        {f"x{n}": "$OUTPUT[a].text" for n in range(60)},
    ],
)
@small
def test_one_large_output_named_many_times_is_refused_before_it_is_written_out(arguments: Any):
    """60 times 9 kB: it would be 540 kB."""
    output = Output.of({"text": LARGE, "rows": ROWS})
    large = planned(arguments=arguments)
    tracemalloc.start()
    try:
        with pytest.raises(
            OutputTooLarge, match=r"the arguments hold more than (8\d|9\d|1\d\d),\d+ bytes"
        ):
            calls_of(KEY, large, Scope({"a": output}))
        assert tracemalloc.get_traced_memory()[1] < 2**18
    finally:
        tracemalloc.stop()


@small
def test_many_small_parts_of_one_large_output_are_sent():
    output = Output.of({"text": LARGE, "rows": ROWS})
    many = planned(arguments={"x": ["$OUTPUT[a].rows[1].n"] * 100, "all": "$OUTPUT[a]"})
    [call], _ = calls_of(KEY, many, Scope({"a": output}))
    assert call.arguments == {"x": [1] * 100, "all": output.value}


@pytest.mark.parametrize("whole", ["$ITEM", "$ITEM.text", "$OUTPUT[a].text"])
@small
def test_items_are_added_up_too(whole: str):
    each = planned(for_each="$OUTPUT[a].rows", arguments={"x": [whole] * 40, "n": "$ITEM.n"})
    calls, items = calls_of(KEY, each, Scope({"a": Output.of({"text": LARGE, "rows": ROWS})}))
    assert not calls
    assert items is not None
    assert {error.code for _, error in items.errors} == {"output_too_large"}


@small
def test_items_share_one_large_output_as_often_as_there_are_items():
    each = planned(for_each=[*range(200)], arguments={"x": "$OUTPUT[a]", "n": "$ITEM"})
    calls, _ = calls_of(KEY, each, Scope({"a": Output.of(LARGE)}))
    assert len(calls) == 200
    assert all(call.arguments["x"] is LARGE for call in calls)


@pytest.mark.parametrize("copy", ["$OUTPUT[a] of $ITEM", "$OUTPUT[a][*].text"])
@small
def test_items_with_large_texts_of_their_own_are_bounded_in_all(copy: str):
    value: Any = LARGE if "of" in copy else ROWS
    each = planned(for_each=[*range(200)], arguments={"x": copy})
    calls, items = calls_of(KEY, each, Scope({"a": Output.of(value)}))
    assert items is not None
    assert 0 < len(calls) <= 160_000 // 9_000 + 1
    assert len(calls) + len(items.errors) == 200
    [(_, error)] = items.errors[-1:]
    assert (error.code, error.message) == (
        "output_too_large",
        "the texts of all items hold more than 160,000 bytes",
    )


@small
def test_what_all_items_send_is_bounded_though_they_share_it():
    each = planned(for_each=[*range(500)], arguments={"x": "$OUTPUT[a]", "n": "$ITEM"})
    calls, items = calls_of(KEY, each, Scope({"a": Output.of(LARGE)}))
    assert items is not None
    assert len(calls) == 2_500_000 // (len(LARGE) + 20) + 1
    assert items.errors[-1][1].message == (
        "the arguments of all items hold more than 2,500,000 bytes"
    )
