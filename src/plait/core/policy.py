"""What the operator says of tools: how long a call may take, its weight, may it be repeated, is it denied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from .catalog import Tool

DEFAULT_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Rule:
    """What is said of the tools whose full name matches `pattern` (a glob)."""

    pattern: str
    timeout_s: float | None = None
    weight: int | None = None
    idempotent: bool | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules; where several match a tool, the last that says something counts."""

    rules: tuple[Rule, ...] = ()
    deny: tuple[str, ...] = ()
    server_timeouts: Mapping[str, float] = field(default_factory=dict)

    def denies(self, tool: Tool) -> str | None:
        """The pattern that denies *tool*, if one does."""
        return next((pattern for pattern in self.deny if fnmatchcase(tool.full_name, pattern)), None)

    def timeout_s(self, tool: Tool) -> float:
        said = [rule.timeout_s for rule in self._of(tool) if rule.timeout_s is not None]
        return said[-1] if said else self.server_timeouts.get(tool.server, DEFAULT_TIMEOUT_S)

    def weight(self, tool: Tool) -> int:
        said = [rule.weight for rule in self._of(tool) if rule.weight is not None]
        return said[-1] if said else 1

    def may_repeat(self, tool: Tool) -> bool:
        """Whether a call that may have taken effect may be sent again."""
        said = [rule.idempotent for rule in self._of(tool) if rule.idempotent is not None]
        return said[-1] if said else tool.is_idempotent

    def _of(self, tool: Tool) -> list[Rule]:
        return [rule for rule in self.rules if fnmatchcase(tool.full_name, rule.pattern)]
