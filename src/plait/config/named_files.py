"""Files that a person or a settings file names, read within bounds.

A name may lead anywhere: to `/dev/zero`, which never ends, or to a pipe without a writer, which
never begins. A pipe with a writer, as `<(command)` of a shell makes one, is read to its end however
long that takes.
"""

from __future__ import annotations

import os
import select
import stat
from pathlib import Path
from typing import BinaryIO

WRITER_S = 3.0
"""Time for a pipe to get its first writer."""


class Unreadable(Exception):
    """The file cannot be read. The text says why; it does not name the file."""


def read_named(path: Path, max_bytes: int) -> tuple[bytes, os.stat_result]:
    """Return the content and the status of *path*. Raises `Unreadable`, also for more than
    *max_bytes* bytes and for a pipe that nothing writes to."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with open(descriptor, "rb") as stream:
            status, first = os.fstat(descriptor), b""
            if stat.S_ISFIFO(status.st_mode):
                first = _first_byte(descriptor)
            os.set_blocking(descriptor, True)
            return first + read_within(stream, max_bytes - len(first)), status
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None


def read_within(stream: BinaryIO, max_bytes: int) -> bytes:
    """Read *stream* to its end. Raises `Unreadable` for more than *max_bytes* bytes."""
    data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise Unreadable(f"it has more than {max_bytes:,} bytes")
    return data


def _first_byte(pipe: int) -> bytes:
    """Wait until *pipe* has a writer. Returns what was read of it on the way, at most a byte."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    if poll.poll(WRITER_S * 1000):
        return b""
    try:
        first = os.read(pipe, 1)
    except BlockingIOError:  # there is a writer, which has not written yet
        return b""
    if not first:
        raise Unreadable(f"it is a pipe, and nothing wrote to it within {WRITER_S:g} s")
    return first
