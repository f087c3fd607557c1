"""The controlling terminal of the person, where questions are asked: never standard input, which
may be a document or a pipe.

A gateway in another process asks over a connection, so a line is waited for together with whatever
else may come. What was typed before the question, or until it was withdrawn, is dropped: it is
neither an answer nor for the shell.
"""

from __future__ import annotations

import os

PATH = "/dev/tty"
LINE_BYTES = 4096


class Terminal:
    """The terminal, or that of *path*. Raises `OSError` if the process has none."""

    def __init__(self, path: str | None = None) -> None:
        import termios

        self._flush = termios.tcflush, termios.TCIFLUSH
        self._failures = (OSError, termios.error)
        self._file = os.open(path or PATH, os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        self._forget()

    def read(self, other: int) -> bytes | None:
        """Wait for a line, and return it; None if *other*, a descriptor, can be read before. Empty
        once the terminal is closed."""
        import select

        ready, _, _ = select.select([self._file, other], [], [])
        if other in ready:
            return None
        try:
            return os.read(self._file, LINE_BYTES)
        except OSError:  # it was hung up
            return b""

    def close(self) -> None:
        self._forget()
        os.close(self._file)

    def _forget(self) -> None:
        flush, queue = self._flush
        try:  # noqa: SIM105  # `contextlib` takes 5 ms
            flush(self._file, queue)
        except self._failures:  # it was hung up
            pass
