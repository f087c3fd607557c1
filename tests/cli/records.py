"""Results of runs that never were, and the text of the lines that are made of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plait.cli.style import Line, Styled
from plait.core.language.dag import Dag
from plait.core.results.record import RunRecord, RunStatus, TaskRecord
from plait.core.results.result import RunResult, result_of
from plait.core.scheduling.events import RunLimits, Status
from plait.core.tools.output import Output
from plait.core.values.principal import USER


def ended(
    status: RunStatus,
    *tasks: TaskRecord,
    outputs: dict[str, Output] | None = None,
    name: str | None = None,
    notes: tuple[str, ...] = (),
    dag: Dag | None = None,
    most_in_flight: int = 1,
) -> RunResult:
    """A run of two seconds."""
    outputs = outputs or {}
    record = RunRecord(
        id="r_1",
        principal=USER,
        client=None,
        dag=dag or Dag(tasks=(), name=name),
        digest="",
        began=None,
        elapsed_s=2.0,
        status=status,
        stopped_by=None,
        tasks={task.id: task for task in tasks},
        returned=tuple(outputs),
        notes=notes,
        limits=RunLimits(timeout_s=3600, max_items=1_000, max_bytes=2**20),
        most_in_flight=most_in_flight,
        waited=tuple(wait for task in tasks for wait in task.waits),
        jitters=(),
    )
    return result_of(record, outputs.get)


def record(id: str, status: Status = Status.SUCCESS, layer: int = 0, **more: Any) -> TaskRecord:
    """A task of one call that took a second, if it succeeded."""
    called = {"attempts": 1, "due_s": 0.0, "start_s": 0.0, "end_s": 1.0, "busy_s": 1.0}
    members = {**(called if status is Status.SUCCESS else {}), "output_bytes": 1, **more}
    return TaskRecord(id, f"s:{id}", layer, status=status, **members)


def shown(lines: Iterable[Line]) -> list[str]:
    return [
        "".join(piece.text if isinstance(piece, Styled) else piece for piece in line).rstrip()
        for line in lines
    ]
