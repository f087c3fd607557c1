"""git_status, git_diff, git_log: fixed operations of git on a disarmed repository, parsed.

Submodules are compared by their commit alone: to look into one, git would start itself there, with
that repository's own configuration.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from .errors import WorkspaceError
from .paths import Root, WorkspacePath, shown
from .porcelain import LOG_FORMAT, Diff, Log, Status, changed_files, commits_of, status_of
from .repository import Repository, disarmed
from .schema import Arguments

REVISION = re.compile(r"[0-9A-Za-z_./~^@{}][0-9A-Za-z_./~^@{}-]{0,199}")
UNRUN = ("--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty", "--no-color")
"""Options that keep a diff from starting programs."""

Folder = Annotated[str, Field(description="A folder of the repository, from the workspace root.")]
Revision = Annotated[
    str,
    Field(max_length=200, description="A revision: a commit id, branch, tag, HEAD~2, main..topic."),
]
Paths = Annotated[
    list[WorkspacePath],
    Field(max_length=1000, description="Only these files and folders, from the workspace root."),
]


class GitStatus(Arguments):
    """Show the branch of a git repository and what has changed in its index and work tree.

    No program that the repository's configuration names is run, so
    filters are not applied; a submodule counts as changed when another commit is checked out.
    """

    repository: Folder = "."
    untracked: Annotated[
        Literal["no", "normal", "all"],
        Field(description="Untracked files: none, folders as one entry, or each file."),
    ] = "normal"
    max_entries: Annotated[int, Field(ge=1, le=5000, description="Most entries to return.")] = 500


class GitDiff(Arguments):
    """Show what has changed in a git repository, as a unified diff and a list of files.

    Without revisions: the work tree against the index, or with staged the index against HEAD. With
    from_revision: the work tree (or index) against it; with to_revision too: the one against the
    other. No program that the repository's configuration names is run, so textconv, external diffs
    and filters are off.
    """

    repository: Folder = "."
    paths: Paths = Field(default_factory=list)
    staged: Annotated[bool, Field(description="Compare the index instead of the work tree.")] = (
        False
    )
    from_revision: Revision | None = None
    to_revision: Revision | None = None
    context: Annotated[
        int, Field(ge=0, le=100, description="Lines to show around each change.")
    ] = 3
    max_bytes: Annotated[
        int, Field(ge=1, le=2**20, description="Most bytes of diff to return.")
    ] = 256 * 1024


class GitLog(Arguments):
    """List commits of a git repository, newest first."""

    repository: Folder = "."
    revision: Revision = "HEAD"
    paths: Paths = Field(default_factory=list)
    max_count: Annotated[int, Field(ge=1, le=1000, description="Most commits to return.")] = 20
    skip: Annotated[
        int, Field(ge=0, le=1_000_000, description="Number of newest commits to leave out.")
    ] = 0


async def git_status(repository: Repository, call: GitStatus) -> Status:
    """Return the branch and the changes. Raises WorkspaceError with git's own reason."""
    options = (
        "--porcelain=v2",
        "--branch",
        "-z",
        f"--untracked-files={call.untracked}",
        "--ignore-submodules=dirty",
    )
    outcome = await (await disarmed(repository)).git("status", *options, "--find-renames", "--")
    branch, entries, more = status_of(outcome.output, repository.prefix, call.max_entries)
    return Status(
        branch=branch, entries=entries, clean=not entries, truncated=more or outcome.truncated
    )


async def git_diff(repository: Repository, call: GitDiff, paths: Sequence[str]) -> Diff:
    """Compare what *call* names. Raises WorkspaceError, also for a refused revision."""
    revisions = _compared(call)
    safe = await disarmed(repository)
    options = [
        *UNRUN,
        "--submodule=short",
        "--no-relative",
        "--find-renames",
        *(["--cached"] if call.staged else []),
    ]
    tail = ["--end-of-options", *revisions, "--", *paths]
    listed = await safe.git("diff", *options, "--raw", "--numstat", "-z", *tail)
    prefixes = ("--src-prefix=a/", "--dst-prefix=b/")
    patch = await safe.git(
        "diff", *options, *prefixes, f"--unified={call.context}", "--patch", *tail
    )
    text = patch.output[: call.max_bytes].decode("utf-8", "replace")
    return Diff(
        files=changed_files(listed.output, repository.prefix),
        diff=text,
        truncated=patch.truncated or listed.truncated or len(patch.output) > call.max_bytes,
    )


def _compared(call: GitDiff) -> list[str]:
    if call.to_revision is not None and (call.from_revision is None or call.staged):
        raise WorkspaceError("to_revision needs from_revision, and excludes staged.")
    return [
        _revision(given) for given in (call.from_revision, call.to_revision) if given is not None
    ]


UNBORN = "bad revision 'HEAD'"
"""The complaint of git about a repository without a commit."""


async def git_log(repository: Repository, call: GitLog, paths: Sequence[str]) -> Log:
    """List commits. Raises WorkspaceError with git's own reason, or for a refused revision."""
    revision = _revision(call.revision)
    options = [
        f"--max-count={call.max_count + 1}",
        f"--skip={call.skip}",
        LOG_FORMAT,
        "-z",
        "--encoding=UTF-8",
    ]
    options += [*UNRUN, "--no-show-signature", "--no-notes", "--no-mailmap", "--no-patch"]
    safe = await disarmed(repository)
    try:
        outcome = await safe.git("log", *options, "--end-of-options", revision, "--", *paths)
    except WorkspaceError as error:
        if revision == "HEAD" and UNBORN in str(error):
            return Log(commits=[], truncated=False)
        raise
    commits = commits_of(outcome.output)
    return Log(
        commits=commits[: call.max_count],
        truncated=outcome.truncated or len(commits) > call.max_count,
    )


def _revision(given: str) -> str:
    """Check that *given* is a revision, and cannot be an option, a path or another protocol."""
    if not REVISION.fullmatch(given):
        raise WorkspaceError(
            f"{given!r} is not accepted as a revision: use letters, digits and _./~^@{{}}- and "
            "no leading dash."
        )
    return given


def pathspecs(root: Root, repository: Repository, paths: Sequence[str]) -> list[str]:
    """Return paths from the top of the repository; git takes them literally.

    Raises:
        WorkspaceError: a path is outside of the root, or of the repository.
    """
    return [_pathspec(root, repository, given) for given in paths]


def _pathspec(root: Root, repository: Repository, given: str) -> str:
    path = root.locate_entry(given).path
    if not path.is_relative_to(repository.folder):
        raise WorkspaceError(
            f"{shown(given)} is not in the repository {shown(str(repository.folder))}."
        )
    return str(path.relative_to(repository.folder))
