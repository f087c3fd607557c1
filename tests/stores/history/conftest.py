"""`world` is a history that several processes have open: its twin in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .worlds import MemoryWorld, World


@pytest.fixture(params=[MemoryWorld])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    world: World = request.param()
    yield world
    await world.close()
