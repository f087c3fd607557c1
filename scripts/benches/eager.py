"""Eager against layers, and both against the critical path: real calls of a server that sleeps.

Eager starts a task when its own dependencies have settled; with layers it waits for the whole layer
before. Results are the same. Each figure is the best of some rounds, because a shared machine only
ever adds time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import anyio

from plait import Gateway
from plait.core.results.result import RunResult

from .figures import Figure
from .graphs import Document
from .servers import gateway

GROUP = "eager"
AT_ONCE = 128
SPEEDUP = 4.5
"""The promised speedup of five independent calls."""

Calls = dict[str, tuple[int, Sequence[str]]]
"""By id: the milliseconds that a call sleeps, and the tasks that it depends on."""


@dataclass(frozen=True)
class Case:
    name: str
    calls: Calls
    most: float | None = None
    """The promised ratio of the eager run to the critical path."""
    least: float | None = None
    """The promised ratio of the time with layers to that of the eager run."""

    @property
    def document(self) -> Document:
        tasks = [
            {"id": id, "tool": "lean:sleep", "arguments": {"ms": ms}, "depends_on": list(needs)}
            for id, (ms, needs) in self.calls.items()
        ]
        return {"tasks": tasks}

    @property
    def critical_path_ms(self) -> int:
        ends: dict[str, int] = {}
        for id, (ms, needs) in self.calls.items():
            ends[id] = ms + max((ends[need] for need in needs), default=0)
        return max(ends.values())


def _wide(count: int, ms: int = 100) -> Calls:
    return {f"w{index}": (ms, ()) for index in range(count)}


def _chain(*durations: int) -> Calls:
    return {
        f"c{index}": (ms, (f"c{index - 1}",) if index else ()) for index, ms in enumerate(durations)
    }


def _lanes(*lanes: Sequence[int]) -> Calls:
    """Make parallel chains, with one task after all of them."""
    calls: Calls = {}
    for number, durations in enumerate(lanes):
        for index, ms in enumerate(durations):
            calls[f"l{number}_{index}"] = ms, (f"l{number}_{index - 1}",) if index else ()
    calls["end"] = 20, [f"l{number}_{len(durations) - 1}" for number, durations in enumerate(lanes)]
    return calls


def _layered(layers: int, width: int, seed: int) -> Calls:
    """Make layers of random durations of 20 to 200 ms; each task needs one or two of the layer
    before."""
    chooser = random.Random(seed)
    calls: Calls = {}
    for layer in range(layers):
        for index in range(width):
            before = [f"n{layer - 1}_{other}" for other in range(width)] if layer else []
            needs = chooser.sample(before, chooser.randint(1, 2)) if before else []
            calls[f"n{layer}_{index}"] = chooser.randrange(20, 200), needs
    return calls


def _stragglers(count: int) -> Calls:
    """Make parts that are fetched and then processed; one in ten is slow to fetch, another one in
    ten to process."""
    calls: Calls = {}
    for index in range(count):
        calls[f"fetch{index}"] = 300 if index % 10 == 0 else 30, ()
        calls[f"work{index}"] = 300 if index % 10 == 5 else 30, (f"fetch{index}",)
    return calls


STAGES: Calls = {
    "t1": (100, ()),
    "t2": (100, ()),
    "t3": (100, ("t1", "t2")),
    "t4": (100, ("t3",)),
    "t5": (100, ("t3",)),
}
DIAMOND: Calls = {"a1": (50, ()), "a2": (350, ("a1",)), "b1": (350, ()), "b2": (50, ("b1",))}
CASES = [
    Case("5 x 100 ms, independent", _wide(5), 1.10),
    Case("[t1, t2] -> t3 -> [t4, t5] of 100 ms", STAGES, 1.05),
    Case("uneven diamond, 50 -> 350 and 350 -> 50", DIAMOND, 1.05, 1.6),
    Case("100 x 100 ms, independent", _wide(100), 1.5),
    Case("one chain of 6", _chain(50, 120, 30, 90, 60, 100)),
    Case("a chain of 6 x 60 ms and 20 x 300 ms", _chain(*[60] * 6) | _wide(20, 300), least=1.4),
    Case(
        "three lanes, slow at different places",
        _lanes((300, 30, 30), (30, 300, 30), (30, 30, 300)),
        least=1.8,
    ),
    Case("40 parts, fetched and processed, one in ten slow", _stragglers(40), least=1.6),
    Case("6 random layers of 8, 20 to 200 ms", _layered(6, 8, seed=1), least=1.05),
]


def figures(rounds: int) -> Iterator[Figure]:
    yield from anyio.run(measured, rounds)


async def measured(rounds: int) -> list[Figure]:
    found: list[Figure] = []
    async with gateway(AT_ONCE) as plait:
        await plait.execute(CASES[0].document)  # the server is up, and everything imported
        for case in CASES:
            eager, layers = await best(plait, case, rounds)
            found += _figures(case, eager, layers)
    return found


async def best(plait: Gateway, case: Case, rounds: int) -> tuple[RunResult, RunResult]:
    """Return the fastest eager run and the fastest with layers; they take turns."""
    eager, layers = [], []
    for _ in range(rounds):
        eager.append(await plait.execute(case.document))
        layers.append(await plait.execute({**case.document, "schedule": "layers"}))
    return min(eager, key=_took), min(layers, key=_took)


def _figures(case: Case, eager: RunResult, layers: RunResult) -> Iterator[Figure]:
    path, took, beside = case.critical_path_ms, _took(eager), _took(layers)
    parts = {
        "path_ms": path,
        "eager_ms": took,
        "layers_ms": beside,
        "gain": round(beside / took, 2),
    }
    yield Figure(GROUP, case.name, round(took / path, 3), "of its path", case.most, parts=parts)
    if case is CASES[0]:
        yield Figure(GROUP, "  its speedup", eager.metrics.speedup or 1.0, "times", least=SPEEDUP)
    yield Figure(
        GROUP, "  layers against eager", round(beside / took, 2), "times", least=case.least
    )


def _took(result: RunResult) -> float:
    return result.metrics.execution_time_ms
