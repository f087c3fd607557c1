"""The use of resources by a process: its processor time, memory and open descriptors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """One process, without its children."""

    cpu_s: float
    rss_mb: float
    fds: int
    threads: int
    children: int


def usage(pid: int) -> Usage:
    folder = Path("/proc") / str(pid)
    fields = (folder / "stat").read_text().rpartition(")")[2].split()  # from the third on
    return Usage(
        cpu_s=(int(fields[11]) + int(fields[12])) * TICK_S,
        rss_mb=int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20,
        fds=len(os.listdir(folder / "fd")),
        threads=int(fields[17]),
        children=len((folder / "task" / str(pid) / "children").read_text().split()),
    )


def cpu_s(pid: int) -> float:
    """Return the processor time of the threads of a process, to the nanosecond."""
    tasks = (Path("/proc") / str(pid) / "task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
