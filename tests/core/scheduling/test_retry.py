"""When a failed call may be tried again, and after how long."""

from __future__ import annotations

from plait.core.language.retries import Kind, Retries
from plait.core.scheduling.retry import (
    BUDGET_MOST,
    BUDGET_START,
    LONGEST_BACKOFF_S,
    RetryBudget,
    RetryBudgets,
    backoff_s,
    may_repeat,
)
from plait.errors import (
    CallError,
    CallTimeout,
    ConnectionLost,
    InvalidOutput,
    ServerUnavailable,
    ToolError,
)

from ..tables import table

LATE = CallTimeout("late")


@table(
    ("attempts", "jitter", "seconds"),
    [
        (1, 0.5, 0.5),
        (2, 0.5, 1.0),
        (3, 0.5, 2.0),
        (4, 0.5, 4.0),
        (1, 0.0, 0.25),
        (1, 1.0, 0.75),
        (3, 0.0, 1.0),
    ],
)
def test_the_pause_doubles_and_is_spread_by_half_of_it(
    attempts: int, jitter: float, seconds: float
) -> None:
    assert backoff_s(attempts, jitter, LATE) == seconds


@table(
    ("first_s", "seconds"),
    [(0, [0, 0, 0]), (10, [10, 20, 30]), (60, [60, 60, 60])],
)
def test_the_first_pause_is_what_retries_say_and_none_is_shorter(
    first_s: float, seconds: list[float]
) -> None:
    assert [backoff_s(attempts, 0.5, LATE, first_s) for attempts in (1, 2, 3)] == seconds


@table(
    ("on", "errors"),
    [
        (None, {CallTimeout, ConnectionLost, ServerUnavailable}),
        (["timeout"], {CallTimeout}),
        (["tool_error", "connection_lost"], {ToolError, ConnectionLost}),
    ],
)
def test_retries_are_for_the_failures_that_they_list(
    on: list[Kind] | None, errors: set[type[CallError]]
) -> None:
    kinds = (CallTimeout, ConnectionLost, ServerUnavailable, ToolError, InvalidOutput)
    assert {kind for kind in kinds if may_repeat(kind("x"), Retries(max=1, on=on))} == errors


@table("attempts", [7, 8, 20])
def test_the_pause_does_not_grow_without_end(attempts: int) -> None:
    assert backoff_s(attempts, 0.5, LATE) == LONGEST_BACKOFF_S


@table(
    ("asked", "seconds"),
    [(None, 0.5), (0.0, 0.5), (0.1, 0.5), (3.0, 3.0), (LONGEST_BACKOFF_S * 10, 300.0)],
)
def test_the_pause_is_no_shorter_than_what_the_server_asked_for(
    asked: float | None, seconds: float
) -> None:
    assert backoff_s(1, 0.5, ServerUnavailable("busy", retry_after_s=asked)) == seconds


def retries(budget: RetryBudget) -> int:
    """How many may be made now."""
    count = 0
    while budget.take():
        count += 1
    return count


def test_there_are_ten_retries_to_begin_with() -> None:
    assert retries(RetryBudget()) == BUDGET_START == 10


def test_every_ten_calls_add_a_retry() -> None:
    budget = RetryBudget(balance=0)
    for _ in range(35):
        budget.called()
    assert retries(budget) == 3


def test_what_is_saved_has_a_bound() -> None:
    budget = RetryBudget()
    for _ in range(10_000):
        budget.called()
    assert retries(budget) == BUDGET_MOST == 100


def test_each_server_has_its_own_budget() -> None:
    budgets = RetryBudgets()
    assert [budgets.take("a") for _ in range(11)] == [True] * 10 + [False]
    assert budgets.take("b")
    for _ in range(11):
        budgets.called("a")
    assert budgets.take("a")
