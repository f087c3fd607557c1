"""Files of others, replaced whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from plait.install.replacing import Changed, LeftAlone, read, remove, replace

from .killing import killed_at


def test_a_file_keeps_its_mode_and_its_place(tmp_path: Path):
    file = tmp_path / "a.json"
    file.write_bytes(b"old")
    file.chmod(0o640)
    replace(file, b"old", b"new")
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_link_stays_and_its_target_is_replaced_beside_itself(tmp_path: Path):
    target = tmp_path / "dotfiles" / "a.json"
    target.parent.mkdir()
    target.write_bytes(b"old")
    middle = tmp_path / "middle"
    middle.symlink_to("dotfiles/a.json")
    link = tmp_path / "link"
    link.symlink_to(middle)
    replace(link, b"old", b"new")
    assert (link.is_symlink(), middle.is_symlink()) == (True, True)
    assert target.read_bytes() == b"new"


def test_a_missing_file_is_made_with_its_folders(tmp_path: Path):
    private, other = tmp_path / "x/y/secrets.env", tmp_path / "z.json"
    replace(private, None, b"1", is_private=True)
    replace(other, None, b"2")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(private.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(other.stat().st_mode) == 0o644


def test_a_link_to_nothing_gets_its_target(tmp_path: Path):
    (tmp_path / "link").symlink_to("target")
    replace(tmp_path / "link", None, b"new")
    assert (tmp_path / "target").read_bytes() == b"new"
    assert (tmp_path / "link").is_symlink()


class Attributes:
    """The extended attributes of files, in memory: not every file system has them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known: dict[str, dict[str, bytes]] = {}
        self.refused = ""
        for name, function in (
            ("listxattr", lambda path: [*self.of(path)]),
            ("getxattr", lambda path, name: self.of(path)[name]),
            ("setxattr", self.set),
        ):
            monkeypatch.setattr(os, name, function, raising=False)

    def of(self, path: Any) -> dict[str, bytes]:
        return self.known.setdefault(str(path), {})

    def set(self, path: Any, name: str, value: bytes) -> None:
        if name == self.refused:
            raise OSError(errno.EPERM, "not allowed")
        self.of(path)[name] = value


@pytest.fixture
def attributes(monkeypatch: pytest.MonkeyPatch) -> Attributes:
    return Attributes(monkeypatch)


def test_extended_attributes_are_kept(attributes: Attributes, tmp_path: Path):
    file = tmp_path / "a"
    file.write_bytes(b"old")
    attributes.of(file).update({"user.note": b"mine", "security.x": b"theirs"})
    attributes.refused = "security.x"
    replace(file, b"old", b"new")
    [made] = [of for path, of in attributes.known.items() if ".plait-" in path]
    assert made == {"user.note": b"mine"}


def test_a_file_whose_attributes_cannot_be_kept_is_left_alone(
    attributes: Attributes, tmp_path: Path
):
    file = tmp_path / "a"
    file.write_bytes(b"old")
    attributes.of(file).update({"user.note": b"mine"})
    attributes.refused = "user.note"
    with pytest.raises(LeftAlone, match=r"user\.note cannot be kept"):
        replace(file, b"old", b"new")
    assert (file.read_bytes(), os.listdir(tmp_path)) == (b"old", ["a"])


def test_a_file_of_another_user_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "a"
    file.write_bytes(b"old")
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    with pytest.raises(LeftAlone, match="belongs to another user"):
        replace(file, b"old", b"new")
    assert file.read_bytes() == b"old"


def with_two_names(file: Path) -> None:
    os.link(file, file.with_name("other"))


def read_only(file: Path) -> None:
    file.chmod(0o444)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (with_two_names, "hard links"),
        (read_only, "read-only"),
    ],
)
def test_a_file_that_would_not_be_the_same_is_left_alone(spoil: Any, reason: str, tmp_path: Path):
    file = tmp_path / "a"
    file.write_bytes(b"old")
    spoil(file)
    names = sorted(os.listdir(tmp_path))
    with pytest.raises(LeftAlone, match=reason):
        replace(file, b"old", b"new")
    assert file.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == names


def test_what_is_no_file_is_left_alone(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("b")
    for name in ("a", "b"):
        with pytest.raises(LeftAlone):
            replace(tmp_path / name, None, b"new")


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("replace", errno.EBUSY, "mount point"),
        ("replace", errno.EACCES, "folder may not be written"),
        ("fsync", errno.ENOSPC, "the disk is full"),
        ("fsync", errno.EROFS, "file system is read-only"),
        ("fsync", errno.EIO, "Input/output error"),
    ],
)
def test_where_the_system_refuses_nothing_is_changed(
    name: str, code: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "a"
    file.write_bytes(b"old")

    def fail(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, name, fail)
    with pytest.raises(LeftAlone, match=reason):
        replace(file, b"old", b"new")
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_that_was_written_meanwhile_is_not_overwritten(tmp_path: Path):
    file = tmp_path / "a"
    file.write_bytes(b"theirs")
    with pytest.raises(Changed):
        replace(file, b"old", b"new")
    with pytest.raises(Changed):
        replace(file, None, b"new")
    with pytest.raises(Changed):
        remove(file, b"old")
    assert file.read_bytes() == b"theirs"


def test_a_write_right_before_ours_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "a"
    file.write_bytes(b"old")
    chmod = os.chmod

    def write_first(path: Any, mode: int) -> None:
        file.write_bytes(b"theirs")
        chmod(path, mode)

    monkeypatch.setattr(os, "chmod", write_first)
    with pytest.raises(Changed):
        replace(file, b"old", b"new")
    assert file.read_bytes() == b"theirs"


def test_a_write_right_after_ours_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "a"
    file.write_bytes(b"old")
    swap = os.replace

    def write_after(source: Any, target: Any) -> None:
        swap(source, target)
        file.write_bytes(b"theirs")

    monkeypatch.setattr(os, "replace", write_after)
    with pytest.raises(Changed, match="right after"):
        replace(file, b"old", b"new")


def test_a_file_is_made_also_where_names_cannot_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*arguments: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", fail)
    replace(tmp_path / "a", None, b"new")
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_is_read_or_missing_or_removed(tmp_path: Path):
    file = tmp_path / "a"
    assert read(file) is None
    file.write_bytes(b"x")
    assert read(file) == b"x"
    remove(file, b"x")
    assert not file.exists()


@pytest.mark.parametrize("before", [None, b"old"])
def test_what_was_left_by_one_that_was_killed_is_no_obstacle(before: bytes | None, tmp_path: Path):
    for step in range(100):
        folder = tmp_path / str(step)
        folder.mkdir()
        file = folder / "a[1]"
        if before is not None:
            file.write_bytes(before)
        was_killed = killed_at(step, partial(replace, file, before, b"new"))
        assert read(file) in {before, b"new"}
        replace(file, read(file), b"newer")
        assert (file.read_bytes(), os.listdir(folder)) == (b"newer", ["a[1]"])
        if not was_killed:
            break
    assert step > 2
