"""Every schedule that the scheduler can make keeps its promises."""

from __future__ import annotations

from math import isclose
from statistics import median
from typing import Any

from hypothesis.stateful import run_state_machine_as_test

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.attempts import Known
from plait.core.scheduling.events import (
    Aborted,
    Call,
    CancelRequested,
    Failed,
    Key,
    Sleep,
    Status,
    Succeeded,
    Woke,
)
from plait.core.scheduling.lanes import NO_RUN
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.rates import Rate
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler, Step
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.core.tools.tool_stats import ToolStats
from plait.errors import CallError, CallTimeout, ServerUnavailable
from tests.fakes import tool

from ...profiles import share_of_examples
from ..runs import result_at
from ..tables import table
from .documents import CATALOG as CATALOG_OF_WORLDS
from .machine import SchedulerMachine
from .oracle import TaskText, conflict
from .places import conflicts_in
from .world import World

CATALOG = Catalog([tool("s:do", readOnlyHint=True)], [ServerInfo("s", ServerState.READY)])


class Promises(SchedulerMachine):
    """Every promise is looked at after every event, and those about ends at the end."""

    def check_step(self, world: World) -> None:
        promise_what_happens_is_as_promised(world)

    def check_end(self, world: World) -> None:
        for run in world.runs:
            promise_every_task_ends_once(world, run)
            promise_only_failures_that_may_pass_are_repeated(world, run)
            promise_items_make_the_output_in_their_order(world, run)
            if world.runs[run].stopped_by is None:
                promise_rules_decide_what_runs(world, run)
            elif run not in world.out_of_cleanup_time:
                promise_what_cleans_up_has_run(world, run)
        promise_nothing_stays_held(world)


def test_whatever_happens_every_promise_is_kept() -> None:
    run_state_machine_as_test(Promises, settings=share_of_examples(0.5))


class Replayed(SchedulerMachine):
    """The same events at the same times give the same steps; errors are compared as text."""

    def check_end(self, world: World) -> None:
        for entry, step in world.replay():
            assert repr(step) == repr(entry.step)


def test_the_journal_of_any_story_gives_the_same_steps_again() -> None:
    run_state_machine_as_test(Replayed, settings=share_of_examples(0.1))


def promise_what_happens_is_as_promised(world: World) -> None:
    promise_calls_are_those_of_the_document(world)
    promise_dependencies_settle_first(world)
    promise_references_hold_what_was_answered(world)
    promise_what_was_taken_over_is_not_sent(world)
    promise_items_that_succeeded_are_not_sent_again(world)
    promise_who_asked_first_goes_first(world)
    promise_the_earlier_in_the_document_goes_first(world)
    promise_limits_are_kept(world)
    promise_adaptive_limits_learn_from_every_call(world)
    promise_the_time_of_every_call_is_learned(world)
    promise_rates_and_quiet_are_kept(world)
    promise_parties_take_turns(world)
    promise_nothing_that_fits_waits(world)
    promise_nothing_waits_for_what_is_over(world)
    promise_nothing_less_urgent_goes_first(world)
    promise_direct_calls_of_a_kind_go_in_the_order_in_which_they_came(world)
    promise_layers_wait_for_layers(world)
    promise_what_may_pass_is_tried_again_within_the_budget(world)
    promise_nothing_of_an_ended_run_goes_on(world)
    promise_a_stopped_run_only_cleans_up(world)
    promise_fail_fast_stops_at_the_first_failure(world)


def promise_calls_are_those_of_the_document(world: World) -> None:
    """An answer that was kept may be used for the first attempt alone, and not for a write."""
    for call in world.just_started:
        assert call.tool.full_name == world.tool(call.key)
        assert call.attempt == len(world.sent[call.key])
        is_kept = call.key.run and call.attempt == 1 and call.tool.name != "write"
        max_age_s = world.task(call.key).fields.get("cache", 0) if is_kept else 0
        assert call.max_age_s == max_age_s


def promise_dependencies_settle_first(world: World) -> None:
    for call in world.just_called:
        run, task = call.key.run, world.task(call.key)
        statuses = {need: world.status(run, need) for need in task.links}
        assert all(status.is_final for status in statuses.values())
        if task.trigger_rule == "all_success":
            assert all(
                statuses[need] is Status.SUCCESS
                for need, is_guarded in task.links.items()
                if not is_guarded
            )


def promise_references_hold_what_was_answered(world: World) -> None:
    for call in world.just_called:
        assert call.arguments == world.arguments_of(call.key)


def promise_what_was_taken_over_is_not_sent(world: World) -> None:
    for call in world.just_called:
        assert call.key.task not in world.graphs[call.key.run].reused
    for id, run in world.runs.items():
        for task in world.graphs[id].reused:
            assert run.outputs[task].value == world.outputs[id][task]


def promise_items_that_succeeded_are_not_sent_again(world: World) -> None:
    for call in world.just_called:
        assert world.reusable_item(call.key) is None, f"{call.key} succeeded in an earlier run"


def promise_who_asked_first_goes_first(world: World) -> None:
    """So two that conflict never overlap, in one run or in two, and a writer is not kept waiting by
    later readers. Calls of one run ask in the order in which they are ready, unless their files are
    not found promptly."""
    for call in world.just_started:
        assert not world.in_the_way(call.key), (
            f"{call.key} went before {world.in_the_way(call.key)}"
        )
    holding = [key for key in world.sent if world.is_going_on(key)]
    for place, key in enumerate(holding):
        assert not any(
            conflict(world.touched[key], world.touched[other]) for other in holding[:place]
        )


def promise_the_earlier_in_the_document_goes_first(world: World) -> None:
    for call in world.just_called:
        run = call.key.run
        before = world.before[run].get(call.key.task, ())
        assert all(world.status(run, id).is_final for id in before), (
            f"{call.key} went before one of {before}"
        )


def promise_limits_are_kept(world: World) -> None:
    for call in world.just_started:
        beside = [other for other in world.holding if other is not call]
        for name, capacity in world.capacities(call.key).items():
            taken = world.room[call.key][name] + sum(
                world.room[other.key].get(name, 0) for other in beside
            )
            assert taken <= capacity, f"{name}: {taken} of {capacity}"


def promise_adaptive_limits_learn_from_every_call(world: World) -> None:
    """From the time it took, or from a failure of its server; a refusal of the tool and a kept
    answer say nothing."""
    limits = world.scheduler.limits
    assert limits.adaptive.keys() == world.adaptive.keys()
    for server, model in world.adaptive.items():
        assert isclose(limits.adaptive[server].value, model.value)
        assert limits.servers[server].capacity == model.slots


def promise_the_time_of_every_call_is_learned(world: World) -> None:
    """Of the last calls of each tool: without the time in which the client was asked something or
    the server was not there, and not of an answer that was kept."""
    for name, seconds in world.took.items():
        learned = world.learned.seconds(CATALOG_OF_WORLDS.tools[name])
        assert learned is not None
        assert isclose(learned, median(seconds[-15:]), abs_tol=1e-9)


def promise_rates_and_quiet_are_kept(world: World) -> None:
    for call in world.just_started:
        server = world.server(call.key)
        sent = sum(world.server(other.key) == server for other in world.just_started)
        assert world.may_send(server, but_for=sent), f"{server} is called too soon"
        if sent > 1:
            assert world.may_send(server, but_for=1), f"{server} is called too often"


def promise_nothing_that_fits_waits(world: World) -> None:
    for key in world.waiting():
        if world.is_held_back(key):
            continue
        assert not world.fits(key), f"{key} fits and waits"
        if not world.may_send(world.server(key)) and world.fits(key, at_any_rate=True):
            assert Key("", world.server(key)) in world.open, f"nothing looks again for {key}"


def promise_nothing_waits_for_what_is_over(world: World) -> None:
    """Whatever is not ready waits for the end of a task that is still to come."""
    for run in world.live:
        for id, needs in world.graphs[run].needs.items():
            if world.status(run, id) is Status.PENDING:
                reasons = [
                    *needs,
                    *world.before[run].get(id, ()),
                    *world.layers_before(run, id),
                ]
                assert not all(world.status(run, reason).is_final for reason in reasons), (
                    f"{id} waits for nothing"
                )


def promise_nothing_less_urgent_goes_first(world: World) -> None:
    for key in world.waiting() if world.just_called else ():
        if key.run:
            overtakers = [
                call
                for call in world.just_called
                if world.urgency(call.key) > world.urgency(key)
                and world.party(call.key) == world.party(key)
            ]
            is_passed = overtakers and world.fits(key, overtakers)
            assert not is_passed or world.is_held_back(key), f"{overtakers} went before {key}"


def promise_direct_calls_of_a_kind_go_in_the_order_in_which_they_came(world: World) -> None:
    for key in world.waiting() if world.just_started else ():
        if not key.run:
            overtakers = [call for call in world.just_started if world.came_later(call.key, key)]
            is_passed = overtakers and world.fits(key, overtakers)
            assert not is_passed or world.is_held_back(key), f"{overtakers} went before {key}"


def promise_parties_take_turns(world: World) -> None:
    """Of two parties that wait for the same slots, none is given many while the other waits. A call
    takes up to 9 slots, of which the other may have as many in its turn, and one more call."""
    for call in world.just_started:
        world.passes(call)
    for (key, party), slots in world.passed.items():
        if key in world.asked and world.seen[key] is Status.READY:
            assert slots <= 3 * 9, f"{party} was given {slots} slots while {key} waits"


def promise_layers_wait_for_layers(world: World) -> None:
    for call in world.just_called:
        run = call.key.run
        assert all(world.status(run, id).is_final for id in world.layers_before(run, call.key.task))


def promise_what_may_pass_is_tried_again_within_the_budget(world: World) -> None:
    for server, count in world.repeated.items():
        assert count <= 10 + world.first_calls[server] / 10 + 1e-6
    key = world.just_answered
    if key is not None and isinstance(error := world.answers.get(key), CallError):
        attempts, task = len(world.sent[key]), world.task(key)
        is_repeated = isinstance(world.open.get(key), Sleep)
        if not world.was_over and world.repeated[world.server(key)] < 10:
            may_pass = error.code in task.retried
            assert is_repeated == (may_pass and attempts <= task.retries)


def promise_nothing_of_an_ended_run_goes_on(world: World) -> None:
    for key in world.open:
        assert not world.finished[key.run] or key in world.aborted, f"{key} goes on"
    assert not any(world.finished[call.key.run] for call in world.just_started)


def promise_a_stopped_run_only_cleans_up(world: World) -> None:
    """And it does so at once, within its time."""
    for run in world.live:
        if world.runs[run].stopped_by is None:
            continue
        tasks = world.graphs[run].tasks
        left = [id for id in tasks if not world.status(run, id).is_final]
        assert left
        assert all(tasks[id].trigger_rule == "always" for id in left)
        assert Key(run, "", 1) in world.open
        assert Key(run, "") not in world.open or Key(run, "") in world.aborted
    for call in world.just_called:
        if world.runs[call.key.run].stopped_by is not None:
            assert world.task(call.key).trigger_rule == "always"


def promise_what_cleans_up_has_run(world: World, run: str) -> None:
    """Unless its own condition is not true, or a reference of it leads nowhere."""
    for id, task in world.graphs[run].tasks.items():
        state = world.runs[run].states[id]
        if task.trigger_rule != "always" or id in world.graphs[run].reused:
            continue
        assert state.status is not Status.CANCELLED
        if not world.condition(run, id):
            assert state.status is Status.SKIPPED
        elif not any(key[:2] == (run, id) for key in world.lost):
            assert (state.attempts > 0) == _can_be_sent(world, run, id)


def _goes_on(task: TaskText) -> bool:
    """Whether the other items of *task* go on after one that failed, also under `fail_fast`."""
    return task.may_lose_items or task.trigger_rule == "always"


def promise_fail_fast_stops_at_the_first_failure(world: World) -> None:
    for run in world.live:
        if world.graphs[run].is_fail_fast and world.runs[run].stopped_by is None:
            statuses = {
                status
                for key, status in world.seen.items()
                if key.run == run and not (key.item is not None and _goes_on(world.task(key)))
            }
            assert not statuses & {Status.FAILED, Status.TIMEOUT}


def promise_every_task_ends_once(world: World, run: str) -> None:
    assert world.finished[run] == 1
    result = result_at(world.runs[run], world.now)
    tasks = world.graphs[run].tasks
    assert [task.id for task in result.tasks] == list(tasks)
    for task in result.tasks:
        assert Status(task.status).is_final
        assert world.status(run, task.id) == task.status
    named = {error.id for error in result.errors}
    well = {id for id in tasks if world.status(run, id) is Status.SUCCESS}
    untaken = {id for id in tasks if world.is_untaken(run, id)}
    half = {id for id in well if world.lost_items(run, id)}
    assert all(tasks[id].may_lose_items for id in half)
    assert named == (tasks.keys() - well - untaken) | half
    was_stopped = world.runs[run].stopped_by in {"cancelled", "timeout"}
    assert (result.status == "success") == (not named and not was_stopped)
    for id in half:
        indices = {error.index for error in result.errors if error.id == id}
        assert indices == {*world.lost_items(run, id)}
    assert {id: result.outputs[id] for id in well} == world.outputs[run]


def promise_only_failures_that_may_pass_are_repeated(world: World, run: str) -> None:
    sent = {key: len(times) for key, times in world.sent.items() if key.run == run}
    for key, attempts in sent.items():
        assert attempts <= 1 + min(world.task(key).retries, world.may_pass[key])
    for id, state in world.runs[run].states.items():
        assert state.attempts == sum(attempts for key, attempts in sent.items() if key.task == id)


def promise_items_make_the_output_in_their_order(world: World, run: str) -> None:
    graph = world.graphs[run]
    for id, task in graph.tasks.items():
        state = world.runs[run].states[id]
        if task.for_each is None or state.items is None or id in graph.reused:
            continue
        keys = [Key(run, id, index) for index in range(len(world.items(run, id) or ()))]
        went_well = [world.seen.get(key) is Status.SUCCESS for key in keys]
        expected = [
            world.answers[key] if well else None for key, well in zip(keys, went_well, strict=True)
        ]
        assert state.output is not None
        assert state.output.value == expected
        is_enough = all(went_well) or (task.may_lose_items and any(went_well))
        assert (state.status is Status.SUCCESS) <= is_enough
        if world.runs[run].stopped_by is None:
            assert (state.status is Status.SUCCESS) == is_enough
        failed = {index for index, error in state.items.errors}
        assert failed == {
            key.item for key in keys if world.seen[key] in {Status.FAILED, Status.TIMEOUT}
        }
        assert all(world.seen[key].is_final for key in keys)


def promise_rules_decide_what_runs(world: World, run: str) -> None:
    graph = world.graphs[run]
    for id, task in graph.tasks.items():
        state = world.runs[run].states[id]
        code, cause = (
            (state.error.code, state.error.caused_by) if state.error is not None else (None, None)
        )
        if id in graph.reused:
            continue
        lost = {need for need in task.links if world.status(run, need) is not Status.SUCCESS}
        rule = task.trigger_rule
        if rule == "all_success" and any(not task.links[need] for need in lost):
            assert state.status is Status.SKIPPED
            assert cause in _root_causes(world, run, id)
            assert code == ("condition" if world.is_untaken(run, cause) else "dependency_failed")
        elif rule == "one_success" and lost and lost == set(task.links):
            assert state.status is Status.SKIPPED
            assert cause is not None
            assert code == ("condition" if world.is_untaken(run, cause) else "dependency_failed")
        elif rule == "none_failed" and not all(world.is_untaken(run, need) for need in lost):
            assert (state.status, code) == (Status.SKIPPED, "dependency_failed")
            assert cause in _root_causes(world, run, id)
        elif (
            rule == "one_failed" and all(world.is_untaken(run, need) for need in lost)
        ) or not world.condition(run, id):
            assert (state.status, code) == (Status.SKIPPED, "condition")
        else:
            assert state.status is not Status.SKIPPED
            if not any(key[:2] == (run, id) for key in world.lost):
                assert (state.attempts > 0) == _can_be_sent(world, run, id)


def promise_nothing_stays_held(world: World) -> None:
    scheduler, limits = world.scheduler, world.scheduler.limits
    assert not scheduler.runs
    assert not scheduler.in_flight
    assert scheduler.claims.is_free
    assert scheduler.locating.is_free
    assert not scheduler.direct
    assert limits.lanes.keys() == {NO_RUN}
    for lane in limits.lanes[NO_RUN].values():
        assert (lane.calls, lane.withdrawn, lane.stamp) == ([], set(), 0)
    assert not limits.runs
    for limit in (*limits.gateways.values(), *limits.servers.values(), *limits.tools.values()):
        assert (limit.taken, limit.woken) == (0, 0)
        assert limit.parked.first(limit.turn_of) is None
        assert limit.wide is None
    for rate in limits.rates.values():
        assert not rate.is_watched


def run_of(id: str, count: int = 1, **more: Any) -> Run:
    tasks = [{"id": f"t{number}", "tool": "s:do", **more} for number in range(count)]
    return Run(id, check(read_dag({"tasks": tasks}), CATALOG, Policy()), jitter=lambda: 0.0)


def keys(step: Step) -> list[tuple[str, str, str]]:
    return [
        (type(command).__name__, command.key.run, command.key.task) for command in step.commands
    ]


@table("calls", [1, 60, 120])
def test_retries_of_a_server_that_always_fails_stay_within_ten_and_a_tenth_of_its_calls(
    calls: int,
) -> None:
    scheduler, now = Scheduler(Limits()), 0.0
    attempts = 0
    open_commands = scheduler.submit(run_of("r", calls, retries=20), now).commands
    while open_commands:
        command, now = open_commands.pop(0), now + 1
        attempts += isinstance(command, Call)
        event = (
            Failed(command.key, CallTimeout("late"))
            if isinstance(command, Call)
            else Woke(command.key)
        )
        open_commands += scheduler.handle(event, now).commands
    assert 9 + calls // 10 <= attempts - calls <= 10 + calls // 10


def test_a_repeated_call_never_takes_an_answer_that_was_kept() -> None:
    scheduler = Scheduler(Limits())
    [first] = scheduler.submit(run_of("r", retries=1, cache=60), 0.0).commands
    scheduler.handle(Failed(first.key, CallTimeout("late")), 1.0)
    [second] = scheduler.handle(Woke(first.key), 2.0).commands
    assert isinstance(first, Call)
    assert isinstance(second, Call)
    assert [(call.attempt, call.max_age_s) for call in (first, second)] == [
        (1, 60.0),
        (2, 0.0),
    ]


def test_after_a_server_asked_for_quiet_nothing_is_sent_to_it_before_that_is_over() -> None:
    scheduler = Scheduler(Limits())
    scheduler.submit(run_of("r", retries=1), 0.0)
    step = scheduler.handle(
        Failed(Key("r", "t0"), ServerUnavailable("busy", retry_after_s=5.0)), 1.0
    )
    assert step.commands == [Sleep(Key("r", "t0"), 5.0)]
    assert scheduler.submit(run_of("other"), 2.0).commands == [Sleep(Key("", "s"), 4.0)]
    assert keys(scheduler.handle(Woke(Key("", "s")), 6.0)) == [("Call", "other", "t0")]
    assert keys(scheduler.handle(Woke(Key("r", "t0")), 6.0)) == [("Call", "r", "t0")]


def test_with_no_run_left_nobody_looks_again_when_a_rate_has_room() -> None:
    scheduler = Scheduler(Limits(rates=(("s", Rate(1, 8.0)),)))
    assert keys(scheduler.submit(run_of("r", 2), 0.0)) == [("Call", "r", "t0"), ("Sleep", "", "s")]
    assert keys(scheduler.handle(CancelRequested("r"), 1.0)) == [
        ("Abort", "r", "t0"),
        ("Abort", "", "s"),
    ]
    assert keys(scheduler.submit(run_of("next"), 2.0)) == []  # its sleep is still to be answered
    assert scheduler.handle(Aborted(Key("", "s")), 3.0).commands == [Sleep(Key("", "s"), 5.0)]
    assert keys(scheduler.handle(Woke(Key("", "s")), 8.0))[0] == ("Call", "next", "t0")


def test_new_limits_schedule_the_wake_up_for_a_rate_anew() -> None:
    scheduler = Scheduler(Limits(rates=(("s", Rate(1, 8.0)),)))
    assert keys(scheduler.submit(run_of("r", 2), 0.0))[1] == ("Sleep", "", "s")
    busy = ServerUnavailable("busy", retry_after_s=2.0)
    scheduler.handle(Failed(Key("r", "t0"), busy), 1.0)
    assert keys(scheduler.change_limits(Limits(), 1.0)) == [("Abort", "", "s")]
    assert scheduler.handle(Aborted(Key("", "s")), 1.0).commands == [Sleep(Key("", "s"), 2.0)]
    assert keys(scheduler.handle(Woke(Key("", "s")), 3.0))[0] == ("Call", "r", "t1")


def test_an_answer_that_comes_after_its_run_has_ended_frees_what_it_held() -> None:
    write = {"writes": ["x"]}
    scheduler = Scheduler(Limits(gateway=2))
    for id in ("one", "two"):
        plan = check(
            read_dag({"tasks": [{"id": "t0", "tool": "s:do", **write}]}), CATALOG, Policy()
        )
        step = scheduler.submit(Run(id, plan, conflicts=conflicts_in(plan)), 0.0)
    assert keys(step) == []
    assert keys(scheduler.handle(CancelRequested("one"), 1.0)) == [
        ("Abort", "one", "t0")
    ]  # it may still be writing
    assert keys(scheduler.handle(Succeeded(Key("one", "t0"), Output(1)), 2.0)) == [
        ("Call", "two", "t0")
    ]


def _can_be_sent(world: World, run: str, id: str) -> bool:
    """Whether the arguments of one call, at least, can be made, that is not reused."""
    try:
        items = world.items(run, id)
        for index, item in enumerate([None] if items is None else items):
            world.arguments(run, id, item)
            if items is None or world.reusable_item(Key(run, id, index)) is None:
                return True
    except LookupError:
        pass
    return False


def _root_causes(world: World, run: str, id: str) -> set[str]:
    """The ancestors of *id* that failed by themselves."""
    causes, to_look_at = set(), [id]
    while to_look_at:
        for need in world.graphs[run].needs[to_look_at.pop()]:
            error = world.runs[run].states[need].error
            if error is not None and error.caused_by is not None:
                to_look_at.append(need)
            elif world.status(run, need) is not Status.SUCCESS:
                causes.add(need)
    return causes


def test_a_call_that_is_not_sent_any_more_takes_no_slot_and_teaches_nothing() -> None:
    tasks = [{"id": id, "tool": "s:do"} for id in "abc"]
    learned = ToolStats()
    scheduler = Scheduler(Limits(1), learned)
    run = Run("r", check(read_dag({"tasks": tasks}), CATALOG, Policy()))
    step = scheduler.submit(run, 0.0, Known(lambda call: call.key.task in "bc"))
    started = [command.key.task for command in step.commands if isinstance(command, Call)]
    assert (started, scheduler.in_flight) == (["b", "c", "a"], 1)
    scheduler.handle(Succeeded(Key("r", "b"), Output("B")), 9.0)
    scheduler.handle(Failed(Key("r", "c"), ServerUnavailable("away")), 9.0)
    assert learned.seconds(CATALOG.tools["s:do"]) is None
    assert [str(state.status) for state in run.states.values()] == ["running", "success", "failed"]
