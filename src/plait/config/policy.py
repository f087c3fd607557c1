"""`[policy]` as a model. Each field is explained in `docs/configuration.md`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ..core.tools.rules import Answer, Rules
from .fields import PolicyRule, Section
from .places import Steps, place


class PolicySettings(Section):
    """`[policy]`"""

    default: Literal["allow", "ask", "deny"] = "allow"
    """For tools that no rule matches."""
    deny: tuple[PolicyRule, ...] = ()
    ask: tuple[PolicyRule, ...] = ()
    ask_each: tuple[PolicyRule, ...] = ()
    allow: tuple[PolicyRule, ...] = ()

    def rules(self, section: str = "policy", lines: Mapping[Steps, int] | None = None) -> Rules:
        """Return these rules, which stand in *section*. *lines* are those of the file, by place."""
        found: dict[tuple[str, int], int] = {}
        for steps, line in (lines or {}).items():
            match steps:
                case (*table, str(key), int(index)) if place(tuple(table)) == section:
                    found[key, index] = line
                case (*table, "default") if place(tuple(table)) == section:
                    found["default", 0] = line
        return Rules(
            self.deny, self.ask_each, self.ask, self.allow, Answer(self.default), section, found
        )
