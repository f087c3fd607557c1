"""The verbs everyone calls: search, describe, plan, submit, wait, follow, cancel, output.

SKELETON: signatures are final, bodies follow.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Self

from .core.catalog import Catalog, Tool
from .core.dag import Dag
from .core.output import Output
from .core.result import RunResult
from .core.search import SearchResult
from .core.strict import JsonObject


@dataclass(frozen=True, slots=True)
class Submitted:
    """A DAG that was accepted and runs."""

    run_id: str
    dag: Dag
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `settled` of `total` tasks have come to their end; it never goes down."""

    run_id: str
    settled: int
    total: int
    running: tuple[str, ...]
    failed: tuple[str, ...]
    said: str | None = None
    """What a call in flight said of its own progress last, as `task: message`."""
    finished: bool = False

    def __str__(self) -> str: ...   # "7/14 done; running trace, blame; failed deploys"


class Gateway:
    """Use as `async with Gateway(...) as gateway:`; leaving it cancels the runs that are still going."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc: object) -> None: ...

    def catalog(self) -> Catalog: ...
    async def search(self, query: str, *, server: str | None = None, limit: int = 6) -> SearchResult: ...
    async def describe(self, names: Sequence[str]) -> tuple[list[Tool], list[tuple[str, str | None]]]:
        """The tools of those names, and what was not found: (name, hint)."""

    async def plan(self, document: object) -> JsonObject:
        """The answer to a dry run (contract, section 5). Raises `InvalidDag`."""

    async def submit(self, document: object) -> Submitted:
        """Check *document* (parsed JSON, a JSON string or a `Dag`) whole, and start it. Raises `InvalidDag`."""

    async def wait(self, run_id: str, seconds: float | None = None) -> RunResult:
        """The result once the run has ended, or after *seconds* its state so far (status `running`).
        Raises `UnknownRun`."""

    def follow(self, run_id: str) -> AsyncIterator[Progress]:
        """Snapshots as tasks settle: at once, then at most 10 a second and at least every 5 s, the last with
        `finished`. Raises `UnknownRun`."""

    def result(self, run_id: str) -> RunResult: ...
    async def cancel(self, run_id: str) -> RunResult:
        """Cancel the run, wait (bounded) until its calls have ended, and give its result. Raises `UnknownRun`."""

    def output(self, run_id: str, task: str) -> Output:
        """A task's whole output. Raises `UnknownRun`, or `CallError` for a task that has none."""

    async def execute(self, document: object) -> RunResult:
        """Submit and wait to the end. A cancelled caller cancels the run."""
