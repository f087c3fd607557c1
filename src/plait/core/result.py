"""What came of a run, as clients read it."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from .strict import Json, JsonObject


class RunStatus(StrEnum):
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class TaskError:
    id: str
    code: str
    message: str
    hint: str | None = None
    retryable: bool | None = None
    caused_by: str | None = None
    rpc_code: int | None = None
    index: int | None = None      # of the item of a for_each task

    def document(self) -> JsonObject: ...


@dataclass(frozen=True, slots=True)
class TaskResult:
    id: str
    tool: str
    status: str
    layer: int
    start_ms: float | None
    duration_ms: float | None
    attempts: int
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Metrics:
    execution_time_ms: float
    sequential_time_ms: float
    speedup: float
    critical_path: tuple[str, ...]
    critical_path_ms: float
    overhead_ms: float
    max_parallelism: int
    average_parallelism: float
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RunResult:
    status: RunStatus
    run_id: str
    name: str | None
    errors: tuple[TaskError, ...]
    outputs: Mapping[str, Json]              # of the tasks in `return`
    attachments: Mapping[str, list[JsonObject]]   # non-text content blocks (images, audio) of returned outputs, by task
    notes: tuple[str, ...]
    tasks: tuple[TaskResult, ...]            # document order
    layers: tuple[tuple[str, ...], ...]
    metrics: Metrics

    def document(self, detail: str = "concise") -> JsonObject:
        """Contract section 5, key order kept, nothing cut."""
        raise NotImplementedError
