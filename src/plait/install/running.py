"""Programs that run now."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from .clients import Client
from .machine import Machine, System

LISTING_S = 5


def running(machine: Machine, processes: Path = Path("/proc")) -> Callable[[Client], bool]:
    """Return a function that says whether a client runs that keeps its file in memory. The
    processes are listed when the first such client is asked for."""
    listed: list[str] | None = None

    def is_running(client: Client) -> bool:
        nonlocal listed
        if not client.programs:
            return False
        if listed is None:
            listed = [*_programs(machine.system, processes)]
        return any(_is(program, name) for program in listed for name in client.programs)

    return is_running


def _is(program: str, name: str) -> bool:
    """Return whether the path or name *program* is that of *name*, which may be a part of a
    path."""
    return name in program if "/" in name else os.path.basename(program) == name


def _programs(system: System, processes: Path) -> Iterator[str]:
    match system:
        case System.LINUX:
            for folder in processes.glob("[0-9]*"):
                try:
                    yield os.readlink(folder / "exe").removesuffix(" (deleted)")
                except OSError:  # it has ended, or is another user's
                    continue
        case System.MACOS:
            yield from _lines("ps", "-axo", "comm=")
        case System.WINDOWS:
            for line in _lines("tasklist", "/fo", "csv", "/nh"):
                yield line.split(",")[0].strip('"')


def _lines(*command: str) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, timeout=LISTING_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.decode("utf-8", "replace").splitlines()]
