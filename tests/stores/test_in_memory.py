"""Runs are kept within bounds, and one that is still going is never let go."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.results.record import RunRecord, record_of
from plait.core.scheduling.events import Key, Succeeded
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy
from plait.core.values.principal import ANYONE, USER, Principal
from plait.stores.in_memory import TASK_BYTES, InMemoryRuns
from tests.fakes import tool

CATALOG = Catalog([tool("s:t")], [ServerInfo("s", ServerState.READY)])


def begun(id: str, principal: Principal = USER) -> tuple[Run, Scheduler]:
    plan = check(read_dag({"tasks": [{"id": "a", "tool": "s:t"}]}), CATALOG, Policy())
    run = Run(id, plan, principal=principal)
    scheduler = Scheduler(Limits())
    scheduler.submit(run, 0.0)
    return run, scheduler


def keep_finished(
    runs: InMemoryRuns, *ids: str, size_bytes: int = 10, principal: Principal = USER
) -> None:
    """Runs of one task each, whose output has that size, begin and end one after the other."""
    for id in ids:
        run, scheduler = begun(id, principal)
        runs.add(record_of(run, 0.0))
        scheduler.handle(Succeeded(Key(id, "a"), Output(id, size_bytes=size_bytes)), 1.0)
        runs.put(record_of(run, 1.0), run.outputs)


def test_a_run_is_found_by_its_id_and_the_latest_stands_first() -> None:
    runs = InMemoryRuns()
    keep_finished(runs, "r1", "r2")
    found = runs.get("r1", USER)
    assert isinstance(found, RunRecord)
    assert (found.id, found.is_done) == ("r1", True)
    assert runs.get("r3", USER) is None
    assert runs.ids(USER) == ["r2", "r1"]


def test_each_principal_finds_its_own_runs_and_everyone_those_of_anyone_whose_id_they_know() -> (
    None
):
    runs = InMemoryRuns()
    mine, other = Principal("session:1"), Principal("session:2")
    owners = {"r1": mine, "r2": other, "r3": ANYONE, "r4": mine}
    for id, owner in owners.items():
        keep_finished(runs, id, principal=owner)
    found = {who: [id for id in owners if runs.get(id, who)] for who in (mine, other, ANYONE, USER)}
    assert found == {mine: ["r1", "r3", "r4"], other: ["r2", "r3"], ANYONE: ["r3"], USER: ["r3"]}
    listed = {who: runs.ids(who) for who in (mine, other, ANYONE, USER)}
    assert listed == {mine: ["r4", "r1"], other: ["r2"], ANYONE: [], USER: []}


def test_outputs_are_found_by_run_and_task() -> None:
    runs = InMemoryRuns()
    keep_finished(runs, "r1", "r2")
    assert [runs.output(id, "a") for id in ("r1", "r2")] == [
        Output("r1", size_bytes=10),
        Output("r2", size_bytes=10),
    ]
    assert runs.output("r1", "b") is None
    assert runs.output("r3", "a") is None


def test_a_run_that_has_begun_has_a_record_and_no_outputs() -> None:
    runs = InMemoryRuns()
    record = record_of(begun("r1")[0], 0.0)
    runs.add(record)
    assert runs.get("r1", USER) is record
    assert runs.output("r1", "a") is None


def test_above_the_number_that_is_kept_the_oldest_finished_goes() -> None:
    runs = InMemoryRuns(max_runs=2)
    keep_finished(runs, "r1", "r2", "r3")
    assert runs.ids(USER) == ["r3", "r2"]
    assert runs.output("r1", "a") is None


def test_above_the_bytes_that_are_kept_the_oldest_finished_goes() -> None:
    runs = InMemoryRuns(max_bytes=2 * (TASK_BYTES + 100) + 50)
    keep_finished(runs, "r1", "r2", "r3", size_bytes=100)
    assert runs.ids(USER) == ["r3", "r2"]


def test_a_run_of_many_tasks_weighs_more_than_its_outputs() -> None:
    runs = InMemoryRuns(max_bytes=3 * TASK_BYTES)
    keep_finished(runs, "r1", "r2", "r3", "r4", size_bytes=0)
    assert runs.ids(USER) == ["r4", "r3", "r2"]


def test_the_latest_finished_run_stays_however_large_it_is() -> None:
    runs = InMemoryRuns(max_bytes=10)
    keep_finished(runs, "r1", size_bytes=100)
    assert runs.ids(USER) == ["r1"]


def test_a_run_that_is_going_is_kept_above_every_bound() -> None:
    runs = InMemoryRuns(max_runs=1)
    for id in ("r1", "r2"):
        runs.add(record_of(begun(id)[0], 0.0))
    keep_finished(runs, "r3", "r4")
    assert runs.ids(USER) == ["r4", "r2", "r1"]


def test_an_output_of_many_values_is_kept_as_json_and_counts_as_that() -> None:
    value: Any = {"v": [{}] * 10_000}
    output = replace(Output.of(value, ({"type": "image", "data": "aGk="},)), is_wrapped=True)
    run, scheduler = begun("r1")
    scheduler.handle(Succeeded(Key("r1", "a"), output), 1.0)
    assert run.usage.bytes == output.memory_bytes > 20 * output.size_bytes
    runs = InMemoryRuns(max_bytes=TASK_BYTES + output.size_bytes + 200)
    tracemalloc.start()
    runs.put(record_of(run, 1.0), run.outputs)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 2 * output.size_bytes + 10_000
    assert runs.output("r1", "a") == output
    keep_finished(runs, "r2", size_bytes=1)
    assert runs.get("r1", USER) is None
    runs = InMemoryRuns(max_bytes=2 * TASK_BYTES + output.size_bytes + 200)
    runs.put(record_of(run, 1.0), run.outputs)
    keep_finished(runs, "r2", size_bytes=1)
    assert runs.get("r1", USER) is not None


def test_many_runs_of_one_principal_push_out_its_own_and_no_others() -> None:
    runs = InMemoryRuns(max_runs=4)
    mine, other = Principal("session:1"), Principal("session:2")
    keep_finished(runs, "mine", principal=mine)
    keep_finished(runs, *(f"r{n}" for n in range(10)), principal=other)
    assert runs.get("mine", mine) is not None
    assert runs.ids(other) == ["r9", "r8", "r7"]


def test_large_outputs_of_one_principal_push_out_its_own_and_no_others() -> None:
    runs = InMemoryRuns(max_bytes=10 * TASK_BYTES + 5_000)
    mine, other = Principal("session:1"), Principal("session:2")
    keep_finished(runs, "a", "b", size_bytes=1_000, principal=mine)
    keep_finished(runs, "c", "d", "e", size_bytes=3_000 + TASK_BYTES, principal=other)
    keep_finished(runs, "f", size_bytes=10, principal=mine)
    assert sorted(runs.ids(mine)) == ["a", "b", "f"]
    assert runs.ids(other) == ["e", "d"]
