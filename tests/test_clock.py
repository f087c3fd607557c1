from __future__ import annotations

import asyncio
import os
import time

import anyio
import pytest

from .clock import VirtualLoop


@pytest.mark.virtual_time
async def test_sleeping_a_day_takes_no_time_and_a_day():
    began, real = anyio.current_time(), time.monotonic()
    await anyio.sleep(86_400)
    assert anyio.current_time() - began == pytest.approx(86_400)
    assert time.monotonic() - real < 30


@pytest.mark.virtual_time
async def test_timers_fire_in_the_order_of_their_times():
    fired = []

    async def fire(seconds: float) -> None:
        await anyio.sleep(seconds)
        fired.append(seconds)

    async with anyio.create_task_group() as tasks:
        for seconds in (3, 1, 2):
            tasks.start_soon(fire, seconds)
    assert fired == [1, 2, 3]


@pytest.mark.virtual_time
async def test_what_comes_from_outside_still_wakes_the_loop():
    readable, writable = os.pipe()
    try:
        got = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(
            readable, lambda: got.set_result(os.read(readable, 1))
        )
        await asyncio.to_thread(os.write, writable, b"x")
        assert await got == b"x"
    finally:
        asyncio.get_running_loop().remove_reader(readable)
        os.close(readable)
        os.close(writable)


async def test_other_tests_run_on_the_system_clock():
    assert not isinstance(asyncio.get_running_loop(), VirtualLoop)
