"""What a run knows of each of its tasks, and of each call that a task makes."""

from __future__ import annotations

from ..errors import CallError
from .events import Key, Status
from .output import Output
from .plan import PlannedTask
from .strict import JsonObject


class Unit:
    """One call that a task makes: the task's own, or that of one item of `for_each`."""

    __slots__ = ("arguments", "attempts", "key", "planned", "started_at")

    def __init__(self, key: Key, planned: PlannedTask, arguments: JsonObject) -> None:
        self.key = key
        self.planned = planned
        self.arguments = arguments
        self.attempts = 0
        self.started_at: float | None = None

    def __lt__(self, other: Unit) -> bool:
        return self.key < other.key


class Items:
    """What has come of the items of a `for_each` task."""

    __slots__ = ("errors", "left", "outputs")

    def __init__(self, count: int) -> None:
        self.outputs: list[Output | None] = [None] * count
        self.errors: list[tuple[int, CallError]] = []
        self.left = count


class TaskState:
    """What has come of one task so far. Times are in seconds, on the caller's clock."""

    __slots__ = (
        "attempts", "busy_s", "caused_by", "code", "ended_at", "error", "items", "message", "output",
        "started_at", "status", "waiting",
    )  # fmt: skip

    def __init__(self, waiting: int) -> None:
        self.status = Status.PENDING
        self.waiting = waiting
        """Dependencies that have not come to their end."""
        self.attempts = 0
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.busy_s = 0.0
        """The time its calls took, added up."""
        self.error: CallError | None = None
        self.code: str | None = None
        """Why it did not succeed, where no call of its own failed."""
        self.message: str | None = None
        self.caused_by: str | None = None
        self.output: Output | None = None
        """Kept also of a task that failed with one: `invalid_output`, `for_each`."""
        self.items: Items | None = None

    @property
    def is_well(self) -> bool:
        """Whether it ended as it should: it succeeded, or its own condition said that it need not run."""
        return self.status is Status.SUCCESS or (self.status is Status.SKIPPED and self.code == "condition")

    @property
    def fate(self) -> str:
        """What became of it, as the end of a sentence."""
        match self.status:
            case Status.SKIPPED:
                return "was skipped"
            case Status.TIMEOUT:
                return "timed out"
            case Status.CANCELLED:
                return "was cancelled"
        return "failed"
