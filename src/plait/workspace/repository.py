"""The repository of a folder, disarmed: its configuration runs no programs.

A repository is not trusted: its configuration may name programs (fsmonitor, hooks, filters,
textconv, external diffs, signature checks, remote helpers) that git would start for a plain `git
status`. The user's own configuration is not read, and the repository's is overridden in the
environment, which git reads last: first the known keys, then the filter drivers, whose names the
repository chooses.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import WorkspaceError
from .paths import Place, Root, explained, shown
from .processes import Command, Outcome, program, run

TIMEOUT_S = 30.0
MAX_FILTERS = 100
MAX_POINTER_BYTES = 4096
MAX_ENTRIES = 500_000
"""Most files and folders of a git folder; more than this are not checked for links."""
UNREAD = frozenset({"hooks", "lfs", "annex", "modules", "worktrees"})
"""Folders that git does not read for a status, a diff or a log of this work tree."""

ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    # A partial clone would fetch with a program that the repository names, so no protocol is
    # allowed.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "HOME": os.devnull,
    "XDG_CONFIG_HOME": os.devnull,
    "LC_ALL": "C.UTF-8",
}
OVERRIDES = (
    ("core.fsmonitor", "false"),
    ("core.hooksPath", os.devnull),
    ("core.pager", "cat"),
    ("core.attributesFile", os.devnull),
    ("core.excludesFile", os.devnull),
    ("core.sshCommand", "false"),
    ("core.askPass", ""),
    ("core.bare", "false"),
    ("diff.external", ""),
    ("diff.orderFile", os.devnull),
    ("diff.submodule", "short"),
    ("log.showSignature", "false"),
    ("log.mailmap", "false"),
    ("gpg.program", "false"),
    ("protocol.allow", "never"),
    ("safe.bareRepository", "explicit"),
    ("status.submoduleSummary", "false"),
    ("submodule.recurse", "false"),
)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository whose work tree is inside the root, with the overrides that disarm it."""

    folder: Path
    git_folder: Path
    prefix: str
    """The path from the workspace root to the work tree: empty, or with a slash at its end."""
    root: Root
    overrides: tuple[tuple[str, str], ...] = OVERRIDES

    async def git(self, *arguments: str) -> Outcome:
        """Run one operation of git on this repository.

        Raises:
            WorkspaceError: git failed, with its own reason, or ran out of time.
        """
        outcome = await run(
            Command(
                (_git(), "--no-pager", *arguments), self.folder, TIMEOUT_S, env=self._environment()
            )
        )
        if outcome.timed_out:
            raise WorkspaceError(f"git {arguments[0]} did not finish within {TIMEOUT_S:g} s.")
        if outcome.exit_code != 0:
            reason = outcome.errors.decode("utf-8", "replace").strip()
            raise WorkspaceError(f"git {arguments[0]} failed: {reason[:2000]}")
        return outcome

    def _environment(self) -> dict[str, str]:
        """Return variables that pin git to this repository: it discovers none and ignores
        `core.worktree`."""
        numbered = {"GIT_CONFIG_COUNT": str(len(self.overrides))}
        for index, (key, value) in enumerate(self.overrides):
            numbered |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
        return {
            **ENVIRONMENT,
            **numbered,
            "GIT_DIR": str(self.git_folder),
            "GIT_WORK_TREE": str(self.folder),
        }


async def disarmed(repository: Repository) -> Repository:
    """Override every filter driver that the configuration of the repository names, in whatever
    file.

    Raises:
        WorkspaceError: the configuration cannot be read, includes a file outside of the root, or
            names too many drivers to override.
    """
    listed = await repository.git(
        "config", "--list", "--name-only", "--show-origin", "--includes", "-z"
    )
    words = os.fsdecode(listed.output).split("\0")
    origins, keys = words[:-1:2], words[1::2]
    _require_own(repository, origins)
    names = {name for key in keys if (name := _filter_name(key)) is not None}
    if len(names) > MAX_FILTERS or listed.truncated:
        raise WorkspaceError(
            f"the repository's configuration names {len(names)} filters; at most {MAX_FILTERS} "
            "are read."
        )
    switched_off = [
        (f"filter.{name}.{part}", value)
        for name in sorted(names)
        for part, value in (("clean", ""), ("smudge", ""), ("process", ""), ("required", "false"))
    ]
    return replace(repository, overrides=(*OVERRIDES, *switched_off))


def _require_own(repository: Repository, origins: Sequence[str]) -> None:
    """Refuse a configuration that includes a file outside of the root: whether it can be read, and
    the names in it, would show in errors and answers."""
    own = Path(os.path.realpath(_common_folder(repository.git_folder)))
    for origin in dict.fromkeys(origins):
        kind, _, name = origin.partition(":")
        file = Path(os.path.realpath(repository.folder / name))
        if kind == "file" and not (repository.root.contains(file) or file.is_relative_to(own)):
            raise WorkspaceError(
                f"{shown(name)}, which the configuration of the repository includes, is outside "
                "of the workspace."
            )


def _filter_name(key: str) -> str | None:
    section, _, rest = key.partition(".")
    name, dot, _ = rest.rpartition(".")
    return name if section == "filter" and dot else None


def found(root: Root, given: str) -> Repository:
    """Find the repository of a folder: the nearest `.git`, going up to the root and no further.

    Raises:
        WorkspaceError: none was found, or its files are outside of the root and not those of a
        linked work tree.
    """
    place = root.locate(given)
    for depth in range(len(place.parts), -1, -1):
        top = Place(place.root, place.parts[:depth])
        if os.path.lexists(top.path / ".git"):
            with explained(shown(str(top.path / ".git"))):
                return _repository(root, top)
    raise WorkspaceError(
        f"{place.name} is not in a git repository of the workspace. Run git init there first."
    )


def _repository(root: Root, top: Place) -> Repository:
    folder, git_folder = top.path, _git_folder(top.path)
    repository = Repository(folder, git_folder, f"{top.name}/" if top.parts else "", root)
    common = _common_folder(git_folder)
    if not root.contains(git_folder) and _is_linked(folder, git_folder, common):
        return repository
    _require_inside(root, git_folder, common)
    return repository


def _require_inside(root: Root, *folders: Path) -> None:
    """Refuse git folders that lead out of the root by a symlink, however deep, or by an alternate:
    another repository, whose objects git would take for this one's."""
    open_folders, seen, entries = list(folders), set[Path](), 0
    while open_folders:
        path = open_folders.pop()
        folder = Path(os.path.realpath(path))
        if not root.contains(folder):
            raise WorkspaceError(
                f"{shown(str(path))}, which the repository uses, is outside of the workspace."
            )
        if folder in seen or not folder.is_dir():
            continue
        seen.add(folder)
        open_folders += _alternates(folder)
        with os.scandir(folder) as found:
            for entry in found:
                entries += 1
                is_read = folder not in folders or entry.name not in UNREAD
                if is_read and (entry.is_symlink() or entry.is_dir(follow_symlinks=False)):
                    open_folders.append(Path(entry))
        if entries > MAX_ENTRIES:
            raise WorkspaceError(
                f"the repository has more than {MAX_ENTRIES} files of its own, too many to check "
                "for links out of the workspace. Run git gc there."
            )


def _alternates(objects: Path) -> list[Path]:
    """Return the other folders of objects that a folder of objects names."""
    names = objects / "info" / "alternates"
    if not names.is_file():
        return []
    with names.open("rb") as stream:
        text = stream.read(MAX_POINTER_BYTES + 1)
    if len(text) > MAX_POINTER_BYTES or b'"' in text or b"\0" in text:
        raise WorkspaceError(f"{shown(str(names))} is too long, or quotes a name.")
    lines = (line for line in os.fsdecode(text).split("\n") if line and not line.startswith("#"))
    return [objects / line for line in lines]


def _git_folder(folder: Path) -> Path:
    """Return the folder that `.git` is or points to."""
    entry = folder / ".git"
    if entry.is_dir():
        return Path(os.path.realpath(entry))
    return _pointed(entry, "gitdir: ")


def _common_folder(git_folder: Path) -> Path:
    pointer = git_folder / "commondir"
    return _pointed(pointer, "") if pointer.is_file() else git_folder


def _is_linked(folder: Path, git_folder: Path, common: Path) -> bool:
    """Return whether this is a linked work tree: the repository, wherever it is, names this folder
    as one of its own."""
    back = git_folder / "gitdir"
    if git_folder.parent != common / "worktrees" or not back.is_file():
        return False
    return _pointed(back, "") == Path(os.path.realpath(folder / ".git"))


def _pointed(pointer: Path, prefix: str) -> Path:
    """Read the path in one of git's pointer files."""
    if not pointer.is_file():
        raise WorkspaceError(
            f"{shown(str(pointer))} is neither a folder nor a file that names one."
        )
    with pointer.open("rb") as stream:
        text = os.fsdecode(stream.read(MAX_POINTER_BYTES)).strip()
    if not text.startswith(prefix) or "\0" in text:
        raise WorkspaceError(f"{shown(str(pointer))} does not name a git folder.")
    return Path(os.path.realpath(pointer.parent / text.removeprefix(prefix)))


def _git() -> str:
    git = program("git")
    if git is None:
        raise WorkspaceError("git is not installed where this server runs.")
    return git
