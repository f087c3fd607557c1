"""Agreeing with a server on a protocol, and what it says of itself then, as it came."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import anyio
import mcp_types as types
from mcp import MCPError
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
    MODERN_PROTOCOL_VERSIONS,
)

from ... import __version__
from ...core.values.printable import printable
from ...core.values.strict import Json, JsonObject
from ...errors import ServerUnavailable

ME: JsonObject = {"name": "plait", "title": "Plait", "version": __version__}
EXTENSIONS: JsonObject = {
    "io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}
}
"""The extensions that pass through us as they are: clients that do not know them are free to look
past them."""
CAPABILITIES: JsonObject = {
    "elicitation": {"form": {}, "url": {}},
    "sampling": {"context": {}, "tools": {}},
    "roots": {"listChanged": True},
    "extensions": EXTENSIONS,
}
"""What servers of the handshake era are told that we can do: all that can be passed on to a client
that can."""
OURS: JsonObject = {"extensions": EXTENSIONS}
"""What servers of 2026-07-28 are told with a request that is for no client, such as that for a
list."""


class Era(StrEnum):
    """How a server is spoken to: after a handshake (up to 2025-11-25), or each request by itself
    (2026-07-28)."""

    LEGACY = "legacy"
    MODERN = "modern"


class DiedOnProbe(Exception):
    """The server ended when it was asked for its protocol: some know no other request before
    `initialize`."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a server said of itself."""

    era: Era
    version: str
    capabilities: JsonObject = field(default_factory=dict)
    instructions: str | None = None
    title: str | None = None

    def has(self, *path: str) -> bool:
        """Whether the server declared the capability at *path*: an object, or true."""
        value: Json = self.capabilities
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value is True or isinstance(value, dict)


class Greeted(Protocol):
    """The wire, as long as no protocol is agreed on."""

    @property
    def has_ended(self) -> bool: ...

    async def greet(
        self, method: str, params: JsonObject, version: str | None = None
    ) -> JsonObject:
        """The result of a request that is never cancelled at the server, in the era of *version*.
        Raises `MCPError`."""
        ...

    def adopt(self, greeting: Greeting) -> None:
        """Speak as agreed from now on."""
        ...

    async def notify(self, method: str, params: JsonObject | None = None) -> None: ...


def envelope(capabilities: JsonObject, version: str = LATEST_MODERN_VERSION) -> JsonObject:
    """What the `_meta` of each request of 2026-07-28 carries; *capabilities* are those of the
    client it is for."""
    return {
        types.PROTOCOL_VERSION_META_KEY: version,
        types.CLIENT_INFO_META_KEY: ME,
        types.CLIENT_CAPABILITIES_META_KEY: capabilities,
    }


async def negotiate(wire: Greeted, era: Era | None, probe_timeout_s: float) -> Greeting:
    """Agree with the server on a protocol; *era* is what is known of it. Raises `DiedOnProbe`,
    `MCPError`, and `ServerUnavailable` where there is none in common."""
    greeting = await _negotiated(wire, era, probe_timeout_s)
    wire.adopt(greeting)
    if greeting.era is Era.LEGACY:
        await wire.notify("notifications/initialized")
    return greeting


async def _negotiated(wire: Greeted, era: Era | None, probe_timeout_s: float) -> Greeting:
    if era is not Era.LEGACY:
        with anyio.move_on_after(None if era is Era.MODERN else probe_timeout_s):
            if (found := await _discover(wire)) is not None:
                return found
    if era is Era.MODERN:
        raise ServerUnavailable(
            f"it does not speak the protocol of {LATEST_MODERN_VERSION}",
            hint='protocol = "auto" takes what it speaks',
        )
    try:
        return await _initialize(wire)
    except MCPError as error:
        if era is Era.LEGACY:
            raise
        if wire.has_ended:
            raise DiedOnProbe from error
        found = await _discover(wire) if error.code == types.UNSUPPORTED_PROTOCOL_VERSION else None
        if found is None:
            raise
        return found  # it was slow, not silent: the probe reached it first


async def _initialize(wire: Greeted) -> Greeting:
    params: JsonObject = {
        "protocolVersion": LATEST_HANDSHAKE_VERSION,
        "capabilities": CAPABILITIES,
        "clientInfo": ME,
    }
    result = await wire.greet("initialize", params)
    version = result.get("protocolVersion")
    if not isinstance(version, str) or version not in HANDSHAKE_PROTOCOL_VERSIONS:
        raise ServerUnavailable(
            printable(f"it answered the handshake with the protocol version {version!r}"[:200])
        )
    return _greeting(Era.LEGACY, version, result, result.get("serverInfo"))


async def _discover(wire: Greeted) -> Greeting | None:
    """Ask which versions it speaks; None if no modern one can be agreed on."""
    version = LATEST_MODERN_VERSION
    try:
        return _found(await _ask_versions(wire, version))
    except MCPError as error:
        if error.code == types.CONNECTION_CLOSED and wire.has_ended:
            raise DiedOnProbe from error
        named = _named_versions(error)
        if error.code != types.UNSUPPORTED_PROTOCOL_VERSION or not named:
            return None
        mutual = [name for name in MODERN_PROTOCOL_VERSIONS if name in named and name != version]
        if not mutual and not set(named) & {*HANDSHAKE_PROTOCOL_VERSIONS, version}:
            raise
    return _found(await _ask_versions(wire, mutual[-1])) if mutual else None


async def _ask_versions(wire: Greeted, version: str) -> JsonObject:
    return await wire.greet("server/discover", {"_meta": envelope(CAPABILITIES, version)}, version)


def _found(result: JsonObject) -> Greeting | None:
    supported = result.get("supportedVersions")
    if not isinstance(supported, list) or not isinstance(result.get("capabilities"), dict):
        return None
    mutual = [version for version in MODERN_PROTOCOL_VERSIONS if version in supported]
    if not mutual:
        return None
    meta = result.get("_meta")
    info = meta.get(types.SERVER_INFO_META_KEY) if isinstance(meta, dict) else None
    return _greeting(Era.MODERN, mutual[-1], result, info)


def _greeting(era: Era, version: str, result: JsonObject, info: Json) -> Greeting:
    capabilities, instructions = result.get("capabilities"), result.get("instructions")
    return Greeting(
        era,
        version,
        capabilities if isinstance(capabilities, dict) else {},
        instructions if isinstance(instructions, str) else None,
        _title(info),
    )


def _title(info: Json) -> str | None:
    if not isinstance(info, dict):
        return None
    named = info.get("title") or info.get("name")
    said = [part for part in (named, info.get("version")) if isinstance(part, str)]
    return printable(" ".join(said).strip()[:120]) or None


def _named_versions(error: MCPError) -> list[str]:
    data: Any = error.error.data
    supported = data.get("supported") if isinstance(data, dict) else None
    return (
        [name for name in supported if isinstance(name, str)] if isinstance(supported, list) else []
    )
