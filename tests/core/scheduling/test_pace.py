"""The pace of a run: what it makes in one step, and what is left to the next."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.scheduling import pace
from plait.core.scheduling.events import Abort, Key, Sleep
from plait.core.scheduling.pace import PAUSE_S

from ..tables import table
from .played import Played

NEXT_STEP = Key("r", "", 0)


def large() -> Played:
    return Played(*({"id": f"t{number}", "for_each": [*range(10)]} for number in range(5)))


@pytest.fixture
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundredth of the room of each step, so that a hundredth of the work fills it."""
    monkeypatch.setattr(pace, "MAX_CALLS_AT_ONCE", pace.MAX_CALLS_AT_ONCE // 100)


COSTLY = "${OUTPUT[big].items | group_by(@, &to_string(@)) | length(@)}"


@pytest.mark.usefixtures("short_steps")
def test_many_calls_are_made_in_several_steps():
    played = large()
    made = []
    while len(played.run.ready) < 50:
        made.append(len(played.run.ready))
        assert played.run.commands.count(Sleep(NEXT_STEP, 0)) == len(made)
        played.run.wake(NEXT_STEP, played.now)
    assert made == [20, 40]
    assert played.run.commands.count(Sleep(NEXT_STEP, 0)) == 2
    assert set(played.statuses.values()) == {"ready"}


@pytest.mark.usefixtures("short_steps")
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
    played.answer("big", {"items": [*range(50)] * 4})
    steps = 0
    while not played.run.is_done:
        steps += 1
        assert played.run.commands.count(Sleep(NEXT_STEP, PAUSE_S)) == steps
        played.run.wake(NEXT_STEP, played.now)
    assert steps > 3
    assert [output.value for output in played.run.outputs.values()][1:] == outputs


LARGE = {"items": [{"id": number, "title": f"title {number}"} for number in range(200)]}


@pytest.mark.usefixtures("short_steps")
@table(
    "task",
    [
        {"id": "v", "for_each": [*range(100)], "value": "all: $OUTPUT[big]"},
        {"id": "v", "for_each": [*range(100)], "value": {"all": "$OUTPUT[big]"}},
        {"id": "v", "for_each": [*range(100)], "tasks": [{"id": "in", "value": "$OUTPUT[big]"}]},
        {"id": "v", "for_each": [*range(100)], "arguments": {"x": "$OUTPUT[big]", "n": "$ITEM"}},
    ],
)
def test_large_outputs_that_many_items_refer_to_are_put_in_in_several_steps(task: dict[str, Any]):
    played = Played({"id": "big"}, task)
    played.answer("big", LARGE)
    assert Sleep(NEXT_STEP, PAUSE_S) in played.run.commands
    assert not played.run.is_done


@pytest.mark.usefixtures("short_steps")
def test_calls_with_costly_arguments_are_made_in_several_steps_and_sent_meanwhile():
    each = {"id": "c", "for_each": [*range(9)], "arguments": {"x": COSTLY, "n": "$ITEM"}}
    played = Played({"id": "big"}, each)
    played.answer("big", {"items": [*range(50)] * 4})
    assert 0 < len(played.ready) < 9
    sent = 0
    while not played.run.is_done:
        if played.run.ready:
            played.answer(f"c[{sent}]", sent)
            sent += 1
        else:
            played.run.wake(NEXT_STEP, played.now)
    assert played.run.outputs["c"].value == [*range(9)]


@pytest.mark.usefixtures("short_steps")
def test_items_that_were_left_to_another_step_are_not_made_after_a_stop():
    each = {"id": "c", "for_each": [*range(9)], "arguments": {"x": COSTLY}}
    played = Played({"id": "big"}, each, timeout_s=5)
    played.answer("big", {"items": [*range(50)] * 4})
    played.run.stop("timeout", played.now)
    assert played.statuses["c"] == "skipped"
    played.run.wake(NEXT_STEP, played.now)
    assert played.run.ready == []


@pytest.mark.usefixtures("short_steps")
def test_the_calls_of_a_run_are_limited_also_where_they_are_made_in_several_steps():
    each = {"id": "c", "for_each": [*range(9)], "arguments": {"x": COSTLY}}
    played = Played({"id": "big"}, each, max_calls=5)
    played.answer("big", {"items": [*range(50)] * 4})
    while any(isinstance(one, Sleep) for one in played.run.commands):
        played.run.commands.clear()
        played.run.wake(NEXT_STEP, played.now)
    for number in range(4):
        played.answer(f"c[{number}]", number)
    assert played.statuses["c"] == "failed"
    assert {error.code for error in played.errors} == {"limit_exceeded"}
    assert played.run.states["c"].output.value == [0, 1, 2, 3, *[None] * 5]  # type: ignore[union-attr]  # it has one


@pytest.mark.usefixtures("short_steps")
def test_a_run_that_is_stopped_between_two_steps_makes_no_more_calls():
    played = large()
    played.run.stop("cancelled", played.now)
    assert Abort(NEXT_STEP) in played.run.commands
    assert set(played.statuses.values()) == {"cancelled"}
    played.run.wake(NEXT_STEP, played.now)
    assert played.run.status == "cancelled"
    assert set(played.statuses.values()) == {"cancelled"}


@pytest.mark.usefixtures("short_steps")
def test_answers_between_two_steps_ask_for_no_further_step():
    played = large()
    played.answer("t0[0]")
    assert played.run.commands.count(Sleep(NEXT_STEP, 0)) == 1
    played.run.wake(NEXT_STEP, played.now)
    assert played.statuses["t4"] == "pending"
    played.run.wake(NEXT_STEP, played.now)
    assert played.statuses["t4"] == "ready"
