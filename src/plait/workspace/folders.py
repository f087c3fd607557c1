"""list_dir: the entries of a folder, to a bounded depth. It blocks; the server runs it in
threads."""

from __future__ import annotations

import heapq
import os
from typing import Annotated

from pydantic import Field

from .paths import Kind, Place, Root, WorkspacePath, explained, kind_of, opened_folder, shown
from .schema import Arguments, Output

HEAVY_FOLDERS = (
    ".git",
    "node_modules",
    ".venv",
    "__pycache__",
    ".tox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
)
"""Folders made by tools, with more in them than anyone wants to read."""


class ListDir(Arguments):
    """List a folder of the workspace: files, folders, symlinks and their sizes, sorted by path.

    With a depth above 1 folders are opened too, except heavy ones (.git, node_modules, .venv and
    caches), which are named but not opened. Symlinks are named and never followed.
    """

    path: WorkspacePath = "."
    depth: Annotated[int, Field(ge=1, le=20, description="How many levels of folders to list.")] = 1
    max_entries: Annotated[int, Field(ge=1, le=5000, description="Most entries to return.")] = 500


class Entry(Output):
    name: Annotated[str, Field(description="The last part of the path.")]
    path: Annotated[str, Field(description="The path from the workspace root.")]
    type: Annotated[Kind, Field(description="What it is.")]
    size_bytes: Annotated[int | None, Field(description="Size, for files.")] = None


class Listing(Output):
    path: Annotated[str, Field(description="The folder, from the workspace root.")]
    entries: list[Entry]
    truncated: Annotated[
        bool, Field(description="Whether there are more entries than max_entries.")
    ]


def list_dir(root: Root, call: ListDir) -> Listing:
    """List the entries of a folder, and of the folders in it down to `depth`.

    Raises:
        WorkspaceError: the folder is outside of the root, missing, or not a folder.
    """
    place = root.locate(call.path)
    with explained(place.name):
        entries = _entries(place, call.depth, call.max_entries + 1)
    kept = entries[: call.max_entries]
    return Listing(path=place.name, entries=kept, truncated=len(entries) > len(kept))


def _entries(place: Place, depth: int, most: int) -> list[Entry]:
    """List at most `most` entries in the order of their paths, each folder before its entries."""
    entries: list[Entry] = []
    for name, entry in _children(place, most):
        entries.append(entry)
        if entry.type == "folder" and depth > 1 and name not in HEAVY_FOLDERS:
            entries += _inner(
                Place(place.root, (*place.parts, name)), depth - 1, most - len(entries)
            )
        if len(entries) >= most:
            break
    return entries[:most]


def _inner(place: Place, depth: int, most: int) -> list[Entry]:
    """List the entries of an inner folder; none if it cannot be opened or has disappeared."""
    try:
        return _entries(place, depth, most)
    except OSError:
        return []


def _children(place: Place, most: int) -> list[tuple[str, Entry]]:
    with opened_folder(place) as descriptor, os.scandir(descriptor) as found:
        first = heapq.nsmallest(most, found, key=lambda entry: entry.name)
        return [(entry.name, _entry(entry, place)) for entry in first]


def _entry(entry: os.DirEntry[str], place: Place) -> Entry:
    name = shown(entry.name)
    path = name if not place.parts else f"{place.name}/{name}"
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return Entry(name=name, path=path, type="special file")
    kind = kind_of(status.st_mode)
    return Entry(
        name=name, path=path, type=kind, size_bytes=status.st_size if kind == "file" else None
    )
