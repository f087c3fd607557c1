"""Runs of other processes are seen as the history has them."""

from __future__ import annotations

import pytest

from plait.core.results.record import RunStatus
from plait.core.scheduling.events import Status
from plait.core.values.principal import USER

from .dying import World, task

pytestmark = pytest.mark.virtual_time


async def test_an_interrupted_run_shows_what_was_done():
    world = World()
    world.hangs = {("write", 2), ("read", 4)}
    run_id = await world.interrupted(
        {
            "tasks": [
                task("one", "write", 1),
                task("two", "write", 2),
                task("bad", "fail", 3),
                task("four", "read", 4),
                task("five", "write", "$OUTPUT[two].n"),
            ]
        }
    )
    async with world.gateway() as (gateway, _):
        result = await gateway.wait(run_id)
    assert result.status is RunStatus.INTERRUPTED
    statuses = {id: one.status for id, one in result.record.tasks.items()}
    assert statuses == {
        "one": Status.SUCCESS,
        "two": Status.FAILED,
        "bad": Status.FAILED,
        "four": Status.PENDING,
        "five": Status.PENDING,
    }
    codes = {id: one.error.code for id, one in result.record.tasks.items() if one.error}
    assert codes == {"two": "in_doubt", "bad": "tool_error"}


async def test_where_nothing_is_interrupted_no_digest_is_made():
    def digest() -> str:
        raise AssertionError("a digest of a large document takes long")

    world = World()
    async with world.gateway() as (gateway, _):
        assert await gateway.engine.interrupted(USER, 3_600.0, digest) is None
        world.hangs = {("read", 1)}
        run_id = await world.interrupted({"tasks": [task("one", "read", 1)]})
        assert await gateway.engine.interrupted(USER, 3_600.0, lambda: "another") is None
        with pytest.raises(AssertionError, match="takes long"):
            await gateway.engine.interrupted(USER, 3_600.0, digest)
        assert (await gateway.wait(run_id)).run_id == run_id
