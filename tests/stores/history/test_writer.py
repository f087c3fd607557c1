"""Commits are few, soon, and beginnings of what happened; no disk that fails stops anything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from plait.core.history import CallKey, Durable, Effect, Happened, Outcome
from plait.core.tools.output import Output
from plait.errors import HistoryLost, HistoryUnavailable
from plait.stores.history import writer as module
from plait.stores.history.database import DAMAGED
from plait.stores.history.writer import Writer

from .worlds import SqliteWorld, admit, call


def writer_of(disk: SqliteWorld) -> Writer:
    found: Writer = disk.histories[-1]._writer
    return found


@pytest.fixture
def hang(disk: SqliteWorld) -> Iterator[Callable[[], threading.Event]]:
    """Lets commits of the history that was opened last hang, until the event is set."""
    events = []

    def hang() -> threading.Event:
        events.append(threading.Event())
        writer_of(disk).before_commit = events[-1].wait  # type: ignore[assignment]  # its result
        return events[-1]

    yield hang
    for event in events:
        event.set()


async def test_calls_that_become_ready_together_share_a_commit(disk: SqliteWorld):
    history = await disk.open()
    logs = [disk.begin(history) for _ in range(100)]
    await logs[0].committed()
    before = writer_of(disk).commits

    async def send(index: int) -> None:
        admit(logs[index], "w")
        await logs[index].secure()

    await asyncio.gather(*map(send, range(100)))
    assert writer_of(disk).commits == before + 1


async def test_what_was_put_before_is_committed_with_it_and_nothing_is_awaited_twice(
    disk: SqliteWorld,
):
    history = await disk.open()
    log, other = disk.begin(history), disk.begin(history)
    for number in range(50):
        call(other, f"t{number}")
    admit(log, "w")
    await log.secure()
    assert len(await history.calls(other.id)) == 50
    before = writer_of(disk).commits
    assert await other.committed()
    assert await log.committed()
    assert writer_of(disk).commits == before


@pytest.mark.parametrize(
    ("effect", "seconds"), [(Effect.WRITE, module.SOON_S), (Effect.READ, module.BATCH_S)]
)
async def test_the_end_of_a_call_is_committed_without_being_awaited(
    disk: SqliteWorld, monkeypatch: pytest.MonkeyPatch, effect: Effect, seconds: float
):
    history = await disk.open()
    log = disk.begin(history)
    key = admit(log, "a", effect)
    await log.committed()
    writer = writer_of(disk)
    waits: list[float] = []
    monkeypatch.setattr(writer, "_hand_over_in", waits.append)
    log.put(Outcome(key, 1, 0.5, Output.of(1)))
    assert waits == [seconds]
    writer.flush()


async def test_a_run_that_is_to_survive_a_power_cut_waits_for_the_disk_itself(
    disk: SqliteWorld,
):
    history = await disk.open()
    db, modes = disk.histories[0]._files.db, []
    writer_of(disk).before_commit = lambda: modes.append(db._db.pragma("synchronous"))
    for durable in (Durable.PROCESS, Durable.POWER, Durable.PROCESS):
        await disk.begin(history, durable=durable).committed()
    log = disk.begin(history, durable=Durable.POWER)
    call(log, "w", effect=Effect.WRITE)
    await log.committed()
    await disk.kill(history)
    again = await disk.open()
    db = disk.histories[0]._files.db
    writer_of(disk).before_commit = lambda: modes.append(db._db.pragma("synchronous"))
    chain = await disk.chain(again, log.id)
    await again.go_on(chain, disk.beginning(durable=Durable.POWER))
    assert modes == [1, 2, 1, 2, 2]


async def test_a_commit_that_hangs_holds_no_call_for_longer_than_the_patience(
    disk: SqliteWorld, monkeypatch: pytest.MonkeyPatch, hang: Callable[[], threading.Event]
):
    monkeypatch.setattr(module, "PATIENCE_S", 0.02)
    history = await disk.open()
    log, other = disk.begin(history), disk.begin(history)
    assert await log.committed()
    answers = hang()
    admit(log, "w")
    await log.secure()
    assert log.is_lost
    assert "has not been written" in (history.trouble or "")
    monkeypatch.setattr(module, "PATIENCE_S", 60.0)
    admit(other, "w")
    await other.secure()  # it is not waited for again
    with pytest.raises(HistoryUnavailable):
        await disk.begin(history, durable=Durable.POWER).secure()
    answers.set()
    late = disk.begin(history)
    while not await late.committed():
        late = disk.begin(history)
        await asyncio.sleep(0)
    assert history.trouble is None
    assert [one.key.task for one in await history.calls(log.id)] == ["w"]
    assert (await disk.chain(history, log.id)).head.entry.is_lost


async def test_rows_beyond_a_bound_are_dropped_while_the_disk_hangs(
    disk: SqliteWorld, monkeypatch: pytest.MonkeyPatch, hang: Callable[[], threading.Event]
):
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    history = await disk.open()
    log = disk.begin(history)
    await log.committed()
    answers = hang()
    for number in range(3):
        log.put(Happened(float(number), "woke"))
    writer_of(disk).flush()
    lost = [log.is_lost]
    log.put(Happened(3.0, "woke"))
    assert [*lost, log.is_lost] == [False, True]
    answers.set()


async def test_a_disk_that_failed_is_tried_again_though_nothing_is_written(
    disk: SqliteWorld, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    history = await disk.open()
    disk.break_disk(history)
    assert not await disk.begin(history).committed()
    assert history.trouble
    disk.repair_disk(history)
    tried = asyncio.Event()
    note = writer_of(disk)._note

    def noted(error: Exception | None) -> None:
        note(error)
        if error is None:
            tried.set()

    monkeypatch.setattr(writer_of(disk), "_note", noted)
    await tried.wait()
    assert history.trouble is None


async def test_damage_is_noted_for_the_next_start(disk: SqliteWorld):
    history = await disk.open()

    def damage() -> None:
        raise DAMAGED[0]("database disk image is malformed")

    writer_of(disk).before_commit = damage
    assert not await disk.begin(history).committed()
    assert (disk.folder / "state" / "history.suspect").exists()


async def test_a_fault_of_ours_loses_its_runs_and_not_the_thread(
    disk: SqliteWorld, caplog: pytest.LogCaptureFixture
):
    history = await disk.open()
    log = disk.begin(history, document={"not": object()})
    assert not await log.committed()
    assert "history.crashed" in caplog.text
    assert await disk.begin(history).committed()


async def test_going_on_does_not_wait_for_ever_and_leaves_nothing_behind(
    disk: SqliteWorld, monkeypatch: pytest.MonkeyPatch, hang: Callable[[], threading.Event]
):
    first = await disk.open()
    log = disk.begin(first)
    await log.committed()
    await disk.kill(first)
    second = await disk.open()
    chain = await disk.chain(second, log.id)
    monkeypatch.setattr(module, "LONGEST_WORK_S", 0.02)
    answers = hang()
    other = disk.begin(second)
    with pytest.raises(HistoryLost, match="has not been written"):
        await second.go_on(chain, disk.beginning())
    monkeypatch.setattr(module, "LONGEST_WORK_S", 60.0)
    answers.set()
    assert await other.committed()
    assert (await disk.chain(second, log.id)).head.entry.id == log.id
    assert (await second.go_on(chain, disk.beginning())).log is not None


async def test_a_waiter_that_is_cancelled_leaves_the_others_their_commit(
    disk: SqliteWorld, hang: Callable[[], threading.Event]
):
    history = await disk.open()
    log = disk.begin(history)
    answers = hang()
    first, second = (asyncio.ensure_future(log.committed()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    answers.set()
    assert await second


async def test_the_log_of_the_database_begins_anew_where_it_is_long(
    disk: SqliteWorld, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "WAL_PAGES", 10)
    history = await disk.open()
    db, pages = history._files.db, [0]
    while pages == sorted(pages):
        log = disk.begin(history)
        call(log, "t", "x" * 20_000)
        await log.committed()
        pages.append(db.wal_pages)
    assert CallKey("t") in (await disk.chain(history, log.id)).calls


async def test_closing_leaves_no_thread_and_nothing_unwritten(disk: SqliteWorld):
    before = set(threading.enumerate())
    history = await disk.open()
    log = disk.begin(history)
    call(log, "large", "x" * 1_000_000)
    disk.histories.clear()
    await history.close()
    assert {thread for thread in threading.enumerate() if "history" in thread.name} <= before
    again = await disk.open()
    [kept] = await again.calls(log.id, values=True)
    assert kept.output == Output.of("x" * 1_000_000)
