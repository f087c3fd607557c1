"""The tools of a server that are not described as they were when they were first used, for a person
to look at and accept. No server is started for it: what it listed last is remembered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import Config
from ..core.tools.definitions import by_name, described, hash_of
from ..core.values.strict import JsonObject
from .audit import write_down

if TYPE_CHECKING:
    from ..engine.auditing import Trail


@dataclass(frozen=True, slots=True)
class ChangedTool:
    """One tool, as it is pinned and as it was listed last."""

    name: str
    pinned: JsonObject
    now: JsonObject


async def changed_tools(config: Config, server: str) -> tuple[ChangedTool, ...]:
    """Return the changed tools of *server*, one of *config*. Raises `OSError` and `ValueError` for
    pins that cannot be read."""
    from ..downstream.listings.identity import identity_of
    from ..stores import pins
    from ..stores.listing_cache import ListingCache

    if (file := _file(config, server)) is None:
        return ()
    listings = ListingCache(config.state_folder)
    listing = listings.of(identity_of(server, config.servers[server]))
    await listings.load()
    listed = listing.get("tools")
    now = by_name(listed) if isinstance(listed, list) else {}
    return tuple(
        ChangedTool(name, before, described(now[name]))
        for name, before in pins.read(file).items()
        if name in now and hash_of(before) != hash_of(now[name])
    )


async def accept(config: Config, server: str, changed: tuple[ChangedTool, ...]) -> None:
    """Pin the tools of *server* as they are in *changed*, which is a row of the audit for each.
    Raises `OSError` and `ValueError`."""
    from ..stores import pins

    def put(trail: Trail) -> None:
        for tool in changed:
            trail.accepted(f"{server}:{tool.name}", hash_of(tool.now))

    if (file := _file(config, server)) is not None:
        pins.accept(file, {tool.name: tool.now for tool in changed})
        await write_down(config, put)


def _file(config: Config, server: str) -> Path | None:
    from ..downstream.listings.identity import identity_of
    from ..stores.pins import file_of

    if config.state_folder is None:
        return None
    return file_of(config.state_folder, identity_of(server, config.servers[server]))
