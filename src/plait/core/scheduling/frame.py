"""One passage through a plan: the states of its tasks, what they see, and which may go on.

A run has one frame, that of its document. The run moves the tasks; a frame only knows them.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Mapping

from ..language.templates import Scope
from ..planning.plan import Plan, PlannedTask
from ..tools.output import Output
from ..values.strict import Json
from .conflicts import ConflictOrder, Conflicts, Layers
from .events import Key, Status
from .state import TaskState


class Frame:
    """The tasks of one plan while they run. Only `Run` changes it."""

    __slots__ = ("_layers", "_turns", "outputs", "partial", "plan", "run", "states", "unsettled")

    def __init__(
        self, run: str, plan: Plan, conflicts: Conflicts, done: Collection[str] = ()
    ) -> None:
        self.run = run
        self.plan = plan
        self.states = {
            id: TaskState(Key(run, id), task.tool.full_name, len(task.needs))
            for id, task in plan.tasks.items()
        }
        self.outputs: dict[str, Output] = {}
        """The outputs that references see, of the tasks that succeeded."""
        self.partial: dict[str, Output] = {}
        """The outputs of `for_each` tasks that failed here. Only tasks whose `trigger_rule` allows
        failures see them."""
        self.unsettled = len(self.states)
        self._turns = ConflictOrder(
            (id, claims) for id, claims in conflicts.known if id not in done
        )
        is_layered = plan.dag.schedule == "layers"
        self._layers = Layers(conflicts.barriers or plan.layer_of) if is_layered else None

    def visible(self, planned: PlannedTask) -> Mapping[str, Output]:
        """Return the outputs that *planned* sees."""
        if not self.partial or planned.task.trigger_rule == "all_success":
            return self.outputs
        return ChainMap(self.outputs, self.partial)

    def scope(self, planned: PlannedTask, item: Json = None, index: int | None = None) -> Scope:
        """Return what the references of *planned* see, for one of its items if it has any."""
        return Scope(self.visible(planned), item, index)

    def may_decide(self, id: str) -> bool:
        """Whether nothing but its dependencies holds *id* back: no conflict, no layer."""
        is_open = self._layers is None or self._layers.is_open(id)
        return is_open and self.states[id].status is Status.PENDING and self._turns.has_come(id)

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
