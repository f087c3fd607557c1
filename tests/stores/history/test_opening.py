"""A start always has a history: in the file where it can be used, else in memory."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from plait.core.history import Durable
from plait.core.history_store import RunLog
from plait.errors import HistoryUnavailable
from plait.stores.history import files, opening
from plait.stores.history.database import Database
from plait.stores.history.opening import open_history

from .worlds import MemoryWorld


def begin(history: object, durable: Durable = Durable.PROCESS) -> RunLog:
    return MemoryWorld().begin(history, durable=durable)  # type: ignore[arg-type]  # any history


async def test_runs_are_in_the_file_of_the_folder(tmp_path: Path):
    first = await open_history(tmp_path, tmp_path / "runtime")
    log = begin(first)
    assert await log.committed()
    await first.close()
    second = await open_history(tmp_path, tmp_path / "runtime")
    assert await second.run(log.id) is not None
    assert second.trouble is None
    assert second.lease is not None
    await second.close()


@pytest.mark.parametrize("is_on_network", [False, True])
async def test_memory_alone_keeps_runs_and_refuses_to_outlast_power_cuts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_on_network: bool
):
    monkeypatch.setattr(files, "is_on_network", lambda folder: True)
    history = await open_history(tmp_path if is_on_network else None, tmp_path / "runtime")
    assert history.trouble is None
    assert history.lease is None
    log = begin(history)
    await log.secure()
    assert not log.is_lost
    assert await history.run(log.id) is not None
    with pytest.raises(HistoryUnavailable):
        await begin(history, Durable.POWER).secure()
    assert os.listdir(tmp_path) == []


async def test_a_file_that_cannot_be_used_loses_runs_and_stops_none(tmp_path: Path):
    db = Database(tmp_path / "history.db")
    db._db.pragma("user_version", 9_001)
    db.close()
    history = await open_history(tmp_path, tmp_path / "runtime")
    assert "newer Plait" in (history.trouble or "")
    log = begin(history)
    await log.secure()
    assert log.is_lost


async def test_a_disk_that_does_not_answer_holds_up_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    answers, closed = threading.Event(), threading.Event()

    class SlowFiles(files.Files):
        def __init__(self, folder: Path, runtime: Path) -> None:
            answers.wait()
            super().__init__(folder, runtime)

        def close(self) -> None:
            super().close()
            closed.set()

    monkeypatch.setattr(files, "Files", SlowFiles)
    monkeypatch.setattr(opening, "PATIENCE_S", 0.02)
    history = await open_history(tmp_path, tmp_path / "runtime")
    assert "has not answered" in (history.trouble or "")
    answers.set()
    assert closed.wait(10), "what is opened too late is closed again"
