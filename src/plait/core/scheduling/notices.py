"""Notices, which report to observers what changes in a run.

`at` is in seconds, on the clock of the driver of the scheduler. The notices of a run hold
everything in its record (`observers/records.py` folds them).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ..tools.server_notices import ServerNotice
from ..values.principal import Principal
from .events import Failure, Key, RunLimits, Status, Wait
from .outlines import InnerOutline, TaskOutline

if TYPE_CHECKING:
    from ..language.dag import Dag


class Started(NamedTuple):
    """A run began."""

    run: str
    at: float
    began: float | None
    """The same moment in seconds since 1970; None if unknown."""
    principal: Principal
    client: str | None
    dag: Dag
    digest: str
    tasks: tuple[TaskOutline, ...]
    """In document order."""
    taken_over: Mapping[str, int]
    """The tasks that succeeded in the run that this one goes on from, each with the size of its
    output."""
    returned: tuple[str, ...]
    notes: tuple[str, ...]
    limits: RunLimits
    inner: tuple[InnerOutline, ...] = ()
    """The tasks in groups."""


class Changed(NamedTuple):
    """A task, or one item of a `for_each` task, moved from one status to another. The output of a
    task that has ended can be read under its key."""

    key: Key
    tool: str
    before: Status
    after: Status
    attempt: int
    at: float
    error: Failure | None = None
    """The reason why it did not succeed, or will be retried."""
    due_at: float | None = None
    """The time at which the dependencies of a task had settled, with its first move."""
    waits: tuple[Wait, ...] = ()
    """Its waits before the first move and before the first call, with that move."""
    started_at: float | None = None
    """The time at which the first call of a task was sent, with its last move."""
    took_s: float | None = None
    """The duration of the call that ended with this move."""
    output_bytes: int | None = None
    """The size of its output."""
    cached: bool = False
    """Whether the output is an earlier answer."""
    items: int | None = None
    """The number of items of a `for_each` task, once it is ready."""
    jitter: float | None = None
    """The random share of the pause before the next attempt."""
    notes: tuple[str, ...] = ()
    """Changes that were made in the arguments of a task, once it is ready."""

    @property
    def run(self) -> str:
        return self.key.run

    @property
    def is_next_round(self) -> bool:
        """Whether the call was answered and is made again, as its `repeat` says."""
        if self.before is not Status.RUNNING or self.error is not None:
            return False
        return self.after in {Status.READY, Status.BACKING_OFF}

    @property
    def code(self) -> str | None:
        return None if self.error is None else self.error.code


class Delayed(NamedTuple):
    """A call that was started has waited for its server until now: its time begins now."""

    key: Key
    wait: Wait
    is_first: bool
    """Whether it is the first call of its task."""
    at: float

    @property
    def run(self) -> str:
        return self.key.run


class Progressed(NamedTuple):
    """A call in flight reported its progress."""

    key: Key
    progress: float
    total: float | None
    message: str | None
    at: float

    @property
    def run(self) -> str:
        return self.key.run


class Waiting(NamedTuple):
    """A run waits for a person alone from now on, or does so no more."""

    run: str
    is_waiting: bool
    at: float


class StoodBehind(NamedTuple):
    """A call that is ready comes after a held call of its run, since they use one resource, or does
    so no more."""

    key: Key
    is_behind: bool
    at: float

    @property
    def run(self) -> str:
        return self.key.run


class Finished(NamedTuple):
    """A run has ended."""

    run: str
    status: str
    at: float
    elapsed_s: float
    stopped_by: str | None
    """As in a run's record."""
    counts: Mapping[str, int]
    """The number of tasks that ended with each status."""


RunNotice: TypeAlias = Started | Changed | Delayed | Progressed | Waiting | StoodBehind | Finished
Notice: TypeAlias = RunNotice | ServerNotice
