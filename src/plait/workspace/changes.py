"""The files that a formatter is given, changes, or would change.

A formatter is never given a folder: it would look there by rules of its own, follow links, and
write through them. The files are listed here, without links, and named to it one by one.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import WorkspaceError
from .paths import Root, shown

MAX_NAMES_BYTES = 512 * 1024
"""Most bytes of names for one command: half of what macOS takes."""
_PYTHON = (".py", ".pyi", ".ipynb")
_WEB = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".json", ".css")
FORMATTED = {
    "ruff": _PYTHON,
    "black": _PYTHON,
    "yapf": (".py", ".pyi"),
    "autopep8": (".py", ".pyi"),
    "prettier": (*_WEB, ".scss", ".less", ".html", ".vue", ".md", ".mdx", ".yaml", ".yml"),
    "biome": _WEB,
    "gofmt": (".go",),
    "rustfmt": (".rs",),
    "clang-format": (".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".m", ".mm"),
    "shfmt": (".sh", ".bash"),
}
"""The endings of the files that known formatters format."""
WOULD_CHANGE = re.compile(
    r"^(?:would reformat:? (?P<named>.+)|\s*--> (?P<pointed>.+?):\d+:\d+)$",
    re.IGNORECASE | re.MULTILINE,
)

Snapshot = Mapping[str, tuple[int, int, int]]
"""The time of the last change, the size and the inode number of each file."""


@dataclass(frozen=True, slots=True)
class Formattable:
    """The files that a formatter is given, from the root, and those that are left out because they
    have other names too: written through one, the others change as well, wherever they are."""

    files: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def suffixes_of(formatter: Sequence[str]) -> tuple[str, ...] | None:
    """Return the endings of the files that a formatter formats; None if it is not known."""
    names = (Path(word).name for word in formatter)
    return next((FORMATTED[name] for name in names if name in FORMATTED), None)


def formattable(
    root: Root, named: Sequence[str], listed: Sequence[str], suffixes: Sequence[str]
) -> Formattable:
    """Choose the files for a formatter: those that were named, and of those that were listed the
    ones with its endings, outside of virtual environments. Symlinks are never among them.

    Raises:
        WorkspaceError: a named file has another name, or there are too many files.
    """
    environments: dict[Path, bool] = {}

    def is_in_environment(folder: Path) -> bool:
        if folder not in environments:
            environments[folder] = folder != root.path and (
                (folder / "pyvenv.cfg").exists() or is_in_environment(folder.parent)
            )
        return environments[folder]

    chosen = [
        name
        for name in listed
        if name.endswith(tuple(suffixes)) and not is_in_environment((root.path / name).parent)
    ]
    files: list[str] = []
    left_out: list[str] = []
    for name in sorted({*named, *chosen}):
        status = _status(root.path / name)
        if status is None or not stat.S_ISREG(status.st_mode):
            continue
        if status.st_nlink > 1 and name in named:
            raise WorkspaceError(
                f"{shown(name)} has another name (a hard link), maybe outside of the workspace, "
                "and would be formatted there too. Leave it out."
            )
        (files if status.st_nlink == 1 else left_out).append(name)
    if sum(len(os.fsencode(name)) + 3 for name in files) > MAX_NAMES_BYTES:
        raise WorkspaceError(
            f"{len(files)} files are more than a formatter can be given at once. Name some of the "
            "folders in paths."
        )
    return Formattable(tuple(files), tuple(map(shown, left_out)))


def changed_between(before: Snapshot, after: Snapshot) -> list[str]:
    """List the files that are new or have changed."""
    return sorted(path for path, status in after.items() if before.get(path) != status)


def would_change(root: Root, output: str) -> list[str]:
    """List the files that a formatter's check names, in the words of ruff and black."""
    named = [match["named"] or match["pointed"] for match in WOULD_CHANGE.finditer(output)]
    paths = {Path(os.path.realpath(root.path / name.strip())) for name in named}
    return sorted(path.relative_to(root.path).as_posix() for path in paths if root.contains(path))


def snapshot(root: Root, files: Sequence[str]) -> Snapshot:
    """Record the state of files, given from the root."""
    return {
        shown(name): (status.st_mtime_ns, status.st_size, status.st_ino)
        for name in files
        if (status := _status(root.path / name)) is not None
    }


def _status(file: Path) -> os.stat_result | None:
    try:
        return os.lstat(file)
    except OSError:
        return None
