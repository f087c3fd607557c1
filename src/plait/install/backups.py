"""The backups of installations: the files as they were, and a manifest that says what was changed.

A backup is whole before the first file is changed, and has the digest of each file before and
after. So wherever an installation was killed, each file is found to be the old one, the new one, or
one that somebody else has written since. Clients' files hold keys and accounts: only the user can
read the folder.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from .changes import Change, Drop, Extend, Put
from .clients import Format
from .plan import FileChange

FOLDER = "backups"
MANIFEST = "manifest.json"
LEFT = "left.json"
KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an installation."""

    path: Path
    title: str
    before: bytes | None
    """None if it was missing."""
    after: str
    """The digest of what was written."""
    kind: Format | None
    changes: tuple[Change, ...]
    """The changes in a client's file; empty for ours."""


@dataclass(frozen=True, slots=True)
class Backup:
    folder: Path
    entries: tuple[Entry, ...]


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def make(state_folder: Path, changes: Sequence[FileChange], now: datetime) -> Path:
    """Keep the files of *changes* as they are, and return the folder. Only one may be made at a
    time. Raises `OSError`."""
    root = state_folder / FOLDER
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    second = f"{now:%Y-%m-%d-%H%M%S}"
    number = sum(folder.name.startswith(second) for folder in _all(state_folder))
    name = f"{second}-{number}-{secrets.token_hex(3)}"  # in the order in which they are made
    unfinished = root / f".{name}"
    unfinished.mkdir(mode=0o700)
    files: list[dict[str, Any]] = []
    for number, change in enumerate(changes):
        if change.before is not None:
            _write(unfinished / str(number), change.before)
        files.append(
            {
                "path": str(change.path),
                "title": change.title,
                "backup": None if change.before is None else str(number),
                "after": digest(change.after),
                "kind": change.kind,
                "changes": [_document(one) for one in change.changes],
            }
        )
    manifest = {"version": 1, "made": now.isoformat(), "files": files}
    _write(unfinished / MANIFEST, json.dumps(manifest, indent=1).encode())
    os.rename(unfinished, root / name)  # whole from here on
    return root / name


def note_left(folder: Path, paths: Sequence[Path]) -> None:
    """Note in the backup *folder* the files that were not written in the end. Raises `OSError`."""
    _write(folder / LEFT, json.dumps([str(path) for path in paths]).encode())


def latest(state_folder: Path) -> Backup | None:
    """Return the backup of the last installation that has not been undone. Raises `OSError` and
    `ValueError` if it cannot be read."""
    folders = list(_all(state_folder))
    return _read(folders[-1]) if folders else None


def discard(folder: Path) -> None:
    """Remove a backup: it is first renamed, so that half a one is never found."""
    aside = folder.with_name(f".{folder.name}.gone")
    os.rename(folder, aside)
    shutil.rmtree(aside, ignore_errors=True)


def discard_old(state_folder: Path, now: datetime) -> None:
    """Remove the backups that are older than 90 days, and what was left of unfinished ones."""
    oldest = f"{now - KEPT:%Y-%m-%d-%H%M%S}"
    for folder in list(_all(state_folder)):
        if folder.name < oldest:
            discard(folder)
    root = state_folder / FOLDER
    for folder in root.glob(".*") if root.is_dir() else ():
        shutil.rmtree(folder, ignore_errors=True)


def _all(state_folder: Path) -> Iterator[Path]:
    root = state_folder / FOLDER
    names = sorted(os.listdir(root)) if root.is_dir() else []
    yield from (
        root / name
        for name in names
        if not name.startswith(".") and (root / name / MANIFEST).is_file()
    )


def _read(folder: Path) -> Backup:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    left = json.loads((folder / LEFT).read_bytes()) if (folder / LEFT).is_file() else []
    entries = []
    for file in manifest["files"]:
        if file["path"] in left:
            continue
        kept = file["backup"]
        entries.append(
            Entry(
                Path(file["path"]),
                file["title"],
                None if kept is None else (folder / kept).read_bytes(),
                file["after"],
                None if file["kind"] is None else Format(file["kind"]),
                tuple(map(_change, file["changes"])),
            )
        )
    return Backup(folder, tuple(entries))


def _document(change: Change) -> dict[str, Any]:
    match change:
        case Put(at, key, _, in_list):
            return {"put": key, "at": at, "in_list": in_list}
        case Drop(at, key, in_list):
            return {"drop": key, "at": at, "in_list": in_list}
        case _:
            return {"extend": change.items, "at": change.at}


def _change(document: dict[str, Any]) -> Change:
    at = tuple(document["at"])
    if "put" in document:
        return Put(at, document["put"], None, document["in_list"])
    if "drop" in document:
        return Drop(at, document["drop"], document["in_list"])
    return Extend(at, tuple(document["extend"]))


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
