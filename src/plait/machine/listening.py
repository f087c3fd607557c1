"""The socket of the shared gateway, which its lock names. Only the holder of the lock makes a
socket there or removes one.

A socket is made aside and renamed into place, so that no door finds one that does not listen yet.
"""

from __future__ import annotations

import _socket
import os
from zlib import crc32

from ..door.place import MAX_SOCKET_PATH_BYTES, NoPlace, NotOurs, Place, check_folder, is_at

BACKLOG = 4096
_MOST_NAME_BYTES = 24
"""`/g`, eight digits, a dot, and the number of a process while it is made."""


class Listening:
    """The place of a listening socket. *lock* is the locked descriptor, *runtime* the folder for
    sockets of the client that came first; it may be empty."""

    def __init__(self, place: Place, lock: int, runtime: str = "") -> None:
        self.place = place
        self.path = ""
        self._lock = lock
        self._runtime = runtime
        self._made: tuple[int, int, int] | None = None

    def __repr__(self) -> str:
        return f"<Listening at {self.path or 'no path yet'}>"

    def open(self) -> _socket.socket:
        """Return a new listening socket at its place. Raises `NoPlace`."""
        folder = self._folder()
        name = f"g{crc32(os.fsencode(os.path.realpath(self.place.state))):08x}"
        self.path = os.path.join(folder, name)
        try:
            for entry in os.listdir(folder):
                if entry.startswith(f"{name}."):  # of a process that died while it made one
                    os.unlink(os.path.join(folder, entry))
            aside = f"{self.path}.{os.getpid()}"
            sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
            sock.bind(aside)
            sock.listen(BACKLOG)
            os.rename(aside, self.path)
            self._made = self._found()
        except OSError as error:
            raise NoPlace(f"{error.filename or self.path}: {error.strerror}") from error
        try:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, os.fsencode(self.path) + b"\n", 0)
        except OSError as error:
            sock.close()
            self.remove()
            raise NoPlace(f"{self.place.lock_path}: {error.strerror}") from error
        return sock

    @property
    def is_there(self) -> bool:
        """Whether the socket at the path is the one that was made."""
        return self._made is not None and self._made == self._found()

    @property
    def is_ours(self) -> bool:
        """Whether the lock that is held is still the one that doors find."""
        return is_at(self._lock, self.place.lock_path)

    def remove(self) -> None:
        """Let no more doors find the socket."""
        if self.is_there:
            os.unlink(self.path)
        os.ftruncate(self._lock, 0)

    def _found(self) -> tuple[int, int, int] | None:
        """Return what tells the socket at the path from any other; its number may be given again.
        None if there is none."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_ctime_ns

    def _folder(self) -> str:
        """Return the first folder that fits. Raises `NoPlace`."""
        user = os.geteuid()
        bases = [base for base in (self._runtime, f"/run/user/{user}") if os.path.isdir(base)]
        problems = []
        last = f"/tmp/plait-{user}"  # noqa: S108  # it is used only if it is ours alone
        for folder in [*(os.path.join(base, "plait") for base in bases), last]:
            try:
                os.makedirs(folder, 0o700, exist_ok=True)
                check_folder(folder)
            except (OSError, NotOurs) as error:
                problems.append(str(error))
                continue
            if len(os.fsencode(folder)) + _MOST_NAME_BYTES <= MAX_SOCKET_PATH_BYTES:
                return folder
            problems.append(f"{folder}: too long for the path of a socket")
        raise NoPlace("; ".join(problems))
