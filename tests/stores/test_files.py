"""Small private files: whole or not at all, within bounds, and nothing that others have put in
their place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from plait.stores.files import read, write


def test_what_was_written_is_read_under_the_same_stamp(tmp_path: Path):
    stamp = write(tmp_path / "file", b"text", 10)
    assert read(tmp_path / "file", 10) == (b"text", stamp)
    assert read(tmp_path / "file", 10) == (b"text", stamp)


def test_each_write_gives_another_stamp(tmp_path: Path):
    before = write(tmp_path / "file", b"text", 10)
    after = write(tmp_path / "file", b"text", 10)
    assert before != after
    assert read(tmp_path / "file", 10) == (b"text", after)


def test_the_file_and_the_folders_made_for_it_are_for_their_owner_alone(tmp_path: Path):
    write(tmp_path / "a" / "b" / "file", b"text", 10)
    assert stat.S_IMODE((tmp_path / "a" / "b" / "file").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_who_reads_while_it_is_written_keeps_the_old_one(tmp_path: Path):
    write(tmp_path / "file", b"old", 10)
    with (tmp_path / "file").open("rb") as reading:
        write(tmp_path / "file", b"new", 10)
        assert reading.read() == b"old"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path / "file", b"old", 10)

    def full(source: object, target: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="full"):
        write(tmp_path / "file", b"new", 10)
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_more_than_the_bound_is_neither_written_nor_read(tmp_path: Path):
    with pytest.raises(OSError, match="more than 3 bytes"):
        write(tmp_path / "file", b"text", 3)
    assert os.listdir(tmp_path) == []
    write(tmp_path / "file", b"text", 4)
    with pytest.raises(OSError, match="not a file that Plait has written"):
        read(tmp_path / "file", 3)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "file", 10)


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_is_not_a_plain_file_is_refused_without_waiting(tmp_path: Path, kind: str):
    file = tmp_path / "file"
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "folder":
            file.mkdir()
        case _:
            (tmp_path / "other").write_text("text")
            file.symlink_to(tmp_path / "other")
    with pytest.raises(OSError):  # noqa: PT011  # in the words of the system, or in ours
        read(file, 10)


def test_a_link_is_replaced_and_not_followed(tmp_path: Path):
    (tmp_path / "other").write_text("other")
    (tmp_path / "file").symlink_to(tmp_path / "other")
    write(tmp_path / "file", b"text", 10)
    assert (tmp_path / "other").read_text() == "other"
    assert read(tmp_path / "file", 10)[0] == b"text"


def test_the_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "file", b"text", 10)
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / "file").stat().st_uid + 1)
    with pytest.raises(OSError, match="not a file that Plait has written"):
        read(tmp_path / "file", 10)
