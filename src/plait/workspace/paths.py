"""The one module that decides, for every tool, what is inside the root.

A path is checked in two steps. `locate` resolves every symlink and `..`, and refuses a path that
ends outside of the root. `opened_folder` and `opened_file` then walk from the root to that place,
one component at a time, without following symlinks: a component that is swapped for a link after
the check is refused.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from .errors import WorkspaceError

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO returns at once, so that fstat can find out and it can be refused.
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

RUN_FILES = frozenset(
    {
        ".envrc",
        ".mcp.json",
        ".npmrc",
        ".pre-commit-config.yaml",
        ".crush.json",
        ".mise.toml",
        ".yarnrc.yml",
        "crush.json",
        "mise.toml",
        "opencode.json",
        "opencode.jsonc",
        "pyvenv.cfg",
    }
)
RUN_FOLDERS = frozenset(
    {
        ".amazonq",
        ".claude",
        ".codex",
        ".cursor",
        ".devcontainer",
        ".gemini",
        ".husky",
        ".idea",
        ".junie",
        ".kiro",
        ".mise",
        ".opencode",
        ".roo",
        ".trae",
        ".venv",
        ".vscode",
        ".zed",
        "venv",
    }
)
"""Folders and files that shells, editors, clients and Python run or follow unasked."""
Kind = Literal["file", "folder", "symlink", "special file"]
WorkspacePath = Annotated[
    str, Field(description="Path from the workspace root, or an absolute path inside of it.")
]


@dataclass(frozen=True, slots=True)
class Place:
    """A place inside the root, with no symlink on the way to it. It may not exist yet."""

    root: Path
    parts: tuple[str, ...]

    @property
    def path(self) -> Path:
        return self.root.joinpath(*self.parts)

    @property
    def name(self) -> str:
        """The path from the root, with `/` between its parts; the root itself is `.`."""
        return shown("/".join(self.parts)) if self.parts else "."


class Root:
    """The folder the server works in, fixed at its start."""

    def __init__(
        self, folder: str | os.PathLike[str], *, protected: Iterable[str | os.PathLike[str]] = ()
    ) -> None:
        """Fix the root, and files in it that are never written.

        Raises:
            WorkspaceError: `folder` is not a folder.
        """
        self.path = Path(os.path.realpath(folder))
        self._protected = {
            name.casefold()
            for file in protected
            for name in (os.path.abspath(file), os.path.realpath(file))
        }
        if not self.path.is_dir():
            raise WorkspaceError(f"the root {shown(os.fspath(folder))} is not a folder")

    def __repr__(self) -> str:
        return f"<Root {self.path}>"

    def locate(self, given: str) -> Place:
        """Resolve a path with all its symlinks. A relative path starts at the root.

        Raises:
            WorkspaceError: the place is outside of the root, or the path is invalid.
        """
        return self._inside(os.path.realpath(self._joined(given)), given)

    def locate_entry(self, given: str) -> Place:
        """Resolve a path as `locate` does, but do not follow a symlink in its last component. `.`
        and `..` there are resolved."""
        joined = self._joined(given)
        folder, last = os.path.split(joined.rstrip("/"))
        if last in ("", ".", ".."):
            return self.locate(given)
        return self._inside(os.path.join(os.path.realpath(folder), last), given)

    def locate_writable(self, given: str) -> Place:
        """Resolve the path of a file to write, as `locate` does.

        Raises:
            WorkspaceError: also for git's own files, which can be programs that git runs, for
            others that programs run by themselves, and for protected files.
        """
        place = self.locate(given)
        if not place.parts:
            raise WorkspaceError(f"{shown(given)} is the root itself. Name a file inside of it.")
        if any(part.casefold() == ".git" for part in place.parts) or self._is_in_git_folder(place):
            raise WorkspaceError(
                f"{shown(given)} belongs to git's own files, which are never written here."
            )
        if str(place.path).casefold() in self._protected:
            raise WorkspaceError(
                f"{shown(given)} holds the settings of the gateway, which are never written here."
            )
        if self._is_run_by_itself(place):
            raise WorkspaceError(
                f"{shown(given)} is run or followed by other programs by themselves (shells, "
                "editors, Python), and is never written here."
            )
        return place

    def contains(self, path: Path) -> bool:
        """Return whether a resolved path is inside of the root."""
        return path.is_relative_to(self.path)

    def _joined(self, given: str) -> str:
        if not given:
            raise WorkspaceError('the path is empty. Use "." for the root.')
        if "\0" in given:
            raise WorkspaceError("the path contains a NUL character, which paths cannot have.")
        return os.path.join(self.path, given)

    def _inside(self, resolved: str, given: str) -> Place:
        path = Path(resolved)
        if not self.contains(path):
            raise WorkspaceError(
                f"{shown(given)} leads outside of the workspace. Use a path inside of "
                f"{shown(str(self.path))}."
            )
        return Place(self.path, path.relative_to(self.path).parts)

    def _is_run_by_itself(self, place: Place) -> bool:
        *folders, name = (part.casefold() for part in place.parts)
        inner = [self.path.joinpath(*place.parts[:depth]) for depth in range(len(place.parts))]
        return (
            name in RUN_FILES
            or not RUN_FOLDERS.isdisjoint(folders)
            or any((folder / "pyvenv.cfg").is_file() for folder in inner)
        )

    def _is_in_git_folder(self, place: Place) -> bool:
        """Return whether a git folder is around *place*, or would be once something is there."""
        return any(
            is_git_folder(self.path.joinpath(*place.parts[:depth]), part)
            for depth, part in enumerate(place.parts)
        )


def is_git_folder(folder: Path, part: str) -> bool:
    """Return whether git would take *folder* for a git folder, by what git itself looks for, once
    it holds *part*. A folder of any name can be one, and its configuration runs programs."""

    def holds(name: str) -> bool:
        return part.casefold() == name.casefold() or os.path.lexists(folder / name)

    return holds("HEAD") and (holds("commondir") or (holds("objects") and holds("refs")))


@contextmanager
def opened_folder(place: Place, *, create: bool = False) -> Iterator[int]:
    """Open a folder without following symlinks, and yield its descriptor; `create` makes missing
    ones."""
    descriptor = os.open(place.root, FOLDER_FLAGS)
    try:
        for part in place.parts:
            if create:
                _make(part, descriptor)
            inner = os.open(part, FOLDER_FLAGS, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _make(name: str, folder: int) -> None:
    try:
        os.mkdir(name, dir_fd=folder)
    except FileExistsError:
        return


@contextmanager
def opened_parent(place: Place, *, create: bool = False) -> Iterator[tuple[int, str]]:
    """Open the folder of a file, and yield its descriptor and the file's name in it."""
    with opened_folder(Place(place.root, place.parts[:-1]), create=create) as folder:
        yield folder, place.parts[-1]


@contextmanager
def opened_file(place: Place) -> Iterator[tuple[int, os.stat_result]]:
    """Open a regular file for reading, and yield its descriptor and its stat.

    Raises:
        WorkspaceError: it is a folder, a FIFO, a device or a socket. None of these is waited for.
    """
    if not place.parts:
        raise WorkspaceError(". is a folder. Use list_dir to see what it holds.")
    with opened_parent(place) as (folder, name):
        descriptor = os.open(name, READ_FLAGS, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        require_regular(status, place.name)
        yield descriptor, status
    finally:
        os.close(descriptor)


@contextmanager
def opened_entry(place: Place) -> Iterator[tuple[int, os.stat_result]]:
    """Open a folder or a file for reading, and yield its descriptor and its stat."""
    if place.parts:
        with opened_parent(place) as (folder, name):
            descriptor = os.open(name, READ_FLAGS, dir_fd=folder)
    else:
        descriptor = os.open(place.root, FOLDER_FLAGS)
    try:
        yield descriptor, os.fstat(descriptor)
    finally:
        os.close(descriptor)


def require_regular(status: os.stat_result, name: str) -> None:
    """Refuse what is not a regular file."""
    if stat.S_ISDIR(status.st_mode):
        raise WorkspaceError(f"{name} is a folder. Use list_dir to see what it holds.")
    if not stat.S_ISREG(status.st_mode):
        raise WorkspaceError(f"{name} is a {kind_of(status.st_mode)}, not a file with text in it.")


def kind_of(mode: int) -> Kind:
    """Return the kind of file of a mode; FIFOs, devices and sockets are special files."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "symlink" if stat.S_ISLNK(mode) else "special file"


def shown(name: str) -> str:
    """Return a file name as text that can be sent: what is not UTF-8 in it becomes U+FFFD."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@contextmanager
def explained(name: str, *, missing: str = "") -> Iterator[None]:
    """Turn an error of the operating system about `name` into one that a model can act on; one
    about a file that does not exist says `missing`, if that is given."""
    try:
        yield
    except OSError as error:
        reason = missing if missing and error.errno == errno.ENOENT else _reason(error)
        raise WorkspaceError(f"{name}: {reason}") from error


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "no such file or folder. Use list_dir or find_files to see what there is."
        case errno.ENOTDIR:
            return "a part of the path, or its end, is not a folder."
        case errno.ELOOP:
            return "a symlink that leads nowhere, or that changed while it was followed."
        case errno.EEXIST:
            return 'it exists already. Use mode "overwrite" to replace it.'
        case errno.EACCES | errno.EPERM:
            return "permission denied."
        case errno.ENXIO:
            return "a special file, not a file with text in it."
        case errno.ENAMETOOLONG:
            return "the name is too long."
        case _:
            return f"{error.strerror or type(error).__name__}."
