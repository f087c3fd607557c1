"""Backups of installations."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from plait.install.backups import digest, discard, discard_old, latest, make, note_left
from plait.install.changes import Drop, Extend, Put
from plait.install.clients import Format
from plait.install.plan import FileChange

NOW = datetime(2026, 11, 29, 14, 12, tzinfo=UTC)


def change(path: Path) -> FileChange:
    changes = (
        Put(("mcpServers",), "plait", {"command": "p"}),
        Drop(("l",), "a", True),
        Extend(("x", "y"), ("z",)),
    )
    return FileChange(path, "Cursor", b"old s3cret", b"new", Format.JSON, changes)


def test_a_backup_holds_files_and_what_was_changed(tmp_path: Path):
    one = change(tmp_path / "a.json")
    new = FileChange(tmp_path / "servers.toml", "servers.toml", None, b"x", Format.TOML)
    make(tmp_path / "state", [one, new], NOW)
    found = latest(tmp_path / "state")
    assert found is not None
    first, second = found.entries
    assert (first.path, first.before, first.after) == (one.path, b"old s3cret", digest(b"new"))
    assert first.changes == (Put(("mcpServers",), "plait", None), *one.changes[1:])
    assert (second.before, second.kind, second.changes) == (None, Format.TOML, ())


def test_a_backup_is_readable_by_its_owner_alone(tmp_path: Path):
    folder = make(tmp_path / "state", [change(tmp_path / "a")], NOW)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert "s3cret" not in json.dumps(json.loads((folder / "manifest.json").read_text()))


def test_two_in_one_second_are_two(tmp_path: Path):
    folders = [make(tmp_path, [change(tmp_path / "a")], NOW) for _ in range(3)]
    assert folders == sorted({*folders})
    assert all(folder.name.startswith("2026-11-29-141200-") for folder in folders)


def test_the_last_one_is_undone_first(tmp_path: Path):
    first = make(tmp_path, [change(tmp_path / "a")], NOW)
    second = make(tmp_path, [change(tmp_path / "b")], NOW + timedelta(seconds=1))
    found = latest(tmp_path)
    assert found is not None
    assert found.folder == second
    discard(second)
    found = latest(tmp_path)
    assert found is not None
    assert found.folder == first
    discard(first)
    assert latest(tmp_path) is None


def test_files_that_were_not_written_are_left_out(tmp_path: Path):
    one, other = change(tmp_path / "a"), change(tmp_path / "b")
    note_left(make(tmp_path, [one, other], NOW), [one.path])
    found = latest(tmp_path)
    assert found is not None
    assert [entry.path for entry in found.entries] == [other.path]


def test_old_and_unfinished_ones_go(tmp_path: Path):
    make(tmp_path, [change(tmp_path / "a")], NOW - timedelta(days=91))
    kept = make(tmp_path, [change(tmp_path / "a")], NOW - timedelta(days=89))
    (tmp_path / "backups/.2026-unfinished").mkdir()
    discard_old(tmp_path, NOW)
    assert [*(tmp_path / "backups").iterdir()] == [kept]


def test_without_any_there_is_none(tmp_path: Path):
    discard_old(tmp_path, NOW)
    assert latest(tmp_path) is None
