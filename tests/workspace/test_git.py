from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from plait.workspace import git
from plait.workspace.errors import WorkspaceError
from plait.workspace.git import GitDiff, GitLog, GitStatus
from plait.workspace.paths import Root
from plait.workspace.porcelain import Diff, Log, Status, changed_files, status_of
from plait.workspace.repository import found

IDENTITY = {
    "GIT_AUTHOR_NAME": "Zoë",
    "GIT_AUTHOR_EMAIL": "zoe@example.org",
    "GIT_COMMITTER_NAME": "Zoë",
    "GIT_COMMITTER_EMAIL": "zoe@example.org",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05+00:00",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05+00:00",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def run_git(folder: Path, *arguments: str, text: str | None = None) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **IDENTITY},
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def commit(folder: Path, message: str, **texts: str) -> str:
    for name, text in texts.items():
        (folder / name).write_text(text)
    run_git(folder, "add", "--all")
    run_git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return run_git(folder, "rev-parse", "HEAD")


@pytest.fixture
def root(folder: Path) -> Root:
    """A repository with one commit of two files."""
    run_git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "First\n\nWith a body.", one="1\n2\n3\n", two="2\n")
    return Root(folder)


async def status(root: Root, **arguments: object) -> Status:
    call = GitStatus.model_validate(arguments)
    return await git.git_status(found(root, call.repository), call)


async def diff(root: Root, **arguments: object) -> Diff:
    call = GitDiff.model_validate(arguments)
    repository = found(root, call.repository)
    return await git.git_diff(repository, call, git.pathspecs(root, repository, call.paths))


async def log(root: Root, **arguments: object) -> Log:
    call = GitLog.model_validate(arguments)
    repository = found(root, call.repository)
    return await git.git_log(repository, call, git.pathspecs(root, repository, call.paths))


async def test_a_clean_repository_is_clean(root: Root):
    seen = await status(root)
    assert (seen.clean, seen.entries, seen.branch.name) == (True, [], "main")
    assert seen.branch.commit == run_git(root.path, "rev-parse", "HEAD")


async def test_every_kind_of_change_is_told(root: Root):
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


async def test_a_branch_tells_how_far_it_is_from_its_upstream(root: Root):
    run_git(root.path, "branch", "base")
    run_git(root.path, "branch", "--set-upstream-to=base")
    commit(root.path, "Second")
    branch = (await status(root)).branch
    assert (branch.upstream, branch.ahead, branch.behind) == ("base", 1, 0)


async def test_a_conflict_is_told(root: Root):
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


async def test_a_repository_with_no_commit_has_a_status_and_no_log(folder: Path):
    run_git(folder, "init", "--quiet", "--initial-branch=main")
    assert (await status(Root(folder))).branch.commit == "(initial)"
    with pytest.raises(WorkspaceError, match="git log failed: fatal"):
        await log(Root(folder))


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


# What a hostile repository would run: each entry is a configuration, and each program would leave a
# marker.
HOSTILE = {
    "fsmonitor": "[core] fsmonitor = {run}",
    "hooks": "[core] hooksPath = {hooks}",
    "pager": "[core] pager = {run}\n[pager] status = {run}\n[pager] diff = {run}\n[pager] log = "
    "{run}",
    "clean": '[filter "x"] clean = {run}\n required = true',
    "process": '[filter "x"] process = {run}\n smudge = {run}',
    "strange name": '[filter "x=y.clean"] clean = {run}',
    "textconv": '[diff "x"] textconv = {run}\n cachetextconv = true',
    "driver": '[diff "x"] command = {run}',
    "external": "[diff] external = {run}",
    "signature": '[log] showSignature = true\n[gpg] program = {run}\n[gpg "openpgp"] program = '
    "{run}",
    "included": "[include] path = {included}",
    "partial clone": "[core] repositoryFormatVersion = 1\n sshCommand = {run}\n[extensions] "
    "partialClone = evil\n"
    '[remote "evil"] url = ext::{run} fails\n promisor = true\n uploadpack = {run}\n[protocol '
    '"ext"] allow = always',
    "aliases": "[alias] s = !{run}\n status = !{run}\n diff = !{run}\n log = !{run}",
    "submodules": "[status] submoduleSummary = true\n[diff] submodule = diff\n[submodule] "
    "recurse = true",
}


class Marker:
    """The file that a hostile program would make."""

    def __init__(self, folder: Path) -> None:
        self.tools = folder / "tools"
        self.path = folder / "marker"

    @property
    def made(self) -> bool:
        return self.path.exists()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


@pytest.fixture
def marker(tmp_path: Path) -> Marker:
    return Marker(tmp_path)


def make_hostile(folder: Path, config: str, marker: Marker) -> None:
    """A repository where every file has the attributes x, is changed, and has a signed commit."""
    tools = marker.tools
    (tools / "hooks").mkdir(parents=True, exist_ok=True)
    program = tools / "run"
    program.write_text(f'#!/bin/sh\necho ran >> {marker.path}\ntest "$1" = fails || cat\n')
    program.chmod(0o755)
    (tools / "included").write_text(f'[filter "x"] clean = {program}\n')
    (folder / ".gitattributes").write_text("* filter=x diff=x\nodd filter=x=y.clean\n")
    commit(folder, "Attributes", odd="1\n")
    sign(folder)
    for hook in ("post-index-change", "pre-auto-gc", "reference-transaction", "post-checkout"):
        (tools / "hooks" / hook).write_text(program.read_text())
        (tools / "hooks" / hook).chmod(0o755)
        (folder / ".git" / "hooks").mkdir(exist_ok=True)
        (folder / ".git" / "hooks" / hook).write_text(program.read_text())
        (folder / ".git" / "hooks" / hook).chmod(0o755)
    written = config.format(run=program, hooks=tools / "hooks", included=tools / "included")
    with (folder / ".git" / "config").open("a") as stream:
        stream.write(f"\n{written}\n")
    for name, text in {"one": "a\nb\nc\n", "two": "x\n", "odd": "x\n"}.items():
        # As long as before: git has to look at the content, and so at what its filters make of it.
        (folder / name).write_text(text)
        os.utime(folder / name, (0, 0))


def sign(folder: Path) -> None:
    """Give the last commit a signature, which git would have checked by a program."""
    head, _, message = run_git(folder, "cat-file", "commit", "HEAD").partition("\n\n")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----"
    signed = run_git(
        folder,
        "hash-object",
        "-t",
        "commit",
        "-w",
        "--stdin",
        text=f"{head}\n{signature}\n\n{message}\n",
    )
    run_git(folder, "update-ref", "HEAD", signed)


async def look_at_everything(root: Root) -> None:
    assert {entry.path for entry in (await status(root)).entries} >= {"one", "two"}
    assert {file.path for file in (await diff(root)).files} >= {"one", "two"}
    assert {file.path for file in (await diff(root, from_revision="HEAD")).files} >= {"one", "two"}
    assert (await diff(root, staged=True)).files == []
    assert len((await diff(root, from_revision="HEAD~1", to_revision="HEAD")).files) == 2
    assert len((await log(root, paths=["odd"])).commits) == 1


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_configuration_runs_no_program(root: Root, marker: Marker, name: str):
    make_hostile(root.path, HOSTILE[name], marker)
    await look_at_everything(root)
    assert not marker.made


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("fsmonitor", "status"),
        ("hooks", "status"),
        ("clean", "status"),
        ("process", "status"),
        ("strange name", "status"),
        ("included", "status"),
        ("textconv", "diff"),
        ("driver", "diff"),
        ("external", "diff"),
        ("signature", "log"),
        ("partial clone", "log --patch"),
        ("aliases", "-p s"),
        ("pager", "-p status"),
    ],
)
def test_the_hostile_configurations_are_hostile(
    root: Root, marker: Marker, name: str, command: str
):
    """Plain git runs the program, so the test above would notice a defence that is missing."""
    make_hostile(root.path, HOSTILE[name], marker)
    if name == "partial clone":
        lose(root.path, "HEAD:one")
    environment = {"PATH": os.environ["PATH"], **IDENTITY}
    subprocess.run(["git", *command.split()], cwd=root.path, env=environment, capture_output=True)
    assert marker.made


def lose(folder: Path, name: str) -> None:
    """Remove an object, as if a partial clone had not fetched it."""
    blob = run_git(folder, "rev-parse", name)
    (folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()


async def test_a_hostile_work_tree_configuration_runs_no_program(root: Root, marker: Marker):
    make_hostile(root.path, "[extensions] worktreeConfig = true", marker)
    program = marker.tools / "run"
    (root.path / ".git" / "config.worktree").write_text(
        f'[core] fsmonitor = {program}\n[filter "x"] clean = {program}\n'
    )
    await look_at_everything(root)
    assert not marker.made


async def test_a_hostile_submodule_runs_no_program(root: Root, marker: Marker):
    (root.path / "sub").mkdir()
    run_git(root.path / "sub", "init", "--quiet")
    commit(root.path / "sub", "First", one="1\n", two="2\n")
    make_hostile(root.path / "sub", HOSTILE["clean"] + "\n" + HOSTILE["fsmonitor"], marker)
    sub = run_git(root.path / "sub", "rev-parse", "HEAD~1")
    (root.path / ".gitmodules").write_text(
        '[submodule "sub"]\n path = sub\n url = ./sub\n ignore = none\n'
    )
    run_git(root.path, "update-index", "--add", "--cacheinfo", f"160000,{sub},sub")
    run_git(root.path, "add", ".gitmodules")
    run_git(root.path, "commit", "--quiet", "--message", "Add a submodule")
    with (root.path / ".git" / "config").open("a") as stream:
        stream.write(HOSTILE["submodules"])
    marker.remove()
    assert [(entry.path, entry.worktree) for entry in (await status(root)).entries] == [
        ("sub", "M")
    ]
    assert [file.path for file in (await diff(root)).files] == ["sub"]
    await look_at_everything_in(root, "sub")
    assert not marker.made


async def look_at_everything_in(root: Root, repository: str) -> None:
    assert not (await status(root, repository=repository)).clean
    assert (await diff(root, repository=repository)).files
    assert (await log(root, repository=repository)).commits


async def test_a_missing_object_of_a_partial_clone_is_not_fetched(root: Root, marker: Marker):
    make_hostile(root.path, HOSTILE["partial clone"], marker)
    lose(root.path, "HEAD:one")
    with pytest.raises(WorkspaceError, match="git diff failed"):
        await diff(root, from_revision="HEAD")
    assert not marker.made


async def test_a_work_tree_elsewhere_is_not_shown(root: Root, tmp_path: Path):
    run_git(root.path, "config", "core.worktree", str(tmp_path))
    assert (await status(root)).clean


async def test_a_folder_in_no_repository_is_an_error_even_inside_of_one(root: Root):
    (root.path / "sub").mkdir()
    with pytest.raises(WorkspaceError, match="not in a git repository of the workspace"):
        found(Root(root.path / "sub"), ".")


@pytest.mark.parametrize("how", ["symlink", "file", "commondir", "linked objects"])
async def test_a_repository_outside_is_not_shown(folder: Path, tmp_path: Path, how: str):
    private = tmp_path / "private"
    private.mkdir()
    run_git(private, "init", "--quiet")
    commit(private, "Private", one="1\n")
    dot_git = folder / ".git"
    match how:
        case "symlink":
            dot_git.symlink_to(private / ".git")
        case "file":
            dot_git.write_text(f"gitdir: {private}/.git\n")
        case "commondir":
            dot_git.mkdir()
            (dot_git / "commondir").write_text(f"{private}/.git\n")
        case _:
            run_git(folder, "init", "--quiet")
            os.rename(dot_git / "objects", tmp_path / "old")
            (dot_git / "objects").symlink_to(private / ".git" / "objects")
    with pytest.raises(WorkspaceError, match="is outside of the workspace"):
        await log(Root(folder))


async def test_a_linked_work_tree_works_though_its_repository_is_elsewhere(
    root: Root, tmp_path: Path
):
    run_git(root.path, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    linked = Root(tmp_path / "linked")
    (linked.path / "one").write_text("changed\n")
    assert [entry.path for entry in (await status(linked)).entries] == ["one"]
    assert [entry.subject for entry in (await log(linked)).commits] == ["First"]


async def test_looking_does_not_write(root: Root):
    os.utime(root.path / "one", (0, 0))
    before = (root.path / ".git" / "index").stat()
    await status(root)
    assert (root.path / ".git" / "index").stat().st_mtime_ns == before.st_mtime_ns


async def test_a_configuration_with_too_many_filters_is_refused(root: Root):
    with (root.path / ".git" / "config").open("a") as stream:
        stream.writelines(f'[filter "x{number}"] clean = false\n' for number in range(101))
    with pytest.raises(WorkspaceError, match="names 101 filters"):
        await status(root)


def test_output_that_was_cut_gives_what_is_whole():
    changed = changed_files(b":100644 100644 1 2 M\0a\0:100644 100644 1 2 R1", "")
    assert changed == []
    cut = b"# branch.oid 1\0# branch.head main\0002 R. N... 1 1 1 1 1 R100 new\0ol"
    branch, entries, more = status_of(cut, "", 10)
    assert (branch.name, [entry.path for entry in entries], more) == ("main", ["new"], False)
