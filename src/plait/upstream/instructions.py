"""Capabilities and instructions, as a client gets them when it connects. They follow what the
servers offer."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.ports import ServerListing
from ..core.tools.catalog import ServerInfo
from ..core.values.printable import printable
from ..core.values.strict import JsonObject
from .relay.listings import UI_EXTENSION, Expose, MergedListing
from .texts import INSTRUCTIONS, MAX_TEXT

_ALONE = (
    "Passes on what other MCP servers have: tools (server__tool), resources and prompts. "
    "Connected servers: "
)
_ALSO = (
    "\nEach of their tools is served as a tool of its own too, named server__tool: for a "
    "single call, use that."
)
_LONGEST = 600
"""Most characters of the instructions of one server."""


def capabilities(listing: MergedListing, expose: Expose, *, all_reached: bool) -> JsonObject:
    """Return our capabilities for `initialize` and `server/discover`. A client gets them only once,
    so until all servers were reached, those that some server may have are declared."""

    def any_has(*path: str) -> bool:
        return not all_reached or listing.has(*path)

    declared: JsonObject = {
        "tools": {"listChanged": expose != "dag"},
        "resources": {"listChanged": True, "subscribe": any_has("resources", "subscribe")},
        "prompts": {"listChanged": True},
    }
    declared |= {name: {} for name in ("completions", "logging") if any_has(name)}
    if expose != "dag" and listing.has("extensions", UI_EXTENSION):
        declared["extensions"] = {UI_EXTENSION: {}}
    return declared


def introduction(
    expose: Expose,
    servers: Iterable[ServerInfo],
    offers: Iterable[ServerListing],
    notice: str = "",
) -> str:
    """Return the instructions: ours if our tools are served, then those of the servers if theirs
    are, and before all of it the *notice*. At most 2,048 characters."""
    if notice:
        return f"{notice[:_LONGEST]}\n\n{introduction(expose, servers, offers)}"[:MAX_TEXT]
    known = list(servers)
    if expose == "dag":
        return instructions(known)
    text = (
        _ALONE + ", ".join(info.name for info in known)
        if expose == "tools"
        else instructions(known)
    )
    parts = [_ALSO] if expose == "all" else []
    for offer in offers:
        if offer.instructions:
            own = printable(offer.instructions)
            own = own if len(own) <= _LONGEST else own[: _LONGEST - 1] + "…"
            parts.append(f"\n\n{offer.server}: {own}")
    for part in parts:
        if len(text) + len(part) <= MAX_TEXT:
            text += part
    return text[:MAX_TEXT]


def instructions(servers: Iterable[ServerInfo]) -> str:
    """Return our own instructions, which name the configured servers and their numbers of tools."""
    parts = [
        f"{info.name} ({info.tools:,} tool{'' if info.tools == 1 else 's'})"
        if info.tools
        else info.name
        for info in servers
    ]
    for shown in range(len(parts), 0, -1):
        rest = len(parts) - shown
        text = INSTRUCTIONS + ", ".join(parts[:shown]) + (f" and {rest} more" if rest else "")
        if len(text) <= MAX_TEXT:
            return text
    return INSTRUCTIONS + (
        f"{len(parts)}, listed by search_tools with an empty query" if parts else "none"
    )
