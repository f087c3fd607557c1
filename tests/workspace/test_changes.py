"""Which files a formatter is given, changed, or would change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plait.workspace import changes
from plait.workspace.changes import (
    changed_between,
    formattable,
    snapshot,
    suffixes_of,
    would_change,
)
from plait.workspace.errors import WorkspaceError
from plait.workspace.paths import Root


@pytest.fixture
def root(folder: Path) -> Root:
    (folder / "tests").mkdir()
    (folder / "tests" / "test_a.py").write_text("def test_it():\n    pass\n")
    (folder / "kept.py").write_text("x")
    return Root(folder)


def test_new_and_changed_files_are_listed_and_no_others(root: Root):
    files = ["kept.py", "new.py", "tests/test_a.py", "gone.py"]
    (root.path / "gone.py").write_text("x")
    before = snapshot(root, files)
    (root.path / "tests" / "test_a.py").write_text("x")
    (root.path / "new.py").write_text("x")
    (root.path / "gone.py").unlink()
    assert changed_between(before, snapshot(root, files)) == ["new.py", "tests/test_a.py"]
    assert changed_between(before, before) == []


def test_a_file_of_the_same_size_and_time_that_was_replaced_has_changed(root: Root):
    before, status = snapshot(root, ["kept.py"]), (root.path / "kept.py").stat()
    (root.path / "other").write_text("y")
    os.utime(root.path / "other", ns=(status.st_atime_ns, status.st_mtime_ns))
    (root.path / "other").rename(root.path / "kept.py")
    assert changed_between(before, snapshot(root, ["kept.py"])) == ["kept.py"]


def test_a_formatter_gets_files_of_its_kind_and_no_links_or_environments(root: Root):
    (root.path / "own-venv" / "lib").mkdir(parents=True)
    (root.path / "own-venv" / "lib" / "x.py").write_text("x")
    (root.path / "own-venv" / "pyvenv.cfg").write_text("")
    (root.path / "link.py").symlink_to("../secret.txt")
    (root.path / "notes.txt").write_text("x")
    os.link(root.path.parent / "secret.txt", root.path / "hard.py")
    listed = [
        "gone.py",
        "hard.py",
        "kept.py",
        "link.py",
        "notes.txt",
        "own-venv/lib/x.py",
        "tests/test_a.py",
    ]
    chosen = formattable(root, [], listed, (".py",))
    assert (chosen.files, chosen.left_out) == (("kept.py", "tests/test_a.py"), ("hard.py",))
    assert formattable(root, ["notes.txt"], [], (".py",)).files == ("notes.txt",)
    with pytest.raises(WorkspaceError, match=r"^hard\.py has another name"):
        formattable(root, ["hard.py"], [], (".py",))


def test_more_files_than_a_command_takes_are_refused(root: Root, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(changes, "MAX_NAMES_BYTES", 20)
    with pytest.raises(WorkspaceError, match="2 files are more than a formatter can be given"):
        formattable(root, [], ["kept.py", "tests/test_a.py"], (".py",))


@pytest.mark.parametrize(
    ("formatter", "ending"),
    [
        (["/x/bin/ruff", "format"], ".py"),
        (["npx", "prettier", "--write"], ".ts"),
        (["./scripts/format"], None),
    ],
)
def test_the_files_of_a_formatter_are_known_by_its_name(formatter: list[str], ending: str | None):
    suffixes = suffixes_of(formatter)
    assert suffixes is None if ending is None else ending in (suffixes or ())


@pytest.mark.parametrize(
    "line",
    [
        "Would reformat: tests/test_a.py",
        "would reformat {root}/tests/test_a.py",
        " --> tests/test_a.py:1:3",
    ],
)
def test_files_that_a_check_names_are_found(root: Root, line: str):
    output = (
        f"{line.format(root=root.path)}\nWould reformat: ../secret.txt\n1 file would be "
        "reformatted\n"
    )
    assert would_change(root, output) == ["tests/test_a.py"]
