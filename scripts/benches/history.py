"""The cost of the history: `plait serve` on a pipe that writes its runs, compared with one without.
Both take turns over servers that answer at once, and the best round of each counts.

Each document is another one, so that the history keeps all of them. Processor time is that of the
gateway, the thread that writes included.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from plait.core.history import Admission, Beginning, CallKey, Effect, Ending, Intent, Outcome
from plait.core.tools.output import Output
from plait.stores.history.files import Files
from plait.stores.history.opening import runtime_folder
from plait.stores.history.store import SqliteHistory

from .dag import run, settled
from .figures import Figure
from .gateways import plait
from .graphs import Document, chain, wide
from .lean import LeanClient, lean_client
from .processes import cpu_s
from .start import environ, serving, start

GROUP = "history"
CALLS = 1_000
MOST_READS, MOST_WRITES = 1.20, 1.50
SLOW_MS, MOST_SLOW = 5, 1.02
STEPS = 100
"""Writes of a chain: each waits for the one before, and for a commit of its own."""
MOST_COMMIT_MS = 0.3
RUNS = 10_000
AT_ONCE = 100
"""Runs of a long history that are committed together while it is made."""
MOST_START_MS = 20.0
MOST_LISTED_S = 0.3
QUIET_S = 0.1
"""Seconds after which the last rows of a run are written."""
PLAIT = str(Path(sys.executable).with_name("plait"))


@dataclass(frozen=True)
class Taken:
    """One run: milliseconds until its answer, and microseconds of CPU of each of its tasks."""

    ms: float
    cpu_us: float


def figures(rounds: int) -> Iterator[Figure]:
    yield from asyncio.run(_of_calls(2 * rounds))
    with tempfile.TemporaryDirectory() as folder:
        yield from _of_many_runs(Path(folder), 2 * rounds)


async def _of_calls(rounds: int) -> list[Figure]:
    reads, writes, steps = wide(CALLS), _writes(wide(CALLS)), _writes(chain(STEPS))
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(_client(settings))
            for settings in ("", "[history]\nenabled = false\n")
        ]
        taken = {
            name: await _in_turns(clients, document, rounds)
            for name, document in {
                "reads": reads,
                "slow reads": _slow(CALLS),
                "writes": writes,
                "writes, power": _to_last(writes),
                "steps": steps,
                "steps, power": _to_last(steps),
            }.items()
        }
    return [
        _ratio(f"{CALLS:,} reads in one DAG", taken["reads"], MOST_READS),
        _ratio(f"{CALLS:,} reads of {SLOW_MS} ms each", taken["slow reads"], MOST_SLOW),
        _ratio(f"{CALLS:,} writes", taken["writes"], MOST_WRITES),
        _ratio(f"{CALLS:,} writes that survive power cuts", taken["writes, power"], None),
        _commit("commit of a write, p50", taken["steps"], MOST_COMMIT_MS),
        _commit("commit of one that survives power cuts", taken["steps, power"], None),
    ]


@asynccontextmanager
async def _client(settings: str) -> AsyncIterator[LeanClient]:
    """Start a gateway with *settings*, and wait until its server can be called."""
    with plait(expose="dag", settings=settings) as way:
        async with lean_client(way.command, way.env) as client:
            await settled(client)
            yield client


async def _in_turns(
    clients: list[LeanClient], document: Document, rounds: int
) -> list[list[Taken]]:
    """Run *document* with each of *clients* in turns, after one round that does not count."""
    taken: list[list[Taken]] = [[] for _ in clients]
    for number in range(rounds + 1):
        for client, times in zip(clients, taken, strict=True):
            cpu, began = cpu_s(client.pid), time.perf_counter()
            await run(client, {**document, "name": f"round {number}"})
            ms = (time.perf_counter() - began) * 1e3
            await asyncio.sleep(QUIET_S)
            us = (cpu_s(client.pid) - cpu) / len(document["tasks"]) * 1e6
            if number:
                times.append(Taken(ms, us))
    return taken


def _ratio(name: str, taken: list[list[Taken]], most: float | None) -> Figure:
    """Compare the runs with a history, which come first, with those without."""
    kept, plain = taken
    kept_ms, plain_ms = (min(one.ms for one in times) for times in taken)
    kept_us, plain_us = (min(one.cpu_us for one in times) for times in taken)
    parts = {
        "ms": round(kept_ms, 1),
        "without": round(plain_ms, 1),
        "median": round(median(a.ms / b.ms for a, b in zip(kept, plain, strict=True)), 3),
        "CPU us a task": round(kept_us),
        "CPU without": round(plain_us),
    }
    return Figure(GROUP, name, round(kept_ms / plain_ms, 3), "x without", most, parts=parts)


def _commit(name: str, taken: list[list[Taken]], most: float | None) -> Figure:
    """Compute what each write of a chain takes longer with a history."""
    kept, plain = (median(one.ms for one in times) / STEPS for times in taken)
    parts = {"step ms": round(kept, 3), "without": round(plain, 3)}
    return Figure(GROUP, name, round(kept - plain, 3), "ms", most, parts=parts)


def _slow(count: int) -> Document:
    tasks = [
        {"id": f"t{index}", "tool": "lean:sleep", "arguments": {"ms": SLOW_MS}}
        for index in range(count)
    ]
    return {"tasks": tasks}


def _writes(document: Document) -> Document:
    return {"tasks": [{**task, "tool": "lean:note"} for task in document["tasks"]]}


def _to_last(document: Document) -> Document:
    return {**document, "durable": "power"}


def _of_many_runs(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure starts and lists over a history of many runs."""
    cases = {}
    for name, settings in (("off", "[history]\nenabled = false\n"), ("new", ""), ("old", "")):
        (home := folder / name).mkdir()
        cases[name] = serving(home, 1, settings)
    (state := folder / "old" / "state").mkdir(mode=0o700)
    asyncio.run(_fill(state))
    started: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, command in cases.items():
            wait_s = start(command, folder / name).wait_s
            if number:
                started[name].append(wait_s * 1e3)
    best = {name: min(times) for name, times in started.items()}
    yield Figure(
        GROUP,
        f"a start with a history of {RUNS:,} runs",
        round(best["old"] - best["off"], 1),
        "ms > without",
        MOST_START_MS,
        parts={
            "ms": round(best["old"], 1),
            "new": round(best["new"], 1),
            "without": round(best["off"], 1),
        },
    )
    for name, words in (("", ()), (", with --limit", ("--limit", str(RUNS)))):
        listed = min(_listed_s(folder / "old", words) for _ in range(rounds))
        yield Figure(
            GROUP, f"plait history of {RUNS:,} runs{name}", round(listed, 3), "s", MOST_LISTED_S
        )


async def _fill(state: Path) -> None:
    """Write many runs of three calls each, as gateways write them."""
    history = SqliteHistory(Files(state, runtime_folder(state)))
    now = time.time()
    for number in range(RUNS):
        dag = wide(3) | {"name": f"run {number}"}
        name = f"r_{number:026}"
        run = history.begin(Beginning(name, now - RUNS + number, {"sent": dag, "line": [name]}))
        for index, task in enumerate(dag["tasks"]):
            key = CallKey(task["id"])
            run.put(Admission(key, 1, 0.001, "lean:find", Effect.READ, task["arguments"]))
            run.put(Intent(key, 1, 0.001))
            run.put(Outcome(key, 1, 0.002, Output.of({"items": [{"number": index}]})))
        run.put(Ending(0.003, "success", {"id": name, "tasks": {}}, calls=3))
        if not number % AT_ONCE:
            await run.committed()
    await history.close()


def _listed_s(folder: Path, words: Iterable[str]) -> float:
    began = time.perf_counter()
    shown = subprocess.run(
        [PLAIT, "history", *words], env=environ(folder), check=True, capture_output=True
    )
    took_s = time.perf_counter() - began
    assert b"r_" in shown.stdout
    return took_s
