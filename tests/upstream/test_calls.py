"""How calls that are open end when we stop."""

from __future__ import annotations

import anyio
import pytest
from mcp import MCPError

from plait.upstream.calls import LAST_S, WRITTEN_S, OpenCalls

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize(
    ("takes_s", "drained_s"),
    [(0, 0), (3, 3), (5, 5), (5.5, 5.5), (60, 5 + LAST_S)],
    ids=lambda value: f"{value}",
)
async def test_a_drain_waits_for_calls_and_then_for_the_answers_of_cancelled_ones(
    takes_s: float, drained_s: float
):
    calls, given_up = OpenCalls(), list[float]()

    async def call() -> None:
        with calls.counted():
            await anyio.sleep(takes_s)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.lowlevel.checkpoint()
        began = anyio.current_time()
        await calls.drain(5, lambda: given_up.append(anyio.current_time() - began))
        assert anyio.current_time() - began == pytest.approx(drained_s + WRITTEN_S)
        assert given_up == [min(takes_s, 5)]


async def test_a_call_that_a_drain_cancels_is_answered_with_an_error():
    calls, said = OpenCalls(), list[str]()

    async def call() -> None:
        with pytest.raises(MCPError) as refusal, calls.counted_until_drained():
            await anyio.sleep_forever()
        said.append(refusal.value.error.message)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.lowlevel.checkpoint()
        await calls.drain(5)
    assert said == ["The gateway is shutting down."]
    assert anyio.current_time() == pytest.approx(5 + WRITTEN_S)


async def test_a_stop_that_ends_in_time_does_not_give_up():
    calls = OpenCalls()
    with calls.counted_until_drained():
        await anyio.sleep(1)
    await calls.drain(5)
    with pytest.raises(MCPError, match="shutting down"), calls.counted_until_drained():
        raise AssertionError


async def test_a_hurried_drain_ends_at_once():
    calls, ends = OpenCalls(), list[float]()

    async def call() -> None:
        with calls.counted():
            await anyio.sleep_forever()

    async def drain() -> None:
        await calls.drain(100)
        ends.append(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        tasks.start_soon(drain)
        tasks.start_soon(drain)
        await anyio.sleep(2)
        calls.hurry()
        await anyio.sleep(LAST_S + 1)
        assert ends == [pytest.approx(2 + LAST_S + WRITTEN_S)] * 2
        tasks.cancel_scope.cancel()


def test_the_runs_that_calls_wait_for_are_known_meanwhile():
    calls = OpenCalls()
    with calls.waiting_for("r_1"), calls.waiting_for("r_2"):
        assert calls.runs == {"r_1", "r_2"}
    assert calls.runs == set()
