"""How the operator wants a person to be asked for calls."""

from __future__ import annotations

from dataclasses import dataclass

TERMINAL = "terminal"
FLAG = "flag"
"""`plait run --approve`, with which a script says yes to whatever it starts."""


@dataclass(frozen=True, slots=True)
class Approving:
    """The settings of how a person is asked."""

    seconds: float = 600.0
    """The time for an answer."""
    ways: frozenset[str] = frozenset({"elicitation", "terminal", "dashboard"})
    """The ways in which a yes counts."""
    covers_later: bool = False
    """Whether a yes is also one to calls that need a result of the approved ones."""
