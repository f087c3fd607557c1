"""The state of a server, and whether calls wait for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from plait.core.tools.catalog import ServerState
from plait.downstream.availability import Availability
from plait.downstream.timings import ConnectTimings
from plait.errors import ServerUnavailable

pytestmark = pytest.mark.virtual_time
C, R, T = ServerState.CONNECTING, ServerState.READY, ServerState.RETRYING
NOT_STARTED = ServerState.NOT_STARTED
IDLE, STOPPED = ServerState.IDLE, ServerState.STOPPED


def made() -> tuple[Availability, list[tuple[ServerState, float | None, bool]]]:
    """An availability, and what it reports."""
    reports: list[tuple[ServerState, float | None, bool]] = []
    timings = ConnectTimings(soon_s=2.0)
    return Availability("s", timings, lambda *report: reports.append(report)), reports


async def ends_after(wait: Callable[[], Awaitable[None]], *changes: Callable[[], None]) -> int:
    """The number of *changes*, a second apart, after which *wait* has ended."""
    began, ended = anyio.current_time(), -1.0

    async def waiting() -> None:
        nonlocal ended
        await wait()
        ended = anyio.current_time()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting)
        for change in changes:
            await anyio.sleep(1)
            change()
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    return round(ended - began)


async def test_each_change_is_reported_with_the_state_before_and_a_failure_that_came_again():
    server, reports = made()
    server.become(C, None)
    server.become(T, "no route", 1.0)
    server.become(C, "no route")
    server.become(T, "no route", 2.0)
    server.become(R, None)
    server.announce()
    assert reports == [
        (NOT_STARTED, None, False),
        (C, 1.0, False),
        (T, None, False),
        (C, 2.0, True),
        (T, None, False),
        (R, None, False),
    ]
    assert (server.state, server.error) == (R, None)


@pytest.mark.parametrize("state", [R, T, IDLE, STOPPED])
async def test_a_server_is_settled_with_the_end_of_its_first_attempt(state: ServerState):
    server, _ = made()
    changes = (lambda: server.become(C, None), lambda: server.become(state, None))
    assert await ends_after(server.wait_settled, *changes) == 2


async def test_after_an_idle_time_a_server_is_started_with_the_next_attempt():
    server, _ = made()
    server.become(IDLE, None)
    changes = (lambda: server.become(C, None), lambda: server.become(R, None))
    assert await ends_after(server.wait_started, *changes) == 2
    assert await ends_after(server.wait_started) == 0


async def test_a_failed_attempt_ends_the_wait_for_a_start_too():
    server, _ = made()

    def fail() -> None:
        server.attempted(was_ready=False)
        server.become(T, "x", 1.0)

    assert await ends_after(server.wait_started, fail) == 1


async def test_a_call_waits_for_a_change_until_its_deadline():
    server, _ = made()
    server.become(C, None)
    deadline = anyio.current_time() + 5
    assert await ends_after(lambda: server.wait_changed(deadline), server.announce) == 1
    await anyio.sleep_until(deadline)
    with pytest.raises(ServerUnavailable, match="s cannot be reached: connecting"):
        await server.wait_changed(deadline)


@pytest.mark.parametrize(
    ("was_ready", "pause_s", "waits"),
    [(True, 2.0, True), (True, 2.1, False), (False, 0.1, False)],
)
async def test_a_call_waits_for_the_next_attempt_at_a_server_that_was_there_if_that_is_soon(
    was_ready: bool, pause_s: float, waits: bool
):
    server, _ = made()
    server.attempted(was_ready=was_ready)
    server.become(T, "it ended", pause_s)
    if waits:
        await server.wait_changed(anyio.current_time() + 1)
    else:
        with pytest.raises(ServerUnavailable, match="s cannot be reached: it ended") as refused:
            await server.wait_changed(anyio.current_time() + 1)
        assert refused.value.hint == f"The next attempt is in {pause_s:.0f} s."


async def test_no_call_waits_for_a_server_that_is_stopped():
    server, _ = made()
    server.become(STOPPED, None)
    with pytest.raises(ServerUnavailable, match="s cannot be reached: stopped") as refused:
        await server.wait_changed(anyio.current_time() + 1)
    assert refused.value.hint == "plait servers shows the state of each server."
