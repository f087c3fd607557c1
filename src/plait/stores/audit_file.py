"""The audit as lines of JSON in a file, for those who collect logs.

A thread writes, so that no call waits for a disk: what does not fit into its queue, or cannot be
written, is counted, and the number is a line itself. The file is opened anew when another one is in
its place, so that other programs can rotate it.
"""

from __future__ import annotations

import logging
import os
import queue
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..core.audit import AuditRow, missing, written

log = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""Most rows that wait for the disk."""
MOST_AT_ONCE = 500
CLOSING_S = 2.0
"""Longest wait for the last rows, when the gateway ends."""


class AuditFile:
    """Appends rows to the file at *path*, which is made readable by its owner alone."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._rows: queue.Queue[AuditRow | None] = queue.Queue(MOST_WAITING)
        self._overflow = 0
        """The number of rows that found no room, and not said so yet."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._descriptor: int | None = None
        self._is_torn = False
        """Whether its last line was not written whole."""
        self._is_broken = False

    def __repr__(self) -> str:
        return f"<AuditFile {self._path}: {self._rows.qsize()} rows wait>"

    def audit(self, row: AuditRow) -> None:
        """Write *row* soon. It does not block and never fails."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="audit-write", daemon=True)
            self._thread.start()
        try:
            self._rows.put_nowait(row)
        except queue.Full:
            with self._lock:
                self._overflow += 1

    def close(self) -> None:
        """Write what is left, and close. A disk that hangs is waited for `CLOSING_S` alone."""
        if self._thread is None:
            return
        try:
            self._rows.put(None, timeout=CLOSING_S)
        except queue.Full:
            return
        self._thread.join(CLOSING_S)

    # In the thread.

    def _run(self) -> None:
        lost = 0
        is_open = True
        while is_open:
            rows, is_open = self._take()
            with self._lock:
                lost, self._overflow = lost + self._overflow, 0
            if not rows and not lost:
                continue
            said = [missing(self._now(), lost)] if lost else []
            try:
                self._append("".join(f"{written(row.members())}\n" for row in (*rows, *said)))
            except OSError as error:
                lost += len(rows)
                self._close_file()
                self._note(error)
            else:
                lost = 0
                self._note(None)
        self._close_file()

    def _take(self) -> tuple[list[AuditRow], bool]:
        """Wait for rows; returns them, and whether there may be more."""
        rows: list[AuditRow] = []
        row = self._rows.get()
        while row is not None:
            rows.append(row)
            if len(rows) == MOST_AT_ONCE:
                return rows, True
            try:
                row = self._rows.get_nowait()
            except queue.Empty:
                return rows, True
        return rows, False

    def _append(self, text: str) -> None:
        descriptor = self._opened()
        data = f"\n{text}".encode() if self._is_torn else text.encode()
        while data:
            count = os.write(descriptor, data)
            self._is_torn = not data[:count].endswith(b"\n")
            data = data[count:]

    def _opened(self) -> int:
        """Return the file at the path, opened anew if that is another one by now. Raises
        `OSError`."""
        if self._descriptor is not None and not self._is_current(self._descriptor):
            self._close_file()
        if self._descriptor is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK  # a pipe would block
            descriptor = os.open(self._path, flags, 0o600)
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                os.close(descriptor)
                raise OSError("it is not a regular file")
            last = os.pread(descriptor, 1, status.st_size - 1) if status.st_size else b"\n"
            self._descriptor, self._is_torn = descriptor, last != b"\n"
        return self._descriptor

    def _is_current(self, descriptor: int) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(descriptor))

    def _close_file(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _note(self, error: OSError | None) -> None:
        if error is not None and not self._is_broken:
            log.warning(
                "audit.file_not_written",
                extra={"file": str(self._path), "error": error.strerror or str(error)},
            )
        elif error is None and self._is_broken:
            log.info("audit.file_written_again", extra={"file": str(self._path)})
        self._is_broken = error is not None
