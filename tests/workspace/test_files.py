from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal

import pytest

from plait.workspace.errors import WorkspaceError
from plait.workspace.files import ReadFile, WriteFile, read_file, write_file
from plait.workspace.paths import Root


@pytest.fixture
def root(folder: Path) -> Root:
    return Root(folder)


def test_a_file_is_read_whole(root: Root):
    (root.path / "a.txt").write_bytes("één\r\ntwee\n".encode())
    read = read_file(root, ReadFile(path="a.txt"))
    assert (read.path, read.text, read.lines, read.size_bytes) == ("a.txt", "één\r\ntwee\n", 2, 12)
    assert not read.truncated


@pytest.mark.parametrize(
    ("start", "end", "text", "lines"),
    [
        (1, 1, "1\n", 1),
        (2, 3, "2\n3\n", 2),
        (4, None, "4\n5", 2),
        (5, 9, "5", 1),
        (1, None, "1\n2\n3\n4\n5", 5),
    ],
)
def test_a_range_of_lines_is_read(root: Root, start: int, end: int | None, text: str, lines: int):
    (root.path / "a.txt").write_text("1\n2\n3\n4\n5")
    read = read_file(root, ReadFile(path="a.txt", start_line=start, end_line=end))
    assert (read.text, read.lines, read.start_line, read.truncated) == (text, lines, start, False)


def test_a_long_file_can_be_read_in_parts_without_a_loss(root: Root):
    whole = "".join(f"line {number} é\n" for number in range(500))
    (root.path / "a.txt").write_text(whole)
    parts, line = [], 1
    while line:
        read = read_file(root, ReadFile(path="a.txt", start_line=line, max_bytes=1000))
        assert len(read.text.encode()) <= 1000
        parts.append(read.text)
        line = read.next_line or 0
        assert read.truncated == bool(line)
    assert "".join(parts) == whole


def test_a_line_longer_than_the_limit_is_cut_between_characters(root: Root):
    (root.path / "a.txt").write_text("é" * 100)
    read = read_file(root, ReadFile(path="a.txt", max_bytes=5))
    assert (read.text, read.truncated, read.next_line) == ("éé", True, None)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x7fELF\0\0", "binary"),
        (b"caf\xe9 ol\xe9", "not UTF-8 text: byte 0xe9"),
        (b"\xc3", "UTF-8"),
    ],
)
def test_what_is_not_text_is_refused(root: Root, content: bytes, says: str):
    (root.path / "a.bin").write_bytes(content)
    with pytest.raises(WorkspaceError, match=says):
        read_file(root, ReadFile(path="a.bin"))


def test_a_huge_sparse_file_is_refused_at_once(root: Root):
    with (root.path / "sparse").open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(WorkspaceError, match="binary"):
        read_file(root, ReadFile(path="sparse"))


def test_a_missing_line_is_an_error_that_says_how_many_there_are(root: Root):
    (root.path / "a.txt").write_text("1\n2\n")
    with pytest.raises(WorkspaceError, match="has no line 9: it ends after 2"):
        read_file(root, ReadFile(path="a.txt", start_line=9))
    with pytest.raises(WorkspaceError, match="end_line 1 is before start_line 2"):
        read_file(root, ReadFile(path="a.txt", start_line=2, end_line=1))


def test_a_missing_file_is_an_error_that_says_what_to_do(root: Root):
    with pytest.raises(WorkspaceError, match=r"gone\.txt: no such file.*list_dir"):
        read_file(root, ReadFile(path="gone.txt"))


def test_a_file_is_written_and_reported(root: Root):
    first = write_file(root, WriteFile(path="a.txt", text="één\n"))
    second = write_file(root, WriteFile(path="a.txt", text="x"))
    assert (first.size_bytes, first.created) == (6, True)
    assert (second.path, second.size_bytes, second.created) == ("a.txt", 1, False)
    assert (root.path / "a.txt").read_text() == "x"


def test_text_is_appended(root: Root):
    write_file(root, WriteFile(path="a.txt", text="1\n", mode="append"))
    written = write_file(root, WriteFile(path="a.txt", text="2\n", mode="append"))
    assert (written.size_bytes, written.created) == (4, False)
    assert (root.path / "a.txt").read_text() == "1\n2\n"


def test_create_does_not_replace(root: Root):
    write_file(root, WriteFile(path="a.txt", text="old", mode="create"))
    with pytest.raises(WorkspaceError, match="exists already"):
        write_file(root, WriteFile(path="a.txt", text="new", mode="create"))
    assert (root.path / "a.txt").read_text() == "old"
    assert os.listdir(root.path) == ["a.txt"]


def test_folders_are_made_only_when_asked_for(root: Root):
    with pytest.raises(WorkspaceError, match=r"^a/b/c\.txt: its folder .* Set create_parents"):
        write_file(root, WriteFile(path="a/b/c.txt", text="x"))
    write_file(root, WriteFile(path="a/b/c.txt", text="x", create_parents=True))
    assert (root.path / "a/b/c.txt").read_text() == "x"


def test_a_replaced_file_keeps_its_permissions(root: Root):
    script = root.path / "run.sh"
    script.write_text("old")
    script.chmod(0o750)
    write_file(root, WriteFile(path="run.sh", text="new"))
    assert stat.S_IMODE(script.stat().st_mode) == 0o750


def test_a_reader_that_has_the_old_file_open_sees_it_whole(root: Root):
    (root.path / "a.txt").write_text("old" * 10_000)
    with (root.path / "a.txt").open() as reader:
        assert reader.read(3) == "old"
        write_file(root, WriteFile(path="a.txt", text="new"))
        assert reader.read() == "old" * 9_999


def test_writing_through_a_symlink_that_stays_inside_writes_its_target(root: Root):
    (root.path / "target.txt").write_text("old")
    (root.path / "link.txt").symlink_to("target.txt")
    write_file(root, WriteFile(path="link.txt", text="new"))
    assert (root.path / "link.txt").is_symlink()
    assert (root.path / "target.txt").read_text() == "new"


@pytest.mark.parametrize("mode", ["overwrite", "append", "create"])
@pytest.mark.parametrize(
    "path", ["out/new.txt", "out/secret.txt", "file", "dangling", "../new.txt"]
)
def test_nothing_is_written_outside(root: Root, tmp_path: Path, mode: str, path: str):
    (root.path / "out").symlink_to("../ws-evil")
    (root.path / "file").symlink_to("../secret.txt")
    (root.path / "dangling").symlink_to("../new.txt")
    with pytest.raises(WorkspaceError, match="outside of the workspace"):
        write_file(root, WriteFile.model_validate({"path": path, "text": "x", "mode": mode}))
    assert (tmp_path / "secret.txt").read_text() == "the secret\n"
    assert os.listdir(tmp_path / "ws-evil") == ["secret.txt"]
    assert not (tmp_path / "new.txt").exists()


@pytest.mark.parametrize("mode", ["overwrite", "append", "create"])
def test_a_special_file_or_folder_is_not_written(root: Root, mode: str):
    os.mkfifo(root.path / "fifo")
    (root.path / "folder").mkdir()
    for name in ("fifo", "folder"):
        with pytest.raises(WorkspaceError, match=r"special file|is a folder"):
            write_file(root, WriteFile.model_validate({"path": name, "text": "x", "mode": mode}))
    assert sorted(os.listdir(root.path)) == ["fifo", "folder"]


@pytest.mark.parametrize(
    "path",
    [
        ".envrc",
        "sub/.ENVRC",
        ".mcp.json",
        ".claude/settings.json",
        ".gemini/settings.json",
        ".husky/pre-commit",
        ".npmrc",
        ".yarnrc.yml",
        ".crush.json",
        "opencode.jsonc",
        ".opencode/plugin/x.js",
        ".kiro/settings/mcp.json",
        ".roo/mcp.json",
        ".amazonq/mcp.json",
        ".junie/mcp/mcp.json",
        ".trae/mcp.json",
        ".mise/config.toml",
        ".vscode/tasks.json",
        ".venv/bin/pytest",
        "own/lib/x.py",
        "own/pyvenv.cfg",
        "servers.toml",
        "link.toml",
    ],
)
@pytest.mark.parametrize("mode", ["overwrite", "append", "create"])
def test_what_other_programs_run_by_themselves_is_never_written(
    folder: Path, path: str, mode: Literal["overwrite", "append", "create"]
):
    (folder / "own").mkdir()
    (folder / "own" / "pyvenv.cfg").write_text("")
    (folder / "link.toml").symlink_to("servers.toml")
    root = Root(folder, protected=[folder / "servers.toml"])
    with pytest.raises(WorkspaceError, match="never written here"):
        write_file(root, WriteFile(path=path, text="x", mode=mode, create_parents=True))
    assert sorted(entry.name for entry in folder.iterdir()) == ["link.toml", "own"]


def test_nothing_is_appended_to_a_file_that_has_another_name(folder: Path):
    os.link(folder.parent / "secret.txt", folder / "a.txt")
    with pytest.raises(WorkspaceError, match="has another name"):
        write_file(Root(folder), WriteFile(path="a.txt", text="x", mode="append"))
    write_file(Root(folder), WriteFile(path="a.txt", text="x"))
    assert (folder.parent / "secret.txt").read_text() == "the secret\n"
