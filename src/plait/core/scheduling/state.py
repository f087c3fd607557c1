"""What a run knows of each of its tasks, and of each call that a task makes."""

from __future__ import annotations

from ..planning.plan import Plan, PlannedTask
from ..tools.catalog import Tool
from ..tools.output import Output
from ..values.strict import Json, JsonObject
from .events import Failure, Key, Status, TaskOutline, Wait


class TaskCall:
    """One call that a task makes: the task's own, or that of one item of `for_each`. Times are in
    seconds."""

    __slots__ = (
        "arguments",
        "attempts",
        "due_at",
        "key",
        "paused_s",
        "planned",
        "started_at",
        "took_s",
        "waits",
    )

    def __init__(self, key: Key, planned: PlannedTask, arguments: JsonObject) -> None:
        self.key = key
        self.planned = planned
        self.arguments = arguments
        self.attempts = 0
        self.started_at: float | None = None
        self.took_s: float | None = None
        """How long its last attempt took, from when that has ended."""
        self.paused_s = 0.0
        """How long its present attempt waited for the client that was asked something."""
        self.due_at = 0.0
        """Since when it waits for nothing but what `waits` does not hold yet."""
        self.waits: tuple[Wait, ...] = ()
        """What its first attempt waited for, though it could have started."""

    @property
    def tool(self) -> Tool:
        return self.planned.tool

    def __lt__(self, other: TaskCall) -> bool:
        return self.key < other.key

    def waited(self, why: str, on: str, now: float, resource: str | None = None) -> None:
        """What kept it from starting since it was due is over, or was something else."""
        if now > self.due_at and not self.attempts:
            self.waits = (*self.waits, Wait(why, on, now - self.due_at, resource))
        self.due_at = now


class Items:
    """What has come of the items of a `for_each` task."""

    __slots__ = ("errors", "left", "outputs", "statuses")

    def __init__(self, count: int) -> None:
        self.outputs: list[Output | None] = [None] * count
        self.statuses = [Status.PENDING] * count
        self.errors: list[tuple[int, Failure]] = []
        self.left = count

    def output(self) -> Output:
        """The outputs in the order of the items, null for one that has none."""
        there = [output for output in self.outputs if output is not None]
        value: list[Json] = [None if output is None else output.value for output in self.outputs]
        attachments = tuple(block for output in there for block in output.attachments)
        return Output(value, attachments, sum(output.size_bytes for output in there))


class TaskState:
    """What has come of one task so far. Times are in seconds, on the caller's clock."""

    __slots__ = (
        "attempts", "busy_s", "due_at", "ended_at", "error", "is_fresh", "items",
        "key", "output", "started_at", "status", "tool", "waiting", "waits",
    )  # fmt: skip

    def __init__(self, key: Key, tool: str, waiting: int) -> None:
        self.key = key
        self.tool = tool
        self.status = Status.PENDING
        self.waiting = waiting
        """Dependencies that have not come to their end."""
        self.attempts = 0
        self.is_fresh = False
        """Whether a call of it was answered by its server, and not with an earlier answer."""
        self.due_at: float | None = None
        """When its dependencies had come to their end."""
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.busy_s = 0.0
        """The time its calls took, added up."""
        self.waits: tuple[Wait, ...] = ()
        """What its first call waited for once it was due."""
        self.error: Failure | None = None
        """Why it did not succeed; of a `for_each` task whose items failed, the first of their
        errors."""
        self.output: Output | None = None
        """Kept also of a task that failed with one: `invalid_output`, `for_each`."""
        self.items: Items | None = None

    @property
    def is_well(self) -> bool:
        """Whether it ended as it should: it succeeded, or its own condition said that it need not
        run."""
        if self.status is Status.SUCCESS:
            return True
        return (
            self.status is Status.SKIPPED
            and self.error is not None
            and self.error.code == "condition"
        )

    @property
    def cached(self) -> bool:
        """Whether its answer was an earlier one (for `for_each`: that of every item)."""
        return self.status is Status.SUCCESS and self.attempts > 0 and not self.is_fresh

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


def outlines_of(plan: Plan) -> tuple[TaskOutline, ...]:
    """What *plan* says of each task, in document order."""
    layer_of, costs, remaining, untimed = (
        plan.layer_of,
        plan.costs,
        plan.remaining,
        frozenset(plan.untimed),
    )
    return tuple(
        [
            TaskOutline(
                id,
                name := task.tool.full_name,
                layer_of[id],
                task.needs,
                task.drew_on,
                None if name in untimed else costs[id],
                remaining[id],
            )
            for id, task in plan.tasks.items()
        ]
    )
