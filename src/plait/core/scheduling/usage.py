"""The use that one run makes of its limits: its calls, and the memory of its outputs."""

from __future__ import annotations

from ...errors import LimitExceeded, OutputTooLarge
from ..tools.output import Output
from .events import RunLimits


class Usage:
    """The calls and the memory that a run uses. Nothing is given back before the run ends."""

    __slots__ = ("bytes", "calls", "limits")

    def __init__(self, limits: RunLimits) -> None:
        self.limits = limits
        self.bytes = 0
        """About the memory that its outputs take."""
        self.calls = 0
        """The calls and made values of its tasks and items so far; repeated attempts do not
        count."""

    def keep(self, output: Output) -> None:
        """Count *output*, which is kept from now on. Raises `OutputTooLarge` if it does not
        fit."""
        total = self.bytes + output.memory_bytes
        if total > self.limits.max_bytes:
            raise OutputTooLarge(
                f"the outputs of this run would take more than {self.limits.max_bytes:,} bytes "
                "of memory",
                hint="Ask the tools for less, or shrink their outputs with select.",
            )
        self.bytes = total

    def add_calls(self, count: int) -> None:
        """Count *count* calls or values that will be made. Raises `LimitExceeded`."""
        if self.calls + count > self.limits.max_calls:
            raise LimitExceeded(
                f"it has {count:,} calls or values, and this run has made {self.calls:,} of at "
                f"most {self.limits.max_calls:,}",
                hint="Send the rest as another DAG.",
            )
        self.calls += count
