"""The servers: each is started once, as it would be for a client in this folder."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
from anyio import to_thread

from ..config import Config, ServerSettings
from ..config.rule_notes import unmatched
from ..core.tools.catalog import Catalog, ServerInfo, ServerState
from ..core.tools.server_notices import ServerChanged, ServerNotice
from ..core.values.problems import some_of
from ..downstream.connections import Connections
from ..downstream.pool import Pool
from ..stores.listing_cache import ListingCache
from .case import Case
from .commands import without_command
from .findings import Finding, look, well, wrong

SLOW = 0.5
"""The share of the time for a start above which it is slow."""
SHORTEST_S = 0.1
"""The shortest time that is shown."""
RULES = "rules"


class Watch:
    """The time that each server takes to be ready, as its notices say."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Watch of {len(self._began)} servers>"

    def observe(self, notice: ServerNotice) -> None:
        match notice:
            case ServerChanged(info=info, at=at) if info.state is ServerState.CONNECTING:
                self._began.setdefault(info.name, at)
            case ServerChanged(info=info, at=at) if info.state is ServerState.READY:
                self.seconds.setdefault(info.name, at - self._began.get(info.name, at))


async def check(case: Case, config: Config) -> list[Finding]:
    """Start all servers that are on, each within its time, and return how they are."""
    absent = await to_thread.run_sync(without_command, config)  # `commands.py` names these
    servers = {
        name: server.model_copy(
            update={"startup_timeout_s": min(server.startup_timeout_s, case.server_s)}
        )
        for name, server in config.servers.items()
        if server.enabled and name not in {*config.needs, *absent}
    }
    if not servers:
        return []
    watch = Watch()
    bounded = config.model_copy(update={"servers": servers, "needs": {}})
    connections = Connections(ListingCache(None), notify=watch.observe)
    async with connections, Pool(bounded, connections) as pool:
        with anyio.move_on_after(case.server_s):
            await pool.settled()
        catalog = pool.catalog()
    findings = [
        finding
        for info in catalog.servers.values()
        for finding in (
            *judged(
                info,
                config.servers[info.name],
                watch.seconds.get(info.name, 0.0),
                case.server_s,
                catalog.left_out(info.name),
            ),
            *_undescribed(info.name, catalog),
        )
    ]
    is_whole = all(info.state is ServerState.READY for info in catalog.servers.values())
    notes = unmatched(config, catalog) if is_whole and not config.needs else ()
    return [*findings, *(look(RULES, note, f"correct it in {config.source}") for note in notes)]


def judged(
    info: ServerInfo, server: ServerSettings, seconds: float, limit_s: float, left_out: int = 0
) -> Iterator[Finding]:
    """Judge a server by its state, by the *seconds* of its start, for which it had *limit_s*, and
    by how many of its tools are *left_out*."""
    name, seconds = info.name, max(seconds, SHORTEST_S)
    if info.state is not ServerState.READY:
        yield wrong(name, *_trouble(info, server, limit_s))
        return
    more = f", {left_out} more left out by include and exclude" if left_out else ""
    if info.tools == 0:
        fix = "change include and exclude" if left_out else "see what it wants in its own page"
        yield look(name, f"ready in {seconds:.1f} s, with no tools{more}", fix)
    elif seconds > SLOW * server.startup_timeout_s:
        says = f"ready in {seconds:.1f} s of the {server.startup_timeout_s:g} s that it may take"
        yield look(name, says, f"startup_timeout_s = {2 * server.startup_timeout_s:g}")
    else:
        plural = "" if info.tools == 1 else "s"
        yield well(name, f"ready in {seconds:.1f} s, {info.tools} tool{plural}{more}")
    for warning in info.warnings:
        yield look(name, warning, "tell its makers, or leave the tool out with exclude")


def _undescribed(name: str, catalog: Catalog) -> Iterator[Finding]:
    silent = [tool.name for tool in catalog.of(name) if not tool.description]
    if silent:
        says = f"no description, so models cannot choose them: {some_of(silent, 4)}"
        yield look(name, says, "tell its makers")


def _trouble(info: ServerInfo, server: ServerSettings, limit_s: float) -> tuple[str, str]:
    """Return why a server is not ready, and what to do."""
    if info.state is ServerState.REFUSED:
        return info.error or str(info.state), f"remove [servers.{info.name}]"
    reason = info.error or f"did not start within {limit_s:g} s"
    if server.url is not None:
        return reason, "check url and headers, and that it runs"
    is_late = "within" in reason or "did not" in reason
    if is_late and server.startup_timeout_s <= limit_s:
        return reason, f"startup_timeout_s = {2 * server.startup_timeout_s:g}, if it needs longer"
    return reason, f"run it in a shell, with the variables that [servers.{info.name}] gives it"
