"""Measures how close runs come to their critical path, on one stdio server that sleeps.

Each figure is a ratio: the time that a DAG took over the time that its critical path must take. The best of some
rounds counts, because a shared machine only ever adds. Results are kept in .bench/, one JSON file a run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio

from plait import Gateway
from plait.config import Config, GatewaySettings, ServerSettings

ROOT = Path(__file__).parents[1]
Dag = dict[str, Any]


@dataclass(frozen=True)
class Case:
    name: str
    dag: Dag
    ideal_ms: float
    most: float
    """The ratio that is promised."""


@dataclass
class Figure:
    name: str
    ideal_ms: float
    best_ms: float
    ratio: float
    most: float | None
    speedup: float


def task(id: str, ms: float, *needs: str) -> Dag:
    return {"id": id, "tool": "lean:sleep", "arguments": {"ms": ms}, "depends_on": list(needs)}


def wide(count: int) -> Dag:
    return {"tasks": [task(f"t{index}", 100) for index in range(count)]}


STAGES = {
    "tasks": [
        task("t1", 100),
        task("t2", 100),
        task("t3", 100, "t1", "t2"),
        task("t4", 100, "t3"),
        task("t5", 100, "t3"),
    ]
}
UNEVEN = {"tasks": [task("a1", 50), task("a2", 350, "a1"), task("b1", 350), task("b2", 50, "b1")]}
CASES = [
    Case("5 x 100 ms, independent", wide(5), 100, 1.10),
    Case("[t1, t2] -> t3 -> [t4, t5] of 100 ms", STAGES, 300, 1.05),
    Case("uneven diamond, 50 -> 350 beside 350 -> 50", UNEVEN, 400, 1.05),
    Case("100 x 100 ms, independent", wide(100), 100, 1.5),
]
SPEEDUP = 4.5
"""Promised of the first case."""


async def measure(gateway: Gateway, case: Case, rounds: int, change: Callable[[Dag], Dag] = lambda dag: dag) -> Figure:
    results = [await gateway.execute(change(case.dag)) for _ in range(rounds)]
    best = min(results, key=lambda result: result.metrics.execution_time_ms)
    took = best.metrics.execution_time_ms
    return Figure(case.name, case.ideal_ms, took, round(took / case.ideal_ms, 3), case.most, best.metrics.speedup)


async def run(rounds: int) -> list[Figure]:
    config = Config(
        gateway=GatewaySettings(max_concurrency=128),
        servers={"lean": ServerSettings(command=sys.executable, args=(str(ROOT / "scripts" / "lean_server.py"),))},
    )
    async with Gateway.from_config(config) as gateway:
        await gateway.execute(wide(5))  # the server is up, and everything imported
        figures = [await measure(gateway, case, rounds) for case in CASES]
        barriers = await measure(gateway, CASES[2], rounds, lambda dag: {**dag, "schedule": "layers"})
        barriers.name, barriers.most = "the same, with a barrier after each layer", None
        figures.insert(3, barriers)
    return figures


def misses(figures: list[Figure]) -> list[str]:
    missed = [f"{figure.name}: {figure.ratio}" for figure in figures if figure.most and figure.ratio > figure.most]
    if figures[0].speedup < SPEEDUP:
        missed.append(f"{figures[0].name}: speedup {figures[0].speedup}")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    figures = anyio.run(run, rounds)
    print(f"{'DAG':46} {'critical path':>13} {'took':>10} {'ratio':>6} {'at most':>7} {'speedup':>7}")
    for figure in figures:
        most = "" if figure.most is None else f"{figure.most:.2f}"
        print(
            f"{figure.name:46} {figure.ideal_ms:10.0f} ms {figure.best_ms:7.1f} ms {figure.ratio:6.3f} {most:>7}"
            f" {figure.speedup:7.2f}"
        )
    folder = ROOT / ".bench"
    folder.mkdir(exist_ok=True)
    (folder / f"{int(time.time())}.json").write_text(json.dumps([asdict(figure) for figure in figures], indent=1))
    missed = misses(figures)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
