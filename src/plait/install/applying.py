"""A plan carried out, one file after the other, and taken back.

Our own files are written first, so a server is in them before it leaves a client's file: wherever
this is killed, no server is lost, and doing it again goes on. Undoing goes the other way round.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from . import backups, replacing
from .backups import Entry
from .changes import Change, Drop, Extend, Impossible, Put, Retract
from .clients import Format
from .entries import Unreadable, value_at, values_of
from .plan import FileChange, Left, by_hand
from .replacing import Changed, LeftAlone
from .splice import spliced

LOCK = "install.lock"


class Busy(Exception):
    """Another installation is at work."""


@dataclass(slots=True)
class Outcome:
    """The end of each file."""

    written: list[Path] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    backup: Path | None = None


@contextmanager
def alone(state_folder: Path) -> Iterator[None]:
    """Keep other installations of the user out. Raises `Busy`, and `OSError`."""
    state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(state_folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Busy("another plait install is at work; try again when it has ended") from None
        yield
    finally:
        os.close(descriptor)


def apply(changes: Sequence[FileChange], state_folder: Path, now: datetime) -> Outcome:
    """Write the files of *changes*; those that cannot be written are left alone. Raises `Changed`,
    before anything is written, if one is not what the plan was made of, and `OSError` if the
    backup cannot be made."""
    for change in changes:
        with suppress(LeftAlone):  # which it says when its turn comes
            if replacing.read(change.path) != change.before:
                raise Changed(f"{change.path} has been written meanwhile")
    outcome = Outcome()
    if not changes:
        return outcome
    backups.discard_old(state_folder, now)
    outcome.backup = backups.make(state_folder, changes, now)
    ours_failed = False
    for change in changes:
        try:
            if ours_failed and not _is_ours(change):
                raise LeftAlone("its servers could not be written to our settings")
            replacing.replace(
                change.path, change.before, change.after, is_private=change.is_private
            )
        except (LeftAlone, Changed) as error:
            ours_failed = ours_failed or _is_ours(change)
            outcome.left.append(Left(change.title, change.path, str(error), (*change.lines,)))
        else:
            outcome.written.append(change.path)
    if not outcome.written:
        backups.discard(outcome.backup)
        outcome.backup = None
    elif outcome.left:
        with suppress(OSError):  # without it, the digests say what was not written
            backups.note_left(outcome.backup, [left.path for left in outcome.left])
    return outcome


def _is_ours(change: FileChange) -> bool:
    return not change.changes


@dataclass(slots=True)
class TakingBack:
    """A file that is brought back."""

    path: Path
    title: str
    before: bytes = field(repr=False)
    """Its content now."""
    after: bytes | None = field(repr=False)
    """None if it is to be removed."""
    is_exact: bool
    """Whether it is as the installation left it, so that it comes back byte for byte."""
    removed: tuple[str, ...] = ()
    """The servers that come back."""


@dataclass(slots=True)
class Undoing:
    """The way back from one installation."""

    folder: Path
    files: list[TakingBack] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Files of ours that stay because somebody has edited them."""


def undoing(state_folder: Path) -> Undoing | None:
    """Return the way back from the last installation, None without one. Raises `OSError` and
    `ValueError`."""
    backup = backups.latest(state_folder)
    if backup is None:
        return None
    undo = Undoing(backup.folder)
    for entry in reversed(backup.entries):
        try:
            now = replacing.read(entry.path)
        except LeftAlone as error:
            undo.left.append(Left(entry.title, entry.path, str(error)))
            continue
        if now in (None, entry.before):
            continue  # it was never written, is back already, or somebody has removed it
        assert now is not None
        names = tuple(change.key for change in entry.changes if isinstance(change, Drop))
        if backups.digest(now) == entry.after:
            undo.files.append(TakingBack(entry.path, entry.title, now, entry.before, True, names))
        elif not entry.changes:
            undo.kept.append(f"{entry.path} has been edited since, and stays")
        else:
            _take_out(undo, entry, now, names)
    return undo


def _take_out(undo: Undoing, entry: Entry, now: bytes, names: tuple[str, ...]) -> None:
    """Take back our change alone, in a file that others have written since."""
    assert entry.kind is not None
    changes: list[Change] = []
    try:
        changes = _reverse(entry, now, entry.kind)
        after = spliced(now, entry.kind, changes)
    except (Impossible, Unreadable) as error:
        lines = (
            *(line for change in changes for line in _without_values(change)),
            f"the file as it was: {undo.folder}",
        )
        undo.left.append(Left(entry.title, entry.path, str(error), lines))
    else:
        undo.files.append(TakingBack(entry.path, entry.title, now, after, False, names))


def _without_values(change: Change) -> Iterator[str]:
    if isinstance(change, Put):
        yield f"put {change.key} back into {'.'.join(change.at)}"
    else:
        yield from by_hand(change)


def _reverse(entry: Entry, now: bytes, kind: Format) -> list[Change]:
    """Return the changes that take those of *entry* back: servers come back first."""
    held, before = values_of(now, kind), values_of(entry.before or b"", kind)
    back: list[Change] = []
    gone: list[Change] = []
    for change in entry.changes:
        at = change.at
        match change:
            case Drop(_, key, in_list):
                if _member(held, at, key, in_list) is None:
                    back.append(Put(at, key, _member(before, at, key, in_list), in_list))
            case Put(_, key, _, in_list):
                old = _member(before, at, key, in_list)
                if old is not None:
                    back.append(Put(at, key, old, in_list))
                elif _member(held, at, key, in_list) is not None:
                    gone.append(Drop(at, key, in_list))
            case Extend(_, items):
                had = value_at(before, at) or []
                if ours := tuple(item for item in items if item not in had):
                    gone.append(Retract(at, ours))
    return [*back, *gone]


def _member(values: Any, at: tuple[str, ...], key: str, in_list: bool) -> Any:
    held = value_at(values, at)
    if in_list:
        named = (one for one in held or () if isinstance(one, dict) and one.get("name") == key)
        return next(named, None)
    return value_at(values, (*at, key))


def take_back(undo: Undoing) -> Outcome:
    """Bring the files of *undo* back. The backup goes once nothing is left to do."""
    outcome = Outcome(left=[*undo.left])
    for file in undo.files:
        try:
            if file.after is None:
                replacing.remove(file.path, file.before)
            else:
                replacing.replace(file.path, file.before, file.after)
        except (LeftAlone, Changed) as error:
            outcome.left.append(Left(file.title, file.path, str(error)))
        else:
            outcome.written.append(file.path)
    if outcome.left:
        outcome.backup = undo.folder
    else:
        backups.discard(undo.folder)
    return outcome
