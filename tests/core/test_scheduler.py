"""Every schedule that the scheduler can make keeps its promises."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plait.core.events import Key, Status
from plait.core.result import result_of
from plait.core.run import Run

from .worlds import World


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_order_of_answers_keeps_every_promise(data: st.DataObject) -> None:
    world = World.draw(data)
    to_submit = list(world.runs.values())
    while to_submit or world.open:
        if to_submit and (not world.open or data.draw(st.booleans())):
            world.submit(to_submit.pop(0))
        elif data.draw(st.integers(0, 24)) == 0:
            world.cancel(data.draw(st.sampled_from(sorted(world.runs))))
        else:
            world.answer(data.draw(st.sampled_from(sorted(world.open, key=str))), data)
        promise_dependencies_settle_first(world)
        promise_limits_are_kept(world)
        promise_nothing_that_fits_waits(world)
        promise_nothing_less_urgent_goes_first(world)
        promise_layers_wait_for_layers(world)
        promise_nothing_of_an_ended_run_goes_on(world)
        promise_fail_fast_stops_at_the_first_failure(world)
    for run in world.runs.values():
        promise_every_task_ends_once(world, run)
        promise_only_failures_that_may_pass_are_repeated(world, run)
        if run.stopped_by is None:
            promise_rules_decide_what_runs(world, run)
    promise_nothing_stays_held(world)


def promise_dependencies_settle_first(world: World) -> None:
    for call in world.just_started:
        run, planned = world.runs[call.key.run], world.planned(call.key)
        assert all(run.states[need].status.is_final for need in planned.needs)
        if planned.task.trigger_rule == "all_success":
            assert all(run.states[need].status is Status.SUCCESS for need in planned.requires)


def promise_limits_are_kept(world: World) -> None:
    taken = world.taken_by(world.in_flight)
    for call in world.in_flight:
        for name, capacity in world.capacities(call.key.run, call.tool.server).items():
            assert taken[name] <= capacity, f"{name}: {taken[name]} of {capacity}"


def promise_nothing_that_fits_waits(world: World) -> None:
    for _, key in world.waiting:
        assert not world.fits(key, world.in_flight), f"{key} fits and waits"


def promise_nothing_less_urgent_goes_first(world: World) -> None:
    for _, key in world.waiting:
        overtakers = [call for call in world.just_started if world.urgency(call.key) > world.urgency(key)]
        others = [call for call in world.in_flight if call not in overtakers]
        assert not overtakers or not world.fits(key, others), f"{overtakers} went before {key}"


def promise_layers_wait_for_layers(world: World) -> None:
    for call in world.just_started:
        run = world.runs[call.key.run]
        if run.plan.dag.schedule == "layers":
            before = run.plan.layers[: run.plan.layer_of[call.key.task]]
            assert all(run.states[id].status.is_final for layer in before for id in layer)


def promise_nothing_of_an_ended_run_goes_on(world: World) -> None:
    for key in world.open:
        assert not world.runs[key.run].is_done or key in world.aborted, f"{key} goes on"
    assert not any(world.runs[call.key.run].stopped_by for call in world.just_started)


def promise_fail_fast_stops_at_the_first_failure(world: World) -> None:
    for run in world.runs.values():
        has_failed = any(state.status in {Status.FAILED, Status.TIMEOUT} for state in run.states.values())
        assert not (run.plan.dag.fail_fast and has_failed) or run.is_done


def promise_every_task_ends_once(world: World, run: Run) -> None:
    assert run.is_done
    assert world.finished[run.id] == 1
    result = result_of(run, world.now)
    assert [task.id for task in result.tasks] == list(run.plan.tasks)
    for task in result.tasks:
        assert Status(task.status).is_final
        assert world.seen[Key(run.id, task.id)] == task.status
    told = {error.id for error in result.errors}
    assert told >= {id for id, state in run.states.items() if state.status is not Status.SUCCESS}
    assert not told & {id for id, state in run.states.items() if state.status is Status.SUCCESS}


def promise_only_failures_that_may_pass_are_repeated(world: World, run: Run) -> None:
    for key, attempts in world.started.items():
        if key.run == run.id:
            assert attempts <= 1 + min(world.planned(key).task.retries, world.may_pass[key])
    for id, state in run.states.items():
        sent = sum(attempts for key, attempts in world.started.items() if key[:2] == (run.id, id))
        assert state.attempts == sent


def promise_rules_decide_what_runs(world: World, run: Run) -> None:
    for id, planned in run.plan.tasks.items():
        state = run.states[id]
        lost = {need for need in planned.needs if run.states[need].status is not Status.SUCCESS}
        match planned.task.trigger_rule:
            case "all_success" if lost & planned.requires:
                assert (state.status, state.code) == (Status.SKIPPED, "dependency_failed")
                assert state.caused_by in _root_causes(run, id)
            case "one_failed" if not lost:
                assert (state.status, state.code) == (Status.SKIPPED, "condition")
            case _:
                assert state.status is not Status.SKIPPED
                refers_to_lost = any(
                    reference.task in lost and not reference.is_guarded for reference in planned.arguments.references
                )
                is_empty = planned.task.for_each == []
                assert (state.attempts > 0) == (not refers_to_lost and not is_empty)


def promise_nothing_stays_held(world: World) -> None:
    ledger = world.scheduler.ledger
    assert not world.scheduler.runs
    assert not world.scheduler.in_flight
    assert not ledger.lanes
    assert not ledger.runs
    for limit in (ledger.gateway, *ledger.servers.values()):
        assert (limit.taken, limit.called, limit.parked) == (0, 0, [])


def _root_causes(run: Run, id: str) -> set[str]:
    """The ancestors of *id* that failed by themselves."""
    causes, to_look_at = set(), [id]
    while to_look_at:
        for need in run.plan.tasks[to_look_at.pop()].needs:
            state = run.states[need]
            if state.status is Status.SKIPPED and state.code == "dependency_failed":
                to_look_at.append(need)
            elif state.status is not Status.SUCCESS:
                causes.add(need)
    return causes
