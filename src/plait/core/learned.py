"""What the gateway learns of tools."""

from __future__ import annotations

from .catalog import Tool
from .schema import Schema
from .strict import Json


class Learned:
    """How long calls take, and the shapes of their outputs."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._is_enabled = enabled

    def saw(self, tool: Tool, seconds: float, value: Json) -> None:
        """A call succeeded."""

    def seconds(self, tool: Tool) -> float | None:
        """What a call is expected to take."""
        return None

    def shape(self, tool: Tool) -> Schema | None:
        """The shape of its outputs."""
        return None
