"""Notes of a run on what becomes known only while it runs."""

from __future__ import annotations

from ..language.scope import Scope
from ..planning.plan import PlannedTask
from ..values.problems import written
from .absences import CONDITIONS, absent
from .frame import TaskCall

MAX_NOTES = 20
"""Most notes on arguments and filters of one run."""


class RunNotes:
    """The notes of one run so far, each once."""

    def __init__(self) -> None:
        self.all: list[str] = []
        """Changes that were made in arguments once they were known, and filters by paths that no
        element has."""
        self._absent: set[tuple[str, str, str]] = set()
        """The absences that are noted."""

    def on_arguments(self, calls: list[TaskCall]) -> tuple[str, ...]:
        """Note, once for each place, what was left out of the arguments of *calls*."""
        left_out = dict.fromkeys(
            (call.key.task, place) for call in calls for place in call.left_out
        )
        notes = [
            f"{task}.arguments{written(place)} was null or empty text and was left out; the tool "
            "does not take it"
            for task, place in left_out
        ]
        return self.add(notes)

    def add(self, notes: list[str]) -> tuple[str, ...]:
        """Return those of *notes* that there is room for."""
        notes = notes[: max(MAX_NOTES - len(self.all), 0)]
        self.all += notes
        return tuple(notes)

    def on_absent(
        self, planned: PlannedTask, scope: Scope | None, *, has_failed: bool = False
    ) -> tuple[str, ...]:
        """Note what filters of *planned* looked for in *scope* and no element has, each once. If it
        *has_failed*, those of its conditions alone: others are in the error, or never counted."""
        if scope is None or not scope.absences:
            return ()
        found = {
            key: note
            for key, note in absent(planned, scope).items()
            if key not in self._absent and (key[1] in CONDITIONS or not has_failed)
        }
        self._absent |= found.keys()
        return self.add([*found.values()])
