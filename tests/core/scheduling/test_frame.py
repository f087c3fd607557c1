"""What the tasks of one plan see of each other, and what holds them back."""

import itertools
from collections import Counter
from random import Random
from typing import Any
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.results.record import record_of
from plait.core.results.result import result_of
from plait.core.scheduling.conflicts import find_conflicts, planned_accesses
from plait.core.scheduling.events import (
    Abort,
    Aborted,
    Call,
    CancelRequested,
    Event,
    Failed,
    Key,
    Sleep,
    Status,
    Succeeded,
    Wait,
    Woke,
)
from plait.core.scheduling.frame import Frame, TaskCall
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.errors import ToolError
from plait.observers.records import RunRecords
from tests.fakes import tool

from ..tables import table
from .interpreter import Interpreter

CATALOG = Catalog([tool("s:do", readOnlyHint=True)], [ServerInfo("s", ServerState.READY)])


def frame(*tasks: dict[str, Any], done: tuple[str, ...] = (), **dag: Any) -> Frame:
    document = {"tasks": [{"tool": "s:do", **task} for task in tasks], **dag}
    plan = check(read_dag(document), CATALOG, Policy())
    accesses = planned_accesses(plan)
    return Frame("r", plan, find_conflicts(plan, accesses, {}), done)


def call(item: int | None = None) -> TaskCall:
    return TaskCall(Key("r", "a", item), frame({"id": "a"}).plan.tasks["a"], {})


def test_waits_follow_each_other_and_those_that_took_no_time_are_left_out():
    waiting = call()
    waiting.waited("conflict", "b", 3.0, "file:x")
    waiting.waited("limit", "gateway", 3.0)
    waiting.waited("limit", "server:s", 4.5)
    assert waiting.waits == (
        Wait("conflict", "b", 3.0, "file:x"),
        Wait("limit", "server:s", 1.5),
    )


def test_waits_of_later_attempts_are_not_recorded():
    waiting = call()
    waiting.attempts = 1
    waiting.waited("limit", "gateway", 3.0)
    assert waiting.waits == ()


def test_calls_of_one_task_are_ordered_by_item():
    ordered = sorted([call(2), call(0), call(1)])
    assert [each.key.item for each in ordered] == [0, 1, 2]


def test_each_task_begins_pending_and_knows_what_it_waits_for():
    made = frame({"id": "a"}, {"id": "b", "depends_on": ["a"]})
    assert {id: state.needs_left for id, state in made.states.items()} == {"a": 0, "b": 1}
    assert [state.key for state in made.states.values()] == [Key("r", "a"), Key("r", "b")]
    assert made.unsettled == 2


@table(("rule", "sees"), [("all_success", {"a"}), ("all_done", {"a", "each"})])
def test_outputs_of_failed_lists_are_for_tasks_whose_rule_allows_failures(
    rule: str, sees: set[str]
):
    made = frame({"id": "a"}, {"id": "each"}, {"id": "b", "trigger_rule": rule})
    made.outputs["a"] = Output(1)
    assert set(made.visible(made.plan.tasks["b"])) == {"a"}
    made.partial["each"] = Output([None])
    assert set(made.visible(made.plan.tasks["b"])) == sees


def test_references_see_outputs_and_the_item_that_they_are_for():
    made = frame({"id": "a"})
    made.outputs["a"] = Output(1)
    scope = made.scope(made.plan.tasks["a"], {"n": 7}, 3)
    assert (dict(scope.outputs), scope.item, scope.index) == ({"a": Output(1)}, {"n": 7}, 3)


WRITERS = ({"id": "a", "writes": ["db:x"]}, {"id": "b", "writes": ["db:x"]}, {"id": "c"})


def test_tasks_that_use_the_same_resource_go_one_after_the_other():
    made = frame(*WRITERS)
    assert [id for id in made.states if made.may_decide(id)] == ["a", "c"]
    assert made.released("c") == []
    assert made.released("a") == [("b", "db:x")]
    assert made.may_decide("b")


def test_what_is_done_already_holds_nothing_back():
    assert frame(*WRITERS, done=("a",)).may_decide("b")


def test_a_task_that_has_moved_on_is_not_decided_again():
    made = frame({"id": "a"})
    made.states["a"].status = Status.READY
    assert not made.may_decide("a")


def test_a_layer_opens_once_the_one_before_has_ended():
    made = frame({"id": "a"}, {"id": "b"}, {"id": "c", "depends_on": ["a"]}, schedule="layers")
    assert not made.may_decide("c")
    assert made.opened("a") == []
    assert made.opened("b") == ["c"]
    assert made.may_decide("c")


def test_nothing_is_held_back_by_what_a_closed_frame_knew():
    made = frame(*WRITERS)
    made.close()
    assert made.released("a") == []
    assert made.may_decide("b")


# Groups, judged by a plain interpreter.

_KINDS = st.sampled_from(("call",) * 4 + ("value", "value", "group", "group"))
_CATALOG = Catalog(
    [tool("s:do", {}, closed=False, readOnlyHint=True)], [ServerInfo("s", ServerState.READY)]
)


@st.composite
def nested(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The tasks of a document with values and groups in groups, and references of every kind."""
    count = itertools.count()

    calls: set[str] = set()
    """The tasks whose outputs are of no known type."""

    def reference(ids: list[str], each: list[str], *, own: bool) -> Any:
        """A reference to an earlier task, or to an item; text without any."""
        paths = {id: ("", ".x", ".gone") if id in calls else ("",) for id in ids}
        choices = [f"$OUTPUT[{id}]{path}" for id in ids for path in paths[id]]
        choices += [f'${{OUTPUT[{id}]{path} ?? "d"}}' for id in ids for path in paths[id]]
        choices += [f"{kind}[{id}]" for id in each for kind in ("$ITEM", "$INDEX")]
        choices += ["$ITEM", "$INDEX"] if own or each else []
        return draw(st.sampled_from(["text", *choices]))

    def level(around: list[str], each: list[str], depth: int) -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = []
        singles = [id for id in around if id in calls]
        for _ in range(draw(st.integers(1, 3))):
            ids = [*around, *(task["id"] for task in tasks)]
            task: dict[str, Any] = {"id": f"t{next(count)}"}
            items = draw(st.sampled_from((None, None, [], [5], [6, {"x": 7}], "output")))
            if items == "output":
                items = f"$OUTPUT[{draw(st.sampled_from(singles))}].items" if singles else None
            own = items is not None
            if own:
                task["for_each"] = items
                task["on_item_failure"] = draw(st.sampled_from(("fail", "skip")))
            kind = draw(_KINDS)
            if kind == "group" and depth < 3:
                inner = [*each, task["id"]] if own else each
                task["tasks"] = level(ids, inner, depth + 1)
                if draw(st.booleans()):
                    within = [one["id"] for one in task["tasks"]]
                    task["value"] = {"v": reference(within, inner, own=own)}
            elif kind == "value":
                task["value"] = [reference(ids, each, own=own), reference(ids, each, own=own)]
            else:
                task["tool"] = "s:do"
                task["arguments"] = {"a": reference(ids, each, own=own)}
                rule = draw(st.sampled_from((None,) * 3 + ("all_success", "all_done", "always")))
                task |= {} if rule is None else {"trigger_rule": rule}
                repeat = draw(st.sampled_from((None, None, None, "set", "until")))
                if repeat is not None:
                    task["repeat"] = {"max": draw(st.integers(1, 3))}
                    task["repeat"][repeat] = {"page": "page"} if repeat == "set" else "ok"
                if draw(st.integers(0, 3)) == 0:
                    task["select"] = "items"
                is_plain = not own and repeat != "set" and "select" not in task
                calls.update((task["id"],) if is_plain else ())
            if ids and draw(st.integers(0, 3)) == 0:
                task["depends_on"] = [draw(st.sampled_from(ids))]
            if singles and draw(st.integers(0, 5)) == 0:
                task["when"] = f"{draw(st.sampled_from(singles))}.ok"
            tasks.append(task)
            if task["id"] in calls:
                singles.append(task["id"])
        return tasks

    return level([], [], 1)


def answer_of(place: str, failing: int, page: int = 0) -> Any:
    number = crc32(f"{place}#{page}".encode())
    if number % 5 < failing:
        return None
    following = (None, page + 1, page + 1, page)[number % 4]
    items = [1, 2][: number % 4]
    return {"x": number % 100, "ok": number % 3 > 0, "items": items, "page": following}


@given(nested(), st.integers(0, 2), st.sampled_from((1, 2, 8)), st.randoms(use_true_random=False))
def test_groups_and_values_give_what_they_say_in_whatever_order_calls_are_answered(
    tasks: list[dict[str, Any]], failing: int, slots: int, order: Random
):
    plan = check(read_dag({"tasks": tasks, "return": ["*"]}), _CATALOG, Policy())
    run, scheduler = Run("r", plan), Scheduler(Limits(slots))
    places = {outline.id: outline for outline in run.inner}
    sent: dict[str, Any] = {}
    pages: Counter[str] = Counter()
    records = RunRecords()
    now = 0.0
    step = scheduler.submit(run, now)
    open_ = [*step.commands]
    while True:
        for notice in step.notices:
            records(notice)
        assert records.record("r", now) == record_of(run, now)
        if not open_:
            break
        assert sum(isinstance(command, Call) for command in open_) <= slots
        call = open_.pop(order.randrange(len(open_)))
        key = call.key
        if isinstance(call, Sleep):
            now += call.seconds
            step = scheduler.handle(Woke(key), now)
            open_ += step.commands
            continue
        assert isinstance(call, Call)
        outline = places.get(key.task)
        own = "" if key.item is None else f"[{key.item}]"
        place = f"{key.task}{own}" if outline is None else outline.place(key)
        page = pages[place]
        pages[place] += 1
        sent[f"{place}#{page}" if page else place] = call.arguments
        value = answer_of(place, failing, page)
        event = Failed(key, ToolError("no")) if value is None else Succeeded(key, Output.of(value))
        now += 1
        step = scheduler.handle(event, now)
        open_ += step.commands
    expected = Interpreter(lambda place, page: answer_of(place, failing, page))
    ended = expected.run(tasks)
    assert run.is_done
    assert {id: str(state.status) for id, state in run.states.items()} == {
        id: ended[id].status for id in run.states
    }
    outputs = {id: state.output for id, state in run.states.items() if state.output is not None}
    assert {id: output.value for id, output in outputs.items()} == {
        id: one.output
        for id, one in ended.items()
        if one.status == "success" or one.output is not None
    }
    assert sent == expected.calls
    named = {
        error.id if error.index is None else f"{error.id}[{error.index}]"
        for error in result_of(record_of(run, now), run.outputs.get).errors
    }
    failed = (
        place for place, calls in pages.items() if answer_of(place, failing, calls - 1) is None
    )
    assert {*failed} <= named
    assert (run.status == "success") == (not expected.failed)
    assert not scheduler.in_flight
    assert sum(output.memory_bytes for output in outputs.values()) == run.usage.bytes


def hasty(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """*tasks*, where groups end an item at its first failure, and calls write what others do."""
    return [
        {**task, "fail_fast": True, "tasks": hasty(task["tasks"])}
        if "tasks" in task
        else {**task, "writes": [f"db:{len(task['id']) % 2}"]}
        if "tool" in task
        else task
        for task in tasks
    ]


@given(nested(), st.integers(1, 4), st.sampled_from((1, 2, 8)), st.randoms(use_true_random=False))
def test_items_that_end_early_leave_nothing_behind(
    tasks: list[dict[str, Any]], failing: int, slots: int, order: Random
):
    """Also where the whole run is stopped. Tasks that clean up run in any case, unless the group
    that they are in had not begun."""
    is_fail_fast, cancelled_after = order.random() < 0.5, order.choice((0, 1, 3, 6, 99))
    document = {"tasks": hasty(tasks), "return": ["*"], "fail_fast": is_fail_fast}
    plan = check(read_dag(document), _CATALOG, Policy())
    conflicts = find_conflicts(plan, planned_accesses(plan), {})
    run, scheduler = Run("r", plan, conflicts=conflicts), Scheduler(Limits(slots))
    records = RunRecords()
    now = 0.0
    step = scheduler.submit(run, now)
    open_: dict[Key, Call | Sleep] = {}
    aborted: set[Key] = set()
    while True:
        for notice in step.notices:
            records(notice)
        assert records.record("r", now) == record_of(run, now)
        open_ |= {
            command.key: command for command in step.commands if isinstance(command, Call | Sleep)
        }
        aborted |= {command.key for command in step.commands if isinstance(command, Abort)}
        answerable = [key for key in open_ if key.task or key in aborted]
        if not answerable:
            break
        if cancelled_after == 0:
            event: Event = CancelRequested("r")
        else:
            key = order.choice(answerable)
            command = open_.pop(key)
            value = answer_of(str(key), failing, round(now))
            event = Aborted(key)
            if key not in aborted and isinstance(command, Sleep):
                event = Woke(key)
                now += command.seconds
            elif key not in aborted:
                event = (
                    Failed(key, ToolError("no"))
                    if value is None
                    else Succeeded(key, Output.of(value))
                )
        cancelled_after -= 1
        now += 1
        step = scheduler.handle(event, now)
    assert run.is_done
    assert scheduler.claims.is_free
    assert not scheduler.in_flight
    assert scheduler.limits.gateways[""].taken == 0
    assert sum(output.memory_bytes for output in run.outputs.values()) <= run.usage.bytes
    for tally in run.tallies.values():
        assert all(status.is_final for status, count in tally.statuses.items() if count)
    for task in plan.all_tasks():
        if task.task.trigger_rule == "always":
            is_inner = task.id in run.tallies
            statuses = (
                run.tallies[task.id].statuses if is_inner else {run.states[task.id].status: 1}
            )
            assert not statuses.get(Status.CANCELLED)
