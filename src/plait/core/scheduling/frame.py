"""One passage through a plan: the states of its tasks, their calls, what they see, and which may
go on.

A run has one frame for its document, and each item of a group that is under way has one of its own,
for the tasks of the group. The run moves the tasks; a frame only knows them.
"""

from __future__ import annotations

from collections import ChainMap, deque
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from ..expressions.budget import Work
from ..language.references import INDEX, ITEM
from ..language.scope import Scope
from ..planning.names import item_named
from ..planning.plan import Plan, PlannedTask
from ..tools.catalog import Tool
from ..tools.output import Output
from ..tools.overwriting import Reading
from ..values.schema import Place
from ..values.strict import Json, JsonObject
from .conflicts import ConflictOrder, Conflicts, Layers
from .events import PENDING, Call, Failure, Key, Wait, Why
from .state import TaskState
from .tally import Tally


class TaskCall:
    """One call of a task, or of one item of a `for_each` task. Times are in seconds."""

    __slots__ = (
        "arguments",
        "attempts",
        "frame",
        "is_approved",
        "item",
        "key",
        "left_out",
        "pages",
        "paused_s",
        "planned",
        "reading",
        "rounds",
        "started_at",
        "took_s",
        "waiting_since",
        "waits",
        "why_asked",
    )

    frame: Frame
    """The frame of its task, set once the call is added to its run."""

    def __init__(
        self,
        key: Key,
        planned: PlannedTask,
        arguments: JsonObject,
        item: Json = None,
        left_out: tuple[Place, ...] = (),
    ) -> None:
        self.key = key
        self.planned = planned
        self.arguments = arguments
        self.left_out = left_out
        """The places of optional arguments that were null or empty text, which the tool does not
        take."""
        self.item = item
        """The item of a `for_each` task."""
        self.attempts = 0
        """The attempts of its present round."""
        self.is_approved = False
        """Whether a person said yes to its present round."""
        self.reading: Reading | None = None
        """The reading to which a person was shown the difference, if it is to be confirmed before
        the call is made."""
        self.why_asked = Why.POLICY
        """The reason for which that person was asked."""
        self.rounds = 0
        """The number of answers after which it was made again: the pages before this one."""
        self.pages: list[Output] | None = None
        """The outputs of those rounds, and of the present one once it is answered."""
        self.started_at: float | None = None
        self.took_s: float | None = None
        """The duration of its last finished attempt."""
        self.paused_s = 0.0
        """The time in which the client was asked, in its present attempt."""
        self.waiting_since = 0.0
        """The time when the wait began that is not yet in `waits`."""
        self.waits: tuple[Wait, ...] = ()
        """Waits for limits, conflicts and files before the first attempt."""

    @property
    def tool(self) -> Tool:
        return self.planned.tool

    def __lt__(self, other: TaskCall) -> bool:
        return self.key < other.key

    def command(self, attempt: int) -> Call:
        """The command that makes *attempt* of its present round."""
        planned = self.planned
        return Call(
            self.key,
            planned.tool,
            self.arguments,
            planned.timeout_s,
            attempt,
            planned.policy,
            planned.cache_s if attempt == 1 else 0.0,
            self.rounds,
            self.is_approved,
        )

    def waited(self, why: str, on: str, now: float, resource: str | None = None) -> None:
        """Record the wait that just ended and start timing the next."""
        if now > self.waiting_since and not self.attempts:
            self.waits = (*self.waits, Wait(why, on, now - self.waiting_since, resource))
        self.waiting_since = now


class Group:
    """The items of a group under way: each has a frame, made only when its turn comes."""

    __slots__ = ("frames", "left", "stopped", "values", "window")

    def __init__(self, values: list[Json], left: deque[int], window: int) -> None:
        self.values = values
        """The items; one null for a group without `for_each`."""
        self.window = window
        """Most items under way."""
        self.left = left
        """The items that have not started, in their order."""
        self.stopped: Failure | None = None
        """Why it was stopped, if some of its items still clean up."""
        self.frames: dict[int, Frame] = {}
        """The frames of the items under way, by item."""


class Around(NamedTuple):
    """The group that a frame is in, and the item that it is for."""

    frame: Frame
    id: str
    item: int | None
    """Its number; None for a group without `for_each`."""

    @property
    def state(self) -> TaskState:
        return self.frame.states[self.id]

    @property
    def planned(self) -> PlannedTask:
        return self.frame.plan.tasks[self.id]

    @property
    def group(self) -> Group:
        return self.frame.open_groups[self.id]


class Frame:
    """The tasks of one plan while they run. Only `Run` changes it."""

    __slots__ = (
        "_layers",
        "_turns",
        "around",
        "at",
        "began",
        "bytes",
        "failure",
        "index",
        "is_ended",
        "is_ordered",
        "is_tracked",
        "item",
        "open_groups",
        "outputs",
        "partial",
        "plan",
        "priority",
        "ready",
        "rest_s",
        "run",
        "states",
        "unsettled",
        "work",
    )

    def __init__(
        self,
        run: str,
        plan: Plan,
        conflicts: Conflicts | None = None,
        done: Collection[str] = (),
        around: Around | None = None,
        item: Json = None,
        tallies: Mapping[str, Tally] | None = None,
        began: float | None = None,
    ) -> None:
        self.run = run
        self.began: float | None = began if around is None else around.frame.began
        self.work: Work = Work() if around is None else around.frame.work
        """The work of the expressions of the run, since it was last looked at."""
        self.plan = plan
        self.around = around
        self.at: tuple[int, ...] = ()
        """The items of the groups around it, the outermost first."""
        self.item = item
        self.index: int | None = None
        """The item, and its number, that references without a group name see."""
        self.outputs: dict[str, Output] = {}
        """The outputs that references see, of the tasks that succeeded here."""
        self.rest_s = 0.0
        """The expected time of the longest chain behind its group."""
        self.priority = 0.0
        """The sum of the priorities of the groups around it."""
        if around is not None:
            frame, id, index = around
            self.at, self.item, self.index = frame.at, frame.item, frame.index
            self.priority = frame.priority + frame.plan.tasks[id].task.priority
            self.rest_s = frame.rest_s + frame.plan.remaining[id] - frame.plan.costs[id]
            if index is not None:
                self.at, self.item, self.index = (*frame.at, index), item, index
                self.outputs[item_named(ITEM, id)] = Output.of(item)
                self.outputs[item_named(INDEX, id)] = Output.of(index)
        self.states = {
            id: TaskState(Key(run, id, None, self.at), task.tool.full_name, len(task.needs))
            for id, task in plan.tasks.items()
        }
        for id, state in self.states.items() if tallies else ():
            state.tally = tallies.get(id) if tallies is not None else None
        self.open_groups: dict[str, Group] = {}
        """The groups among its tasks that are under way, by id."""
        self.is_tracked = around is not None or bool(plan.cleanup)
        """Whether it can be stopped while its run goes on."""
        self.ready: dict[Key, TaskCall] = {}
        """The calls that are ready and not started, if it is tracked."""
        self.partial: dict[str, Output] = {}
        """The outputs of `for_each` tasks that failed or were stopped here. Only tasks whose
        `trigger_rule` allows failures see them."""
        self.unsettled = len(self.states)
        self.is_ended = False
        self.failure: Failure | None = None
        """The first failure of a task without which its item fails."""
        self.bytes = 0
        """About the memory that its outputs take."""
        self._turns = ConflictOrder(
            (id, claims) for id, claims in (conflicts or Conflicts()).known if id not in done
        )
        is_layered = plan.dag.schedule == "layers"
        barriers = plan.layer_of if conflicts is None else conflicts.barriers or plan.layer_of
        self._layers = Layers(barriers) if is_layered else None
        self.is_ordered = is_layered or bool(self._turns)
        """Whether conflicts or layers may hold tasks back whose dependencies have settled."""

    def __repr__(self) -> str:
        place = "" if self.around is None else f" of {self.around.id}{[*self.at]}"
        return f"<Frame{place}: {self.unsettled} of {len(self.states)} tasks left>"

    def groups(self) -> Iterator[Around]:
        """Yield the groups around it, the nearest first."""
        around = self.around
        while around is not None:
            yield around
            around = around.frame.around

    def visible(self, planned: PlannedTask) -> Mapping[str, Output]:
        """Return the outputs that *planned* sees: those of the tasks around the group too."""
        sees_failures = planned.task.trigger_rule != "all_success"
        return ChainMap(*self.outputs_seen(with_failures=sees_failures))

    def outputs_seen(self, *, with_failures: bool) -> list[dict[str, Output]]:
        """List the outputs here and around the group, the nearest first; with the lists of
        `for_each` tasks that failed, or without."""
        seen = [self.outputs, self.partial] if with_failures else [self.outputs]
        if self.around is not None:
            seen += self.around.frame.outputs_seen(with_failures=with_failures)
        return seen

    def scope(self, planned: PlannedTask, item: Json = None, index: int | None = None) -> Scope:
        """Return what the references of *planned* see, for one of its items if it has any."""
        if index is None and self.around is not None:
            item, index = self.item, self.index
        outputs: Mapping[str, Output] = self.outputs
        if self.around is not None or self.partial:  # as in few runs
            outputs = self.visible(planned)
        return Scope(outputs, item, index, planned.seen, self.began, ends=self, work=self.work)

    @property
    def result_scope(self) -> Scope:
        """The scope of the value and the `select` of the group, once the tasks here have ended."""
        assert self.around is not None
        planned = self.around.planned
        sees_failures = planned.task.trigger_rule != "all_success"
        around = self.around.frame.outputs_seen(with_failures=sees_failures)
        outputs = ChainMap(self.outputs, *around)
        names = planned.seen
        return Scope(outputs, self.item, self.index, names, self.began, ends=self, work=self.work)

    def status(self, id: str) -> str | None:
        """Return how the task *id* ended, here or around the group."""
        state = self._state(id)
        return None if state is None or not state.status.is_final else str(state.status)

    def error(self, id: str) -> Json:
        """Return why the task *id*, here or around the group, did not succeed; None if it did, or
        was skipped by a condition."""
        state = self._state(id)
        return None if state is None else state.failure()

    def _state(self, id: str) -> TaskState | None:
        frame: Frame | None = self
        while frame is not None and id not in frame.states:
            frame = None if frame.around is None else frame.around.frame
        return None if frame is None else frame.states[id]

    def has_ended(self, id: str) -> bool:
        return self.states[id].status.is_final

    def may_decide(self, id: str) -> bool:
        """Whether nothing but its dependencies holds *id* back: no conflict, no layer."""
        if self.states[id].status is not PENDING:
            return False
        is_open = self._layers is None or self._layers.is_open(id)
        return is_open and (not self.is_ordered or self._turns.has_come(id))

    def released(self, id: str) -> list[tuple[str, str]]:
        """Return the tasks that waited for the end of *id* alone, which has come, each with the
        resource that both use."""
        return self._turns.end(id)

    def opened(self, id: str) -> list[str]:
        """Return the tasks of the layers that the end of *id* opens."""
        return [] if self._layers is None else [*self._layers.end(id)]

    def close(self) -> None:
        """Drop what only unfinished tasks need."""
        self._turns = ConflictOrder(())
