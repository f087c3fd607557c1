"""Signals ask for a stop; afterwards they do again what they do in any program."""

from __future__ import annotations

import os
import signal

import anyio
import pytest

from plait.upstream.stopping import Stop, handling_signals, stopped_by_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_are_handled_in_the_event_loop_until_the_block_ends(number: signal.Signals):
    heard, before = list[signal.Signals](), signal.getsignal(number)
    told = anyio.Event()

    def hear(number: signal.Signals) -> None:
        heard.append(number)
        told.set()

    with handling_signals(hear):
        assert (signal.getsignal(number) is before) is False
        os.kill(os.getpid(), number)
        with anyio.fail_after(5):
            await told.wait()
    assert heard == [number]
    assert signal.getsignal(number) == _left_by_the_loop(number)


def _left_by_the_loop(number: signal.Signals) -> object:
    """Return the handler that asyncio restores, whatever was there before."""
    return signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL


async def test_a_signal_asks_for_a_stop():
    async with stopped_by_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with anyio.fail_after(5):
            await stop.asked.wait()


@pytest.mark.virtual_time
@pytest.mark.parametrize(("ended_s", "given_up"), [(14, []), (16, [1])])
async def test_a_stop_that_takes_too_long_gives_up(ended_s: float, given_up: list[int]):
    codes: list[int] = []
    async with stopped_by_signals(Stop(15, codes.append)) as stop:
        stop.ask()
        await anyio.sleep(ended_s)
    await anyio.sleep(60)
    assert codes == given_up
