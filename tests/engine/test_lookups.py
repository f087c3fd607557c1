"""Lookups of files run in threads, eight at a time, and what hangs stops no other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import anyio
import pytest

from plait.core.tools.claims import ResourceName
from plait.engine import lookups as module
from plait.engine.lookups import AS_WRITTEN, MAX_THREADS, TURNS, Lookups

PATIENCE_S = 60.0
"""More than anything takes that does not hang."""


class Disk:
    """A resolver over files of several kinds: `/hung` gives no answer before it is released, for
    `/behind` it says so instead of waiting for that, `/bad` fails, `/known` needs no lookup, and
    any other leads to the key `real`."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.put_off = threading.Semaphore(0)
        """Counts the lookups that would only have waited."""
        self.looked_up: list[str] = []
        self.most_at_once = 0
        self._running = 0
        self._changed = threading.Condition()
        self.together = 1
        """How many lookups wait for each other before they answer."""

    def at_once(self, name: ResourceName, /) -> str | None:
        return "known" if name.key.startswith("/known") else None

    def look_up(self, name: ResourceName, /) -> str | None:
        if name.key.startswith("/behind") and not self.released.is_set():
            self.put_off.release()
            return None
        with self._changed:
            self.looked_up.append(name.key)
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self.most_at_once >= self.together, PATIENCE_S)
        if name.key.startswith("/hung"):
            self.released.wait(PATIENCE_S)
        with self._changed:
            self._running -= 1
        if name.key.startswith("/bad"):
            raise ZeroDivisionError
        return f"real {name.key}"


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.released.set()


@pytest.fixture
def lookups(disk: Disk) -> Iterator[Lookups]:
    lookups = Lookups(disk)
    yield lookups
    disk.released.set()
    lookups.close()


def names(*keys: str) -> list[ResourceName]:
    return [ResourceName("s", key) for key in keys]


def many(folder: str, count: int) -> list[ResourceName]:
    return names(*(f"{folder}/{number}" for number in range(count)))


async def test_each_name_that_is_not_known_at_once_is_looked_up(disk: Disk, lookups: Lookups):
    found = await lookups.locate(names("/a", "/known/b", "/c"), PATIENCE_S)
    assert found == dict(
        zip(names("/a", "/known/b", "/c"), ["real /a", "known", "real /c"], strict=True)
    )
    assert sorted(disk.looked_up) == ["/a", "/c"]


async def test_where_nothing_has_to_be_looked_up_there_is_no_thread(disk: Disk, lookups: Lookups):
    before = threading.active_count()
    assert await lookups.locate(names("/known"), 0.0) == {ResourceName("s", "/known"): "known"}
    assert lookups.at_once(names("/known", "/known/b")) == dict.fromkeys(
        names("/known", "/known/b"), "known"
    )
    assert lookups.at_once(names("/known", "/a")) is None
    assert threading.active_count() == before


async def test_eight_lookups_run_at_a_time(
    disk: Disk, lookups: Lookups, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "HANGS_S", PATIENCE_S)
    disk.together = TURNS
    assert len(await lookups.locate(many("/a", 200), PATIENCE_S)) == 200
    assert (disk.most_at_once, TURNS) == (8, 8)


async def test_one_that_hangs_holds_up_none_that_was_asked_for_with_it(
    disk: Disk, lookups: Lookups, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "NAMES_A_THREAD", 1_000)
    async with anyio.create_task_group() as tasks:
        asked = [*names("/hung"), *many("/a", 10), *names("/hung/too"), *many("/b", 10)]
        tasks.start_soon(lookups.locate, asked, PATIENCE_S)
        while len(disk.looked_up) < len(asked):
            await anyio.lowlevel.checkpoint()
        disk.released.set()


async def test_lookups_that_hang_take_no_turn_from_others(
    disk: Disk, lookups: Lookups, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "HANGS_S", 0.01)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lookups.locate, many("/hung", 2 * TURNS), PATIENCE_S)
        while len(disk.looked_up) < TURNS:
            await anyio.lowlevel.checkpoint()
        assert len(await lookups.locate(many("/a", 100), PATIENCE_S)) == 100
        assert not disk.released.is_set()
        disk.released.set()


@pytest.mark.virtual_time
async def test_what_is_not_found_in_time_is_left_out(disk: Disk, lookups: Lookups):
    assert await lookups.locate(names("/hung", "/known"), 10.0) == {
        ResourceName("s", "/known"): "known"
    }
    assert anyio.current_time() == pytest.approx(10.0)


@pytest.mark.virtual_time
async def test_there_is_an_end_to_threads_that_hang(disk: Disk, lookups: Lookups):
    assert await lookups.locate(many("/hung", 10 * MAX_THREADS), 1_000.0) == {}
    assert len(disk.looked_up) <= MAX_THREADS


async def test_a_name_whose_lookup_hangs_is_not_looked_up_twice(disk: Disk, lookups: Lookups):
    while not disk.looked_up:  # on a busy machine the thread may begin late
        assert await lookups.locate(names("/hung"), 0.01) == {}
    assert await lookups.locate(names("/hung"), 0.01) == {}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_release, disk)
        assert await lookups.locate(names("/hung"), PATIENCE_S) == {
            ResourceName("s", "/hung"): "real /hung"
        }
    assert disk.looked_up == ["/hung"]


async def _release(disk: Disk) -> None:
    disk.released.set()


async def test_what_would_only_wait_is_put_off_and_looked_up_once_that_is_over(
    disk: Disk, lookups: Lookups
):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lookups.locate, names("/hung"), PATIENCE_S)
        tasks.start_soon(_release_after, disk, 300)
        assert len(await lookups.locate(many("/behind", 300), PATIENCE_S)) == 300


async def _release_after(disk: Disk, count: int) -> None:
    """Let files answer once so many lookups were put off."""
    for _ in range(count):
        while not disk.put_off.acquire(blocking=False):
            await anyio.lowlevel.checkpoint()
    disk.released.set()


async def test_what_was_put_off_is_tried_again_though_nothing_else_ends(
    disk: Disk, lookups: Lookups, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "HANGS_S", 0.01)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_release_after, disk, 3)
        assert await lookups.locate(names("/behind"), PATIENCE_S) == {
            ResourceName("s", "/behind"): "real /behind"
        }


async def test_what_nobody_waits_for_any_more_is_not_looked_up(
    disk: Disk, lookups: Lookups, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "HANGS_S", PATIENCE_S)
    async with anyio.create_task_group() as tasks:
        for name in many("/hung", TURNS):
            tasks.start_soon(lookups.locate, [name], PATIENCE_S)
        while len(disk.looked_up) < TURNS:
            await anyio.lowlevel.checkpoint()
        with anyio.move_on_after(0.01):
            await lookups.locate(names("/gone"), PATIENCE_S)
        disk.released.set()
    await lookups.locate(names("/last"), PATIENCE_S)
    assert "/gone" not in disk.looked_up


async def test_a_fault_of_a_resolver_leaves_its_name_out_at_once(
    disk: Disk, lookups: Lookups, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.ERROR):
        assert list(await lookups.locate(names("/bad", "/a"), PATIENCE_S)) == names("/a")
    assert [record.message for record in caplog.records] == ["lookup.crashed"]


async def test_threads_end_when_they_are_closed(disk: Disk):
    before = set(threading.enumerate())
    lookups = Lookups(disk)
    disk.together = 3
    await lookups.locate(many("/a", 3), PATIENCE_S)
    threads = set(threading.enumerate()) - before
    assert len(threads) == 3
    assert all(thread.daemon for thread in threads)
    lookups.close()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_without_a_file_system_a_name_is_what_it_says():
    assert AS_WRITTEN.at_once(ResourceName("s", "file:a/../b")) == "file:b"
