"""What a notice of a change of status carries, and which changes there are."""

from collections import defaultdict
from itertools import product
from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.events import MOVES, Failure, Key, Status, Wait
from plait.core.scheduling.frame import TaskCall
from plait.core.scheduling.moves import Moves
from plait.core.scheduling.notices import Changed, RunNotice
from plait.core.scheduling.state import Items, TaskState
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState, Tool
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy

from ..tables import table

PLANNED = check(
    read_dag({"tasks": [{"id": "a", "tool": "s:do"}]}),
    Catalog([Tool("s", "do", {"type": "object"})], [ServerInfo("s", ServerState.READY)]),
    Policy(),
).tasks["a"]
KEY = Key("r", "a")
ERROR = Failure("tool_error", "it broke")


class Moved:
    """A task, and the notices of its moves."""

    def __init__(self, status: Status = Status.PENDING, items: int | None = None) -> None:
        self.notices: list[RunNotice] = []
        self.waited: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.moves = Moves(self.notices, self.waited)
        self.state = TaskState(KEY, "s:do", 0)
        self.state.status = status
        if items is not None:
            self.state.items = Items(items)

    @property
    def last(self) -> Changed:
        notice = self.notices[-1]
        assert isinstance(notice, Changed)
        return notice


def call(index: int | None = None, **fields: Any) -> TaskCall:
    made = TaskCall(Key("r", "a", index), PLANNED, {})
    for name, value in fields.items():
        setattr(made, name, value)
    return made


@table(("before", "after"), [*product(Status, Status)])
def test_a_task_and_an_item_move_along_the_table_alone(before: Status, after: Status):
    task, item = Moved(before), Moved(items=1)
    assert item.state.items is not None
    item.state.items.statuses[0] = before
    if after in MOVES[before]:
        task.moves.task(task.state, after, 1.0)
        item.moves.item(item.state, 0, after, 1.0)
        assert (task.state.status, item.state.items.statuses) == (after, [after])
        assert (task.last.before, task.last.after, task.last.key) == (before, after, KEY)
        assert (item.last.before, item.last.after) == (before, after)
        assert item.last.key == Key("r", "a", 0)
        return
    with pytest.raises(AssertionError, match=rf"a.*: {before} -> {after}"):
        task.moves.task(task.state, after, 1.0)
    with pytest.raises(AssertionError, match=rf"\[0\]: {before} -> {after}"):
        item.moves.item(item.state, 0, after, 1.0)
    assert not task.notices
    assert not item.notices


def test_the_first_move_tells_what_the_task_waited_for_and_its_items():
    moved = Moved(items=3)
    moved.state.due_at = 2.0
    moved.state.waits = (Wait("conflict", "b", 1.5),)
    moved.moves.task(moved.state, Status.READY, 4.0, notes=("a note",))
    assert (moved.last.due_at, moved.last.waits, moved.last.items) == (2.0, moved.state.waits, 3)
    assert (moved.last.at, moved.last.notes) == (4.0, ("a note",))
    assert moved.waited == {("conflict", "b"): 1.5}


@table(("attempts", "is_told"), [(1, True), (2, False)])
def test_the_waits_of_a_call_come_with_its_first_attempt_alone(attempts: int, is_told: bool):
    waits = (Wait("limit", "gateway", 0.5),)
    moved = Moved(Status.READY)
    moved.moves.task(moved.state, Status.RUNNING, 1.0, call(attempts=attempts, waits=waits))
    assert moved.last.waits == (waits if is_told else ())
    item = Moved(items=1)
    item.moves.item(item.state, 0, Status.READY, 0.0, call(0, attempts=0, waits=waits))
    assert item.last.waits == ()
    item.moves.item(item.state, 0, Status.RUNNING, 1.0, call(0, attempts=attempts, waits=waits))
    assert item.last.waits == (waits if is_told else ())
    assert item.last.attempt == attempts


def test_the_last_move_of_a_task_tells_its_times_its_size_and_its_error():
    moved = Moved(Status.RUNNING)
    moved.state.attempts, moved.state.started_at = 2, 3.0
    moved.state.output = Output("x", size_bytes=7)
    moved.moves.task(moved.state, Status.SUCCESS, 5.0, call(took_s=1.25))
    assert (moved.last.started_at, moved.last.took_s, moved.last.output_bytes) == (3.0, 1.25, 7)
    assert (moved.last.attempt, moved.last.cached, moved.state.ended_at) == (2, True, 5.0)
    failed = Moved(Status.RUNNING)
    failed.state.error = ERROR
    failed.moves.task(failed.state, Status.FAILED, 5.0, call(took_s=1.25))
    assert (failed.last.error, failed.last.cached) == (ERROR, False)


def test_a_pause_before_the_next_attempt_tells_why_and_how_long():
    moved = Moved(Status.RUNNING)
    moved.moves.task(moved.state, Status.BACKING_OFF, 1.0, call(took_s=0.5), ERROR, 0.25)
    assert (moved.last.error, moved.last.jitter, moved.last.took_s) == (ERROR, 0.25, 0.5)
    assert moved.state.ended_at is None


@table(("before", "expected"), [(Status.RUNNING, 0.5), (Status.READY, None)])
def test_an_item_tells_the_time_of_the_call_that_ended_with_it(
    before: Status, expected: float | None
):
    moved = Moved(items=2)
    assert moved.state.items is not None
    moved.state.items.statuses[1] = before
    ended = call(1, took_s=0.5, attempts=1)
    moved.moves.item(
        moved.state, 1, Status.SUCCESS, 2.0, ended, output_bytes=9, cached=True, jitter=0.1
    )
    assert (moved.last.took_s, moved.last.output_bytes, moved.last.cached) == (expected, 9, True)
    assert (moved.last.key, moved.last.jitter) == (Key("r", "a", 1), 0.1)
    assert moved.state.items.statuses == ["pending", "success"]
