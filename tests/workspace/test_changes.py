"""Which files a formatter changed, would change, or must not be given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plait.workspace.changes import (
    changed_between,
    refuse_links_out,
    snapshot,
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
    before = snapshot(root, [])
    (root.path / "tests" / "test_a.py").write_text("x")
    (root.path / "new.py").write_text("x")
    (root.path / "kept.py").rename(root.path / "gone.py")
    (root.path / "gone.py").unlink()
    assert changed_between(before, snapshot(root, [])) == ["new.py", "tests/test_a.py"]
    assert changed_between(before, before) == []


def test_a_file_of_the_same_size_and_time_that_was_replaced_has_changed(root: Root):
    before, status = snapshot(root, []), (root.path / "kept.py").stat()
    (root.path / "other").write_text("y")
    os.utime(root.path / "other", ns=(status.st_atime_ns, status.st_mtime_ns))
    (root.path / "other").rename(root.path / "kept.py")
    assert changed_between(before, snapshot(root, [])) == ["kept.py"]


def test_only_what_is_given_is_looked_at_and_no_heavy_folder(root: Root):
    for name in ("node_modules", ".venv", "own-venv"):
        (root.path / name).mkdir()
        (root.path / name / "x.py").write_text("x")
    (root.path / "own-venv" / "pyvenv.cfg").write_text("")
    assert sorted(snapshot(root, [])) == ["kept.py", "tests/test_a.py"]
    assert list(snapshot(root, ["tests"])) == ["tests/test_a.py"]
    assert list(snapshot(root, ["kept.py"])) == ["kept.py"]
    with pytest.raises(WorkspaceError, match="outside of the workspace"):
        snapshot(root, [".."])


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


def test_a_symlink_to_a_file_outside_is_refused_and_any_other_is_not(root: Root):
    (root.path / "inside.py").symlink_to("kept.py")
    (root.path / "dangling.py").symlink_to("../missing.py")
    (root.path / "folder").symlink_to("../ws-evil")
    refuse_links_out(root, [])
    (root.path / "tests" / "out.py").symlink_to("../../secret.txt")
    with pytest.raises(WorkspaceError, match=r"^tests/out\.py is a symlink out of the workspace"):
        refuse_links_out(root, [])
    refuse_links_out(root, ["kept.py"])
