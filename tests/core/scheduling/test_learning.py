"""What is learned from calls, and how alone each was."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.scheduling.events import Failed, Key, Paused, Resumed, Succeeded
from plait.core.scheduling.learning import Crowd, was_alone
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.core.tools.tool_stats import ToolStats
from plait.errors import CallError, CallTimeout, CircuitOpen, ServerOff, ServerUnavailable
from tests.fakes import tool

from ..tables import table

CATALOG = Catalog([tool("s:do", readOnlyHint=True)], [ServerInfo("s", ServerState.READY)])

A, B, C = (Key("r", id) for id in "abc")


def test_the_share_of_a_call_that_is_alone_is_its_duration() -> None:
    crowd = Crowd()
    crowd.enter(A, 1_000.0)
    assert crowd.leave(A, 1_002.5) == pytest.approx(2.5)
    crowd.enter(A, 2_000.0)
    assert crowd.leave(A, 2_001.0) == pytest.approx(1.0)


def test_calls_at_once_share_each_moment() -> None:
    crowd = Crowd()
    crowd.enter(A, 0.0)
    crowd.enter(B, 2.0)
    crowd.enter(C, 4.0)
    assert crowd.leave(B, 7.0) == pytest.approx(1.0 + 1.0)
    assert crowd.leave(C, 9.0) == pytest.approx(1.0 + 1.0)
    assert crowd.leave(A, 10.0) == pytest.approx(2.0 + 1.0 + 1.0 + 1.0 + 1.0)


def test_a_call_that_never_started_has_no_share() -> None:
    assert Crowd().leave(A, 5.0) == 0.0


@table(("share_s", "alone"), [(1.0, True), (0.85, True), (0.5, False), (0.0, False)])
def test_a_call_may_be_nearly_alone(share_s: float, alone: bool) -> None:
    assert was_alone(share_s, 1.0) == alone


def run_of(id: str, count: int = 1, **more: Any) -> Run:
    tasks = [{"id": f"t{number}", "tool": "s:do", **more} for number in range(count)]
    return Run(id, check(read_dag({"tasks": tasks}), CATALOG, Policy()))


def test_an_answer_that_was_kept_tells_nothing_of_its_server() -> None:
    learned = ToolStats()
    scheduler = Scheduler(Limits(8, (("s", "auto"),)), learned)
    calls = scheduler.submit(run_of("r", 2, cache=60), 0.0).commands
    for call, seconds, cached in zip(calls, (1.0, 9.0), (False, True), strict=True):
        scheduler.handle(Succeeded(call.key, Output(1), cached), seconds)
    assert learned.seen == 1
    assert scheduler.limits.adaptive["s"].value == 8


def test_what_a_call_took_is_learned_without_the_time_in_which_its_client_was_asked() -> None:
    learned = ToolStats()
    scheduler = Scheduler(Limits(), learned)
    scheduler.submit(run_of("r"), 0.0)
    key = Key("r", "t0")
    scheduler.handle(Paused(key), 1.0)
    scheduler.handle(Resumed(key), 501.0)
    scheduler.handle(Succeeded(key, Output(1)), 502.5)
    assert learned.seconds(CATALOG.tools["s:do"]) == 2.5


def test_what_a_call_takes_alone_is_learned_only_from_calls_that_were() -> None:
    learned = ToolStats()
    scheduler = Scheduler(Limits(), learned)
    scheduler.submit(run_of("r", 2), 0.0)  # a run of another caller counts too
    scheduler.submit(run_of("other"), 0.5)
    for key, now in ((Key("r", "t0"), 1.0), (Key("other", "t0"), 1.4), (Key("r", "t1"), 1.5)):
        scheduler.handle(Succeeded(key, Output(1)), now)
    done = CATALOG.tools["s:do"]
    assert (learned.seen, learned.seconds_alone(done)) == (3, None)
    for number, seconds in enumerate((0.25, 0.5)):
        scheduler.submit(run_of(f"alone{number}"), 10.0 * number + 10)
        at = 10.0 * number + 10 + seconds
        scheduler.handle(Succeeded(Key(f"alone{number}", "t0"), Output(1)), at)
    assert learned.seconds_alone(done) == 0.25


@table("was_sent", [True, False])
def test_a_call_that_was_not_sent_in_time_says_nothing_of_how_much_its_server_takes(
    was_sent: bool,
) -> None:
    scheduler = Scheduler(Limits(8, (("s", "auto"),)))
    before = scheduler.limits.adaptive["s"].value
    (call,) = scheduler.submit(run_of("r"), 0.0).commands
    scheduler.handle(Failed(call.key, CallTimeout("late", was_sent=was_sent)), 5.0)
    assert (scheduler.limits.adaptive["s"].value == before) is not was_sent


@table("error", [CircuitOpen("open"), ServerOff("off")])
def test_a_call_that_its_server_did_not_get_says_nothing_of_it(error: CallError) -> None:
    scheduler = Scheduler(Limits(8, (("s", "auto"),)))
    before = scheduler.limits.adaptive["s"].value
    error.retry_after_s = 9.0
    (call,) = scheduler.submit(run_of("r"), 0.0).commands
    scheduler.handle(Failed(call.key, error), 5.0)
    assert scheduler.limits.adaptive["s"].value == before
    assert "s" not in scheduler.limits.rates
    (call,) = scheduler.submit(run_of("next"), 6.0).commands
    scheduler.handle(Failed(call.key, ServerUnavailable("busy", retry_after_s=9.0)), 7.0)
    assert scheduler.limits.adaptive["s"].value < before
    assert "s" in scheduler.limits.rates
