"""The state of tasks and items."""

from __future__ import annotations

from plait.core.scheduling.events import Failure, Key, Status
from plait.core.scheduling.state import Items, TaskState
from plait.core.tools.output import Output

from ..tables import table


def test_the_output_of_items_is_their_outputs_in_order_with_null_for_missing_ones():
    items = Items(3)
    items.outputs[2] = Output("c", ({"type": "image"},), 3)
    items.outputs[0] = Output("a", (), 1)
    assert items.output() == Output(
        ["a", None, "c"], ({"type": "image"},), 4, attachments_by_item=(0, 0, 1)
    )


def state(status: Status, code: str | None = None) -> TaskState:
    made = TaskState(Key("r", "a"), "s:do", 0)
    made.status = status
    made.error = None if code is None else Failure(code, "why")
    return made


@table(
    ("status", "code", "is_well", "fate"),
    [
        (Status.SUCCESS, None, True, "failed"),
        (Status.SKIPPED, "condition", True, "was skipped"),
        (Status.SKIPPED, "dependency_failed", False, "was skipped"),
        (Status.FAILED, "tool_error", False, "failed"),
        (Status.TIMEOUT, "timeout", False, "timed out"),
        (Status.CANCELLED, "cancelled", False, "was cancelled"),
    ],
)
def test_a_task_ends_well_by_success_or_by_a_condition(
    status: Status, code: str | None, is_well: bool, fate: str
):
    ended = state(status, code)
    assert ended.is_well is is_well
    assert status is Status.SUCCESS or ended.fate == fate


@table(("attempts", "is_fresh", "cached"), [(1, False, True), (1, True, False), (0, False, False)])
def test_an_answer_is_cached_if_no_call_was_answered_by_the_server(
    attempts: int, is_fresh: bool, cached: bool
):
    ended = state(Status.SUCCESS)
    ended.attempts, ended.is_fresh = attempts, is_fresh
    assert ended.cached is cached
    assert not state(Status.FAILED).cached


def test_the_failure_of_a_task_is_that_of_its_items_too():
    state = TaskState(Key("r", "a"), "s:do", 0)
    assert state.failure() is None
    state.status, state.error = Status.FAILED, Failure("timeout", "late")
    assert state.failure() == {"code": "timeout", "message": "late"}
    state.items = Items(3)
    state.items.values = ["x", "y"]
    state.items.errors = [(2, Failure("internal", "z")), (1, Failure("timeout", "late"))]
    assert state.failure() == {
        "code": "timeout",
        "message": "late",
        "items": [
            {"index": 1, "item": "y", "code": "timeout", "message": "late"},
            {"index": 2, "item": None, "code": "internal", "message": "z"},
        ],
    }


def test_a_skip_by_a_condition_is_not_a_failure_and_one_after_a_failure_is():
    state = TaskState(Key("r", "a"), "s:do", 0)
    state.status, state.error = Status.SKIPPED, Failure("condition", "no")
    assert state.failure() is None
    state.error = Failure("dependency_failed", "b failed")
    assert state.failure() == {"code": "dependency_failed", "message": "b failed"}
