"""The runs of this process, kept in memory.

An output of many small values takes many times its size as JSON: where that is much, it is kept as
JSON once its run has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from ..core.results.record import RunRecord
from ..core.tools.output import Output
from ..core.values.principal import ANYONE, Principal, may_see
from ..core.values.strict import decode, encode, measure

MAX_RUNS = 200
MAX_BYTES = 512 * 2**20
PACKED_BYTES = 4_096
"""Outputs that take at least so much more than their JSON are kept as JSON."""
TASK_BYTES = 4_096
"""Bytes that a task counts for, besides its output: its part of the document and of the record."""


class InMemoryRuns:
    """Keeps the latest runs; above its bounds the oldest finished ones are dropped, of the
    principal who has the most. A `RunStore`."""

    def __init__(self, max_runs: int = MAX_RUNS, max_bytes: int = MAX_BYTES) -> None:
        self._runs: dict[str, _Kept] = {}
        self._max_runs = max_runs
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, record: RunRecord) -> None:
        self.put(record, {})

    def put(self, record: RunRecord, outputs: Mapping[str, Output]) -> None:
        kept = {task: _packed(output) for task, output in outputs.items()}
        size = sum(part.memory_bytes for part in kept.values()) + TASK_BYTES * len(record.tasks)
        self._runs[record.id] = _Kept(record, kept, size)
        self._trim()

    def get(self, run_id: str, principal: Principal) -> RunRecord | None:
        kept = self._runs.get(run_id)
        return (
            kept.record if kept is not None and may_see(principal, kept.record.principal) else None
        )

    def output(self, run_id: str, task: str) -> Output | None:
        kept = self._runs.get(run_id)
        output = None if kept is None else kept.outputs.get(task)
        return output.unpacked() if isinstance(output, _Packed) else output

    def ids(self, principal: Principal) -> list[str]:
        if principal == ANYONE:
            return []
        return [
            id for id, kept in reversed(self._runs.items()) if kept.record.principal == principal
        ]

    def _trim(self) -> None:
        while (surplus := self._surplus()) is not None:
            del self._runs[surplus.record.id]

    def _surplus(self) -> _Kept | None:
        """Return the run to drop next: the oldest finished one of the principal that takes the most
        of what is short; None if all fit. The latest stays in any case."""
        is_many = len(self._runs) > self._max_runs
        if not is_many and sum(kept.size_bytes for kept in self._runs.values()) <= self._max_bytes:
            return None
        shares: Counter[Principal] = Counter()
        for kept in self._runs.values():
            shares[kept.record.principal] += 1 if is_many else kept.size_bytes
        finished = [kept for kept in self._runs.values() if kept.record.is_done][:-1]
        return max(finished, key=lambda kept: shares[kept.record.principal], default=None)


class _Packed(NamedTuple):
    """An output whose value is kept as JSON."""

    text: bytes
    output: Output
    """The output without its value."""

    @property
    def memory_bytes(self) -> int:
        attachments = self.output.attachments
        return len(self.text) + (measure(list(attachments)) if attachments else 0)

    def unpacked(self) -> Output:
        return replace(self.output, value=decode(self.text))


class _Kept(NamedTuple):
    record: RunRecord
    outputs: Mapping[str, Output | _Packed]
    size_bytes: int


def _packed(output: Output) -> Output | _Packed:
    if output.overhead_bytes < PACKED_BYTES:
        return output
    text = bytes(memoryview(encode(output.value)))  # a copy: the encoder's own keeps spare room
    return _Packed(text, replace(output, value=None))
