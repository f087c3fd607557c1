"""The servers and tools of one configuration, as they are known by now: waited for, searched and
described."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import anyio

from ..core.ports import Servers
from ..core.tools.catalog import Catalog, Tool
from ..core.tools.policy import Policy
from ..core.tools.rules import Answer
from ..core.values.problems import Problem

if TYPE_CHECKING:  # a search is imported when there is one: a start is to be quick
    from ..core.tools.search import SearchIndex, SearchResult

LONGEST_START_S = 35.0
"""Seconds that a DAG waits for servers that are still being connected to."""
CATALOG_WAIT_S = 5.0
"""Seconds that a search waits for them."""


class KnownTools:
    """The tools of *servers* under *policy*. Close it in the end."""

    def __init__(self, servers: Servers, policy: Policy) -> None:
        self._servers = servers
        self._policy = policy
        self._index: tuple[Catalog, SearchIndex] | None = None

    def __repr__(self) -> str:
        return f"<KnownTools: {len(self.catalog())}>"

    def change(self, policy: Policy) -> None:
        """Apply a new *policy*."""
        self._policy = policy
        self.close()

    def close(self) -> None:
        """Close the index of the last search."""
        if self._index is not None:
            self._index[1].close()
        self._index = None

    def catalog(self) -> Catalog:
        return self._servers.catalog()

    def denied_by(self, server: str, tool: str) -> str | None:
        """Return the rule of the policy that denies a tool; None if no rule does."""
        catalog = self.catalog()
        found = catalog.tools.get(f"{server}:{tool}") or catalog.unlisted(server, tool)
        decision = self._policy.decide(found)
        return decision.rule if decision.answer is Answer.DENY else None

    async def settled(self, servers: Iterable[str] | None, seconds: float) -> None:
        """Start *servers* (None: all), and wait up to *seconds* until the first attempt to connect
        to each has finished."""
        with anyio.move_on_after(seconds):
            await self._servers.settled(servers)

    async def known(self) -> None:
        """Wait up to five seconds until the first connection attempt to every server without known
        tools has finished."""
        servers = self.catalog().servers
        unknown = [name for name, info in servers.items() if not info.is_known]
        if unknown:
            await self.settled(unknown, CATALOG_WAIT_S)

    async def reach(self, names: Iterable[str], seconds: float = LONGEST_START_S) -> None:
        """Wait for the servers of the tools *names*, if they are still being connected to."""
        catalog = self.catalog()
        found = [(name, catalog.find(name)) for name in names]
        unknown = [name for name, tool in found if tool is None or not tool.listed]
        if unknown:
            servers = {name.partition(":")[0] for name in unknown}
            await self.settled(servers if servers <= catalog.servers.keys() else None, seconds)

    async def search(self, query: str, *, server: str | None, limit: int) -> SearchResult:
        """As `Gateway.search`."""
        await self.known()
        return self._search_index().search(query, server=server, limit=limit)

    async def describe(self, names: Sequence[str]) -> tuple[list[Tool], list[Problem]]:
        """As `Gateway.describe`."""
        await self.reach(names, CATALOG_WAIT_S)
        catalog = self.catalog()
        found = [(name, catalog.find(name)) for name in names]
        tools = [tool for _, tool in found if tool is not None and tool.listed]
        unknown = [
            catalog.unknown(f"names[{index}]", name)
            for index, (name, tool) in enumerate(found)
            if tool is None or not tool.listed
        ]
        return tools, unknown

    def _search_index(self) -> SearchIndex:
        from ..core.tools.search import SearchIndex

        catalog = self.catalog()
        if self._index is None or self._index[0] is not catalog:
            self.close()
            self._index = (catalog, SearchIndex(catalog, self._policy))
        return self._index[1]
