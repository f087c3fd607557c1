"""Keeps the statistics of tools in one file of the user, from one start to the next.

It holds names, times and types, no values (`core/tools/shapes.py`), and is private all the same.
Several gateways may share it: each adds its news to what the others wrote meanwhile.
Nothing depends on the file: if it cannot be read or written, that is logged once, and everything
works without it.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from ..core.scheduling.events import Status
from ..core.scheduling.notices import Changed, Finished, Notice
from ..core.tools.tool_stats import ToolStats
from ..core.values.strict import NotStrict, encode, loads
from ..waiting import Signal
from . import files

log = logging.getLogger(__name__)

FILE_NAME = "learned.json"
PAUSE_S = 60.0
"""Seconds between two writes, while runs go on."""
PATIENCE_S = 1.0
"""Seconds that a start or a stop waits for the file, whose disk may be slow or gone."""
MAX_FILE_BYTES = 4 * 2**20


class StatsFile:
    """Keeps *learned* in *folder*. `observe` takes notices of runs and calls by name, and `keep`
    writes after them."""

    def __init__(self, learned: ToolStats, folder: Path) -> None:
        self._learned = learned
        self._file = folder / FILE_NAME
        self._kept = 0
        self._stamp: files.Stamp | None = None
        """The file as it was when it was last read or written."""
        self._news = Signal()
        self._has_failed = False

    def __repr__(self) -> str:
        return f"<StatsFile of {self._learned} in {self._file}>"

    def observe(self, notice: Notice) -> None:
        is_call = (
            isinstance(notice, Changed) and notice.after is Status.SUCCESS and not notice.key.run
        )
        if is_call or isinstance(notice, Finished):
            self._news.notify()

    async def keep(self) -> None:
        """Write what is new after runs and calls by name, at most once a minute; until it is
        cancelled."""
        seen = 0
        while True:
            seen = await self._news.wait(seen)
            await self.save()
            await anyio.sleep(PAUSE_S)

    async def load(self) -> None:
        """Learn what others wrote into the file since it was last read."""
        try:
            with anyio.fail_after(PATIENCE_S):
                await self._take_in()
        except (OSError, NotStrict) as error:
            self._tell("read", error)

    async def save(self) -> None:
        """Write what is new, if anything is, together with what others wrote."""
        seen = self._learned.seen
        if seen == self._kept:
            return
        await self.load()
        write = partial(files.write, self._file, encode(self._learned.document()), MAX_FILE_BYTES)
        try:
            with anyio.fail_after(PATIENCE_S):
                self._stamp = await to_thread.run_sync(write, abandon_on_cancel=True)
            self._kept = seen
            self._learned.mark_kept()
        except OSError as error:
            self._tell("written", error)

    async def _take_in(self) -> None:
        found = await to_thread.run_sync(_read, self._file, self._stamp, abandon_on_cancel=True)
        if found is not None:
            other, self._stamp = found
            self._learned.take_in(other)

    def _tell(self, what: str, error: Exception) -> None:
        if not self._has_failed:
            self._has_failed = True
            log.warning(
                f"tool_stats.not_{what}", extra={"file": str(self._file), "error": str(error)}
            )


def _read(file: Path, known: files.Stamp | None) -> tuple[ToolStats, files.Stamp] | None:
    """The statistics in *file*, and its stamp; None if it has the *known* one, or is missing."""
    try:
        text, stamp = files.read(file, MAX_FILE_BYTES)
    except FileNotFoundError:
        return None
    return None if stamp == known else (ToolStats.read(loads(text)), stamp)
