"""The log of the shared gateway, which may run for weeks: a file of bounded size."""

from __future__ import annotations

import os

from ..door.place import is_at

MAX_BYTES = 10 * 2**20
"""Above it the log goes on in a new file, and the one before it is kept."""


def limit_log(path: str, fd: int = 2) -> None:
    """Let *fd*, which writes the log at *path*, go on in a new file there if it is too long. Raises
    `OSError`."""
    if os.fstat(fd).st_size <= MAX_BYTES or not is_at(fd, path):
        return
    os.replace(path, f"{path}.1")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    fresh = os.open(path, flags, 0o600)
    os.dup2(fresh, fd, inheritable=os.get_inheritable(fd))
    os.close(fresh)
