"""Keeps what the gateway learns of tools in one file of the user, from one start to the next.

It holds names, times and types, no values (`core/tools/shapes.py`), and is private all the same. Several gateways may
share it: each puts what is new to it beside what the others wrote meanwhile. Nothing depends on the file: one that
cannot be read or written is told once, and everything goes on without.
"""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from ..core.scheduling.events import Changed, Finished, Notice, Status
from ..core.tools.tool_stats import ToolStats
from ..core.values.strict import JsonObject, NotStrict, dumps, loads
from ..waiting import Signal

log = logging.getLogger(__name__)

FILE_NAME = "learned.json"
PAUSE_S = 60.0
"""Between two writes, while runs go on."""
PATIENCE_S = 1.0
"""How long a start or a stop waits for the file, which may lie on a disk that is slow or gone."""
MAX_FILE_BYTES = 4 * 2**20


class StatsFile:
    """Keeps *learned* in *folder*. `observe` takes notices of runs and calls by name, and `keep` writes after them."""

    def __init__(self, learned: ToolStats, folder: Path) -> None:
        self._learned = learned
        self._file = folder / FILE_NAME
        self._kept = 0
        self._stamp: tuple[int, ...] | None = None
        """The file as it was when it was last read or written."""
        self._news = Signal()
        self._has_failed = False

    def __repr__(self) -> str:
        return f"<Memory of {self._learned} in {self._file}>"

    def observe(self, notice: Notice) -> None:
        is_call = isinstance(notice, Changed) and notice.after is Status.SUCCESS and not notice.key.run
        if is_call or isinstance(notice, Finished):
            self._news.notify()

    async def keep(self) -> None:
        """Write what is new after runs and calls by name, at most once a minute; until it is cancelled."""
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
        write = partial(_write, self._file, self._learned.document())
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
            log.warning(f"memory.not_{what}", extra={"file": str(self._file), "error": str(error)})


def _read(file: Path, known: tuple[int, ...] | None) -> tuple[ToolStats, tuple[int, ...]] | None:
    """What *file* holds, and its stamp; None if it has the *known* one, or is not there."""
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a named pipe would wait for a writer
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as source:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
            raise OSError("it is not a file that Plait has written")
        stamp = _stamp_of(status)
        return None if stamp == known else (ToolStats.read(loads(source.read(MAX_FILE_BYTES))), stamp)


def _write(file: Path, document: JsonObject) -> tuple[int, ...]:
    """Put *document* in the place of *file* at once, readable by its owner alone; gives the new stamp."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # its mode is 0600
    try:
        with open(descriptor, "wb") as target:
            target.write(dumps(document).encode())
            target.flush()
            stamp = _stamp_of(os.fstat(descriptor))
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise
    return stamp


def _stamp_of(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
