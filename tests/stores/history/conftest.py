"""`world` is a history that several processes have open: in a file, and its twin in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plait.stores.history import opening, store, writer

from .worlds import MemoryWorld, SqliteWorld, World


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no slow machine lose a run, where a test does not want it."""
    for module in (opening, store, writer):
        monkeypatch.setattr(module, "PATIENCE_S", 30.0)


@pytest.fixture(params=["sqlite", "memory"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    world = MemoryWorld() if request.param == "memory" else SqliteWorld(tmp_path)
    yield world
    await world.close()


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[SqliteWorld]:
    """The same in a file alone."""
    world = SqliteWorld(tmp_path)
    yield world
    await world.close()
