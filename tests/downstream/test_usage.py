"""A lazy server runs from its first use until it was not used for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from plait.core.tools.catalog import ServerState
from plait.downstream.usage import UsageTracker

from .changing import ChangingServer, call, described, info, pool_of, settled, until


@contextmanager
def used(use: UsageTracker) -> Iterator[None]:
    """One more use, for as long as the block takes."""
    use.begin()
    yield
    use.end()


@pytest.fixture
def changing(tmp_path: Path) -> ChangingServer:
    return ChangingServer(tmp_path / "changing")


@pytest.fixture
async def kept(changing: ChangingServer, tmp_path: Path) -> Path:
    """The state folder after one start of the server."""
    async with pool_of(tmp_path / "state", s=changing.settings()) as pool:
        await settled(pool)
    (changing.folder / "journal").unlink()
    return tmp_path / "state"


async def test_a_known_lazy_server_starts_at_its_first_use(changing: ChangingServer, kept: Path):
    async with pool_of(kept, s=changing.settings(lazy=True)) as pool:
        await settled(pool)
        assert (info(pool).state, info(pool).tools, info(pool).pid) == (ServerState.IDLE, 3, None)
        assert changing.asked == []
        await call(pool, "look")
        assert info(pool).state is ServerState.READY


async def test_an_unknown_lazy_server_starts_to_be_listed(changing: ChangingServer):
    async with pool_of(s=changing.settings(lazy=True, idle_timeout_s=0.05)) as pool:
        await settled(pool)
        assert info(pool).tools == 3
        await until(lambda: info(pool).state is ServerState.IDLE)


async def test_an_idle_server_stops_and_starts_again_for_the_next_call(
    changing: ChangingServer, kept: Path
):
    async with pool_of(kept, s=changing.settings(lazy=True, idle_timeout_s=0.05)) as pool:
        first = await call(pool, "look")
        await until(lambda: info(pool).state is ServerState.IDLE)
        assert changing.asked[-1] == "end"
        assert (info(pool).tools, info(pool).error) == (3, None)
        assert await call(pool, "look") != first


async def test_a_call_in_flight_keeps_the_server_running(changing: ChangingServer, kept: Path):
    async with pool_of(kept, s=changing.settings(lazy=True, idle_timeout_s=0.01)) as pool:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, pool, "wait")
            await until(lambda: "tools/call" in changing.asked)
            with anyio.move_on_after(0.1) as much_longer_than_it_may_be_idle:
                await until(lambda: info(pool).state is not ServerState.READY)
            assert much_longer_than_it_may_be_idle.cancelled_caught
            changing.answer_wait()
        await until(lambda: info(pool).state is ServerState.IDLE)


async def test_asking_for_an_unknown_tool_starts_its_server(changing: ChangingServer, kept: Path):
    changing.put([described("look"), described("new")])
    async with pool_of(kept, s=changing.settings(lazy=True)) as pool:
        await settled(pool)
        assert "s:new" not in pool.catalog().tools
        await settled(pool, "s")
        assert "s:new" in pool.catalog().tools


async def test_a_lazy_server_that_fails_to_start_is_tried_again_at_the_next_use(
    changing: ChangingServer, kept: Path
):
    good = (changing.folder / "state.json").read_text()
    async with pool_of(kept, s=changing.settings(lazy=True, idle_timeout_s=0.01)) as pool:
        (changing.folder / "state.json").write_text("broken")
        await settled(pool, "s")
        await until(lambda: info(pool).state is ServerState.IDLE)
        assert "JSONDecodeError" in str(info(pool).error)
        (changing.folder / "state.json").write_text(good)
        await call(pool, "look")
        assert info(pool).error is None


@pytest.mark.virtual_time
class TestUse:
    async def test_a_server_that_is_not_lazy_is_always_wanted(self):
        use = UsageTracker()
        await use.wait_wanted()
        with anyio.move_on_after(1_000_000) as scope:
            await use.wait_unwanted()
        assert scope.cancelled_caught

    async def test_a_lazy_server_is_wanted_during_a_use_and_for_a_while_after(self):
        use = UsageTracker(300)
        states = [use.is_wanted]
        with used(use):
            await anyio.sleep(1_000)
            states.append(use.is_wanted)
        assert states == [False, True]
        ended = anyio.current_time()
        await use.wait_unwanted()
        assert anyio.current_time() - ended == pytest.approx(300)

    async def test_each_use_starts_the_idle_time_again(self):
        use = UsageTracker(300)
        async with anyio.create_task_group() as tasks:
            use.touch()
            tasks.start_soon(use.wait_unwanted)
            for _ in range(5):
                await anyio.sleep(200)
                with used(use):
                    pass
        assert anyio.current_time() == pytest.approx(5 * 200 + 300)

    async def test_a_use_ends_the_wait_for_one(self):
        use = UsageTracker(300)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use.wait_wanted)
            await anyio.sleep(50)
            with used(use):
                await anyio.sleep(1)
        assert anyio.current_time() == 51

    async def test_new_settings_apply_at_once(self):
        use = UsageTracker(300)
        use.touch()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use.wait_unwanted)
            await anyio.sleep(1)
            use.adjust(10)
        assert anyio.current_time() == pytest.approx(10)

    async def test_new_settings_do_not_start_what_is_not_wanted(self):
        use = UsageTracker(10)
        use.touch()
        await anyio.sleep(20)
        use.adjust(300)
        assert not use.is_wanted

    async def test_the_wait_for_the_end_of_all_uses_is_bounded(self):
        use = UsageTracker()
        with used(use):
            await use.wait_unused(7)
        assert anyio.current_time() == 7
        async with anyio.create_task_group() as tasks:
            with used(use):
                tasks.start_soon(use.wait_unused, 100)
                await anyio.sleep(3)
        assert anyio.current_time() == 10
