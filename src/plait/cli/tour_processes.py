"""The processes of the tour: each runs in a block that ends it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import Process

from ..tour.place import Place, plait_words
from ..tour.service import all_ended
from .exits import Exit

GRACE_S = 5.0
"""The time that a process gets to end after SIGTERM, and the services after that."""
LOOK_S = 0.02
"""The time between two looks at what other processes do."""


class TourFailed(Exception):
    """A process of the tour did not do what it does; the message says which and how it ended."""


class Processes:
    """Starts `plait` in *place*, with the streams of the person."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._environment = place.environment(os.environ)

    @asynccontextmanager
    async def running(self, *words: str, shows: bool = True) -> AsyncIterator[Process]:
        """Yield the process of `plait` with *words*. It has ended when the block has. If it *shows*
        something, its output is that of the person, else it has none."""
        # It stays in the foreground with us: it may ask at the terminal, and gets its Ctrl-C.
        stream = None if shows else subprocess.DEVNULL
        process = await anyio.open_process(
            plait_words(*words),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            cwd=self.place.folder,
            env=self._environment,
        )
        try:
            yield process
        finally:
            await _end(process)

    async def run(self, *words: str, expected: tuple[int, ...] = (Exit.SUCCESS,)) -> int:
        """Run `plait` with *words* to its end and return its exit code. Raises `TourFailed` if that
        is not *expected*."""
        async with self.running(*words) as process:
            code = await process.wait()
        if code not in expected:
            raise TourFailed(f"plait {' '.join(words)} ended with {code}.")
        return code

    async def output(self, *words: str) -> bytes:
        """Run `plait` with *words* and return its standard output. Raises `TourFailed`."""
        line = plait_words(*words)
        ran = await anyio.run_process(
            line, cwd=self.place.folder, env=self._environment, check=False
        )
        if ran.returncode:
            raise TourFailed(f"plait {' '.join(words)} ended with {ran.returncode}.")
        return ran.stdout

    async def wait_until_services_ended(self) -> None:
        """Wait, for a bounded time, until no service lives: they end with their gateways."""
        with anyio.move_on_after(GRACE_S, shield=True):
            await wait_until(lambda: all_ended(self.place.folder))


async def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until *is_so*, which other processes decide."""
    while not is_so():
        await anyio.sleep(LOOK_S)


async def _end(process: Process) -> None:
    """End *process* if it still runs: it may clean up first."""
    if process.returncode is None:
        process.terminate()
    with anyio.move_on_after(GRACE_S, shield=True):
        await process.wait()
    if process.returncode is None:
        process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()
