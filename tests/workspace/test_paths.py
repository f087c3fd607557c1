from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.workspace.errors import WorkspaceError
from plait.workspace.paths import (
    Place,
    Root,
    explained,
    opened_file,
    opened_folder,
    opened_parent,
    shown,
)


@pytest.fixture
def root(folder: Path) -> Root:
    (folder / "a.txt").write_text("inside\n")
    (folder / "sub").mkdir()
    return Root(folder)


def content(root: Root, given: str) -> bytes:
    with explained(given), opened_file(root.locate(given)) as (descriptor, _):
        return os.read(descriptor, 100)


@pytest.mark.parametrize(
    "given", ["a.txt", "./a.txt", "sub/../a.txt", "{root}/a.txt", "{root}/../ws/a.txt"]
)
def test_a_path_inside_is_found_however_it_is_written(root: Root, given: str):
    assert content(root, given.format(root=root.path)) == b"inside\n"


@pytest.mark.parametrize(
    "given",
    [
        "..",
        "../secret.txt",
        "../ws-evil/secret.txt",
        "sub/../../secret.txt",
        "{root}-evil/secret.txt",
        "{root}/../secret.txt",
        "/etc/passwd",
        "//etc/passwd",
        "/proc/self/root/etc/passwd",
        "/proc/self/cwd/../../../../../../../../etc/passwd",
        "/dev/zero",
    ],
)
def test_a_path_that_leads_out_is_refused(root: Root, given: str):
    with pytest.raises(WorkspaceError, match="outside of the workspace"):
        root.locate(given.format(root=root.path))


@pytest.mark.parametrize(("given", "says"), [("", "empty"), ("a\0.txt", "NUL")])
def test_what_cannot_be_a_path_is_refused(root: Root, given: str, says: str):
    with pytest.raises(WorkspaceError, match=says):
        root.locate(given)


@pytest.mark.parametrize(
    "target", ["../secret.txt", "../ws-evil", "/", "/etc/passwd", "/proc/self/root/etc/passwd"]
)
def test_a_symlink_that_leaves_the_root_is_refused(root: Root, target: str):
    (root.path / "link").symlink_to(target)
    with pytest.raises(WorkspaceError, match="outside of the workspace"):
        root.locate("link")


def test_a_new_file_under_a_folder_that_is_a_symlink_out_is_refused(root: Root):
    (root.path / "link").symlink_to("../ws-evil")
    with pytest.raises(WorkspaceError, match="outside of the workspace"):
        root.locate_writable("link/new.txt")


def test_a_symlink_that_stays_inside_is_followed(root: Root):
    (root.path / "link").symlink_to("sub/../a.txt")
    assert content(root, "link") == b"inside\n"


def test_a_symlink_is_itself_where_an_entry_is_asked_for(root: Root):
    (root.path / "sub" / "link").symlink_to("/etc/passwd")
    assert root.locate_entry("sub/link").name == "sub/link"


@pytest.mark.parametrize("given", ["sub/..", "sub/../..", "..", "../ws-evil/x"])
def test_an_entry_outside_is_refused(root: Root, given: str):
    if given == "sub/..":
        assert root.locate_entry(given).name == "."
        return
    with pytest.raises(WorkspaceError, match="outside of the workspace"):
        root.locate_entry(given)


def test_a_circle_of_symlinks_is_an_error_and_not_a_hang(root: Root):
    (root.path / "one").symlink_to("two")
    (root.path / "two").symlink_to("one")
    with pytest.raises(WorkspaceError, match="symlink that leads nowhere"):
        content(root, "one")


def test_a_file_swapped_for_a_symlink_after_the_decision_is_not_followed(root: Root):
    place = root.locate("a.txt")
    (root.path / "a.txt").unlink()
    (root.path / "a.txt").symlink_to("../secret.txt")
    with (
        pytest.raises(WorkspaceError, match="changed while it was followed"),
        explained("a.txt"),
        opened_file(place),
    ):
        pass


def test_a_folder_swapped_for_a_symlink_after_the_decision_is_not_followed(root: Root):
    place = root.locate("sub/secret.txt")
    (root.path / "sub").rmdir()
    (root.path / "sub").symlink_to("../ws-evil")
    with pytest.raises(WorkspaceError), explained("sub/secret.txt"), opened_parent(place):
        pass


def test_special_files_are_refused_without_waiting(root: Root, monkeypatch: pytest.MonkeyPatch):
    os.mkfifo(root.path / "fifo")
    monkeypatch.chdir(root.path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name in ("fifo", "socket"):
            with pytest.raises(WorkspaceError, match="special file"):
                content(root, name)


@pytest.mark.parametrize("given", [".", "sub"])
def test_a_folder_is_not_opened_as_a_file(root: Root, given: str):
    with pytest.raises(WorkspaceError, match="is a folder"):
        content(root, given)


@pytest.mark.parametrize(
    "given",
    [
        ".git",
        ".git/hooks/pre-commit",
        "sub/.git/config",
        ".GIT/config",
        "a/../.git/HEAD",
        "bare.git/config",
        ".",
    ],
)
def test_the_files_of_git_are_not_writable(root: Root, given: str):
    for name in ("objects", "refs"):
        (root.path / "bare.git" / name).mkdir(parents=True)
    (root.path / "bare.git" / "HEAD").write_text("ref: refs/heads/main\n")
    with pytest.raises(WorkspaceError):
        root.locate_writable(given)


@pytest.mark.parametrize(
    ("there", "given"),
    [
        (["x/config", "x/objects/a", "x/refs/a"], "x/HEAD"),
        (["x/config", "x/HEAD", "x/refs/a"], "x/objects/a"),
        (["x/config", "x/HEAD", "x/objects/a"], "x/refs/heads/main"),
        (["y/config", "y/objects/a", "y/refs/a", "x/commondir"], "x/HEAD"),
        (["y/config", "y/objects/a", "y/refs/a", "x/HEAD"], "x/commondir"),
        (["config", "objects/a", "refs/a"], "HEAD"),
        (["HEAD", "objects/a", "refs/a"], "config"),
    ],
)
def test_no_git_folder_is_made_one_file_at_a_time(root: Root, there: list[str], given: str):
    for name in there:
        (root.path / name).parent.mkdir(parents=True, exist_ok=True)
        (root.path / name).write_text("")
    with pytest.raises(WorkspaceError, match="git's own files"):
        root.locate_writable(given)


@pytest.mark.parametrize("given", ["x/HEAD", "x/objects/a", "x/refs/a", "x/commondir", "x/config"])
def test_a_file_with_the_name_of_one_of_git_is_writable_on_its_own(root: Root, given: str):
    assert root.locate_writable(given).name == given


def test_git_is_not_reached_for_writing_through_a_symlink(root: Root):
    (root.path / ".git").mkdir()
    (root.path / "link").symlink_to(".git")
    with pytest.raises(WorkspaceError, match="git's own files"):
        root.locate_writable("link/config")


@pytest.mark.parametrize("given", [".gitignore", ".github/x.yml", "sub/git"])
def test_files_with_names_like_git_are_writable(root: Root, given: str):
    assert root.locate_writable(given).name == given


def test_a_root_that_is_reached_by_a_symlink_is_the_folder_behind_it(root: Root, tmp_path: Path):
    (tmp_path / "alias").symlink_to(root.path)
    assert content(Root(tmp_path / "alias"), f"{tmp_path}/alias/a.txt") == b"inside\n"


def test_a_root_that_is_not_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(WorkspaceError, match="is not a folder"):
        Root(tmp_path / "nowhere")


def test_folders_are_made_inside_only_when_asked_for(root: Root):
    place = Place(root.path, ("new", "deep"))
    with (
        pytest.raises(WorkspaceError, match="no such file"),
        explained("new/deep"),
        opened_folder(place),
    ):
        pass
    with opened_folder(place, create=True) as descriptor:
        assert os.listdir(descriptor) == []


def test_a_name_that_is_not_utf_8_can_be_shown():
    assert shown(os.fsdecode(b"caf\xe9")) == "caf\ufffd"


PARTS = st.sampled_from(["..", ".", "a.txt", "sub", "out", "in", "ws-evil", "secret.txt", "", "ws"])


@given(st.lists(PARTS, min_size=1, max_size=8), st.booleans())
def test_no_combination_of_parts_reads_a_file_outside(
    tmp_path_factory, parts: list[str], absolute: bool
):
    base = tmp_path_factory.getbasetemp() / "combinations"
    if not base.exists():
        for name in ("ws/sub", "ws-evil"):
            (base / name).mkdir(parents=True)
        for name in ("secret.txt", "ws-evil/secret.txt"):
            (base / name).write_text("the secret\n")
        (base / "ws/a.txt").write_text("inside\n")
        (base / "ws/sub/out").symlink_to("../../ws-evil")
        (base / "ws/in").symlink_to("sub/..")
    root = Root(base / "ws")
    path = "/".join(parts) or "."
    try:
        read = content(root, f"{root.path}/{path}" if absolute else path.lstrip("/") or ".")
    except WorkspaceError:
        return
    assert read == b"inside\n"
