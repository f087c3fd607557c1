"""Small private files: written whole or not at all, and read within bounds.

A file is readable by its owner alone and replaced in one step, so that others who read it meanwhile
find the old one or the new one. Others may be able to write to the folder: only a regular file of
ours is read, never one that would make us wait.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TypeAlias

Stamp: TypeAlias = tuple[int, ...]
"""The version of a file: it differs after each write."""


def read(file: Path, max_bytes: int) -> tuple[bytes, Stamp]:
    """Read *file*; gives its stamp, too. Raises `OSError` for a missing file, and for anything that
    `write` cannot have left there: a link, a pipe, the file of another user, more than *max_bytes*.
    """
    descriptor = os.open(
        file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    )  # a pipe would wait for a writer
    with open(descriptor, "rb") as source:
        status = os.fstat(descriptor)
        if (
            not stat.S_ISREG(status.st_mode)
            or status.st_uid != os.geteuid()
            or status.st_size > max_bytes
        ):
            raise OSError("it is not a file that Plait has written")
        return source.read(max_bytes), _stamp_of(status)


def write(file: Path, data: bytes, max_bytes: int) -> Stamp:
    """Replace *file* by *data*, readable by its owner alone. Raises `OSError`, also for too
    much."""
    if len(data) > max_bytes:
        raise OSError(f"it would have more than {max_bytes:,} bytes")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(
        dir=file.parent, prefix=f".{file.name}."
    )  # its mode is 0600
    try:
        with open(descriptor, "wb") as target:
            target.write(data)
            target.flush()
            stamp = _stamp_of(os.fstat(descriptor))
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise
    return stamp


def _stamp_of(status: os.stat_result) -> Stamp:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
