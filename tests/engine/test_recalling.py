"""Runs of other processes are seen as the history has them."""

from __future__ import annotations

import anyio
import pytest

from plait.core.history import Post
from plait.core.ports import ToolCall
from plait.core.results.record import RunStatus
from plait.core.scheduling.events import Status
from plait.core.values.principal import USER, Principal
from plait.core.values.strict import JsonObject
from plait.engine.gateway import Gateway
from plait.errors import UnknownRun
from plait.stores.history.memory import MemoryHistory
from plait.stores.in_memory import InMemoryRuns

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


async def test_the_calls_of_an_interrupted_run_count_from_when_they_left():
    world = World()
    world.hangs = {("read", 2), ("write", 3)}
    world.delays = {("write", 1): 0.5}

    async def starting(call: ToolCall) -> JsonObject:
        with call.caller.waiting():
            await anyio.sleep(2)  # its server starts
        return await world.servers(call)

    history = MemoryHistory(world.shelf)
    async with Gateway(world.servers, starting, InMemoryRuns(), history=history) as gateway:
        tasks = [task("one", "write", 1), task("two", "read", 2), task("three", "write", 3)]
        run_id = (await gateway.submit({"tasks": tasks})).run_id
        await gateway.wait(run_id, 5)
        history.die()
    async with world.gateway() as (gateway, _):
        record = (await gateway.wait(run_id)).record
    assert (record.tasks["one"].start_s, record.tasks["one"].end_s) == (2.0, 2.5)
    assert record.tasks["three"].error is not None  # it is in doubt
    assert (record.tasks["three"].start_s, record.tasks["three"].end_s) == (2.0, 2.0)


async def test_a_run_of_another_process_is_awaited():
    world = World()
    world.hangs = {("write", 1)}
    async with world.gateway() as (one, _), world.gateway() as (other, _):
        document = {"tasks": [task("a", "read", 2), task("b", "write", 1, timeout_s=5)]}
        run_id = (await one.submit(document)).run_id
        await one.wait(run_id, 1)
        so_far = await other.wait(run_id, 1)
        assert so_far.status is RunStatus.RUNNING
        assert so_far.outputs == {"a": {"n": 2}}
        result = await other.wait(run_id)
        assert result == await one.wait(run_id)
        assert result.status is RunStatus.PARTIAL


async def test_a_run_of_another_process_is_cancelled_and_no_other():
    world = World()
    world.hangs = {("read", 1), ("read", 2)}
    async with world.gateway() as (one, _), world.gateway() as (other, _):
        run_id = (await one.submit({"tasks": [task("a", "read", 1), task("b", "fail", 3)]})).run_id
        kept = (await one.submit({"tasks": [task("a", "read", 2)]})).run_id
        await one.wait(run_id, 1)
        result = await other.cancel(run_id)
        assert result.status is RunStatus.CANCELLED
        assert result.record.tasks["a"].status is Status.CANCELLED
        assert result == await one.wait(run_id)
        assert not one.is_done(kept)
        with pytest.raises(UnknownRun):
            await other.cancel(kept, Principal("bob"))
        await one.wait(kept, 1)
        assert not one.is_done(kept)


async def test_what_cleans_up_in_another_process_is_not_waited_for_longer_than_is_asked():
    world = World()
    world.hangs = {("read", 1), ("write", 2)}
    tasks = [
        task("a", "read", 1),
        task("close", "write", 2, depends_on=["a"], trigger_rule="always"),
    ]
    async with world.gateway() as (one, _), world.gateway() as (other, _):
        run_id = (await one.submit({"tasks": tasks})).run_id
        await one.wait(run_id, 1)
        assert (await other.cancel(run_id)).status is RunStatus.RUNNING
        assert (await other.wait(run_id, 40)).status is RunStatus.CANCELLED


async def test_a_run_that_its_process_does_not_cancel_any_more_is_as_it_is():
    world = World()
    world.hangs = {("write", 1)}
    run_id = await world.interrupted({"tasks": [task("a", "write", 1)]})
    async with world.gateway() as (gateway, history):
        assert (await gateway.cancel(run_id)).status is RunStatus.INTERRUPTED
        world.hangs = {("read", 2)}
        live = (await gateway.submit({"tasks": [task("a", "read", 2)]})).run_id
        assert await gateway.engine.post(Post(live, "of a newer version", USER))
        assert history.shelf.posts == []
        assert not gateway.is_done(live)


async def test_who_leaves_the_run_of_another_caller_does_not_cancel_it():
    world = World()
    world.hangs = {("read", 2)}
    run_id = await world.interrupted({"tasks": [task("a", "read", 1), task("b", "read", 2)]})
    world.hangs = {("read", 2)}
    async with world.gateway() as (one, _), world.gateway() as (other, _):
        went_on = (await one.submit({"tasks": [], "resume_from": run_id})).run_id
        for gateway in (one, other):
            with anyio.move_on_after(1):
                await gateway.execute({"tasks": [], "resume_from": run_id})
        assert not one.is_done(went_on)


async def test_where_nothing_is_interrupted_no_digest_is_made():
    def digest() -> str:
        raise AssertionError("a digest of a large document takes long")

    world = World()
    async with world.gateway() as (gateway, _):
        assert await gateway.engine.left_over(USER, 3_600.0, digest) is None
        world.hangs = {("read", 1)}
        run_id = await world.interrupted({"tasks": [task("one", "read", 1)]})
        assert await gateway.engine.left_over(USER, 3_600.0, lambda: "another") is None
        with pytest.raises(AssertionError, match="takes long"):
            await gateway.engine.left_over(USER, 3_600.0, digest)
        assert (await gateway.wait(run_id)).run_id == run_id
