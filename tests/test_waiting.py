"""A signal wakes everyone who waits, and loses nothing for who says what was seen last."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint

from plait.downstream.transports.process import DRAIN_S
from plait.waiting import LONGEST_REST_S, RESTS, UNNOTICED_S, Signal, rest_after

pytestmark = pytest.mark.virtual_time


async def test_a_notification_wakes_all_who_wait():
    signal, woken = Signal(), list[int]()

    async def wait() -> None:
        woken.append(await signal.wait())

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert woken == []
        signal.notify()
    assert woken == [1, 1, 1]


async def test_a_notification_that_came_before_wakes_nobody_who_waits_from_now_on():
    signal = Signal()
    signal.notify()
    with anyio.move_on_after(1) as scope:
        await signal.wait()
    assert scope.cancelled_caught


async def test_a_notification_that_came_while_nobody_waited_is_there_for_who_says_what_was_seen():
    signal = Signal()
    seen = signal.count
    signal.notify()
    signal.notify()
    with anyio.fail_after(1):
        assert await signal.wait(seen) == 2


async def test_what_was_seen_is_not_waited_for_twice():
    signal = Signal()
    signal.notify()
    seen = await signal.wait(0)
    with anyio.move_on_after(1) as scope:
        await signal.wait(seen)
    assert scope.cancelled_caught


async def test_a_waiter_that_is_cancelled_takes_no_notification_from_the_others():
    signal, woken = Signal(), list[int]()

    async def wait() -> None:
        woken.append(await signal.wait())

    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(1) as scope:
            await signal.wait()
        assert scope.cancelled_caught
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(1):
            await signal.wait()
        signal.notify()
    assert woken == [1]


async def test_a_state_that_changes_back_at_once_wakes_who_waits_for_it_to_check_again():
    signal, is_open, checks = Signal(), False, list[bool]()

    async def wait() -> None:
        while not is_open:
            await signal.wait()
            checks.append(is_open)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        is_open = True
        signal.notify()
        is_open = False
        signal.notify()
        await checkpoint()
        await anyio.wait_all_tasks_blocked()
        assert checks == [False]
        is_open = True
        signal.notify()
    assert checks == [False, True]


async def test_a_notification_during_the_work_on_another_is_seen_afterwards():
    signal, rounds = Signal(), list[int]()

    async def work() -> None:
        seen = signal.count
        while len(rounds) < 2:
            seen = await signal.wait(seen)
            await anyio.sleep(1)
            rounds.append(seen)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await anyio.wait_all_tasks_blocked()
            signal.notify()
            await anyio.sleep(0.5)
            signal.notify()
    assert rounds == [1, 2]


def test_a_rest_is_longer_than_what_it_follows_and_bounded():
    assert rest_after(UNNOTICED_S) == 0
    assert rest_after(0.01) == pytest.approx(RESTS * 0.01)
    assert rest_after(10) == LONGEST_REST_S
    assert LONGEST_REST_S < DRAIN_S  # else the end of a dead process would be lost
