"""The state of each task of a run, and of the items of one that has a `for_each`."""

from __future__ import annotations

from ...errors import ApprovalDenied, ApprovalRequired
from ..tools.output import Output
from ..values.strict import Json, JsonObject
from .events import (
    PENDING,
    SUCCESS,
    Failure,
    Key,
    Status,
    Wait,
)
from .tally import Tally

NOT_APPROVED = frozenset({ApprovalDenied.code, ApprovalRequired.code})


class Items:
    """The state of the items of a `for_each` task."""

    __slots__ = ("bytes", "errors", "left", "looked_at", "outputs", "statuses", "values")

    def __init__(self, count: int) -> None:
        self.outputs: list[Output | None] = [None] * count
        self.statuses = [PENDING] * count
        self.errors: list[tuple[int, Failure]] = []
        self.left = count
        self.values: list[Json] = []
        """The items themselves, where they are known."""
        self.looked_at = 0
        """The number of items, from the first, whose calls or values were made."""
        self.bytes = 0
        """The size of the arguments of those calls."""

    @property
    def has_success(self) -> bool:
        return SUCCESS in self.statuses

    def output(self) -> Output:
        """Return the outputs in the order of the items, null if absent."""
        there = [output for output in self.outputs if output is not None]
        value: list[Json] = [None if output is None else output.value for output in self.outputs]
        attachments = tuple(block for output in there for block in output.attachments)
        return Output(
            value,
            attachments,
            sum(output.size_bytes for output in there),
            overhead_bytes=sum(output.overhead_bytes for output in there),
            attachments_by_item=tuple(
                0 if output is None else len(output.attachments) for output in self.outputs
            )
            if attachments
            else (),
        )


class TaskState:
    """The state of one task. Times are in seconds, on the caller's clock."""

    __slots__ = (
        "attempts",
        "busy_s",
        "due_at",
        "ended_at",
        "error",
        "is_fresh",
        "items",
        "key",
        "needs_left",
        "output",
        "rounds",
        "started_at",
        "status",
        "tally",
        "tool",
        "waits",
    )  # fmt: skip

    def __init__(self, key: Key, tool: str, needs_left: int) -> None:
        self.key = key
        self.tool = tool
        self.status = PENDING
        self.needs_left = needs_left
        """The number of unfinished dependencies."""
        self.attempts = 0
        self.is_fresh = False
        """Whether its server answered a call of it, rather than the cache."""
        self.due_at: float | None = None
        """The time at which its dependencies had settled."""
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.busy_s = 0.0
        """The total duration of its calls."""
        self.rounds = 0
        """The number of answers after which a call of it was made again, as its `repeat` says."""
        self.waits: tuple[Wait, ...] = ()
        """The waits of its first call once it was due."""
        self.error: Failure | None = None
        """The reason why it did not succeed; the first error of its items for a `for_each` task."""
        self.output: Output | None = None
        """Failed tasks may have an output too: `invalid_output`, `for_each`."""
        self.items: Items | None = None
        self.tally: Tally | None = None
        """Counts its moves, if it is in a group."""

    def failure(self) -> Json:
        """Return why it did not succeed, as `$ERROR[id]` shows it; None if it ended well and no
        item of it failed."""
        items = self.items
        errors = [] if items is None else sorted(items.errors, key=lambda pair: pair[0])
        error = self.error if self.error is not None else errors[0][1] if errors else None
        if error is None or (self.is_well and not errors):
            return None
        shown: JsonObject = {"code": error.code, "message": error.message}
        if items is not None:
            values = items.values
            shown["items"] = [
                {
                    "index": index,
                    "item": values[index] if index < len(values) else None,
                    "code": one.code,
                    "message": one.message,
                }
                for index, one in errors
            ]
        return shown

    @property
    def is_well(self) -> bool:
        """Whether it ended well: it succeeded, or it was skipped by a condition, its own or that
        of a task that it hangs on."""
        if self.status is SUCCESS:
            return True
        return (
            self.status is Status.SKIPPED
            and self.error is not None
            and self.error.code == "condition"
        )

    @property
    def was_refused(self) -> bool:
        """Whether it failed only because no person said yes to its calls."""
        if self.error is None or self.error.code not in NOT_APPROVED:
            return False
        errors = [] if self.items is None else self.items.errors
        return all(error.code in NOT_APPROVED for _, error in errors)

    @property
    def cached(self) -> bool:
        """Whether its answer came from the cache (`for_each`: that of every item)."""
        return self.status is SUCCESS and self.attempts > 0 and not self.is_fresh

    @property
    def fate(self) -> str:
        """Describe how it ended, as the end of a sentence."""
        match self.status:
            case Status.SKIPPED:
                return "was skipped"
            case Status.TIMEOUT:
                return "timed out"
            case Status.CANCELLED:
                return "was cancelled"
        return "failed"
