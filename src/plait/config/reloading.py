"""New settings while the gateway runs: when the file changes, or on SIGHUP.

The file is polled: once a second costs nothing, works on every system and file system, and notices
an editor that puts a new file in the place of the old one.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from anyio import to_thread

from ..errors import ConfigError
from ..waiting import Signal
from . import Config
from .trust import Decisions

log = logging.getLogger(__name__)

POLL_S = 1.0
"""Seconds between two looks at the file. If both see the same, the file is complete."""

LIVE = frozenset({"max_concurrency", "timeout_s", "idle_exit_s", "detect_conflicts", "path"})
LIVE_LIMITS = frozenset(
    {
        "max_tasks",
        "max_items",
        "max_calls",
        "max_document_bytes",
        "max_output_bytes",
        "max_run_bytes",
    }
)
"""The settings of `[gateway]` and its limits that can change while it runs."""

Stamp: TypeAlias = "tuple[int, ...] | None"


@dataclass(frozen=True, slots=True)
class Reloading:
    """The source of new settings: *load* reads them or raises `ConfigError`; if *is_watching*, the
    file is watched, for changes since *known*."""

    load: Callable[[], Config]
    is_watching: bool = False
    known: Mapping[Path, Stamp] = field(default_factory=dict)
    """The stamps of what is watched, as `stamps_of` took them when the settings were loaded."""
    follow_requests: Callable[[Callable[[], None]], Coroutine[Any, Any, None]] | None = None
    """Calls a function whenever the settings are to be read anew, until cancelled; None: on each
    SIGHUP."""

    async def follow(self, config: Config, apply: Callable[[Config], Awaitable[None]]) -> None:
        """Load and apply the settings anew on each request and, if watched, on each change of the
        file that *config* came from or of the decisions about trust, until cancelled."""
        asked = Signal()

        async def reload() -> None:
            seen = 0
            while True:
                seen = await asked.wait(seen)
                await self._reload(apply)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reload)
            tasks.start_soon(self.follow_requests or on_hangup, asked.notify)
            for file in _watched(config) if self.is_watching else ():
                known = self.known[file] if file in self.known else await look(file)
                tasks.start_soon(watch, partial(look, file), asked.notify, known)

    async def _reload(self, apply: Callable[[Config], Awaitable[None]]) -> None:
        try:
            config = await to_thread.run_sync(self.load, abandon_on_cancel=True)
        except ConfigError as error:
            log.error(
                "config.refused", extra={"error": str(error), "kept": "the previous settings"}
            )
            return
        log_notes(config)
        await apply(config)


def log_notes(config: Config) -> None:
    """Log the notes on the settings as warnings."""
    for note in config.notes:
        log.warning("config.note", extra={"note": note})


async def on_hangup(notify: Callable[[], None]) -> None:
    """Call *notify* on each SIGHUP, until cancelled."""
    with anyio.open_signal_receiver(signal.SIGHUP) as signals:
        async for _ in signals:
            notify()


def stamps_of(config: Config) -> dict[Path, Stamp]:
    """Take the stamps of the files that are watched for changes of *config*, which was just loaded:
    a change while the gateway starts is one too."""
    return {file: _stamp(file) for file in _watched(config)}


def _watched(config: Config) -> list[Path]:
    files = [Path(config.source)]
    if config.secrets_file is not None:
        files.append(config.secrets_file)
    if config.state_folder is not None:  # what is refused now may be trusted later
        files.append(Decisions(config.state_folder).folder)
    return files


async def watch(
    stamp: Callable[[], Awaitable[Stamp]], notify: Callable[[], None], known: Stamp
) -> None:
    """Call *notify* on each change of a file's *stamp* since it was *known*, once two looks see the
    same; until cancelled."""
    seen = known
    while True:
        await anyio.sleep(POLL_S)
        before, seen = seen, await stamp()
        if seen == before and seen != known:
            known = seen
            notify()


def lasting(before: Config, now: Config) -> list[str]:
    """List the settings that differ and take effect only at the next start."""
    one, other = before.gateway, now.gateway
    keys = [key for key in type(one).model_fields if key not in {*LIVE, "limits"}]
    limits = [key for key in type(one.limits).model_fields if key not in LIVE_LIMITS]
    return [
        *(f"gateway.{key}" for key in keys if getattr(one, key) != getattr(other, key)),
        *(
            f"gateway.limits.{key}"
            for key in limits
            if getattr(one.limits, key) != getattr(other.limits, key)
        ),
        *(
            f"servers.{name}.prefix"
            for name, server in now.servers.items()
            if server.prefix != _prefix(before, name)
        ),
    ]


def _prefix(config: Config, server: str) -> bool:
    return config.servers[server].prefix if server in config.servers else True


async def look(file: Path) -> Stamp:
    """Return a stamp that changes with *file*; None if it is missing. Its disk may be slow."""
    return await to_thread.run_sync(_stamp, file, abandon_on_cancel=True)


def _stamp(file: Path) -> Stamp:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev
