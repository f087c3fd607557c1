"""git_status, git_diff and git_log, and that their arguments are taken for nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from plait.workspace.errors import WorkspaceError
from plait.workspace.paths import Root
from plait.workspace.porcelain import Log

from .repositories import commit, diff, log, repository, run_git, status


@pytest.fixture
def root(folder: Path) -> Root:
    return repository(folder)


async def test_a_clean_repository_is_clean(root: Root):
    seen = await status(root)
    assert (seen.clean, seen.entries, seen.branch.name) == (True, [], "main")
    assert seen.branch.commit == run_git(root.path, "rev-parse", "HEAD")


async def test_every_kind_of_change_is_listed(root: Root):
    run_git(root.path, "mv", "two", "with space")
    (root.path / "one").write_text("changed\n")
    (root.path / "# new\n").write_text("")
    (root.path / "added").write_text("")
    run_git(root.path, "add", "added")
    seen = await status(root)
    assert [
        (entry.path, entry.kind, entry.index, entry.worktree, entry.old_path)
        for entry in seen.entries
    ] == [
        ("added", "changed", "A", ".", None),
        ("one", "changed", ".", "M", None),
        ("with space", "renamed", "R", ".", "two"),
        ("# new\n", "untracked", "?", "?", None),
    ]
    assert not seen.clean
    assert len((await status(root, max_entries=2)).entries) == 2
    assert (await status(root, max_entries=2)).truncated


async def test_a_branch_shows_how_far_it_is_from_its_upstream(root: Root):
    run_git(root.path, "branch", "base")
    run_git(root.path, "branch", "--set-upstream-to=base")
    commit(root.path, "Second")
    branch = (await status(root)).branch
    assert (branch.upstream, branch.ahead, branch.behind) == ("base", 1, 0)


async def test_a_conflict_is_listed(root: Root):
    run_git(root.path, "checkout", "--quiet", "-b", "other")
    commit(root.path, "Theirs", one="theirs\n")
    run_git(root.path, "checkout", "--quiet", "main")
    commit(root.path, "Ours", one="ours\n")
    with pytest.raises(subprocess.CalledProcessError):
        run_git(root.path, "merge", "other")
    assert [(entry.path, entry.kind) for entry in (await status(root)).entries] == [
        ("one", "unmerged")
    ]
    assert {file.status for file in (await diff(root)).files} == {"unmerged"}


async def test_a_diff_of_the_work_tree_and_of_the_index(root: Root):
    (root.path / "one").write_text("1\nzwei\n3\n")
    run_git(root.path, "add", "one")
    (root.path / "two").write_text("2\n2\n")
    unstaged, staged = await diff(root), await diff(root, staged=True)
    assert [(file.path, file.status, file.added, file.deleted) for file in unstaged.files] == [
        ("two", "modified", 1, 0)
    ]
    assert [(file.path, file.status, file.added, file.deleted) for file in staged.files] == [
        ("one", "modified", 1, 1)
    ]
    assert "--- a/one\n+++ b/one\n" in staged.diff
    assert "-2\n+zwei\n" in staged.diff


async def test_a_diff_between_revisions(root: Root):
    run_git(root.path, "mv", "one", "uno")
    commit(root.path, "Second", new="x\n")
    (root.path / "binary").write_bytes(b"\0\1")
    commit(root.path, "Third")
    files = (await diff(root, from_revision="HEAD~2", to_revision="HEAD")).files
    assert [(file.path, file.status, file.added, file.old_path) for file in files] == [
        ("binary", "added", None, None),
        ("new", "added", 1, None),
        ("uno", "renamed", 0, "one"),
    ]
    assert (await diff(root, from_revision="HEAD~2..HEAD~1", paths=["new"])).files[0].path == "new"


async def test_a_long_diff_is_cut_and_says_so(root: Root):
    (root.path / "one").write_text("x\n" * 1000)
    cut = await diff(root, max_bytes=100)
    assert (len(cut.diff), cut.truncated) == (100, True)
    assert [file.added for file in cut.files] == [1000]


async def test_a_log_is_newest_first_and_can_be_paged(root: Root):
    second = commit(root.path, "Second\x1e")
    commit(root.path, "Third", one="x")
    seen = await log(root, max_count=1, skip=1)
    assert ([entry.commit for entry in seen.commits], seen.truncated) == ([second], True)
    (first,) = (await log(root, revision="HEAD~2")).commits
    assert (first.subject, first.body, first.parents) == ("First", "With a body.", [])
    assert (first.author, first.email, first.date) == (
        "Zoë",
        "zoe@example.org",
        "2026-01-02T03:04:05+00:00",
    )
    assert [entry.subject for entry in (await log(root, paths=["one"])).commits] == [
        "Third",
        "First",
    ]


async def test_paths_of_a_repository_in_a_folder_are_from_the_root(folder: Path):
    (folder / "sub" / "deep").mkdir(parents=True)
    run_git(folder / "sub", "init", "--quiet")
    commit(folder / "sub", "First", one="1\n")
    (folder / "sub" / "one").write_text("2\n")
    root = Root(folder)
    assert (await status(root, repository="sub/deep")).entries[0].path == "sub/one"
    assert (await diff(root, repository="sub", paths=["sub/one"])).files[0].path == "sub/one"
    with pytest.raises(WorkspaceError, match="is not in the repository"):
        await diff(root, repository="sub", paths=["elsewhere"])


async def test_a_repository_with_no_commit_has_a_status_and_an_empty_log(folder: Path):
    run_git(folder, "init", "--quiet", "--initial-branch=main")
    assert (await status(Root(folder))).branch.commit == "(initial)"
    assert await log(Root(folder)) == Log(commits=[], truncated=False)
    with pytest.raises(WorkspaceError, match="git log failed: fatal"):
        await log(Root(folder), revision="main")


@pytest.mark.parametrize(
    "revision",
    [
        "--output=marker",
        "-O",
        "--ext-diff",
        "HEAD:one",
        "a b",
        "",
        "ext::sh",
        "HEAD\n--all",
        "--all",
        "-1",
        "HEAD\0",
    ],
)
async def test_a_revision_that_could_be_something_else_is_refused(root: Root, revision: str):
    with pytest.raises(WorkspaceError, match="not accepted as a revision"):
        await log(root, revision=revision)
    with pytest.raises(WorkspaceError, match="not accepted as a revision"):
        await diff(root, from_revision=revision)


async def test_a_path_cannot_be_an_option_or_a_pattern_or_lie_outside(root: Root):
    commit(root.path, "Second", **{"--output=x": "1\n", ":(top)": "1\n"})
    assert [
        file.path for file in (await diff(root, from_revision="HEAD~1", paths=["--output=x"])).files
    ] == ["--output=x"]
    assert [
        file.path for file in (await diff(root, from_revision="HEAD~1", paths=[":(top)"])).files
    ] == [":(top)"]
    assert not (root.path / "x").exists()
    for path in ("../secret.txt", "/etc/passwd"):
        with pytest.raises(WorkspaceError, match="outside of the workspace"):
            await diff(root, paths=[path, "one"])


async def test_to_revision_needs_from_revision(root: Root):
    with pytest.raises(WorkspaceError, match="needs from_revision"):
        await diff(root, to_revision="HEAD")
