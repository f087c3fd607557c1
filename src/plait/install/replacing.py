"""Files of others, replaced whole or not at all.

The new text is written to a file in the same folder and renamed over the old one, so whoever reads
it finds the old one or the new one, also where we are killed. A rename makes another file of it,
though: a link would be gone, and a second name, a foreign owner or a mount would be lost. So links
are followed first, mode, group and extended attributes are carried over, and a file for which that
cannot be done is left alone. It is read again right before and after: other programs write it too.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


class LeftAlone(Exception):
    """A file is not written; says why."""


class Changed(Exception):
    """A file is not what it was when the plan was made."""


_REASONS = {
    errno.EBUSY: "it is a mount point, which cannot be replaced",
    errno.EACCES: "its folder may not be written to",
    errno.EPERM: "the system does not allow it",
    errno.EROFS: "its file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.ELOOP: "its links go round in a circle",
    errno.ETXTBSY: "another program has it open",
}


def read(path: Path) -> bytes | None:
    """Return the content of *path*, None if it is missing. Raises `LeftAlone`."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LeftAlone(_reason(error)) from None


def replace(path: Path, before: bytes | None, after: bytes, *, is_private: bool = False) -> None:
    """Replace the content *before* of *path* by *after*; None is a missing file. Raises `LeftAlone`
    and `Changed`."""
    if read(path) != before:
        raise Changed(f"{path} has been written meanwhile")
    try:
        target = Path(os.path.realpath(path))
        _clear(target)
        if before is None:
            _make(target, after, 0o600 if is_private else 0o644)
        else:
            status = os.stat(target)
            _check(status)
            _swap(target, before, after, status)
        _sync_folder(target.parent)
    except OSError as error:
        raise LeftAlone(_reason(error)) from None
    if read(path) != after:
        raise Changed(f"{path} has been written by another program right after us")


def remove(path: Path, before: bytes) -> None:
    """Remove *path*, which has the content *before*. Raises `LeftAlone` and `Changed`."""
    if read(path) != before:
        raise Changed(f"{path} has been written meanwhile")
    try:
        path.unlink()
    except OSError as error:
        raise LeftAlone(_reason(error)) from None


def _check(status: os.stat_result) -> None:
    """Raise `LeftAlone` if a file would not be the same after a rename."""
    if not stat.S_ISREG(status.st_mode):
        raise LeftAlone("it is not a regular file")
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise LeftAlone("it belongs to another user")
    if not status.st_mode & stat.S_IWUSR:
        raise LeftAlone("it is read-only")
    if status.st_nlink > 1:
        raise LeftAlone("it has several names (hard links), of which one alone would change")


def _prefix(target: Path) -> str:
    return f".{target.name}.plait-"


def _clear(target: Path) -> None:
    """Remove what was left in the folder of *target* by one that was killed: it may be a second
    name of the file."""
    for left in target.parent.glob(f"{glob.escape(_prefix(target))}*"):
        left.unlink(missing_ok=True)


def _make(target: Path, data: bytes, mode: int) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = _beside(target, data, mode)
    try:
        os.link(temporary, target)  # fails if somebody has made it meanwhile
    except FileExistsError:
        raise Changed(f"{target} has been made meanwhile") from None
    except OSError:  # a file system without hard links
        os.replace(temporary, target)
    else:
        os.unlink(temporary)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _swap(target: Path, before: bytes, after: bytes, status: os.stat_result) -> None:
    temporary = _beside(target, after, stat.S_IMODE(status.st_mode))
    try:
        if hasattr(os, "chown") and os.stat(temporary).st_gid != status.st_gid:
            os.chown(temporary, -1, status.st_gid)
            os.chmod(temporary, stat.S_IMODE(status.st_mode))
        _copy_attributes(target, temporary)
        if target.read_bytes() != before:
            raise Changed(f"{target} has been written meanwhile")
        os.replace(temporary, target)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)


def _beside(target: Path, data: bytes, mode: int) -> str:
    """Write *data* to a new file in the folder of *target*, and return its path."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=_prefix(target))
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
    except BaseException:
        os.unlink(name)
        raise
    return name


def _copy_attributes(source: Path, target: str) -> None:
    if not hasattr(os, "listxattr"):
        return
    try:
        names = os.listxattr(source)
    except OSError:  # a file system without them
        return
    for name in names:
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            if not name.startswith("security."):  # those are the system's to set
                raise LeftAlone(f"its attribute {name} cannot be kept") from error


def _sync_folder(folder: Path) -> None:
    """Write the names in *folder* to the disk, where that can be done."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, error.strerror or str(error))
