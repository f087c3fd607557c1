"""Calls without an answer count as silence only if nothing at all came meanwhile."""

from __future__ import annotations

import anyio
import pytest

from plait.downstream.silence import Silence

NEVER = 1_000.0


class Server:
    def __init__(self) -> None:
        self.heard = 0
        self.silence = Silence(lambda: self.heard)

    async def give_up(self, after_s: float = 2, sent_at: float | None = None) -> None:
        """Send a call now, or say that it was sent earlier, and give it up later."""
        sent_at, heard = anyio.current_time() if sent_at is None else sent_at, self.heard
        await anyio.sleep(after_s)
        self.silence.given_up(sent_at, heard)

    async def is_suspicious(self) -> bool:
        with anyio.move_on_after(NEVER) as scope:
            await self.silence.wait_suspicious()
        return not scope.cancelled_caught


@pytest.mark.virtual_time
async def test_three_calls_in_a_row_without_a_sign_of_life_are_suspicious_and_count_once():
    server = Server()
    for is_suspicious in (False, False, True, False):
        await server.give_up()
        assert await server.is_suspicious() is is_suspicious


@pytest.mark.virtual_time
async def test_any_message_makes_the_count_begin_anew():
    server = Server()
    for _ in range(4):
        await server.give_up()
        await server.give_up()
        server.heard += 1
    assert not await server.is_suspicious()


@pytest.mark.virtual_time
async def test_calls_during_which_something_came_and_short_ones_do_not_count():
    server = Server()
    for _ in range(5):
        sent_at, heard = anyio.current_time(), server.heard
        await anyio.sleep(2)
        server.heard += 1
        server.silence.given_up(sent_at, heard)
        await server.give_up(after_s=0.5)
    assert not await server.is_suspicious()


@pytest.mark.virtual_time
async def test_calls_that_were_open_together_count_as_one():
    server = Server()
    began = anyio.current_time()
    await anyio.sleep(1)
    for _ in range(5):
        await server.give_up(sent_at=began)
    assert not await server.is_suspicious()
