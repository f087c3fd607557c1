"""`world` is a history that several processes have open: in a file, and its twin in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .worlds import MemoryWorld, SqliteWorld, World


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
