"""The frame of one evaluation: the values of its references, the start of the run, and what it may
still spend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from ..values.strict import Json
from .absences import Absences
from .budget import Budget, size
from .nodes import Key
from .patterns import STEPS_TO_COMPILE, Pattern, pattern

MAX_PATTERNS = 16
"""Most patterns that one evaluation has at hand."""


class Operand(NamedTuple):
    """A value that an expression is given. If it `is_wrapped`, it is only the wrapper
    `{"result": x}` that SDKs put around a value, and paths may go straight into x."""

    value: Json
    is_wrapped: bool = False


Bindings: TypeAlias = Mapping[Key, Operand]
MISSING = Operand(None)


class Frame:
    """One evaluation."""

    __slots__ = ("_patterns", "absences", "bindings", "budget", "start")

    def __init__(
        self,
        value: Any,
        bindings: Bindings,
        start: float | None = None,
        absences: Absences | None = None,
    ) -> None:
        self.bindings = bindings
        self.absences = absences
        """The paths of filters that no element had, if anyone asks for them."""
        self.budget = Budget(
            lambda: size([value, *[operand.value for operand in bindings.values()]])
        )
        self.start = start
        """When the run started, in seconds since 1970, if there is a run."""
        self._patterns: dict[str, Pattern] | None = None

    def pattern(self, text: str) -> Pattern:
        """Compile *text*, paying for it even where it has been kept: what an evaluation costs
        depends on itself alone. Raises `Unfit`."""
        known = self._patterns
        if known is None or (len(known) >= MAX_PATTERNS and text not in known):
            known = self._patterns = {}
        if (found := known.get(text)) is None:
            found = known[text] = pattern(text)
            self.budget.spend(STEPS_TO_COMPILE * found.instructions)
        return found


Run: TypeAlias = Callable[[Any, Frame], Any]
"""A node that was compiled: it gives a value for the current value."""
