"""The files of a history: opened for this process, and set aside where they are damaged."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from .database import DAMAGED, Database, Unusable
from .leases import Lease, Others, Presence, boot_id

NETWORK_TYPES = frozenset(
    [
        "9p",
        "afpfs",
        "afs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb2",
        "smb3",
        "smbfs",
        "vboxsf",
    ]
)
"""The types of file systems, as Linux names them, whose locks other machines may not see."""
MOUNTS = Path("/proc/self/mountinfo")


def is_on_network(folder: Path, mounts: Path = MOUNTS) -> bool:
    """Return whether *folder*, or the nearest folder around it that exists, is on a network file
    system: False where that is unknown, as elsewhere than on Linux."""
    if not mounts.exists():
        return False
    while not folder.exists():
        folder = folder.parent
    number = folder.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    found = ""
    for line in mounts.read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if fields.split()[2] == device:
            found = rest.split()[0]
    return found in NETWORK_TYPES


class Files:
    """The open file of a history in *folder*, with the lease of this process. Notes about losses
    are in *runtime*."""

    def __init__(
        self,
        folder: Path,
        runtime: Path,
        *,
        schema: Sequence[str] | None = None,
        boot: str | None = None,
    ) -> None:
        """Raises `Unusable`, `DatabaseError` and `OSError`."""
        self.path = folder / "history.db"
        self.boot = boot_id() if boot is None else boot
        self._suspect = folder / "history.suspect"
        self._schema = schema
        self._presence = Presence(folder / "history.lock")
        try:
            self.db = self._open()
            try:
                self.lease = Lease(folder / "leases", runtime)
            except BaseException:
                self.db.close()
                raise
        except BaseException:
            self._presence.release()
            raise
        self.others = Others(folder / "leases", runtime)

    def connect(self) -> Database:
        """Open another connection."""
        return Database(self.path, self._schema)

    def suspect(self) -> None:
        """Note that the file is damaged, for the next process that has it alone."""
        self._suspect.touch()

    def release(self) -> None:
        """Release what says that this process uses the file: its connections are closed."""
        self.lease.release()
        self._presence.release()

    def close(self) -> None:
        """Close the file, which nothing has used."""
        self.db.close()
        self.release()

    def _open(self) -> Database:
        """Open the file. A damaged one is set aside by a process that has it alone."""
        try:
            if not self._suspect.exists():
                return self.connect()
        except DAMAGED:
            pass
        if self._is_damaged():
            if not self._presence.try_alone():
                raise Unusable(f"{self.path} is damaged, and other processes have it open")
            if self._is_damaged():  # no other process has set it aside meanwhile
                self._set_aside()
            self._presence.share()
        self._suspect.unlink(missing_ok=True)
        return self.connect()

    def _is_damaged(self) -> bool:
        try:
            db = self.connect()
            try:
                return not db.is_whole()
            finally:
                db.close()
        except DAMAGED:
            return True

    def _set_aside(self) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for tail in ("-wal", "-shm", ""):  # the file last: after a crash here it is found again
            old = self.path.with_name(f"{self.path.name}{tail}")
            if old.exists():
                old.rename(old.with_name(f"history.db.damaged-{stamp}{tail}"))
