"""The runs that are kept, in memory."""

from __future__ import annotations

from ..scheduling.run import Run
from ..values.principal import ANYONE, Principal, may_see

MAX_RUNS = 200
MAX_BYTES = 512 * 2**20
TASK_BYTES = 4_096
"""What a task takes beside its output: how it was planned, and what came of it."""


class InMemoryRuns:
    """Keeps the latest runs; what is above a bound goes, the oldest finished first. A `RunStore`."""

    def __init__(self, max_runs: int = MAX_RUNS, max_bytes: int = MAX_BYTES) -> None:
        self._runs: dict[str, Run] = {}
        self._max_runs = max_runs
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, run: Run) -> None:
        self._runs[run.id] = run
        self.trim()

    def get(self, run_id: str, principal: Principal) -> Run | None:
        run = self._runs.get(run_id)
        return run if run is not None and may_see(principal, run.principal) else None

    def ids(self, principal: Principal) -> list[str]:
        """The ids of the runs of *principal*, the latest first; none for `ANYONE`."""
        if principal == ANYONE:
            return []
        return [run.id for run in reversed(self._runs.values()) if run.principal == principal]

    def trim(self) -> None:
        """Let go of what is above the bounds: called when a run was added, and when one has ended."""
        total = sum(_kept_bytes(run) for run in self._runs.values())
        finished = [run for run in self._runs.values() if run.is_done]
        for run in finished[:-1]:
            if len(self._runs) <= self._max_runs and total <= self._max_bytes:
                return
            del self._runs[run.id]
            total -= _kept_bytes(run)


def _kept_bytes(run: Run) -> int:
    return run.bytes + TASK_BYTES * len(run.states)
