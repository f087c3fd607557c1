"""Going on from an earlier run: what succeeded is taken over, what is new or mended runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.results.record import RunRecord, record_of
from plait.core.results.resume import Resumed, Tools, resume
from plait.core.scheduling.events import Call, Event, Failed, Key, Succeeded
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.core.values.strict import JsonObject, dumps, loads
from plait.errors import InvalidDag, ToolError
from tests.fakes import tool

from ..patching import patched
from ..runs import outputs_of, result_at
from ..tables import table

CATALOG = Catalog([tool("s:t")], [ServerInfo("s", ServerState.READY)])

CHAIN = {"a": [], "b": ["a"], "c": ["b"], "d": ["a"], "e": []}


def tasks_of(needs: dict[str, list[str]]) -> list[dict[str, Any]]:
    return [
        {"id": id, "tool": "s:t", "arguments": {"x": [f"$OUTPUT[{need}]" for need in before]}}
        for id, before in needs.items()
    ]


def run_of(needs: dict[str, list[str]], failing: set[str], max_calls: int = 99) -> Run:
    """A run of that graph in which the calls of *failing* fail; it is left after *max_calls*
    answers."""
    run = Run("r1", check(read_dag({"tasks": tasks_of(needs)}), CATALOG, Policy()))
    scheduler = Scheduler(Limits())
    commands = list(scheduler.submit(run, 0.0).commands)
    for now in range(max_calls):
        calls = [command for command in commands if isinstance(command, Call)]
        if not calls:
            break
        commands.remove(calls[0])
        commands += scheduler.handle(answer(calls[0].key, failing), now + 1.0).commands
    return run


def answer(key: Key, failing: set[str]) -> Event:
    return (
        Failed(key, ToolError("no"))
        if key.task in failing
        else Succeeded(key, Output(key.task.upper()))
    )


def from_record(
    document: dict[str, Any], earlier: Run, repeatable: Collection[str] = ()
) -> Resumed:
    """Go on from what is written down of *earlier*, and from nothing else of it."""
    text = dumps(record_of(earlier, 99.0).document())
    reading = read_dag({"resume_from": earlier.id, **document})
    tools = Tools(may_repeat=lambda name: name in repeatable)
    return resume(reading, RunRecord.from_document(loads(text)), outputs_of(earlier).get, tools)


def resumed(document: dict[str, Any], earlier: Run) -> tuple[list[str], dict[str, Any]]:
    """The ids of the completed DAG, and the outputs that are taken over."""
    reading, taken_over, outputs, _ = from_record(document, earlier)
    assert taken_over.keys() == outputs.keys()
    return [task.id for task in reading.dag.tasks], {
        id: output.value for id, output in outputs.items()
    }


def test_what_succeeded_is_taken_over_and_what_is_mended_runs() -> None:
    ids, outputs = resumed({"tasks": tasks_of({"b": ["a"]})}, run_of(CHAIN, {"b"}))
    assert ids == ["a", "b", "c", "d", "e"]
    assert outputs == {"a": "A", "d": "D", "e": "E"}


@table(
    ("sent", "returned"),
    [
        (["c"], ["d"]),  # d was never run
        (["a"], ["a"]),  # b keeps its output: it may not be repeated
        (["c", "e"], ["d", "e"]),
        (["a", "b", "c", "d", "e"], ["d", "e"]),
        (["f"], ["f"]),
        ([], ["b", "e"]),
    ],
)
def test_the_leaves_of_what_was_sent_and_of_what_runs_are_returned(
    sent: list[str], returned: list[str]
) -> None:
    needs: dict[str, list[str]] = {
        "a": [], "b": ["a"], "c": ["b"], "d": ["c"], "e": [], "f": ["b"]
    }  # fmt: skip
    earlier = run_of({id: needs[id] for id in "abcde"}, {"c"})
    tasks = tasks_of({id: needs[id] for id in sent})
    changed = [{**task, "select": "@"} if task["id"] == "a" == sent[-1] else task for task in tasks]
    reading, taken_over, *_ = from_record({"tasks": changed}, earlier)
    plan = check(reading, CATALOG, Policy(), reused=taken_over)
    assert plan.returned == tuple(returned)
    everything = check(
        replace(reading, dag=reading.dag.model_copy(update={"return_": ("*",)})),
        CATALOG, Policy(), reused=taken_over,
    )  # fmt: skip
    assert len(everything.returned) == len(reading.dag.tasks)


def test_a_task_that_failed_runs_again_only_if_it_is_sent_again() -> None:
    ids, _ = resumed({}, run_of(CHAIN, {"b"}))
    assert ids == ["a", "d", "e"]


def test_a_task_that_never_ran_runs_if_what_it_needs_can() -> None:
    ids, outputs = resumed({"tasks": tasks_of({"a": []})}, run_of({"a": [], "b": ["a"]}, {"a"}))
    assert ids == ["a", "b"]
    assert outputs == {}


def test_a_successful_task_that_is_sent_again_as_it_was_is_not_run_again() -> None:
    ids, outputs = resumed({"tasks": tasks_of(CHAIN)}, run_of(CHAIN, {"b"}))
    assert ids == ["a", "b", "c", "d", "e"]
    assert outputs == {"a": "A", "d": "D", "e": "E"}


SENT: dict[str, Any] = {
    "id": "t",
    "tool": "s:t",
    "arguments": {"x": 1, "y": ["$OUTPUT[a]", {"k": "v", "l": None}]},
    "depends_on": ["a", "e"],
    "timeout_s": 5,
}


@table(
    "spelling",
    [
        {},
        {"priority": 0, "retries": 0, "trigger_rule": "all_success", "cache": None},
        {"timeout_s": 6, "cache": False, "retries": 2, "allow_repeat": True, "weight": 2},
        {"priority": 3, "reads": ["x"], "writes": ["y"], "literal": True},
        {"depends_on": ["e", "a", "e"]},
        {"arguments": {"y": ["$OUTPUT[a]", {"l": None, "k": "v"}], "x": 1}},
        {"arguments": '{"x": 1, "y": ["$OUTPUT[a]", {"k": "v", "l": null}]}', "timeout_s": 5.0},
    ],
)
def test_defaults_orders_spellings_and_how_it_runs_make_no_other_task(
    spelling: dict[str, Any],
) -> None:
    assert unchanged(spelling) == ["a", "e", "t"]


@table(
    "change",
    [
        {"arguments": {**SENT["arguments"], "x": 2}},
        {"arguments": {**SENT["arguments"], "x": True}},
        {"arguments": {"x": 1, "y": [{"k": "v", "l": None}, "$OUTPUT[a]"]}},
        {"arguments": {"x": 1, "y": ["$OUTPUT[e]", {"k": "v", "l": None}]}},
        {"tool": "s:other"},
        {"select": "@"},
        {"when": "a"},
        {"for_each": [1]},
        {"depends_on": ["a"]},
        {"trigger_rule": "all_done"},
    ],
)
def test_a_successful_task_in_which_anything_changed_runs_again(change: dict[str, Any]) -> None:
    assert unchanged(change) == ["a", "e"]


def unchanged(change: dict[str, Any]) -> list[str]:
    """The tasks that are taken over when everything is sent again, and `t` with *change*."""
    before = tasks_of({"a": [], "e": []})
    run = Run("r1", check(read_dag({"tasks": [*before, SENT]}), CATALOG, Policy()))
    scheduler = Scheduler(Limits())
    commands = list(scheduler.submit(run, 0.0).commands)
    while commands:
        call = commands.pop(0)
        assert isinstance(call, Call)
        commands += scheduler.handle(Succeeded(call.key, Output(1)), 1.0).commands
    return sorted(resumed({"tasks": [*before, {**SENT, **change}]}, run)[1])


def test_a_task_whose_dependency_runs_again_runs_again_however_far_away_it_is() -> None:
    changed = [{**task, "select": "@"} for task in tasks_of({"b": ["a"]})]
    rest = tasks_of({id: needs for id, needs in CHAIN.items() if id != "b"})
    _, outputs = resumed({"tasks": [*rest[:1], *changed, *rest[1:]]}, run_of(CHAIN, set()))
    assert outputs == {"a": "A", "d": "D", "e": "E"}
    long: dict[str, list[str]] = {f"t{n}": [f"t{n - 1}"] if n else [] for n in range(9)}
    first, *others = tasks_of(long)
    _, outputs = resumed({"tasks": [{**first, "select": "@"}, *others]}, run_of(long, set()))
    assert outputs == {}


def test_a_task_that_a_failure_decided_runs_again_if_that_runs_again() -> None:
    tasks = [
        {"id": "a", "tool": "s:t"},
        {"id": "never", "tool": "s:t", "depends_on": ["a"]},
        {"id": "cleanup", "tool": "s:t", "depends_on": ["a"], "trigger_rule": "all_done"},
        {"id": "after", "tool": "s:t", "depends_on": ["never"], "trigger_rule": "all_done"},
    ]
    earlier = Run("r1", check(read_dag({"tasks": tasks}), CATALOG, Policy()))
    scheduler = Scheduler(Limits())
    commands = list(scheduler.submit(earlier, 0.0).commands)
    while commands:
        call = commands.pop(0)
        assert isinstance(call, Call)
        commands += scheduler.handle(answer(call.key, {"a"}), 1.0).commands
    assert resumed({"tasks": tasks}, earlier)[1] == {}
    assert resumed({"tasks": tasks[2:]}, earlier)[1] == {"cleanup": "CLEANUP", "after": "AFTER"}


def test_what_was_reused_once_is_reused_again_with_what_it_needed_then() -> None:
    second = going_on({"tasks": tasks_of(CHAIN)}, run_of(CHAIN, {"c"}), failing={"c"})
    assert [id for id, state in second.states.items() if state.attempts] == ["c"]
    assert resumed({"tasks": tasks_of(CHAIN)}, second)[1].keys() == {"a", "b", "d", "e"}
    first, *others = tasks_of(CHAIN)
    _, outputs = resumed({"tasks": [{**first, "select": "@"}, *others]}, second)
    assert outputs == {"e": "E"}


def test_a_task_without_a_kept_output_runs_again() -> None:
    earlier = run_of(CHAIN, set())
    earlier.states["d"].output = None
    _, outputs = resumed({"tasks": tasks_of(CHAIN)}, earlier)
    assert outputs.keys() == {"a", "b", "c", "e"}


def test_the_notes_name_the_tasks_that_were_sent_and_do_not_run_again() -> None:
    (note,) = from_record({"tasks": tasks_of(CHAIN)}, run_of(CHAIN, {"b"})).reading.notes
    assert note.startswith("resume_from: a, d, e succeeded in r1 and did not change; ")
    nothing = {"tasks": tasks_of({"b": ["a"]})}
    assert from_record(nothing, run_of(CHAIN, {"b"})).reading.notes == ()


def test_new_tasks_stand_behind_the_earlier_ones() -> None:
    ids, _ = resumed({"tasks": tasks_of({"new": ["a"], "a": []})}, run_of({"a": []}, set()))
    assert ids == ["a", "new"]


def test_the_mended_dag_is_planned_on_what_was_taken_over() -> None:
    earlier = run_of(CHAIN, {"b"})
    reading, taken_over, *_ = from_record({"tasks": tasks_of({"b": ["a"]})}, earlier)
    plan = check(reading, CATALOG, Policy(), reused=taken_over)
    assert plan.layers == (("a", "d", "e"), ("b",), ("c",))


def test_a_run_that_is_still_going_cannot_be_resumed() -> None:
    with pytest.raises(InvalidDag, match=r"r1 is still running. Wait for it with get_run") as it:
        resumed({}, run_of(CHAIN, set(), max_calls=1))
    assert [problem.code for problem in it.value.problems] == ["not_repeatable"]


def test_a_dag_of_which_nothing_is_left_is_refused() -> None:
    with pytest.raises(InvalidDag, match="No task is left to run"):
        resumed({}, run_of({"a": [], "b": ["a"]}, {"a"}))


def test_a_run_that_went_on_from_another_can_be_gone_on_from_too() -> None:
    first = run_of(CHAIN, {"b"})
    second = going_on({"tasks": tasks_of({"b": ["a"]})}, first, failing={"c"})
    assert {id: str(state.status) for id, state in second.states.items()} == {
        "a": "success", "b": "success", "c": "failed", "d": "success", "e": "success",
    }  # fmt: skip
    third = going_on({"tasks": tasks_of({"c": ["b"], "f": ["c"]})}, second)
    assert [id for id, state in third.states.items() if state.attempts] == ["c", "f"]
    assert third.status == "success"
    assert {id: output.value for id, output in third.outputs.items()} == {
        id: id.upper() for id in "abcdef"
    }


def test_what_is_sent_again_sees_the_outputs_that_were_taken_over() -> None:
    run = going_on({"tasks": tasks_of({"b": ["a"], "new": ["a", "e"]})}, run_of(CHAIN, {"b"}))
    assert run.plan.tasks["new"].needs == ("a", "e")
    assert {id: run.states[id].attempts for id in run.states} == {
        "a": 0,
        "b": 1,
        "c": 1,
        "d": 0,
        "e": 0,
        "new": 1,
    }


def test_a_cancelled_run_can_be_gone_on_from() -> None:
    earlier = run_of(CHAIN, set(), max_calls=1)
    earlier.stop("cancelled", 9.0)
    done = {id for id, state in earlier.states.items() if state.status == "success"}
    ids, outputs = resumed({"tasks": tasks_of({"e": []})}, earlier)
    assert outputs.keys() == done
    assert "e" in ids


def test_a_for_each_task_of_which_an_item_failed_did_not_succeed() -> None:
    each = [{"id": "each", "tool": "s:t", "for_each": ["x", "y"]}, {"id": "other", "tool": "s:t"}]
    earlier = Run("r1", check(read_dag({"tasks": each}), CATALOG, Policy()))
    scheduler = Scheduler(Limits())
    scheduler.submit(earlier, 0.0)
    scheduler.handle(Succeeded(Key("r1", "each", 0), Output("X")), 1.0)
    scheduler.handle(Failed(Key("r1", "each", 1), ToolError("no")), 2.0)
    scheduler.handle(Succeeded(Key("r1", "other"), Output("O")), 3.0)
    assert earlier.states["each"].output == Output(["X", None])
    assert resumed({"tasks": each[:1]}, earlier) == (["each", "other"], {"other": "O"})
    assert resumed({}, earlier) == (["other"], {"other": "O"})


def going_on(
    document: dict[str, Any],
    earlier: Run,
    failing: Collection[str] = (),
    repeatable: Collection[str] = (),
) -> Run:
    """A run that goes on from *earlier*, to its end."""
    reading, taken_over, outputs, items = from_record(document, earlier, repeatable)
    plan = check(reading, CATALOG, Policy(), reused=taken_over)
    run = Run(f"{earlier.id}+", plan, reused=outputs, earlier_items=items)
    scheduler = Scheduler(Limits())
    commands = list(scheduler.submit(run, 0.0).commands)
    while commands:
        call = commands.pop(0)
        assert isinstance(call, Call)
        assert call.key.task not in outputs
        commands += scheduler.handle(answer(call.key, set(failing)), 1.0).commands
    return run


EACH = {"id": "m", "tool": "s:t", "arguments": {"x": "$ITEM"}, "for_each": ["x", "y", "z"]}


def half_done(*more: dict[str, Any]) -> Run:
    """A run in which the item `y` failed."""
    return played(Run("r1", check(read_dag({"tasks": [EACH, *more]}), CATALOG, Policy())), {"y"})


def played(run: Run, failing: Collection[str] = ()) -> Run:
    """Play *run* to its end: items named in *failing* fail, others give their name in capitals."""
    scheduler = Scheduler(Limits())
    commands = list(scheduler.submit(run, 0.0).commands)
    while commands:
        call = commands.pop(0)
        assert isinstance(call, Call)
        value: Any = call.arguments["x"]
        event: Event = Succeeded(call.key, Output(value.upper() if value == str(value) else value))
        if value in list(failing):
            event = Failed(call.key, ToolError("no"))
        commands += scheduler.handle(event, 1.0).commands
    return run


def next_run(document: dict[str, Any], earlier: Run, failing: Collection[str] = ()) -> Run:
    reading, taken_over, outputs, items = from_record(document, earlier)
    plan = check(reading, CATALOG, Policy(), reused=taken_over)
    run = Run(f"{earlier.id}+", plan, reused=outputs, earlier_items=items)
    return played(run, failing)


@table(
    ("items", "attempts", "output"),
    [
        (["x", "y", "z"], 1, ["X", "Y", "Z"]),
        (["x", "fixed", "z"], 1, ["X", "FIXED", "Z"]),
        (["z", "x"], 0, ["Z", "X"]),
        (["x", "new", "other", "z"], 2, ["X", "NEW", "OTHER", "Z"]),
    ],
)
def test_of_a_half_done_list_only_items_that_did_not_succeed_are_sent(
    items: list[str], attempts: int, output: list[str]
) -> None:
    run = next_run({"tasks": [{**EACH, "for_each": items}]}, half_done())
    assert run.states["m"].attempts == attempts
    assert run.outputs["m"].value == output
    assert run.status == "success"
    record = record_of(run, 9.0).tasks["m"]
    assert record.items is not None
    assert all(status == "success" for status in record.items.statuses)


def test_items_of_a_list_that_succeeded_are_reused_when_more_are_added() -> None:
    more = {**EACH, "for_each": ["x", "y", "new", "z"]}
    run = next_run({"tasks": [more]}, whole())
    assert (run.states["m"].attempts, run.outputs["m"].value) == (1, ["X", "Y", "NEW", "Z"])
    same = next_run({"tasks": [EACH, {"id": "t", "tool": "s:t", "arguments": {"x": "a"}}]}, whole())
    assert (same.states["m"].attempts, same.states["m"].status) == (0, "success")


def whole() -> Run:
    """A run in which no item failed."""
    return played(Run("r1", check(read_dag({"tasks": [EACH]}), CATALOG, Policy())))


def test_another_spelling_of_a_tool_is_the_same_tool() -> None:
    earlier = whole()
    reading = read_dag({"tasks": [{**EACH, "tool": "s__t"}], "resume_from": "r1"})
    record, output = record_of(earlier, 1.0), outputs_of(earlier).get
    found = resume(reading, record, output, Tools(lambda name: name.replace("__", ":")))
    assert found.outputs.keys() == {"m"}
    assert resume(reading, record, output, Tools()).outputs == {}


def test_items_that_a_failed_list_did_not_reach_are_reused_while_it_fails_again() -> None:
    """A default stands for the whole list of a task that failed, whatever that kept."""
    use = {"id": "n", "tool": "s:t", "for_each": ["p", "q"],
           "arguments": {"x": "$ITEM", "y": "${OUTPUT[m] ?? 0}"}}  # fmt: skip
    document = {"tasks": [EACH, use]}
    first = played(Run("r1", check(read_dag(document), CATALOG, Policy())), {"y", "q"})
    second = next_run(document, first, {"y"})
    assert (second.states["m"].attempts, second.states["n"].attempts) == (1, 1)
    assert second.outputs["n"].value == ["P", "Q"]


def test_a_list_can_be_resumed_again_and_again() -> None:
    second = next_run({"tasks": [EACH]}, half_done(), {"y"})
    assert (second.states["m"].attempts, second.status) == (1, "failed")
    third = next_run({"tasks": [EACH]}, second)
    assert (third.states["m"].attempts, third.outputs["m"].value) == (1, ["X", "Y", "Z"])


@table(
    "task",
    [
        {"arguments": {"x": "$OUTPUT[m]"}},
        {"arguments": {"x": "${OUTPUT[m] ?? []}"}},
        {"arguments": {"x": "$OUTPUT[m]"}, "depends_on": ["m"], "trigger_rule": "all_done"},
        {"arguments": {"x": ["$OUTPUT[m][0]", None, "$OUTPUT[m][2]"]}, "when": "m[0] == 'X'"},
    ],
)
def test_the_output_that_a_half_done_list_kept_can_be_referred_to(task: dict[str, Any]) -> None:
    run = next_run({"tasks": [{"id": "q", "tool": "s:t", **task}]}, half_done())
    assert run.outputs["q"].value == ["X", None, "Z"]
    assert {id: str(state.status) for id, state in run.states.items()} == {
        "m": "failed",
        "q": "success",
    }
    assert run.states["m"].attempts == 0
    assert run.status == "partial"
    again = next_run({"tasks": [EACH]}, run)
    assert (again.states["m"].attempts, again.status) == (1, "success")


SOME = {**EACH, "on_item_failure": "skip"}
USE = {"id": "u", "tool": "s:t", "arguments": {"x": "$OUTPUT[m]"}}


def test_items_that_a_task_could_lose_are_sent_again_with_it_alone() -> None:
    document = {"tasks": [SOME, USE]}
    first = played(Run("r1", check(read_dag(document), CATALOG, Policy())), {"y"})
    assert (first.states["m"].status, first.outputs["u"].value) == ("success", ["X", None, "Z"])
    second = next_run({"tasks": [SOME]}, first)
    assert {id: state.attempts for id, state in second.states.items()} == {"m": 1, "u": 0}
    assert (second.outputs["m"].value, second.status) == (["X", "Y", "Z"], "success")
    whole = next_run(document, first)
    assert {id: state.attempts for id, state in whole.states.items()} == {"m": 1, "u": 1}
    assert whole.outputs["u"].value == ["X", "Y", "Z"]


def test_items_that_a_task_lost_are_not_forgotten_while_it_is_not_sent() -> None:
    first = played(Run("r1", check(read_dag({"tasks": [SOME]}), CATALOG, Policy())), {"y"})
    second = next_run({"tasks": [USE]}, first)
    assert (second.states["m"].attempts, second.outputs["u"].value) == (0, ["X", None, "Z"])
    assert second.status == "partial"
    [error] = result_at(second, 9.0).errors
    assert (error.id, error.index) == ("m", 1)
    third = next_run({"tasks": [SOME]}, second)
    assert (third.states["m"].attempts, third.outputs["m"].value) == (1, ["X", "Y", "Z"])


def test_whether_a_task_may_lose_items_makes_it_no_other_task() -> None:
    assert next_run({"tasks": [SOME]}, whole()).states["m"].attempts == 0
    assert next_run({"tasks": [SOME]}, half_done(), {"y"}).outputs["m"].value == ["X", None, "Z"]


def test_a_value_can_be_made_of_what_a_half_done_list_kept() -> None:
    run = next_run({"tasks": [{"id": "v", "value": {"sent": "$OUTPUT[m]"}}]}, half_done())
    assert run.outputs["v"].value == {"sent": ["X", None, "Z"]}
    assert run.states["m"].attempts == 0


def test_a_half_done_list_that_nothing_refers_to_stays_behind_with_what_needs_it() -> None:
    after = {"id": "after", "tool": "s:t", "arguments": {"x": "$OUTPUT[m]"}}
    ids, outputs = resumed({"tasks": tasks_of({"new": []})}, half_done(after))
    assert (ids, outputs) == (["new"], {})
    q = {"id": "q", "tool": "s:t", "arguments": {"x": "$OUTPUT[m]"}}
    ids, outputs = resumed({"tasks": [q]}, half_done(after))
    assert (ids, outputs) == (["m", "q"], {"m": ["X", None, "Z"]})


@table(
    ("task", "expected"),
    [
        ({"trigger_rule": "all_done"}, ["X", None, "Z"]),
        ({"trigger_rule": "one_failed"}, ["X", None, "Z"]),
        ({"trigger_rule": "all_done", "when": "m[2] == 'Z'"}, ["X", None, "Z"]),
        ({}, None),
        ({"arguments": {"x": "${OUTPUT[m] ?? []}"}}, []),
    ],
)
def test_within_its_run_a_rule_that_allows_failures_sees_what_a_list_kept(
    task: dict[str, Any], expected: Any
) -> None:
    run = half_done({"id": "q", "tool": "s:t", "arguments": {"x": "$OUTPUT[m]"}, **task})
    found = run.outputs.get("q")
    assert (None if found is None else found.value) == expected


def test_items_of_a_group_in_which_anything_changed_run_again() -> None:
    step = {"id": "b", "tool": "s:t", "arguments": {"x": "$ITEM"}}
    group = {"id": "g", "for_each": ["x", "y"], "tasks": [step]}
    first = played(Run("r1", check(read_dag({"tasks": [group]}), CATALOG, Policy())), {"y"})
    assert next_run({"tasks": [group]}, first).states["g"].attempts == 1
    changed = {**group, "tasks": [{**step, "arguments": {"x": "$ITEM", "z": 1}}]}
    assert next_run({"tasks": [changed]}, first).states["g"].attempts == 2


READ = {"s:t", "s:read"}
"""The tools that may be called again, in the tests of what is not sent."""
MIDDLE: dict[str, dict[str, Any]] = {
    "reference": {"arguments": {"x": "$OUTPUT[a]"}},
    "guarded": {"arguments": {"x": "${OUTPUT[a] ?? 1}"}},
    "depends_on": {"arguments": {"x": "m"}, "depends_on": ["a"]},
    "when": {"arguments": {"x": "m"}, "when": "a == 'A'"},
    "select": {"arguments": {"x": "m"}, "select": "[@, $OUTPUT[a]]"},
    "for_each": {"arguments": {"x": "$ITEM"}, "for_each": ["$OUTPUT[a]", "z"]},
    "rule": {"arguments": {"x": "m"}, "depends_on": ["a"], "trigger_rule": "all_done"},
    "value": {"tool": None, "value": {"x": "$OUTPUT[a]"}},
    "group": {
        "tool": None,
        "tasks": [{"id": "b", "tool": "s:t", "arguments": {"x": "$OUTPUT[a]"}}],
    },
    "group of items": {
        "tool": None,
        "for_each": ["x", "y"],
        "tasks": [{"id": "b", "tool": "s:t", "arguments": {"x": "$OUTPUT[a]"}}],
    },
}


def sandwich(middle: dict[str, Any]) -> list[dict[str, Any]]:
    """Three tasks: `a`, the task `m` that uses it, and `z` that uses that."""
    m = {name: value for name, value in ({"id": "m", "tool": "s:t"} | middle).items() if value}
    return [
        {"id": "a", "tool": "s:t", "arguments": {"x": "a"}},
        m,
        {"id": "z", "tool": "s:t", "arguments": {"x": "z", "y": "$OUTPUT[m]"}},
    ]


@cache
def sandwich_run(middle: str) -> Run:
    return played(
        Run("r1", check(read_dag({"tasks": sandwich(MIDDLE[middle])}), CATALOG, Policy()))
    )


def sandwiched(
    middle: str, sent: str = "az", repeatable: Collection[str] = READ
) -> tuple[set[str], tuple[str, ...]]:
    """Run the three tasks, then send some of them again, `a` with a change. Return those that are
    taken over, and the notes."""
    a, m, z = sandwich(MIDDLE[middle])
    earlier = sandwich_run(middle)
    assert earlier.status == "success"
    changed = {**a, "arguments": {"x": "other"}}
    again = [task for task in (changed, m, z) if task["id"] in sent]
    found = from_record({"tasks": again}, earlier, repeatable)
    assert check(found.reading, CATALOG, Policy(), reused=found.taken_over)
    return set(found.taken_over), found.reading.notes


@table("middle", MIDDLE)
@table("sent", ["a", "az"])
def test_a_task_between_two_that_are_sent_runs_again_although_it_is_not_sent(
    middle: str, sent: str
) -> None:
    others = "m, z depend on what runs again, so they run" if sent == "a" else (
        "m depends on what runs again, so it runs"
    )  # fmt: skip
    assert sandwiched(middle, sent) == (set(), (f"resume_from: {others} again too",))


@table("middle", sorted(MIDDLE.keys() - {"value"}))
def test_a_task_that_may_not_be_repeated_and_is_not_sent_keeps_its_output_with_a_note(
    middle: str,
) -> None:
    kept = (
        "resume_from: m keeps its output from r1, though a runs again: s:t is not known to be safe "
        "to call twice; send m too if it should"
    )
    assert sandwiched(middle, "a", ()) == ({"m", "z"}, (kept,))
    taken_over, (reused, note) = sandwiched(middle, "az", ())
    assert (taken_over, note) == ({"m", "z"}, kept)
    assert reused.startswith("resume_from: z succeeded in r1")
    assert sandwiched(middle, "amz", ())[0] == set()


@table(
    ("change", "note"),
    [
        ({"select": "@"}, "only its select changed: s:t is called again"),
        ({"when": "a", "select": "@"}, "only its select, when changed: s:t is called again"),
        ({"arguments": {"x": "other"}}, None),
        ({"select": "@", "arguments": {"x": "other"}}, None),
        ({"timeout_s": 3}, "did not change; the outputs from there are reused"),
    ],
)
def test_a_call_that_is_made_again_for_another_reason_than_its_work_is_noted(
    change: dict[str, Any], note: str | None
) -> None:
    task = {"id": "m", "tool": "s:t", "arguments": {"x": "m"}, "depends_on": ["a"]}
    tasks = [{"id": "a", "tool": "s:t", "arguments": {"x": "a"}}, task]
    earlier = played(Run("r1", check(read_dag({"tasks": tasks}), CATALOG, Policy())))

    def notes(repeatable: Collection[str] = (), **more: Any) -> tuple[str, ...]:
        again = {"tasks": [{**task, **change, **more}]}
        return from_record(again, earlier, repeatable).reading.notes

    assert [str(note) in one for one in notes()] == ([True] if note else [])
    if note and "again" in note:
        assert notes()[0].startswith("resume_from: m succeeded in r1, and only its select")
        assert notes(repeatable=["s:t"]) == notes(allow_repeat=True) == ()


def test_a_value_is_made_again_and_what_may_be_repeated_is_said_by_the_task_too() -> None:
    assert sandwiched("value", "a", ()) == (
        {"z"},
        (
            "resume_from: m depends on what runs again, so it runs again too",
            (
                "resume_from: z keeps its output from r1, though m runs again: s:t is not known "
                "to be safe to call twice; send z too if it should"
            ),
        ),
    )
    allowed = {**MIDDLE["reference"], "allow_repeat": True}
    a, m, _ = sandwich(allowed)
    earlier = played(Run("r1", check(read_dag({"tasks": [a, m]}), CATALOG, Policy())))
    assert from_record({"tasks": [{**a, "select": "@"}]}, earlier).taken_over == {}


def test_items_that_did_not_change_are_reused_by_a_list_that_runs_again_unsent() -> None:
    a = {"id": "a", "value": ["x", "y"]}
    m = {"id": "m", "tool": "s:t", "for_each": "$OUTPUT[a]", "arguments": {"x": "$ITEM"}}
    earlier = played(Run("r1", check(read_dag({"tasks": [a, m]}), CATALOG, Policy())))
    reading, taken_over, outputs, items = from_record(
        {"tasks": [{**a, "value": ["x", "y", "new"]}]}, earlier, READ
    )
    plan = check(reading, CATALOG, Policy(), reused=taken_over)
    run = played(Run("r2", plan, reused=outputs, earlier_items=items))
    assert (run.states["m"].attempts, run.outputs["m"].value) == (1, ["X", "Y", "NEW"])


@table(
    ("repeatable", "ids"),
    [(READ, ["a", "b", "c"]), ((), ["a"])],
)
def test_a_task_that_failed_runs_again_if_what_it_depends_on_does_and_it_may(
    repeatable: Collection[str], ids: list[str]
) -> None:
    earlier = run_of({"a": [], "b": ["a"], "c": ["b"]}, {"b"})
    (a,) = tasks_of({"a": []})
    found = from_record({"tasks": [{**a, "select": "@"}]}, earlier, repeatable)
    assert [task.id for task in found.reading.dag.tasks] == ids
    assert found.taken_over == {}


def test_a_task_that_what_it_depended_on_now_depends_on_keeps_its_output() -> None:
    earlier = run_of({"a": [], "b": ["a"], "c": ["b"], "d": ["a"]}, set())
    found = from_record({"tasks": tasks_of({"a": ["c"]})}, earlier, READ)
    assert found.taken_over.keys() == {"b", "c"}
    assert found.reading.notes == (
        "resume_from: d depends on what runs again, so it runs again too",
        "resume_from: b keeps its output from r1, though a runs again: that now depends on it",
    )
    second = going_on({"tasks": tasks_of({"a": ["c"]})}, earlier, repeatable=READ)
    assert second.plan.layers == (("b", "c"), ("a",), ("d",))
    assert from_record({"tasks": tasks_of({"a": ["c"]})}, second, READ).taken_over.keys() == {
        *"abcd"
    }


def test_a_task_keeps_its_output_if_another_that_it_depends_on_is_lost() -> None:
    tasks = [
        *tasks_of({"a": [], "b": []}),
        {"id": "c", "tool": "s:t", "arguments": {"x": "$OUTPUT[a]", "y": "${OUTPUT[b] ?? 0}"}},
    ]  # fmt: skip
    earlier = going_on({"tasks": tasks}, run_of({"e": []}, set()), failing={"b"})
    a = {**tasks[0], "select": "@"}
    found = from_record({"tasks": [a]}, earlier, READ)
    assert found.taken_over.keys() == {"c", "e"}
    assert found.reading.notes == (
        (
            "resume_from: c keeps its output from r1+, though a runs again: it depends on b too, "
            "which failed and is not sent again"
        ),
    )


def test_a_task_that_needed_one_of_the_run_before_runs_again_if_that_is_sent() -> None:
    tasks = [
        *tasks_of({"b": []}),
        {"id": "c", "tool": "s:t", "arguments": {}, "depends_on": ["b"],
         "trigger_rule": "all_done"},
    ]  # fmt: skip
    first = going_on({"tasks": tasks}, run_of({"e": []}, set()), failing={"b"})
    second = going_on({"tasks": tasks_of({"d": []})}, first)
    assert [*second.states] == ["e", "c", "d"]
    assert from_record({"tasks": tasks[:1]}, second, READ).taken_over.keys() == {"e", "d"}
    assert from_record({"tasks": tasks[:1]}, second).taken_over.keys() == {"e", "c", "d"}


def test_at_most_twenty_tasks_that_keep_their_outputs_are_noted() -> None:
    needs: dict[str, list[str]] = {"a": [], **{f"t{n}": ["a"] for n in range(25)}}
    (a,) = tasks_of({"a": []})
    changed = {**a, "arguments": {"x": "other"}}
    notes = from_record({"tasks": [changed]}, run_of(needs, set())).reading.notes
    assert len(notes) == 21
    assert notes[-1] == "resume_from: 5 more tasks keep their outputs likewise"


@table(
    ("task", "path"),
    [
        ({"arguments": {"x": ["$OUTPUT[b]"]}}, "tasks[0].arguments.x[0]"),
        ({"depends_on": ["b"]}, "tasks[0].depends_on[0]"),
        ({"for_each": "$OUTPUT[b]"}, "tasks[0].for_each"),
        ({"when": "b.x"}, "tasks[0].when"),
        ({"select": "[@, $OUTPUT[b]]"}, "tasks[0].select"),
        ({"tool": None, "value": "$OUTPUT[b]"}, "tasks[0].value"),
        ({"arguments": "$OUTPUT[b].x"}, "tasks[0].arguments"),
        ({"arguments": {"x": "$STATUS[b]"}}, "tasks[0].arguments.x"),
        ({"arguments": {"x": "${OUTPUT[a] ?? OUTPUT[b].y}"}}, "tasks[0].arguments.x"),
        (
            {"repeat": {"until": "x == $OUTPUT[b].x"}, "allow_repeat": True},
            "tasks[0].repeat.until",
        ),
        (
            {"tool": None, "tasks": [{"id": "i", "tool": "s:t", "arguments": {"x": "$OUTPUT[b]"}}]},
            "tasks[0].tasks[0].arguments.x",
        ),
    ],
)
def test_a_reference_to_a_task_that_failed_and_is_not_sent_says_so_and_how_to_send_it(
    task: dict[str, Any], path: str
) -> None:
    sent = {name: value for name, value in ({"id": "q", "tool": "s:t"} | task).items() if value}
    earlier = run_of({"a": [], "b": ["a"]}, {"b"})
    document = {"resume_from": "r1", "tasks": [sent]}
    reading = from_record(document, earlier).reading
    with pytest.raises(InvalidDag) as refused:
        check(reading, CATALOG, Policy())
    (problem,) = refused.value.problems
    assert (problem.path, problem.code) == (path, "unknown_task")
    assert problem.message == "b failed in r1 and is not sent again."
    assert problem.hint == "Send b again, with what was wrong in it put right."
    assert problem.fix is not None
    fixed = patched(document, [problem.fix.document(problem.path)])
    assert fixed["tasks"] == [sent, *tasks_of({"b": ["a"]})]
    found = from_record(fixed, earlier)
    assert check(found.reading, CATALOG, Policy(), reused=found.taken_over)


def test_a_task_that_never_ran_and_return_name_what_has_to_be_sent_once() -> None:
    earlier = run_of({"a": [], "b": ["a"], "c": ["b"]}, {"b"})
    document = {"tasks": tasks_of({"q": ["c", "b"]}), "return": ["c", "q"]}
    with pytest.raises(InvalidDag) as refused:
        check(from_record(document, earlier).reading, CATALOG, Policy())
    assert [(one.path, one.message) for one in refused.value.problems] == [
        ("return[0]", "c needs b, which failed in r1 and is not sent again."),
        ("tasks[0].arguments.x[1]", "b failed in r1 and is not sent again."),
    ]
    assert [one.fix is not None for one in refused.value.problems] == [True, False]


def test_a_task_in_a_group_may_have_the_name_of_one_that_failed() -> None:
    group = {"id": "g", "value": "$OUTPUT[b]", "tasks": tasks_of({"b": [], "c": ["b"]})}
    earlier = run_of({"a": [], "b": ["a"]}, {"b"})
    found = from_record({"tasks": [group]}, earlier)
    assert check(found.reading, CATALOG, Policy(), reused=found.taken_over)


@table("is_whole", [False, True])
def test_a_task_that_its_condition_skips_again_makes_nothing_run_again(is_whole: bool) -> None:
    tasks: list[dict[str, Any]] = [
        {"id": "a", "tool": "s:t", "arguments": {"x": "a"}},
        {"id": "alarm", "tool": "s:t", "arguments": {"x": "alarm"}, "when": "a == 'no'"},
        {"id": "after", "tool": "s:t", "arguments": {"x": "after"}, "depends_on": ["alarm"]},
        {"id": "report", "tool": "s:t", "arguments": {"x": "r", "y": "${OUTPUT[after] ?? 0}"}},
        {"id": "b", "tool": "s:t", "arguments": {"x": "b"}},
    ]
    earlier = played(Run("r1", check(read_dag({"tasks": tasks}), CATALOG, Policy())), {"b"})
    found = from_record({"tasks": tasks if is_whole else tasks[-1:]}, earlier, READ)
    assert found.taken_over.keys() == {"a", "report"}
    assert len(found.reading.notes) == is_whole
    changed = {"tasks": [{**tasks[0], "select": "@"}, tasks[-1]]}
    assert from_record(changed, earlier, READ).taken_over == {}


@table(
    "arguments",
    [
        {"x": ["${OUTPUT[a]}"]},
        {"x": ["$OUTPUT[a]"], "y": None},
        {"x": ["$OUTPUT[a]"], "y": "$OMIT"},
    ],
)
def test_a_call_that_is_the_same_in_other_words_is_not_made_again(arguments: JsonObject) -> None:
    earlier = run_of(CHAIN, {"c"})
    tasks = tasks_of(CHAIN)
    tasks[1]["arguments"] = arguments
    reading, taken_over, _, _ = from_record({"tasks": tasks}, earlier)
    assert set(taken_over) == {"a", "b", "d", "e"}
    assert "b" not in str([note for note in reading.notes if "again" in note])


def test_a_number_is_the_same_however_it_is_written() -> None:
    def going_on(number: float) -> set[str]:
        tasks = [{"id": "a", "tool": "s:t", "arguments": {"n": number}}, {"id": "b", "tool": "s:t"}]
        return set(from_record({"tasks": tasks}, earlier).taken_over)

    first = {
        "tasks": [{"id": "a", "tool": "s:t", "arguments": {"n": 1}}, {"id": "b", "tool": "s:t"}]
    }
    earlier = Run("r1", check(read_dag(first), CATALOG, Policy()))
    scheduler = Scheduler(Limits())
    scheduler.submit(earlier, 0.0)
    for id in ("a", "b"):
        scheduler.handle(answer(Key("r1", id), {"b"}), 1.0)
    assert going_on(1.0) == {"a"}
    assert going_on(1.5) == set()
