"""The history in memory, where it is alone: it stays within its bounds by itself."""

from __future__ import annotations

import asyncio

from plait.core.history import Limits, RunQuery
from plait.stores.history.memory import MemoryHistory

from .worlds import MemoryWorld, call, end


async def test_a_history_in_memory_alone_stays_within_its_bounds():
    world = MemoryWorld()
    history = MemoryHistory(bounds=Limits(keep_runs=3), now=lambda: world.now)
    for _ in range(5):
        log = world.begin(history)
        call(log, "a", "x" * 1_000)
        end(log)
        await log.committed()
    assert [entry.id for entry in await history.runs(RunQuery())] == ["r_5", "r_4", "r_3"]
    assert await history.trim(Limits(keep_bytes=7_500)) == 1


async def test_what_is_put_is_committed_in_the_next_turn_of_the_loop():
    world = MemoryWorld()
    history = await world.open()
    log = world.begin(history)
    assert await history.run(log.id) is None
    await asyncio.sleep(0)
    assert await history.run(log.id) is not None
