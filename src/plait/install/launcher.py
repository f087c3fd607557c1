"""The command with which clients start Plait: one that lasts.

A command in a cache of uv or in a project's environment is gone one day, and with it all servers of
all clients. So a command is looked for that a tool keeps: `uv tool`, pipx, Homebrew or the system.
Its link is named, never what that leads to, which has a version in its path.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .clients import Start
from .machine import Machine

_CACHED = re.compile(r"/(archive-v\d+|environments-v\d+|builds-v\d+)/|/\.cache/|/Caches/")
_KEPT = re.compile(r"/uv/tools/|/pipx/(venvs|shared)/|/Cellar/|/nix/store/")
VERSION_S = 10
FIRST_START_S = 60
"""Seconds for a start that may have to fetch Plait first."""


@dataclass(frozen=True, slots=True)
class Launcher:
    """How Plait is started, and what to say about it."""

    start: Start
    note: str = ""
    """Empty if the command lasts."""


def launcher(machine: Machine, running: Path, version: str, origin: str = "") -> Launcher:
    """Return how Plait is to be started on *machine*, where *running* is the command that runs now,
    of this *version*. *origin* is where it was installed from, if not from an index."""
    source = origin or f"plait=={version}"
    for command in dict.fromkeys([running, *_on_path("plait", machine.environ)]):
        is_kept = os.access(command, os.X_OK) and lasts(command, machine.environ)
        if is_kept and (command == running or _version_of(command) == version):
            return Launcher(Start(str(command), ("serve",)))
    better = f"uv tool install {source}, then plait install, makes it a command that lasts"
    for runner in _on_path("uvx", machine.environ):
        words = ("--from", origin, "plait") if origin else (f"plait@{version}",)
        start = Start(str(runner), (*words, "serve"), FIRST_START_S)
        said = " ".join(("uvx", *words))
        return Launcher(start, f"{running} will not last, so clients start {said} serve; {better}")
    return Launcher(
        Start(str(running), ("serve",)),
        f"{running} may not last: it is in a cache or in an environment of a project; with uv, "
        f"{better} (or pipx install {source})",
    )


def origin_of(direct_url: str | None) -> str:
    """Return the folder from which a program was installed, by its *direct_url* (PEP 610); empty if
    it came from an index or another place."""
    try:
        document = json.loads(direct_url or "{}")
        address = urlsplit(document["url"])
        is_folder = isinstance(document["dir_info"], dict)
    except (ValueError, KeyError, TypeError):
        return ""
    return unquote(address.path) if address.scheme == "file" and is_folder else ""


def _version_of(command: Path) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            [command, "--version"], capture_output=True, timeout=VERSION_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace").strip().removeprefix("plait ")


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
