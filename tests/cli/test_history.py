"""What `plait history` reads."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import anyio
import pytest

from plait.cli.exits import Misused
from plait.cli.history import MOST_NAMED, find, in_doubt, time_of, whole_id, with_questions
from plait.core.history import ASKED, SAID, WAITING, CallKey, Effect, Happened, RunQuery
from plait.core.values.principal import USER
from plait.stores.history.memory import MemoryHistory

from ..stores.history.worlds import MemoryWorld, admit, call

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("45s", NOW - 45),
        ("30m", NOW - 1_800),
        ("3h", NOW - 10_800),
        ("2d", NOW - 172_800),
        ("1w", NOW - 604_800),
        ("2026-03-01", datetime(2026, 3, 1).timestamp()),  # a date of the person
        ("2026-03-01T12:00:00+00:00", 1_772_366_400.0),
    ],
)
def test_a_time_is_an_age_or_a_date(text: str, time: float):
    assert time_of(text, NOW) == time


@pytest.mark.parametrize("text", ["", "2", "d", "-2d", "2x", "²d", "yesterday"])
def test_another_time_is_refused(text: str):
    with pytest.raises(Misused, match="write 2d, 3h"):
        time_of(text, NOW)


async def test_a_run_is_found_by_the_beginning_of_its_id():
    world = MemoryWorld()
    history = await world.open()
    for _ in range(12):
        await world.begin(history).committed()
    assert (await find(history, "r_2")).entry.id == "r_2"
    assert (await find(history, "r_1")).entry.id == "r_1"  # whole, though others begin with it
    with pytest.raises(Misused, match=r"r_12, .*, …") as refused:
        await find(history, "r_")
    assert str(refused.value).count("r_") == MOST_NAMED + 1


async def test_a_run_with_an_open_question_is_listed_as_waiting_until_another_goes_on_from_it():
    world = MemoryWorld()
    first = await world.open()
    log = world.begin(first)
    log.put(Happened(1.0, ASKED, None, {"digest": "x"}))
    await log.committed()

    async def statuses(history: MemoryHistory) -> dict[str, str]:
        entries = await with_questions(history, await history.runs(RunQuery()))
        return {entry.id: entry.status for entry in entries}

    assert await statuses(first) == {log.id: WAITING}
    await world.kill(first)
    second = await world.open()
    assert await statuses(second) == {log.id: WAITING}
    later, _ = await world.resume(second, log.id)
    assert await statuses(second) == {later: "running", log.id: "interrupted"}


def test_a_whole_id_needs_no_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path))
    assert whole_id("r_" + "a" * 26) == "r_" + "a" * 26
    with pytest.raises(Misused, match="no run has an id"):
        whole_id("r_a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "doubts"), [({}, ["a", "b"]), ({"a": "skip"}, ["b"]), ({"*": "retry"}, [])]
)
def test_what_was_said_is_in_doubt_no_more(said: dict[str, str], doubts: list[str]):
    async def doubted() -> list[str]:
        world = MemoryWorld()
        history = await world.open()
        log = world.begin(history)
        admit(log, "a")
        admit(log, "b")
        admit(log, "idempotent", effect=Effect.IDEMPOTENT)
        admit(log, "read", effect=Effect.READ)
        for task, word in said.items():
            log.put(Happened(1.0, SAID, CallKey(task), word))
        await log.committed()
        await world.kill(history)
        chain = await MemoryHistory(world.shelf).chain(log.id, USER)
        assert chain is not None
        return in_doubt(chain)

    assert anyio.run(doubted) == doubts


async def test_a_call_that_ended_is_not_in_doubt():
    world = MemoryWorld()
    history = await world.open()
    log = world.begin(history)
    call(log, "a", effect=Effect.WRITE)
    await log.committed()
    chain = await history.chain(log.id, USER)
    assert chain is not None
    assert in_doubt(chain) == []
