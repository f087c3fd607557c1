"""Repositories to look at, and the tools that look at them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from plait.workspace import git
from plait.workspace.git import GitDiff, GitLog, GitStatus
from plait.workspace.paths import Root
from plait.workspace.porcelain import Diff, Log, Status
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


def repository(folder: Path) -> Root:
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
