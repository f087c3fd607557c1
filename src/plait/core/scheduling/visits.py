"""Calls from outside of any run, such as a client makes by a tool's name: what stands for one in the lines.

A visit asks for what it accesses and for room as the calls of runs do, and holds both until it leaves. It has neither
plan nor retries: who makes the call sends it and waits for its answer.
"""

from __future__ import annotations

from ..tools.catalog import Catalog, Tool
from ..tools.claims import Accesses, AccessRules, access_rules_of
from ..tools.policy import Policy
from ..values.strict import Json
from .events import Key
from .lanes import VISITS, SlotRequest, Urgency

_FIRST = float("-inf")


class Visit:
    """One visit, from when it enters until it leaves. Times are in seconds."""

    __slots__ = ("accesses", "demand", "key", "paused_s", "started_at", "tool")

    def __init__(self, number: int, tool: Tool, demand: SlotRequest, accesses: Accesses | None = None) -> None:
        self.key = Key(VISITS, tool.full_name, number)
        self.tool = tool
        self.demand = demand
        self.accesses = accesses
        self.started_at: float | None = None
        """When it was admitted."""
        self.paused_s = 0.0
        """How long it waited for the client that was asked something."""

    def __repr__(self) -> str:
        return f"<Visit {self.key.item} of {self.tool.full_name}>"

    @property
    def urgency(self) -> Urgency:
        """That of tasks of priority 0 whose chain is the longest; of two visits, the first goes first."""
        return (0.0, _FIRST, self.key.item or 0)


class Visitors:
    """Makes visits by what *policy* says of tools and, unless conflicts are ignored, of what they access; looked up
    once for each tool."""

    def __init__(self, policy: Policy, *, detect_conflicts: bool = True) -> None:
        self._policy = policy
        self._detect_conflicts = detect_conflicts
        self._catalog: Catalog | None = None
        self._tools: dict[str, tuple[Tool, SlotRequest, AccessRules | None]] = {}

    def visit(self, number: int, catalog: Catalog, name: str, arguments: Json) -> Visit:
        """The visit of that *number*, for one call of the tool of that full *name*, listed or not."""
        if catalog is not self._catalog:
            self._catalog = catalog
            self._tools.clear()
        if (known := self._tools.get(name)) is None:
            known = self._tools[name] = self._look_up(catalog, name)
        tool, demand, rules = known
        if rules is None or not isinstance(arguments, dict):
            return Visit(number, tool, demand)
        return Visit(number, tool, demand, rules.accesses(arguments))

    def _look_up(self, catalog: Catalog, name: str) -> tuple[Tool, SlotRequest, AccessRules | None]:
        server, _, of_server = name.partition(":")
        tool = catalog.tools.get(name) or Tool(server, of_server, listed=False)
        policy = self._policy.of(tool)
        demand = SlotRequest(VISITS, server, policy.limit, policy.weight)
        return tool, demand, access_rules_of(tool, policy) if self._detect_conflicts else None
