"""Large outputs, and faults of a real disk: a small tmpfs where the rights allow that, else a
limit of SQLite's own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from plait.core.history import CallKey, Effect, Happened, Outcome, RunQuery, Settled
from plait.core.scheduling.events import Failure, Status
from plait.core.tools.output import Output
from plait.errors import HistoryLost
from plait.stores.history import store as module
from plait.stores.history import writer
from plait.stores.history.database import Database, DatabaseError, Unusable
from plait.stores.history.files import Files
from plait.stores.history.packing import Packed, pack
from plait.stores.history.store import SqliteHistory

from .worlds import SqliteWorld, admit, call, end


@pytest.fixture
def packing(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """Large outputs are packed one by one, as this is released."""
    may_pack = threading.Semaphore(0)

    def slow_pack(text: bytes) -> Packed:
        may_pack.acquire()
        return pack(text)

    monkeypatch.setattr(module, "pack", slow_pack)
    yield may_pack
    may_pack.release(100)


async def test_a_large_output_holds_up_its_own_run_and_no_other(
    disk: SqliteWorld, packing: threading.Semaphore
):
    history = await disk.open()
    log, other = disk.begin(history), disk.begin(history)
    call(log, "large", "x" * 1_000_000)
    admit(log, "w")
    leaving = asyncio.ensure_future(log.secure())
    admit(other, "w")
    await other.secure()
    assert not leaving.done()
    assert await history.calls(log.id) == []
    packing.release()
    await leaving
    assert [one.key.task for one in await history.calls(log.id)] == ["large", "w"]


async def test_nothing_that_may_follow_from_a_large_output_is_there_without_it(
    disk: SqliteWorld, packing: threading.Semaphore
):
    history = await disk.open()
    log = disk.begin(history)
    for task in ("answered", "cancelled"):
        admit(log, task)
    await log.secure()
    call(log, "first", "x" * 1_000_000)
    log.put(Outcome(CallKey("answered"), 1, 0.1, Output.of(1)))
    log.put(Happened(0.1, "cancelled"))
    log.put(Outcome(CallKey("cancelled"), 1, 0.1, None, Failure("cancelled", "it was cancelled")))
    call(log, "after", 1)
    call(log, "second", "y" * 1_000_000)
    log.put(Settled("skipped", 0.1, Status.SKIPPED))

    async def ended() -> list[str]:
        await disk.settle(history)
        found = [one.key.task for one in await history.calls(log.id) if one.ended is not None]
        happened = [one.event.kind for one in await history.events(log.id)]
        return found + happened + [one.task for one in await history.settled(log.id)]

    assert await ended() == ["answered"]
    packing.release()
    while await ended() == ["answered"]:
        await asyncio.sleep(0)
    assert await ended() == ["answered", "cancelled", "first", "after", "cancelled"]
    packing.release()
    assert await log.committed()
    assert (await ended())[4:] == ["second", "cancelled", "skipped"]


class SmallDisk:
    """A disk of 1 MB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
        self.is_real = (
            shutil.which("mount") is not None
            and subprocess.run(mount, capture_output=True, check=False).returncode == 0
        )

    def limit(self, history: SqliteHistory) -> None:
        """Limit the file where the disk has no limit."""
        if not self.is_real:
            history._files.db.limit_pages(250)

    def make_read_only(self) -> None:
        if self.is_real:
            remount = ["mount", "-o", "remount,ro", str(self.folder)]
            subprocess.run(remount, check=True)
        else:
            self.folder.chmod(0o500)

    def close(self) -> None:
        if self.is_real:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)
        else:
            self.folder.chmod(0o700)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallDisk]:
    (tmp_path / "small").mkdir()
    with closing(SmallDisk(tmp_path / "small")) as disk:
        yield disk


async def test_a_full_disk_stops_no_run_and_loses_its_history(small: SmallDisk, tmp_path: Path):
    world = SqliteWorld(tmp_path)
    runtime = tmp_path / "runtime"
    history = SqliteHistory(Files(small.folder, runtime))
    small.limit(history)
    log = world.begin(history)
    assert await log.committed()
    for number in range(40):
        call(log, f"r{number}", os.urandom(60_000).hex())
        await log.committed()
    admit(log, "w")
    await log.secure()
    assert log.is_lost
    end(log, "success")
    assert not await log.committed()
    world.histories.append(history)
    await world.kill(history)
    again = SqliteHistory(Files(small.folder, runtime))
    chain = await world.chain(again, log.id)
    with pytest.raises(HistoryLost):
        await again.go_on(chain, world.beginning(), anew=True)
    await again.close()


async def test_a_disk_that_has_room_again_is_written_again(disk: SqliteWorld):
    history = await disk.open()
    assert await disk.begin(history).committed()
    db = history._files.db
    db.limit_pages(1)
    log = disk.begin(history)
    call(log, "a", os.urandom(60_000).hex())
    assert not await log.committed()
    assert "full" in (history.trouble or "")
    db.limit_pages(100_000)
    assert await disk.begin(history).committed(), history.trouble
    assert history.trouble is None


async def test_a_disk_that_cannot_be_written_is_not_used(small: SmallDisk, tmp_path: Path):
    await SqliteHistory(Files(small.folder, tmp_path / "runtime")).close()
    small.make_read_only()
    if os.geteuid() == 0 and not small.is_real:
        return  # root writes everywhere
    with pytest.raises((OSError, DatabaseError, Unusable)):
        Files(small.folder, tmp_path / "runtime")


async def test_a_process_that_stops_in_a_transaction_stops_no_call_of_others(
    disk: SqliteWorld, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writer, "PATIENCE_S", 0.05)
    history = await disk.open()
    log = disk.begin(history)
    assert await log.committed()
    other = Database(disk.folder / "state" / "history.db")
    with other.transaction():
        admit(log, "w")
        await log.secure()
        assert log.is_lost
    other.close()
    while not await disk.begin(history).committed():
        await asyncio.sleep(0.01)
    assert history.trouble is None


async def test_a_folder_that_takes_no_notes_in_time_refuses_the_call(
    disk: SqliteWorld, monkeypatch: pytest.MonkeyPatch
):
    history = await disk.open()
    answers = threading.Event()
    monkeypatch.setattr(module, "PATIENCE_S", 0.02)
    monkeypatch.setattr(history._files.lease, "note_loss", lambda run_id: answers.wait(10))
    with pytest.raises(OSError, match="does not answer"):
        await history.note_loss("r_1")
    answers.set()
    assert history.trouble is None


async def test_two_processes_write_at_once_and_nothing_is_lost(disk: SqliteWorld):
    histories = [await disk.open() for _ in range(3)]

    async def work(index: int) -> None:
        for number in range(20):
            log = disk.begin(histories[index])
            call(log, f"t{number}", effect=Effect.WRITE)
            end(log)
            assert await log.committed()

    await asyncio.gather(*map(work, range(3)))
    assert len(await histories[0].runs(RunQuery(limit=100))) == 60
    [figures] = await histories[0].statistics()
    assert figures.count == 60
