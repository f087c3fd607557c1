"""The runs of this process, kept in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..core.results.record import RunRecord
from ..core.tools.output import Output
from ..core.values.principal import ANYONE, Principal, may_see

MAX_RUNS = 200
MAX_BYTES = 512 * 2**20
TASK_BYTES = 4_096
"""Bytes that a task counts for, besides its output: its part of the document and of the record."""


class InMemoryRuns:
    """Keeps the latest runs; above its bounds the oldest finished ones are dropped. A
    `RunStore`."""

    def __init__(self, max_runs: int = MAX_RUNS, max_bytes: int = MAX_BYTES) -> None:
        self._runs: dict[str, _Kept] = {}
        self._max_runs = max_runs
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, record: RunRecord) -> None:
        self.put(record, {})

    def put(self, record: RunRecord, outputs: Mapping[str, Output]) -> None:
        size = sum(output.size_bytes for output in outputs.values()) + TASK_BYTES * len(
            record.tasks
        )
        self._runs[record.id] = _Kept(record, outputs, size)
        self._trim()

    def get(self, run_id: str, principal: Principal) -> RunRecord | None:
        kept = self._runs.get(run_id)
        return (
            kept.record if kept is not None and may_see(principal, kept.record.principal) else None
        )

    def output(self, run_id: str, task: str) -> Output | None:
        kept = self._runs.get(run_id)
        return None if kept is None else kept.outputs.get(task)

    def ids(self, principal: Principal) -> list[str]:
        if principal == ANYONE:
            return []
        return [
            id for id, kept in reversed(self._runs.items()) if kept.record.principal == principal
        ]

    def _trim(self) -> None:
        total = sum(kept.size_bytes for kept in self._runs.values())
        finished = [kept for kept in self._runs.values() if kept.record.is_done]
        for kept in finished[:-1]:
            if len(self._runs) <= self._max_runs and total <= self._max_bytes:
                return
            del self._runs[kept.record.id]
            total -= kept.size_bytes


class _Kept(NamedTuple):
    record: RunRecord
    outputs: Mapping[str, Output]
    size_bytes: int
