"""What Plait keeps: the state folder, its size and disk, the history, and the clock."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from anyio import to_thread

from ..config.environment import state_folder_of
from ..stores.history.files import is_on_network
from ..stores.history.health import health_of
from .case import Case
from .findings import Finding, look, well, wrong
from .mending import TakeAway

ABOUT = "state folder"
CLOCK = "clock"
HISTORY = "history"
LARGE_BYTES = 6 * 2**30
LITTLE_BYTES = 256 * 2**20
MOST_FILES = 50_000
DAY_S = 86_400.0
AHEAD_S = 300.0
CHECK_S = 5.0
"""Longest time for which the history is read."""


async def check(case: Case) -> list[Finding]:
    """Check the state folder and what is in it."""
    folder = state_folder_of(case.environ, case.folder)
    return await to_thread.run_sync(partial(_checked, folder), abandon_on_cancel=True)


def _checked(folder: Path) -> list[Finding]:
    if not folder.exists():
        parent = next(one for one in folder.parents if one.exists())
        if not os.access(parent, os.W_OK):
            fix = "set PLAIT_STATE_DIR to a folder of yours"
            return [wrong(ABOUT, f"{folder} cannot be made: {parent} is not yours to write", fix)]
        return [well(ABOUT, f"{folder} is made at the first start"), *_clock([])]
    files = [*_files(folder)]
    return [*_of_folder(folder, files), *_history(folder), *_clock(files)]


def _files(folder: Path) -> Iterator[os.stat_result]:
    """Yield the status of each file below *folder*, of a bounded number."""
    count = 0
    for place, _, names in os.walk(folder):
        for name in names:
            count += 1
            if count > MOST_FILES:
                return
            with suppress(OSError):
                yield os.lstat(os.path.join(place, name))


def _of_folder(folder: Path, files: list[os.stat_result]) -> Iterator[Finding]:
    status = os.stat(folder)
    if not stat.S_ISDIR(status.st_mode):
        yield wrong(ABOUT, f"{folder} is not a folder", "remove it, or set PLAIT_STATE_DIR")
        return
    if status.st_uid != os.geteuid():
        says = f"{folder} belongs to another user (number {status.st_uid})"
        yield wrong(ABOUT, says, "set PLAIT_STATE_DIR to a folder of yours")
        return
    if bits := status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        says = f"others may write to {folder}, so no gateway is shared"
        yield wrong(ABOUT, says, f"chmod go-w {folder}", TakeAway(folder, bits))
    if not os.access(folder, os.W_OK | os.X_OK):
        yield wrong(ABOUT, f"{folder} cannot be written", f"chmod u+rwx {folder}")
        return
    size = sum(one.st_size for one in files)
    free = shutil.disk_usage(folder).free
    if free < LITTLE_BYTES:
        says = f"the disk of {folder} has {_size(free)} left"
        yield wrong(ABOUT, says, "make room: runs lose their history when it is full")
    elif size > LARGE_BYTES:
        fix = "[history] keep_bytes, or plait history clear"
        yield look(ABOUT, f"{folder} has {_size(size)}", fix)
    elif is_on_network(folder):
        says = f"{folder} is on a network file system: there is no history over restarts"
        yield look(ABOUT, says, "set PLAIT_STATE_DIR to a folder of this machine")
    else:
        yield well(ABOUT, f"{folder}: {_size(size)}")


def _history(folder: Path) -> Iterator[Finding]:
    health = health_of(folder, CHECK_S)
    if health.trouble:
        yield wrong(HISTORY, health.trouble, health.fix)
    elif not health.is_whole:
        yield well(HISTORY, f"{_size(health.size_bytes)}; a part of it was checked")
    elif health.runs is not None:
        plural = "" if health.runs == 1 else "s"
        yield well(HISTORY, f"{health.runs:,} run{plural}, {_size(health.size_bytes)}")
    damaged = [
        file for file in sorted(folder.glob("history.db.damaged-*")) if file.suffix != "-wal"
    ]
    if damaged:
        says = f"{damaged[-1]} was damaged and set aside; its runs are not in the history"
        yield look(HISTORY, says, "delete it once you do not need it")


def _clock(files: list[os.stat_result]) -> Iterator[Finding]:
    now = time.time()
    made = os.stat(__file__).st_mtime
    latest = max((one.st_mtime for one in files), default=0.0)
    fix = "set the clock of this machine, such as by timedatectl set-ntp true"
    if now < made - DAY_S:
        yield wrong(CLOCK, f"it says {_date(now)}, before this Plait was installed", fix)
    elif latest > now + AHEAD_S:
        yield look(CLOCK, f"it says {_date(now)}, and files were written at {_date(latest)}", fix)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _size(size: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GB"
