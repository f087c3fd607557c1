"""The parts that all configurations of a process share, and the line of wrappers that every call
passes between them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import anyio
from anyio import to_thread

from ..config import Config, GatewaySettings, HistorySettings
from ..core.history import Limits
from ..core.history_store import History
from ..core.scheduling.notices import Notice
from ..core.tools.server_notices import ServerChanged, ToolsDrifted
from ..core.tools.tool_stats import ToolStats
from ..engine.auditing import DeskAudit
from ..engine.engine import Engine
from ..engine.runner import Observers
from ..stores.audit_file import AuditFile
from ..stores.in_memory import InMemoryRuns
from ..stores.knowledge import KnowledgeFile
from ..stores.tool_stats import StatsFile

if TYPE_CHECKING:
    from ..calls.breaker import Breaker
    from ..calls.cache import Cache
    from ..core.ports import CallTool
    from ..core.tools.server_notices import CircuitChanged
    from ..downstream.resources import Resources
    from ..downstream.server_keys import Keys


TRIM_S = 600.0
"""Seconds between two looks at what the history keeps."""


class Stack(NamedTuple):
    """The line of wrappers, of which *call_tool* is the outermost."""

    call_tool: CallTool
    cache: Cache
    breaker: Breaker


def stack(
    call_tool: CallTool,
    resources: Resources,
    max_bytes: int,
    on_circuit: Callable[[CircuitChanged], None],
) -> Stack:
    """Stack the wrappers that each call passes on its way to *call_tool*, of a task or by name: the
    log of a policy that only observes; the cache, which holds *max_bytes*; and the breaker, whose
    changes *on_circuit* takes. An answer that is kept needs no server, so it is given also while
    the circuit is open."""
    from ..calls.breaker import Breaker
    from ..calls.cache import Cache, fingerprints
    from ..calls.policy_log import PolicyLog

    breaker = Breaker(call_tool, on_circuit)
    cache = Cache(breaker, fingerprints(resources.path), max_bytes=max_bytes)
    return Stack(PolicyLog(cache), cache, breaker)


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
        from ..stores.pins import Pins

        limits, learns = settings.limits, settings.learn
        self.keys = keys or names_as_keys
        self.is_for_several = keys is not None
        learned = ToolStats(enabled=learns)
        self._memory = StatsFile(learned, state_folder) if learns and state_folder else None
        observers = [log_notices, self._memory.observe] if self._memory else [log_notices]
        self.notify = Observers([*observers, self._servers_changed])
        self.connections = Connections(
            ListingCache(state_folder),
            Pins(state_folder),
            notify=self.notify,
            are_shared=self.is_for_several,
        )
        self.resources = Resources()
        call_tool, self.cache, self.breaker = stack(
            self.connections, self.resources, limits.max_cache_bytes, self._circuit_changed
        )
        self.connections.on_ready = self.breaker.server_is_back
        self._state_folder = state_folder
        self.runs = InMemoryRuns(limits.max_runs, limits.max_kept_bytes)
        self.engine = Engine(
            call_tool, self.runs, learned=learned, resolver=self.resources, observers=observers
        )
        self._seen: KnowledgeFile | None = None
        if state_folder is not None:
            self._seen = KnowledgeFile(self.engine.flows.knowledge, state_folder)
            self.engine.flows.keep = self._seen.save
        self._configs: dict[str, Config] = {}
        self._audit_files: dict[Path, AuditFile] = {}

    def adopt(self, config: Config, desk: str) -> None:
        """Use the servers of *config* for the desk of that name from now on."""
        self._configs[desk] = config
        self.engine.learned.is_enabled = all(one.gateway.learn for one in self._configs.values())
        self._adopt_servers()
        file = config.audit.file
        if file is not None and file not in self._audit_files:
            self._audit_files[file] = AuditFile(file)
        to = None if file is None else self._audit_files[file]
        audit = DeskAudit(config.history.enabled, to, config.secrets.redact)
        self.engine.trail.adopt(desk, audit)

    def forget(self, desk: str) -> None:
        """Forget the servers of *desk*, which has ended."""
        del self._configs[desk]
        self.engine.trail.forget(desk)
        self._adopt_servers()

    def keep_seen(self) -> None:
        """Keep what callers see over the death of this process: it serves clients. Call it once
        these parts are open."""
        if self._seen is not None:
            self._seen.is_keeping = True
            self.engine.start_soon(partial(self._keep_seen, self._seen))

    async def _keep_seen(self, file: KnowledgeFile) -> None:
        count = 0
        while True:
            count = await self.engine.flows.changed.wait(count)
            await file.save()

    @property
    def _has_flows(self) -> bool:
        return any(config.flows() for config in self._configs.values())

    def _adopt_servers(self) -> None:
        self.resources.adopt(self._configs.values(), self.keys)

    def _servers_changed(self, notice: Notice) -> None:
        if isinstance(notice, ServerChanged | ToolsDrifted):
            self.engine.tools_changed()

    def _circuit_changed(self, change: CircuitChanged) -> None:
        self.notify(change)
        self.connections.show_circuit(change)

    async def __aenter__(self) -> Self:
        if self._memory is not None:
            await self._memory.load()
        if self._seen is not None and (self.is_for_several or self._has_flows):
            await self._seen.load()
        history = await self._open_history()
        await self.connections.__aenter__()
        await self.engine.__aenter__()
        if self._memory is not None:
            self.engine.start_soon(self._memory.keep)
        if history is not None:
            self.engine.start_soon(partial(self._trim, history))
        return self

    async def _open_history(self) -> History | None:
        """Open the history, unless all configurations do without."""
        if self._configs and not any(one.history.enabled for one in self._configs.values()):
            return None
        from ..stores.history.opening import open_history, runtime_folder

        history = await open_history(self._state_folder, runtime_folder(self._state_folder))
        if history.lease is not None:
            self.connections.guard.kept_open = (history.lease,)
        self.engine.write_to(history)
        return history

    async def _trim(self, history: History) -> None:
        """Delete the oldest runs above the bounds, from time to time."""
        while True:
            await anyio.sleep(TRIM_S)
            settings = [one.history for one in self._configs.values()] or [HistorySettings()]
            bounds = Limits(
                max(one.keep_days for one in settings),
                max(one.keep_runs for one in settings),
                max(one.keep_calls for one in settings),
                max(one.keep_bytes for one in settings),
                max(one.keep_audit_days for one in settings),
            )
            await history.trim(bounds)

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self.engine.__aexit__(*exc)
        finally:
            await self.connections.__aexit__(None, None, None)
            with anyio.CancelScope(shield=True):
                if self._memory is not None:
                    await self._memory.save()
                if self._seen is not None:
                    await self._seen.save()
                if self.engine.history is not None:
                    await self.engine.history.close()
                for file in self._audit_files.values():
                    await to_thread.run_sync(file.close, abandon_on_cancel=True)
