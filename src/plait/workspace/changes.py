"""The files that a formatter changes, would change, or must not be given."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .errors import WorkspaceError
from .folders import HEAVY_FOLDERS
from .paths import Root, shown

MAX_COMPARED_FILES = 20_000
WOULD_CHANGE = re.compile(
    r"^(?:would reformat:? (?P<named>.+)|\s*--> (?P<pointed>.+?):\d+:\d+)$",
    re.IGNORECASE | re.MULTILINE,
)

Snapshot = Mapping[str, tuple[int, int, int]]
"""The time of the last change, the size and the inode number of each file."""


def refuse_links_out(root: Root, paths: Sequence[str]) -> None:
    """Refuse symlinks to files outside of the root: formatters would write through them."""
    for file in itertools.islice(_below(root, paths), MAX_COMPARED_FILES):
        if file.is_symlink() and file.is_file() and not root.contains(Path(os.path.realpath(file))):
            name = shown(file.relative_to(root.path).as_posix())
            raise WorkspaceError(
                f"{name} is a symlink out of the workspace, which would be formatted. Leave it out."
            )


def changed_between(before: Snapshot, after: Snapshot) -> list[str]:
    """List the files that are new or have changed."""
    return sorted(path for path, status in after.items() if before.get(path) != status)


def would_change(root: Root, output: str) -> list[str]:
    """List the files that a formatter's check names, in the words of ruff and black."""
    named = [match["named"] or match["pointed"] for match in WOULD_CHANGE.finditer(output)]
    paths = {Path(os.path.realpath(root.path / name.strip())) for name in named}
    return sorted(path.relative_to(root.path).as_posix() for path in paths if root.contains(path))


def snapshot(root: Root, paths: Sequence[str]) -> Snapshot:
    """Record the state of the files at or below the paths, at most `MAX_COMPARED_FILES` of them."""
    return {
        shown(file.relative_to(root.path).as_posix()): (
            status.st_mtime_ns,
            status.st_size,
            status.st_ino,
        )
        for file in itertools.islice(_below(root, paths), MAX_COMPARED_FILES)
        if (status := _status(file)) is not None
    }


def _below(root: Root, paths: Sequence[str]) -> Iterator[Path]:
    for given in paths or ["."]:
        path = root.locate(given).path
        if path.is_file():
            yield path
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not _is_heavy(Path(folder, name)))
            yield from (Path(folder, name) for name in sorted(names))


def _is_heavy(folder: Path) -> bool:
    return folder.name in HEAVY_FOLDERS or (folder / "pyvenv.cfg").exists()


def _status(file: Path) -> os.stat_result | None:
    try:
        return os.lstat(file)
    except OSError:
        return None
