"""Values are kept once by digest, and nothing is remembered of a transaction that failed."""

from __future__ import annotations

from plait.core.history import CallKey, Effect, Limits, Outcome
from plait.core.tools.output import Output
from plait.core.values.strict import Json, JsonObject

from .test_retention import count
from .worlds import SqliteWorld, admit, call, end


async def test_equal_values_are_kept_once_and_small_ones_in_their_rows(disk: SqliteWorld):
    history = await disk.open()
    large: JsonObject = {"text": "x" * 1_000}
    for _ in range(3):
        log = disk.begin(history)
        call(log, "a", large, arguments=dict(large))
        call(log, "b", 1)
        await log.committed()
    db = history._files.db
    sizes = [row[0] for row in db._db.execute("SELECT size FROM blobs ORDER BY size")]
    assert len(sizes) == 3  # the document, the arguments and the output
    assert count(db, "attempts") == 6


async def test_numbers_of_a_transaction_that_failed_are_not_used(disk: SqliteWorld):
    history = await disk.open()
    disk.break_disk(history)
    lost = disk.begin(history)
    call(lost, "a", tool="s:first")
    assert not await lost.committed()
    disk.repair_disk(history)
    other = disk.begin(history)
    call(other, "b", tool="s:second")
    call(other, "c", tool="s:first")
    await other.committed()
    assert [one.tool for one in await history.calls(other.id)] == ["s:second", "s:first"]
    call(lost, "late", tool="s:first")
    end(lost)
    await disk.settle(history)
    assert [one.key.task for one in await history.calls(lost.id)] == ["late"]
    assert [one.key.task for one in await history.calls(other.id)] == ["b", "c"]
    assert [one.name for one in await history.statistics()] == ["s:first", "s:second"]


async def test_an_outcome_completes_its_intent_in_the_same_commit_and_in_a_later_one(
    disk: SqliteWorld,
):
    history = await disk.open()
    log = disk.begin(history)
    call(log, "same", 1, Effect.WRITE)
    key = admit(log, "later")
    await log.committed()
    log.put(Outcome(key, 1, 0.5, Output.of(2)))
    await log.committed()
    found = {one.key: one.output for one in await history.calls(log.id, values=True)}
    assert found == {CallKey("same"): Output.of(1), CallKey("later"): Output.of(2)}


async def test_definitions_are_asked_for_once_and_deleted_with_the_last_run(disk: SqliteWorld):
    history = await disk.open()
    asked: list[str] = []

    def given(name: str) -> list[Json]:
        asked.append(name)
        return [[name, {}, True]]

    for name in ("first", "second", "third"):
        digest = "other" if name == "third" else "same"
        log = disk.begin(history, catalog_digest=digest, definitions=lambda name=name: given(name))
        end(log)
        await log.committed()
    assert asked == ["first", "third"]
    db = history._files.db
    assert count(db, "catalogs") == 2
    await history.trim(Limits(keep_runs=1))
    assert count(db, "catalogs") == 1
    assert await history.definitions(log.id) == [["third", {}, True]]


async def test_runs_end_in_the_commit_that_they_begin_in_and_in_later_ones(disk: SqliteWorld):
    history = await disk.open()
    early, late = disk.begin(history), disk.begin(history)
    call(early, "a")
    end(early, at=2.0, failed=1)
    await late.committed()
    other = disk.begin(history)
    end(late, "failed", at=3.0)
    await other.committed()
    numbers = history._files.db._db.execute("SELECT id FROM runs ORDER BY number").fetchall()
    assert numbers == [(early.id,), (late.id,), (other.id,)]
    found = [await history.run(log.id) for log in (early, late, other)]
    kept = [run for run in found if run is not None]
    times = [run.entry.ended and run.entry.ended - run.entry.began for run in kept]
    assert times == [2.0, 3.0, None]
    ends = [(run.entry.status, run.entry.failed) for run in kept]
    assert ends == [("success", 1), ("failed", 0), ("running", 0)]
    assert [run.record for run in kept] == [
        {"id": early.id, "status": "success"},
        {"id": late.id, "status": "failed"},
        None,
    ]
