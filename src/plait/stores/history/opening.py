"""Opens the history: the file where it can be used, else one in memory. A start waits for it at
most a second."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import move_on_after, to_thread

from ...core.history_store import History
from .memory import BOUNDS, MemoryHistory

if TYPE_CHECKING:
    from .files import Files

log = logging.getLogger(__name__)

PATIENCE_S = 1.0


class _Opening:
    """Opens files in a thread. What is opened too late is closed again."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.is_on_network = False
        self.why = f"{folder} has not answered for {PATIENCE_S:g} s"
        self._folder = folder
        self._runtime = runtime
        self._files: Files | None = None
        self._is_late = False
        self._lock = threading.Lock()

    def run(self) -> None:
        from .database import DatabaseError, Unusable
        from .files import Files, is_on_network

        if is_on_network(self._folder):
            self.is_on_network = True
            return
        try:
            files = Files(self._folder, self._runtime)
        except (Unusable, DatabaseError, OSError) as error:
            self.why = f"the history cannot be opened: {error}"
            return
        with self._lock:
            if not self._is_late:
                self._files = files
                return
        files.close()

    def take(self) -> Files | None:
        """Return the open files; None if there are none by now."""
        with self._lock:
            self._is_late = True
            return self._files


async def open_history(folder: Path | None, runtime: Path) -> History:
    """Open the history in *folder*, with notes about losses in *runtime*. With None, and on a
    network file system, it is in memory alone; so it is where the file cannot be used, and then all
    runs lose their history."""
    if folder is None:
        return MemoryHistory(bounds=BOUNDS, lasts=False)
    opening = _Opening(folder, runtime)
    with move_on_after(PATIENCE_S):
        await to_thread.run_sync(opening.run, abandon_on_cancel=True)
    files = opening.take()
    if files is not None:
        from .store import SqliteHistory

        return SqliteHistory(files)
    history = MemoryHistory(bounds=BOUNDS, lasts=False)
    if opening.is_on_network:
        log.warning("history.on_network", extra={"folder": str(folder)})
        return history
    history.trouble = opening.why
    log.warning("history.unusable", extra={"folder": str(folder), "error": opening.why})
    return history


def runtime_folder(state_folder: Path | None) -> Path:
    """Return the folder for notes that do not outlive the machine: the same for all gateways of a
    user, whatever their environment."""
    folder = Path(f"/run/user/{os.getuid()}")
    if folder.is_dir() and os.access(folder, os.W_OK):
        return folder / "plait"
    return state_folder or folder
