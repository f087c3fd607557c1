"""A damaged file is set aside by a process that has it alone, and by no other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plait.stores.history.database import Unusable
from plait.stores.history.files import Files, is_on_network

NETWORKED = """\
22 1 259:1 / / rw - ext4 /dev/root rw
40 22 {device} / {folder} rw,relatime shared:1 - nfs4 server:/home rw
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = open_files(tmp_path)
    with files.db.transaction():
        for _ in range(1_000):
            files.db.one("add_blob", (os.urandom(32), 0, 400, os.urandom(400)))
    files.close()
    return tmp_path


def open_files(folder: Path) -> Files:
    return Files(folder, folder / "runtime")


def spoil(folder: Path, start: int, count: int) -> None:
    with open(folder / "history.db", "r+b") as file:
        file.seek(start)
        file.write(os.urandom(count))


def set_aside(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if ".damaged-" in path.name]


def test_a_file_without_its_beginning_is_set_aside(folder: Path):
    spoil(folder, 0, 4_000)
    files = open_files(folder)
    assert files.db.all("tools") == []
    assert len(set_aside(folder)) == 1
    files.close()


def test_a_damaged_file_that_others_have_open_is_left_alone(folder: Path):
    other = open_files(folder)
    spoil(folder, 0, 4_000)
    with pytest.raises(Unusable, match="other processes have it open"):
        open_files(folder)
    assert set_aside(folder) == []
    other.close()
    open_files(folder).close()
    assert len(set_aside(folder)) == 1


def test_a_suspected_file_is_checked_and_set_aside_at_the_next_start(folder: Path):
    spoil(folder, (folder / "history.db").stat().st_size // 2, 40_000)
    files = open_files(folder)  # its tables are whole: the damage is in values
    files.suspect()
    with pytest.raises(Unusable):
        open_files(folder)
    files.close()
    open_files(folder).close()
    assert len(set_aside(folder)) == 1
    assert not (folder / "history.suspect").exists()


def test_a_file_that_was_suspected_in_vain_is_used_on(folder: Path):
    files = open_files(folder)
    files.suspect()
    files.close()
    again = open_files(folder)
    assert again.db.one("blob", (1,)) is not None
    assert set_aside(folder) == []
    again.close()


def test_what_was_opened_is_closed_where_the_rest_fails(folder: Path):
    (folder / "leases").rmdir()
    (folder / "leases").write_text("no folder")
    with pytest.raises(OSError, match="leases"):
        open_files(folder)
    (folder / "leases").unlink()
    spoil(folder, 0, 4_000)
    open_files(folder).close()  # it was alone
    assert len(set_aside(folder)) == 1


def test_a_network_file_system_is_found_by_the_table_of_mounts(tmp_path: Path):
    number = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    device = f"{os.major(number)}:{os.minor(number)}"
    mounts.write_text(NETWORKED.format(device=device, folder=tmp_path))
    assert is_on_network(tmp_path / "not" / "yet", mounts)
    mounts.write_text(NETWORKED.format(device="0:1", folder="/other"))
    assert not is_on_network(tmp_path, mounts)
    assert not is_on_network(tmp_path, tmp_path / "missing")


def test_this_machine_is_asked_where_no_table_is_named(tmp_path: Path):
    assert not is_on_network(tmp_path)
