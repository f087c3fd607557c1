"""list_dir: what it names, how deep it looks, and where it stops."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plait.workspace.errors import WorkspaceError
from plait.workspace.folders import ListDir, list_dir
from plait.workspace.paths import Root


@pytest.fixture
def root(folder: Path) -> Root:
    return Root(folder)


def test_a_folder_is_listed_with_types_and_sizes(root: Root):
    (root.path / "b.txt").write_text("four")
    (root.path / "a").mkdir()
    (root.path / "c").symlink_to("/etc/passwd")
    os.mkfifo(root.path / "d")
    listed = [
        (entry.path, entry.type, entry.size_bytes) for entry in list_dir(root, ListDir()).entries
    ]
    assert listed == [
        ("a", "folder", None),
        ("b.txt", "file", 4),
        ("c", "symlink", None),
        ("d", "special file", None),
    ]


def test_a_listing_goes_as_deep_as_asked_and_not_into_links_or_heavy_folders(root: Root):
    for name in ("a/b/c", ".git/objects", "node_modules/x"):
        (root.path / name).mkdir(parents=True)
    (root.path / "a" / "out").symlink_to("../../ws-evil")
    listing = list_dir(root, ListDir(depth=2))
    assert [entry.path for entry in listing.entries] == [
        ".git",
        "a",
        "a/b",
        "a/out",
        "node_modules",
    ]
    assert "a/b/c" in [entry.path for entry in list_dir(root, ListDir(path="a", depth=9)).entries]


@pytest.mark.parametrize(("most", "truncated"), [(5, False), (4, True)])
def test_a_listing_says_whether_there_is_more(root: Root, most: int, truncated: bool):
    for name in ("a/1", "a/2", "b", "c"):
        (root.path / name).mkdir(parents=True)
    listing = list_dir(root, ListDir(depth=3, max_entries=most))
    assert (len(listing.entries), listing.truncated) == (most, truncated)


@pytest.mark.parametrize(
    ("path", "says"), [("a.txt", "not a folder"), ("x", "no such"), ("..", "outside")]
)
def test_only_a_folder_inside_is_listed(root: Root, path: str, says: str):
    (root.path / "a.txt").write_text("")
    with pytest.raises(WorkspaceError, match=says):
        list_dir(root, ListDir(path=path))


def test_a_folder_that_may_not_be_named_in_utf_8_is_listed(root: Root):
    (root.path / os.fsdecode(b"caf\xe9")).mkdir()
    assert list_dir(root, ListDir()).entries[0].name == "caf\ufffd"


@pytest.mark.parametrize("most", range(1, 7))
def test_the_first_entries_in_the_order_of_their_paths_are_kept(root: Root, most: int):
    for name in ("b/2", "b/1", "a", "c"):
        (root.path / name).mkdir(parents=True)
    listing = list_dir(root, ListDir(depth=2, max_entries=most))
    assert [entry.path for entry in listing.entries] == ["a", "b", "b/1", "b/2", "c"][:most]
    assert listing.truncated is (most < 5)


def test_paths_start_at_the_root_and_names_do_not(root: Root):
    (root.path / "a" / "b" / "c").mkdir(parents=True)
    listing = list_dir(root, ListDir(path="a/b"))
    [entry] = listing.entries
    assert (listing.path, entry.path, entry.name) == ("a/b", "a/b/c", "c")
