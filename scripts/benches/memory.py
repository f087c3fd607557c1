"""The memory that runs leave behind: how much one large run adds, and that finished runs are freed.

Each figure comes from a fresh process, whose own allocations are counted by tracemalloc after a
collection.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.results.record import record_of
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.stores.in_memory import InMemoryRuns

from .figures import Figure
from .graphs import layered
from .scheduling import CATALOG, POLICY, drive

GROUP = "memory"
TASKS = 10_000
MOST_MB = 60.0
"""The promised memory of one run of that many tasks: its document, plan, states and outputs."""
KEPT = 20
"""Runs that the store keeps in this measurement."""
MOST_GROWTH_MB = 0.5
"""The promised memory of 900 more runs when the store is full: nothing, except noise."""
SMALL = 20
"""Tasks of each of the many runs."""


def figures(rounds: int) -> Iterator[Figure]:
    large = _apart("large")
    yield Figure(
        GROUP,
        f"a run of {TASKS:,} tasks, at its end",
        large["kept"],
        "MB",
        MOST_MB,
        parts={"peak": large["peak"]},
    )
    yield Figure(GROUP, "the same, once it is freed", large["left"], "MB", MOST_GROWTH_MB)
    many = _apart("many")
    yield Figure(
        GROUP, f"1,000 runs against 100, {KEPT} kept", many["growth"], "MB", MOST_GROWTH_MB
    )
    yield Figure(GROUP, "the same, once all are freed", many["left"], "MB", MOST_GROWTH_MB)


def large() -> dict[str, float]:
    began = _held()
    run = _finished(Scheduler(Limits()), "large", TASKS)
    peak = tracemalloc.get_traced_memory()[1] - began
    kept = _held() - began
    assert run.is_done
    del run
    return {"kept": _mb(kept), "peak": _mb(peak), "left": _mb(_held() - began)}


def many() -> dict[str, float]:
    """Run all of them in one scheduler, as in a gateway."""
    scheduler, runs = Scheduler(Limits()), InMemoryRuns(max_runs=KEPT)
    began = _held()
    held = {}
    for number in range(1, 1_001):
        run = _finished(scheduler, f"r{number}", SMALL)
        runs.put(record_of(run, 1.0), run.outputs)
        if number in (100, 1_000):
            held[number] = _held()
    del runs, run
    return {"growth": _mb(held[1_000] - held[100]), "left": _mb(_held() - began)}


def _finished(scheduler: Scheduler, id: str, tasks: int) -> Run:
    run = Run(id, check(read_dag(layered(tasks)), CATALOG, POLICY))
    drive(run, scheduler)
    return run


def _held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _mb(size: int) -> float:
    return round(size / 2**20, 2)


def _apart(name: str) -> dict[str, float]:
    """Return the result of the measurement of that name, in a process of its own."""
    command = [sys.executable, "-m", "benches.memory", name]
    ended = subprocess.run(
        command, cwd=Path(__file__).parents[1], check=True, capture_output=True, text=True
    )
    measured: dict[str, float] = json.loads(ended.stdout)
    return measured


MEASUREMENTS: dict[str, Callable[[], dict[str, float]]] = {"large": large, "many": many}

if __name__ == "__main__":
    _finished(Scheduler(Limits()), "warm", SMALL)
    tracemalloc.start()
    print(json.dumps(MEASUREMENTS[sys.argv[1]]()))
