"""Whose repository is looked at, and that looking at a hostile one runs nothing and writes
nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from plait.workspace.errors import WorkspaceError
from plait.workspace.paths import Root
from plait.workspace.repository import disarmed, found

from .repositories import IDENTITY, commit, diff, log, repository, run_git, status


@pytest.fixture
def root(folder: Path) -> Root:
    return repository(folder)


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
    "included": "[include] path = included",
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
    (folder / ".git" / "included").write_text(f'[filter "x"] clean = {program}\n')
    (folder / ".gitattributes").write_text("* filter=x diff=x\nodd filter=x=y.clean\n")
    commit(folder, "Attributes", odd="1\n")
    sign(folder)
    for hook in ("post-index-change", "pre-auto-gc", "reference-transaction", "post-checkout"):
        (tools / "hooks" / hook).write_text(program.read_text())
        (tools / "hooks" / hook).chmod(0o755)
        (folder / ".git" / "hooks").mkdir(exist_ok=True)
        (folder / ".git" / "hooks" / hook).write_text(program.read_text())
        (folder / ".git" / "hooks" / hook).chmod(0o755)
    written = config.format(run=program, hooks=tools / "hooks")
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


async def test_links_and_alternates_inside_of_the_root_are_followed(folder: Path):
    (folder / "other").mkdir()
    repository(folder / "other")
    run_git(folder, "clone", "--quiet", "--shared", "other", "clone")
    (folder / "clone" / ".git" / "hooks" / "out").symlink_to("/etc/passwd")
    refs = folder / "clone" / ".git" / "refs"
    refs.rename(folder / "refs")
    refs.symlink_to(folder / "refs")
    assert [entry.subject for entry in (await log(Root(folder), repository="clone")).commits] == [
        "First"
    ]


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A repository beside the root."""
    (tmp_path / "private").mkdir()
    repository(tmp_path / "private")
    return tmp_path / "private" / ".git"


def lead_out(dot_git: Path, private: Path, how: str) -> None:
    objects = next(private.glob("objects/[0-9a-f][0-9a-f]"))
    match how:
        case "alternates":
            (dot_git / "objects" / "info" / "alternates").write_text(f"{private}/objects\n")
        case "relative alternates":
            (dot_git / "objects" / "info" / "alternates").write_text(
                "# other\n../../../private/objects"
            )
        case "alternates of alternates":
            other = dot_git.parent / "other"
            (other / "info").mkdir(parents=True)
            (other / "info" / "alternates").write_text(f"{private}/objects\n")
            (dot_git / "objects" / "info" / "alternates").write_text("../../other\n")
        case "quoted alternates":
            (dot_git / "objects" / "info" / "alternates").write_text(f'"{private}/objects"\n')
        case "branches":
            (dot_git / "refs" / "heads").rename(dot_git / "heads")
            (dot_git / "refs" / "heads").symlink_to(private / "refs" / "heads")
        case "a branch":
            (dot_git / "refs" / "heads" / "theirs").symlink_to(private / "refs" / "heads" / "main")
        case "a log":
            (dot_git / "logs" / "refs" / "heads" / "main").unlink()
            (dot_git / "logs" / "refs" / "heads" / "main").symlink_to(private / "logs" / "HEAD")
        case "objects":
            theirs = dot_git / "objects" / objects.name
            if theirs.exists():
                theirs.rename(dot_git / "moved")
            theirs.symlink_to(objects)
        case "a link to a link":
            (dot_git.parent / "inner").mkdir()
            (dot_git.parent / "inner" / "out").symlink_to(private / "refs" / "heads" / "main")
            (dot_git / "refs" / "heads" / "inner").symlink_to(dot_git.parent / "inner")


@pytest.mark.parametrize(
    "how",
    [
        "alternates",
        "relative alternates",
        "alternates of alternates",
        "quoted alternates",
        "branches",
        "a branch",
        "a log",
        "objects",
        "a link to a link",
    ],
)
async def test_no_link_deep_in_a_git_folder_and_no_alternate_leads_to_another_history(
    folder: Path, private: Path, how: str
):
    root = repository(folder)
    lead_out(folder / ".git", private, how)
    with pytest.raises(WorkspaceError, match=r"is outside of the workspace|quotes a name"):
        await log(root)


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


@pytest.mark.parametrize("repository", ["sub", "sub/deep", "sub/deep/er"])
def test_the_nearest_repository_above_a_folder_is_found(root: Root, repository: str):
    (root.path / "sub" / "deep" / "er").mkdir(parents=True)
    run_git(root.path / "sub", "init", "--quiet")
    nearest = found(root, repository)
    assert (nearest.folder, nearest.prefix) == (root.path / "sub", "sub/")
    assert nearest.git_folder == root.path / "sub" / ".git"
    assert (found(root, ".").folder, found(root, ".").prefix) == (root.path, "")


@pytest.mark.parametrize("content", ["nonsense", "gitdir: x\0y"])
def test_a_git_file_that_names_no_folder_is_refused(folder: Path, content: str):
    (folder / ".git").write_text(content)
    with pytest.raises(WorkspaceError, match="does not name a git folder"):
        found(Root(folder), ".")


async def test_every_filter_that_the_repository_names_is_switched_off(root: Root):
    with (root.path / ".git" / "config").open("a") as stream:
        stream.write('[filter "a=b.clean"] process = x\n[filter] clean = y\n')
    overrides = dict((await disarmed(found(root, "."))).overrides)
    assert {key for key in overrides if key.startswith("filter.")} == {
        f"filter.a=b.clean.{part}" for part in ("clean", "smudge", "process", "required")
    }


OUTSIDE = {
    "excludes": "[core] excludesFile = {file}",
    "attributes": "[core] attributesFile = {file}",
    "order": "[diff] orderFile = {file}",
    "mailmap": "[mailmap] file = {file}\n[log] mailmap = true",
    "included excludes": "[include] path = ../included",
}
"""Configurations that name a file outside of the root, which would change what is seen."""


@pytest.mark.parametrize("name", OUTSIDE)
async def test_no_file_outside_that_the_configuration_names_is_read(
    root: Root, tmp_path: Path, name: str
):
    outside = tmp_path / "outside"
    outside.write_text("two binary\nthree\ntwo\n<new@example.org> <zoe@example.org>\n")
    for file in ("one", "two", "three", "included"):
        (root.path / file).write_text(OUTSIDE["excludes"].format(file=outside))
    before = await status(root), await diff(root), await log(root)
    with (root.path / ".git" / "config").open("a") as stream:
        stream.write(OUTSIDE[name].format(file=outside))
    assert (await status(root), await diff(root), await log(root)) == before


@pytest.mark.parametrize("way", ["include", 'includeIf "gitdir:**"', "linked", "nested"])
async def test_a_configuration_that_includes_a_file_outside_is_refused(
    root: Root, tmp_path: Path, way: str
):
    (tmp_path / "outside").write_text("[x] y = z\n")
    named = tmp_path / "outside"
    if way == "linked":
        (root.path / "inside").symlink_to(named)
        named = root.path / "inside"
    elif way == "nested":
        (root.path / "inside").write_text(f"[include] path = {named}\n")
        named = root.path / "inside"
    section = way if way.startswith("include") else "include"
    with (root.path / ".git" / "config").open("a") as stream:
        stream.write(f"[{section}] path = {named}\n")
    for look in (status, diff, log):
        with pytest.raises(WorkspaceError, match=r"includes, is outside\s+of the workspace"):
            await look(root)


async def test_a_failure_of_git_is_an_error_with_its_reason(root: Root):
    with pytest.raises(WorkspaceError, match="git rev-parse failed: fatal: "):
        await found(root, ".").git("rev-parse", "--verify", "nowhere/x", "--")
