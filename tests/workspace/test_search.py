from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from plait.workspace import search
from plait.workspace.errors import WorkspaceError
from plait.workspace.paths import Root
from plait.workspace.search import FindFiles, Found, Grep, Matches


@pytest.fixture(params=["ripgrep", "scan"])
def root(folder, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Root:
    """A folder to search, with each of the two engines."""
    if request.param == "scan":
        monkeypatch.setattr(search, "program", lambda name: None)
    else:
        request.getfixturevalue("ripgrep")
    for name, text in {
        "a.py": "one\ntwo\nthree\nfour\n",
        "src/b.py": "import two\n",
        "src/deep/c.txt": "TWO\n",
        ".hidden/d.py": "two\n",
        ".git/config": "two\n",
        "node_modules/e.py": "two\n",
        "-e": "two\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "out").symlink_to("../ws-evil")
    (folder / "link.py").symlink_to("../secret.txt")
    (folder / "binary.py").write_bytes(b"\0\0two\n")
    os.mkfifo(folder / "fifo.py")
    return Root(folder)


async def grep(root: Root, **arguments: object) -> Matches:
    call = Grep.model_validate(arguments)
    return await search.grep(search.searchable(root, call.path), call)


async def find(root: Root, pattern: str, **arguments: object) -> Found:
    call = FindFiles.model_validate({"pattern": pattern, **arguments})
    return await search.find_files(search.searchable(root, call.path), call)


async def places(root: Root, **arguments: object) -> list[str]:
    return [f"{line.path}:{line.line}" for line in (await grep(root, **arguments)).lines]


async def test_matches_are_found_in_the_order_of_paths_and_not_in_what_is_left_out(root: Root):
    assert await places(root, pattern="two") == ["-e:1", ".hidden/d.py:1", "a.py:2", "src/b.py:1"]


async def test_a_search_is_narrowed_by_folder_file_glob_and_case(root: Root):
    assert await places(root, pattern="two", path="src") == ["src/b.py:1"]
    assert await places(root, pattern="two", path="src/b.py") == ["src/b.py:1"]
    assert await places(root, pattern="two", path="src", ignore_case=True) == [
        "src/b.py:1",
        "src/deep/c.txt:1",
    ]
    assert await places(root, pattern="two", ignore_case=True, glob="*.txt") == ["src/deep/c.txt:1"]


async def test_context_lines_are_marked_as_such(root: Root):
    found = await grep(root, pattern="two", path="a.py", context=1)
    assert [(line.line, line.text, line.is_match) for line in found.lines] == [
        (1, "one", False),
        (2, "two", True),
        (3, "three", False),
    ]
    assert found.matches == 1


@pytest.mark.parametrize(("most", "truncated"), [(4, False), (2, True)])
async def test_a_search_stops_when_it_has_enough(root: Root, most: int, truncated: bool):
    found = await grep(root, pattern=".", path="a.py", max_matches=most)
    assert (found.matches, len(found.lines), found.truncated) == (most, most, truncated)


async def test_a_pattern_that_looks_like_an_option_is_a_pattern(root: Root):
    (root.path / "options.txt").write_text("--pre=id\n--files\n")
    assert await places(root, pattern="--pre=id") == ["options.txt:1"]
    assert await places(root, pattern="--files") == ["options.txt:2"]
    assert await places(root, pattern="two", path="-e") == ["-e:1"]


async def test_a_glob_that_looks_like_an_option_is_a_glob(root: Root):
    assert (await find(root, "--pre=id")).paths == []
    assert (await find(root, "-e")).paths == ["-e"]


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "*"])
async def test_an_expression_that_cannot_be_read_is_an_error_that_says_why(
    root: Root, pattern: str
):
    with pytest.raises(WorkspaceError, match="was not understood"):
        await grep(root, pattern=pattern)


@pytest.mark.parametrize(
    ("glob", "path", "paths"),
    [
        ("src/*.py", "src", ["src/b.py"]),
        ("src/**/*.txt", "src/deep", ["src/deep/c.txt"]),
        ("/src/*.py", "src/deep", []),
        ("!src/deep", "src", ["src/b.py"]),
        ("*.py", "src", ["src/b.py"]),
    ],
)
async def test_a_glob_with_a_slash_begins_at_the_root_wherever_the_search_begins(
    root: Root, glob: str, path: str, paths: list[str]
):
    assert (await find(root, glob, path=path)).paths == paths
    found = await grep(root, pattern="two", glob=glob, path=path, ignore_case=True)
    assert [line.path for line in found.lines] == paths


async def test_a_file_is_found_and_too_large_a_one_is_not_searched(root: Root):
    assert (await find(root, "*.py", path="src/b.py")).paths == ["src/b.py"]
    (root.path / "large.txt").write_bytes(b"two\n" * (search.MAX_FILE_BYTES // 4 + 1))
    assert (await grep(root, pattern="two", path="large.txt")).lines == []


def swap_for_link_out(root: Root, name: str) -> None:
    (root.path / name).rename(root.path / "moved")
    outside = "../ws-evil" if (root.path / "moved").is_dir() else "../secret.txt"
    (root.path / name).symlink_to(outside)


@pytest.mark.parametrize(
    ("path", "swapped"),
    [("src", "src"), ("src/deep", "src"), ("src/b.py", "src"), ("a.py", "a.py")],
)
async def test_a_place_that_became_a_link_out_after_the_decision_is_refused(
    root: Root, path: str, swapped: str
):
    place = search.searchable(root, path)
    swap_for_link_out(root, swapped)
    with pytest.raises(WorkspaceError, match=r"not a folder|symlink"):
        await search.grep(place, Grep(pattern="secret"))
    with pytest.raises(WorkspaceError, match=r"not a folder|symlink"):
        await search.find_files(place, FindFiles(pattern="*"))


@pytest.mark.parametrize("path", ["src", "a.py"])
async def test_a_search_stays_in_what_was_opened_if_a_link_out_takes_its_place(
    root: Root, path: str, monkeypatch: pytest.MonkeyPatch
):
    """The engine is looked for after the place was opened, and that is when it is swapped."""
    engine: Callable[[str], str | None] = vars(search)[
        "program"
    ]  # of this engine: the fixture may have hidden ripgrep

    def swapping(name: str) -> str | None:
        swap_for_link_out(root, path)
        return engine(name)

    monkeypatch.setattr(search, "program", swapping)
    found = await grep(root, pattern="two|secret", path=path)
    assert [line.text for line in found.lines] == ["import two" if path == "src" else "two"]


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("*.py", [".hidden/d.py", "a.py", "binary.py", "src/b.py"]),
        ("src/**/*.txt", ["src/deep/c.txt"]),
        ("src/*", ["src/b.py"]),
        ("{a,b}.py", ["a.py", "src/b.py"]),
        ("[!ab].txt", ["src/deep/c.txt"]),
        ("secret.txt", []),
        (".git/**", []),
        ("node_modules/**", []),
    ],
)
async def test_files_are_found_by_glob(root: Root, pattern: str, paths: list[str]):
    found = await find(root, pattern)
    assert (found.paths, found.truncated) == (paths, False)


async def test_what_is_ignored_is_found_when_asked_for_but_never_git(root: Root):
    assert (await find(root, "[ec]*", include_ignored=True)).paths == [
        "node_modules/e.py",
        "src/deep/c.txt",
    ]
    assert "node_modules/e.py:1" in await places(root, pattern="two", include_ignored=True)


async def test_a_list_of_files_says_whether_there_are_more(root: Root):
    found = await find(root, "*.py", max_files=2)
    assert (found.paths, found.truncated) == ([".hidden/d.py", "a.py"], True)


@pytest.mark.parametrize(
    ("path", "says"),
    [("..", "outside"), ("out", "outside"), ("gone", "no such"), ("fifo.py", "special file")],
)
async def test_only_files_and_folders_inside_are_searched(root: Root, path: str, says: str):
    with pytest.raises(WorkspaceError, match=says):
        await grep(root, pattern="secret", path=path)


async def test_a_long_line_is_cut(root: Root):
    (root.path / "long.txt").write_text("x" * 10_000 + "\n")
    assert [len(line.text) for line in (await grep(root, pattern="xx", glob="long.txt")).lines] == [
        500
    ]


async def test_a_line_that_is_not_utf_8_is_shown(root: Root):
    (root.path / "latin.txt").write_bytes(b"caf\xe9 two\n")
    assert [line.text for line in (await grep(root, pattern="two", glob="latin.txt")).lines] == [
        "caf\ufffd two"
    ]


async def test_a_search_that_takes_too_long_ends_with_what_it_has(
    folder, monkeypatch: pytest.MonkeyPatch
):
    """The expression takes exponential time in Python, and would take for ever."""
    monkeypatch.setattr(search, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(search, "program", lambda name: None)
    (folder / "a.txt").write_text("a" * 60 + "b\n")
    found = await grep(Root(folder), pattern="(a+)+$")
    assert (found.lines, found.truncated) == ([], True)


async def test_gitignore_is_followed_by_ripgrep(folder, ripgrep):
    (folder / ".git").mkdir()
    (folder / ".gitignore").write_text("ignored.txt\n")
    (folder / "ignored.txt").write_text("two\n")
    (folder / "kept.txt").write_text("two\n")
    assert await places(Root(folder), pattern="two") == ["kept.txt:1"]
    assert len(await places(Root(folder), pattern="two", include_ignored=True)) == 2
