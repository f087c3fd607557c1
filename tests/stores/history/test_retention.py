"""What is above the limits is deleted whole, in small steps, and gives its room back."""

from __future__ import annotations

import os

import pytest

from plait.core.history import Limits, RunQuery
from plait.stores.history.database import Bindings, Database

from .worlds import SqliteWorld, call, end

FIVE_RUNS = Limits(keep_runs=5)


def count(db: Database, table: str) -> int:
    return len(db._db.execute(f"SELECT 1 FROM {table}").fetchall())


async def fill(disk: SqliteWorld, runs: int, calls: int = 1, size: int = 3_000) -> Database:
    history = await disk.open()
    for _ in range(runs):
        log = disk.begin(history)
        for number in range(calls):
            call(log, f"t{number}", os.urandom(size).hex())
        call(log, "shared", {"pad": "same" * 1_000})
        end(log)
    await log.committed()
    return history._files.db


async def test_values_go_with_the_last_run_that_uses_them(disk: SqliteWorld):
    db = await fill(disk, 10)
    [history] = disk.histories
    assert await history.trim(FIVE_RUNS) == 5
    left = await history.runs(RunQuery())
    assert len(left) == 5
    kept = await history.output(left[-1].id, "shared")
    assert kept.value == {"pad": "same" * 1_000}
    assert await history.trim(Limits(keep_runs=0)) == 5
    for table in ("runs", "attempts", "blobs", "settled", "events"):
        assert count(db, table) == 0


async def test_room_is_given_back_until_the_rest_fits(disk: SqliteWorld):
    db = await fill(disk, 20, size=30_000)
    [history] = disk.histories
    before = db.used_bytes()
    await history.trim(Limits(keep_bytes=before // 2))
    assert db.used_bytes() <= before // 2
    assert len(await history.runs(RunQuery())) >= 8
    assert db._db.pragma("freelist_count") < 300


async def test_a_long_run_is_deleted_in_steps(disk: SqliteWorld, monkeypatch: pytest.MonkeyPatch):
    db = await fill(disk, 1, calls=1_200, size=1)
    [history] = disk.histories
    sweeper, steps = history._sweeper(), []
    run = sweeper.run

    def note(name: str, bindings: Bindings = ()) -> int:
        if name == "delete_attempts":
            steps.append(count(db, "attempts"))
        changed: int = run(name, bindings)
        return changed

    monkeypatch.setattr(sweeper, "run", note)
    await history.trim(Limits(keep_runs=0))
    assert steps == [1_201, 701, 201]
    assert count(db, "runs") == 0


async def test_a_deletion_that_was_broken_off_is_finished_first(disk: SqliteWorld):
    db = await fill(disk, 2, calls=10, size=1)
    [history] = disk.histories
    with db.transaction():
        db.run("mark_gone", (2,))
        db.run("delete_attempts", (2, "t5", "", -1, 0, 2, 1))
    assert len(await history.runs(RunQuery())) == 1
    assert await history.run("r_2") is None
    assert await history.trim(Limits(keep_days=1e6)) == 1
    assert count(db, "runs") == 1


async def test_the_losses_of_the_dead_are_written_down_before_they_are_forgotten(
    disk: SqliteWorld,
):
    first = await disk.open()
    log = disk.begin(first)
    await log.committed()
    await first.note_loss(log.id)
    await disk.kill(first)
    second = await disk.open()
    await second.trim(Limits(keep_days=1e6))
    assert list((disk.folder / "runtime").iterdir()) == []
    assert len(list((disk.folder / "state" / "leases").glob("[!.]*"))) == 1
    assert (await disk.chain(second, log.id)).head.entry.is_lost
    assert (await disk.chain(second, log.id)).head.entry.status == "interrupted"
