"""What we say of ourselves when a client connects: capabilities and instructions, true to what
servers offer."""

from __future__ import annotations

from collections.abc import Iterable

from ..core.ports import ServerListing
from ..core.tools.catalog import ServerInfo
from ..core.values.printable import printable
from ..core.values.strict import JsonObject
from .relay.listings import UI_EXTENSION, Expose, MergedListing
from .texts import MAX_TEXT, instructions

_ALONE = (
    "Passes on what other MCP servers have: tools (server__tool), resources and prompts. "
    "Connected servers: "
)
_ALSO = (
    "\nEach of their tools is served as a tool of its own too, named server__tool: for a "
    "single call, use that."
)
_LONGEST_SAID = 600


def capabilities(directory: MergedListing, expose: Expose, *, all_reached: bool) -> JsonObject:
    """What we can do, as `initialize` and `server/discover` tell it. A client is told once: as long
    as not all servers were reached, one of them may yet offer what none has so far."""

    def any_has(*path: str) -> bool:
        return not all_reached or directory.has(*path)

    told: JsonObject = {
        "tools": {"listChanged": expose != "dag"},
        "resources": {"listChanged": True, "subscribe": any_has("resources", "subscribe")},
        "prompts": {"listChanged": True},
    }
    told |= {name: {} for name in ("completions", "logging") if any_has(name)}
    if expose != "dag" and directory.has("extensions", UI_EXTENSION):
        told["extensions"] = {UI_EXTENSION: {}}
    return told


def introduction(
    expose: Expose, servers: Iterable[ServerInfo], offers: Iterable[ServerListing]
) -> str:
    """The instructions: ours as far as our tools are served, then what servers say of theirs as far
    as those are. At most 2,048 characters."""
    known = list(servers)
    if expose == "dag":
        return instructions(known)
    text = (
        _ALONE + ", ".join(info.name for info in known)
        if expose == "tools"
        else instructions(known)
    )
    parts = [_ALSO] if expose == "all" else []
    parts += [
        f"\n\n{offer.server}: {_said(offer.instructions)}" for offer in offers if offer.instructions
    ]
    for part in parts:
        if len(text) + len(part) <= MAX_TEXT:
            text += part
    return text[:MAX_TEXT]


def _said(text: str) -> str:
    said = printable(text)
    return said if len(said) <= _LONGEST_SAID else said[: _LONGEST_SAID - 1] + "…"
