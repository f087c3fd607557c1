"""The pace of a run: how much one step may make before others get their turn."""

from __future__ import annotations

from ..expressions.budget import Work

STEPS_PER_CALL = 50
"""The steps of expressions that take about as long as making a call."""
PAUSE_S = 0.02
"""The pause between steps with costly expressions: time for some calls of other clients."""
MAX_CALLS_AT_ONCE = 2_000
"""About the most calls that one step makes: whoever drives the run does other things between."""


class Pace:
    """The room of one run for what it makes in one step."""

    def __init__(self, work: Work) -> None:
        self.room = MAX_CALLS_AT_ONCE
        """The number of calls that may still be made in this step."""
        self.work = work
        """The work of the expressions of the run, since it was last looked at."""
        self._was_costly = False
        """Whether expressions, rather than calls, have used up this step."""

    def begin_step(self) -> float:
        """Let the next step make as much as this one could. Gives the pause before it, in
        seconds."""
        pause_s = PAUSE_S if self._was_costly else 0.0
        self.room, self._was_costly = MAX_CALLS_AT_ONCE, False
        return pause_s

    def is_enough(self) -> bool:
        """Whether others are to have their turn before more is made in this step."""
        work = self.work
        if work.steps >= STEPS_PER_CALL:
            self.room -= work.steps // STEPS_PER_CALL
            self._was_costly = self.room <= 0
            work.steps = 0
        return self.room <= 0
