"""Stopping: one signal asks for it, a second one ends the process at once; its time is bounded."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import anyio

log = logging.getLogger(__name__)

SHUTDOWN_S = 15.0
"""Time limit of a stop, after which the process ends with whatever is still open."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Whether a stop was asked for. If not everything has ended *seconds* later, *give_up* is
    called."""

    def __init__(
        self, seconds: float = SHUTDOWN_S, give_up: Callable[[int], object] = os._exit
    ) -> None:
        self.asked = anyio.Event()
        self._seconds = seconds
        self._give_up = give_up
        self._last_resort: asyncio.TimerHandle | None = None

    def ask(self) -> None:
        """Stop. Asking again changes nothing."""
        if not self.asked.is_set():
            self.asked.set()
            self._last_resort = asyncio.get_running_loop().call_later(
                self._seconds, self._give_up, 1
            )

    def done(self) -> None:
        """Note that everything has ended."""
        if self._last_resort is not None:
            self._last_resort.cancel()


@contextmanager
def handling_signals(
    handle: Callable[[signal.Signals], None], *others: signal.Signals
) -> Iterator[None]:
    """Let the event loop call *handle* for each SIGTERM, SIGINT and signal of *others* while the
    block runs. Must be entered in the main thread."""
    loop = asyncio.get_running_loop()
    numbers = (*_SIGNALS, *others)
    for number in numbers:
        loop.add_signal_handler(number, handle, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def stopped_by_signals(stop: Stop | None = None) -> AsyncIterator[Stop]:
    """Let SIGTERM and SIGINT ask for a stop while the block runs; a second one ends the process at
    once."""
    stop = stop or Stop()
    is_first = True

    def handle(number: signal.Signals) -> None:
        nonlocal is_first
        if not is_first:
            os._exit(128 + number)
        is_first = False
        log.info("stopping", extra={"signal": number.name})
        stop.ask()

    with handling_signals(handle):
        try:
            yield stop
        finally:
            stop.done()
