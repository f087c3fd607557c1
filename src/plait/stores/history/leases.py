"""Who is alive: a lease is a file that its process keeps locked, and the system lets go of the lock
when the process dies.

A lock has no time limit, so a stopped or slow process is never taken for a dead one, and no clocks
are compared. These rules keep it right:

- A lease is locked before it gets its name, so a free lock means dead, never "not yet".
- Only its owner, or a process that finds it free, deletes a lease. Those who look take the lock
  shared, so they do not disturb one another.
- Programs do not inherit the descriptor, unless it is passed on to them. The guard that ends the
  servers of a gateway has it too, so that a run is not taken over while calls are still carried
  out.

Which runs lost their history cannot be in the file, which is what failed. It is in the runtime
folder, which is memory on most systems: it survives the death of the process, and the restart of
the machine, which it does not survive, leaves such a run uncertain anyway.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return an id that changes when the machine starts anew."""
    if BOOT_ID.exists():
        return BOOT_ID.read_text().strip()
    import subprocess

    command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()  # noqa: S603  # of the system, and fixed


class Lease:
    """The lease of this process in *folder*. Losses are noted in *runtime*."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.name = secrets.token_hex(16)
        self._path = folder / self.name
        self._runtime = runtime
        self._own_path = _own(folder, self.name)
        self.own_descriptor = os.open(self._own_path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        fcntl.flock(self.own_descriptor, fcntl.LOCK_EX)
        hidden = folder / f".{self.name}"
        self.descriptor = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        hidden.rename(self._path)

    def note_loss(self, run_id: str) -> None:
        """Note that the run cannot be resumed. Raises `OSError`."""
        self._runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._runtime / f"{self.name}.lost"
        descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        with open(descriptor, "w") as file:
            file.write(f"{run_id}\n")

    def release(self) -> None:
        self._path.unlink(missing_ok=True)
        self._own_path.unlink(missing_ok=True)
        os.close(self.descriptor)
        os.close(self.own_descriptor)


def _own(folder: Path, name: str) -> Path:
    """Return the file that a process locks alone, while the guard of its servers holds its lease
    too."""
    return folder / f".{name}.own"


class Others:
    """The processes that have, or had, a lease in *folder*."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self._folder = folder
        self._runtime = runtime

    def is_alive(self, name: str) -> bool:
        """Return whether the process of a lease lives, or the guard that ends its servers."""
        return _is_locked(self._folder / name)

    def is_running(self, name: str) -> bool:
        """Return whether the process of a lease lives, whatever its guard still does."""
        return _is_locked(_own(self._folder, name))

    def losses_of(self, name: str) -> set[str]:
        """Return the ids of the runs that the process of a lease lost."""
        try:
            return set((self._runtime / f"{name}.lost").read_text().split())
        except FileNotFoundError:
            return set()

    def dead(self) -> list[str]:
        """List the dead processes that left a lease or notes."""
        names = {path.name for path in self._folder.iterdir() if path.name[0] != "."}
        names |= {path.stem for path in self._runtime.glob("*.lost")}
        return sorted(name for name in names if not self.is_alive(name))

    def forget(self, name: str) -> None:
        """Delete the lease and the notes of a dead process."""
        (self._folder / name).unlink(missing_ok=True)
        _own(self._folder, name).unlink(missing_ok=True)
        (self._runtime / f"{name}.lost").unlink(missing_ok=True)


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class Presence:
    """Says that this process uses the file. Only one that is alone may set a damaged file aside: a
    file that is renamed while others have it open loses what they write, and their logs break the
    new one."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def try_alone(self) -> bool:
        """Keep all others out, if there are none; the file has to be closed here. A lock that
        cannot be changed is lost, so it is taken again."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)
            return False
        return True

    def share(self) -> None:
        """Let others in again. That is not one step either, so the file is opened after it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def release(self) -> None:
        os.close(self._descriptor)
