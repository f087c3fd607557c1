"""The parts that all configurations of a process share, and the line of wrappers that every call
passes between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

import anyio

from ..config import Config, GatewaySettings
from ..core.tools.tool_stats import ToolStats
from ..engine.engine import Engine
from ..engine.runner import Observers
from ..stores.in_memory import InMemoryRuns
from ..stores.tool_stats import StatsFile

if TYPE_CHECKING:
    from ..calls.cache import Cache
    from ..core.ports import CallTool
    from ..downstream.resources import Resources
    from ..downstream.server_keys import Keys


def stack(call_tool: CallTool, resources: Resources, max_bytes: int) -> tuple[CallTool, Cache]:
    """Stack the wrappers that each call passes on its way to *call_tool*, of a task or by name.
    Returns the outermost `CallTool`, and the cache, which holds *max_bytes*."""
    from ..calls.cache import Cache, fingerprints

    cache = Cache(call_tool, fingerprints(resources.path), max_bytes=max_bytes)
    return cache, cache


class Parts:
    """The parts of a process that all of its configurations share: connections, the engine, the
    cache. Use as an async context manager.

    *keys* gives the unique names of the servers of a configuration; without it there is only one,
    whose names are unique.
    """

    def __init__(
        self, settings: GatewaySettings, state_folder: Path | None, *, keys: Keys | None = None
    ) -> None:
        from ..downstream.connections import Connections
        from ..downstream.resources import Resources
        from ..downstream.server_keys import names_as_keys
        from ..observers.logs import log_notices
        from ..stores.listing_cache import ListingCache

        limits, learns = settings.limits, settings.learn
        self.keys = keys or names_as_keys
        self.is_for_several = keys is not None
        learned = ToolStats(enabled=learns)
        self._memory = StatsFile(learned, state_folder) if learns and state_folder else None
        observers = [log_notices, self._memory.observe] if self._memory else [log_notices]
        self.notify = Observers(observers)
        self.connections = Connections(
            ListingCache(state_folder), notify=self.notify, are_shared=self.is_for_several
        )
        self.resources = Resources()
        call_tool, self.cache = stack(self.connections, self.resources, limits.max_cache_bytes)
        self.runs = InMemoryRuns(limits.max_runs, limits.max_kept_bytes)
        self.engine = Engine(
            call_tool, self.runs, learned=learned, resolver=self.resources, observers=observers
        )
        self._configs: dict[str, Config] = {}

    def adopt(self, config: Config, desk: str) -> None:
        """Use the servers of *config* for the desk of that name from now on."""
        self._configs[desk] = config
        self.engine.learned.is_enabled = all(one.gateway.learn for one in self._configs.values())
        self._adopt_servers()

    def forget(self, desk: str) -> None:
        """Forget the servers of *desk*, which has ended."""
        del self._configs[desk]
        self._adopt_servers()

    def _adopt_servers(self) -> None:
        self.resources.adopt(self._configs.values(), self.keys)

    async def __aenter__(self) -> Self:
        if self._memory is not None:
            await self._memory.load()
        await self.connections.__aenter__()
        await self.engine.__aenter__()
        if self._memory is not None:
            self.engine.start_soon(self._memory.keep)
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self.engine.__aexit__(*exc)
        finally:
            await self.connections.__aexit__(None, None, None)
            if self._memory is not None:
                with anyio.CancelScope(shield=True):
                    await self._memory.save()
