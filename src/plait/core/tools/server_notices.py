"""Notices about servers and settings. Observers get them in the one stream with those of runs
(`core/scheduling/notices.py`), so that whoever shows servers need not ask for them again and again.

`at` is in seconds, on the clock of the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ..values.printable import printable
from .catalog import ServerInfo, ServerState
from .circuit import CircuitState

MAX_NAMES = 8
"""Names of each kind in the words for a drift; the others are counted."""
MAX_NAME = 80
"""Characters of each name."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The difference between what a server lists and what it listed before, as names of tools."""

    changed: tuple[str, ...] = ()
    """The tools that it describes otherwise."""
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.new or self.gone)

    def __str__(self) -> str:
        kinds = (("changed", self.changed), ("new", self.new), ("gone", self.gone))
        return "; ".join(f"{kind}: {some_of(names)}" for kind, names in kinds if names)


class ServerChanged(NamedTuple):
    """A server moved to another state, or its tools or their warnings changed."""

    info: ServerInfo
    """The server as it is now."""
    before: ServerState
    at: float
    retry_in_s: float | None = None
    """The pause before the next attempt to connect, for a server that was lost."""
    is_repeated: bool = False
    """Whether the attempt before failed for the same reason."""


class ToolsDrifted(NamedTuple):
    """A server describes its tools otherwise than before, or has others, unannounced."""

    server: str
    drift: Drift
    at: float


class CircuitChanged(NamedTuple):
    """The circuit of a server, or of one tool of it, moved to another state."""

    server: str
    """The unique name of the server (`ServerInfo.shared_as`)."""
    tool: str
    """The tool that timed out again and again; empty for the circuit of the server."""
    state: CircuitState
    at: float
    open_until: float | None
    """None once it is closed."""
    reason: str
    """The failure that opened it."""


class SettingsReloaded(NamedTuple):
    """The gateway has taken over new settings while it runs."""

    source: str
    """The file that they come from, or words for it."""
    servers: tuple[str, ...]
    """The servers that start, stop or start again because of it, by name."""
    later: tuple[str, ...]
    """The keys of changed settings that take effect at the next start."""
    at: float


ServerNotice: TypeAlias = ServerChanged | ToolsDrifted | CircuitChanged | SettingsReloaded


def some_of(names: tuple[str, ...]) -> str:
    """Name the first of *names*, safe to show, and count the others."""
    more = f" and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else ""
    return ", ".join(printable(name[:MAX_NAME]) for name in names[:MAX_NAMES]) + more
