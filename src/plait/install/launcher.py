"""The command with which clients start Plait: one that lasts.

A command in a cache of uv or in a project's environment is gone one day, and with it all servers of
all clients. So a command is looked for that a tool keeps: `uv tool`, pipx, Homebrew or the system.
Its link is named, never what that leads to, which has a version in its path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .clients import Start
from .machine import Machine

_CACHED = re.compile(r"/(archive-v\d+|environments-v\d+|builds-v\d+)/|/\.cache/|/Caches/")
_KEPT = re.compile(r"/uv/tools/|/pipx/(venvs|shared)/|/Cellar/|/nix/store/")
FIRST_START_S = 60
"""Seconds for a start that may have to fetch Plait first."""


@dataclass(frozen=True, slots=True)
class Launcher:
    """How Plait is started, and what to say about it."""

    start: Start
    note: str = ""
    """Empty if the command lasts."""


def launcher(machine: Machine, running: Path, version: str) -> Launcher:
    """Return how Plait is to be started on *machine*, where *running* is the command that runs
    now."""
    candidates = [running, *_on_path("plait", machine.environ)]
    for command in candidates:
        if os.access(command, os.X_OK) and lasts(command, machine.environ):
            return Launcher(Start(str(command), ("serve",)))
    better = f"uv tool install plait=={version}, then plait install, makes it a command that lasts"
    for runner in _on_path("uvx", machine.environ):
        start = Start(str(runner), (f"plait@{version}", "serve"), FIRST_START_S)
        note = f"{running} will not last, so clients start uvx plait@{version}; {better}"
        return Launcher(start, note)
    return Launcher(
        Start(str(running), ("serve",)),
        f"{running} may not last: it is in a cache or in an environment of a project; with uv, "
        f"{better} (or pipx install plait=={version})",
    )


def lasts(command: Path, environ: Mapping[str, str]) -> bool:
    """Return whether *command* will be there tomorrow: it is kept by a tool for programs, or by the
    system."""
    real = os.path.realpath(command)
    if _KEPT.search(real):
        return True
    if _CACHED.search(real) or _CACHED.search(str(command)):
        return False
    named = environ.get("VIRTUAL_ENV")
    if named and Path(real).is_relative_to(os.path.realpath(named)):
        return False
    if any((folder / "pyvenv.cfg").is_file() for folder in (Path(real).parents[1:2])):
        return False
    temporary = environ.get("TMPDIR") or "/tmp"  # noqa: S108  # to refuse it
    return not Path(real).is_relative_to(os.path.realpath(temporary))


def _on_path(name: str, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the commands of that *name* on the PATH, first ones first."""
    for folder in environ.get("PATH", "").split(os.pathsep):
        file = Path(folder, name)
        if file.is_absolute() and file.is_file() and os.access(file, os.X_OK):
            yield file
