"""Runs are kept within bounds, and one that is still going is never let go."""

from __future__ import annotations

from plait.core.language.dag import read_dag
from plait.core.planning.check import check
from plait.core.results.store import TASK_BYTES, InMemoryRuns
from plait.core.scheduling.events import Key, Succeeded
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from tests.fakes import tool

CATALOG = Catalog([tool("s:t")], [ServerInfo("s", ServerState.READY)])


def running(id: str) -> tuple[Run, Scheduler]:
    run = Run(id, check(read_dag({"tasks": [{"id": "a", "tool": "s:t"}]}), CATALOG, Policy()))
    scheduler = Scheduler(Limits())
    scheduler.submit(run, 0.0)
    return run, scheduler


def finished(id: str, size_bytes: int = 10) -> Run:
    run, scheduler = running(id)
    scheduler.handle(Succeeded(Key(id, "a"), Output("x", size_bytes=size_bytes)), 1.0)
    assert run.is_done
    return run


def test_a_run_is_found_by_its_id_and_the_latest_stands_first() -> None:
    runs = InMemoryRuns()
    first, second = finished("r1"), finished("r2")
    runs.add(first)
    runs.add(second)
    assert runs.get("r1") is first
    assert runs.get("r3") is None
    assert runs.ids() == ["r2", "r1"]


def test_above_the_number_that_is_kept_the_oldest_finished_goes() -> None:
    runs = InMemoryRuns(max_runs=2)
    for id in ("r1", "r2", "r3"):
        runs.add(finished(id))
    assert runs.ids() == ["r3", "r2"]


def test_above_the_bytes_that_are_kept_the_oldest_finished_goes() -> None:
    runs = InMemoryRuns(max_bytes=2 * (TASK_BYTES + 100) + 50)
    for id in ("r1", "r2", "r3"):
        runs.add(finished(id, 100))
    assert runs.ids() == ["r3", "r2"]


def test_a_run_of_many_tasks_weighs_more_than_its_outputs() -> None:
    runs = InMemoryRuns(max_bytes=3 * TASK_BYTES)
    for id in ("r1", "r2", "r3", "r4"):
        runs.add(finished(id, 0))
    assert runs.ids() == ["r4", "r3", "r2"]


def test_the_latest_finished_run_stays_however_large_it_is() -> None:
    runs = InMemoryRuns(max_bytes=10)
    runs.add(finished("r1", 100))
    assert runs.ids() == ["r1"]


def test_a_run_that_is_going_is_kept_above_every_bound() -> None:
    runs = InMemoryRuns(max_runs=1)
    going = [running(id)[0] for id in ("r1", "r2")]
    for run in going:
        runs.add(run)
    runs.add(finished("r3"))
    runs.add(finished("r4"))
    assert runs.ids() == ["r4", "r2", "r1"]
