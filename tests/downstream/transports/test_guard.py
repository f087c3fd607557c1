"""Servers end with us, also if we are killed and they ignore everything that can be ignored."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from plait.downstream.transports import guard as guards
from plait.downstream.transports.guard import Guard

from .test_process import is_alive

SOON = 30.0
NO_GROUP = 2**30
"""Above all numbers of processes."""
STUBBORN = "trap '' TERM HUP INT; while :; do sleep 600; done"
OWNER = f"""
import asyncio, os, subprocess, sys
from plait.downstream.transports.guard import Guard

async def main():
    guard = Guard(grace_s=0.1)
    ended, kept = (
        subprocess.Popen(["sh", "-c", {STUBBORN!r}], start_new_session=True) for _ in range(2)
    )
    await guard.watch(ended.pid)
    await guard.watch(kept.pid)
    guard.release(ended.pid)
    print(ended.pid, kept.pid, guard.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def killed_owner() -> list[int]:
    """The group that a killed process had released, the one that it watched, and its guard."""
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()]
        owner.kill()
    return pids


def stubborn() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sh", "-c", STUBBORN], start_new_session=True)


async def has_ended(pid: int) -> None:
    with anyio.fail_after(SOON):
        while is_alive(pid):
            await anyio.sleep(0.01)


async def test_a_killed_process_leaves_none_of_the_groups_that_were_watched():
    released, watched, guard = killed_owner()
    try:
        await has_ended(watched)
        await has_ended(guard)
        assert is_alive(released)
    finally:
        os.killpg(released, signal.SIGKILL)


async def test_a_signal_to_our_group_does_not_end_the_guard_before_us():
    guard = Guard()
    await guard.watch(NO_GROUP)
    assert guard.pid is not None
    assert os.getpgid(guard.pid) != os.getpgid(0)
    guard.release(NO_GROUP)
    await guard.close()
    assert not is_alive(guard.pid)


async def test_a_guard_that_was_killed_is_replaced_with_all_groups():
    guard = Guard(grace_s=0.1)
    first, second = stubborn(), stubborn()
    await guard.watch(first.pid)
    assert guard.pid is not None
    before = guard.pid
    os.kill(before, signal.SIGKILL)
    await has_ended(before)
    with anyio.fail_after(SOON):
        while guard.pid == before:
            await anyio.sleep(0.01)
            await guard.watch(second.pid)
    await guard.close()
    assert [first.wait(SOON), second.wait(SOON)] == [-signal.SIGKILL] * 2


async def test_without_a_shell_servers_start_all_the_same_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(guards, "SHELL", str(tmp_path / "none"))
    guard = Guard()
    with caplog.at_level(logging.WARNING):
        await guard.watch(NO_GROUP)
    guard.release(NO_GROUP)
    await guard.close()
    assert [record.message for record in caplog.records] == ["servers.unguarded"]


async def test_a_start_that_is_cancelled_leaves_a_guard_that_can_be_closed():
    guard = Guard()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(guard.start)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert guard.pid is not None
    await guard.close()
    await has_ended(guard.pid)


async def test_a_guard_without_groups_is_no_process():
    guard = Guard()
    await guard.close()
    assert guard.pid is None
