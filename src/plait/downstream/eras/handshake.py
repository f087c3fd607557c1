"""The handshake: agreeing on a protocol with a server, and what it says about itself, as it came.

A server of the later era answers `server/discover` and needs no handshake; one of the handshake era
wants `initialize` first. If the era is unknown, the probe `server/discover` goes first, with a time
limit, because older servers may ignore it. A slow server of the later era then refuses
`initialize`, and is asked again.
"""

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
MARK_KEY = "plait/gateway"
"""Where Plait says in its hello which gateway it is."""
EXTENSIONS: JsonObject = {
    "io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}
}
"""Extensions that pass through us unchanged; clients may ignore those that they do not know."""
CAPABILITIES: JsonObject = {
    "elicitation": {"form": {}, "url": {}},
    "sampling": {"context": {}, "tools": {}},
    "roots": {"listChanged": True},
    "extensions": EXTENSIONS,
}
"""The capabilities that we declare to servers of the handshake era: all that some client may
have."""
OURS: JsonObject = {"extensions": EXTENSIONS}
"""The capabilities that we declare to servers of 2026-07-28 in requests of our own, as for a
list."""


class Era(StrEnum):
    """Protocols with a handshake (up to 2025-11-25), or with self-contained requests
    (2026-07-28)."""

    LEGACY = "legacy"
    MODERN = "modern"


class DiedOnProbe(Exception):
    """The server ended when it was asked for its protocol, as some do at any request before
    `initialize`."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """The server's description of itself."""

    era: Era
    version: str
    capabilities: JsonObject = field(default_factory=dict)
    instructions: str | None = None
    title: str | None = None
    mark: str = ""
    """The mark of its state folder, if it is Plait."""

    def has(self, *path: str) -> bool:
        """Whether the server declared the capability at *path*: an object, or true."""
        value: Json = self.capabilities
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value is True or isinstance(value, dict)


class Ungreeted(Protocol):
    """A session on which no protocol is agreed on yet."""

    @property
    def has_ended(self) -> bool: ...

    async def greet(
        self, method: str, params: JsonObject, version: str | None = None
    ) -> JsonObject:
        """Send a request, with the headers of *version*, that is never cancelled at the server.
        Raises `MCPError`."""
        ...

    def adopt(self, greeting: Greeting) -> None:
        """Speak as agreed from now on."""
        ...

    async def notify(self, method: str, params: JsonObject | None = None) -> None: ...


def envelope(capabilities: JsonObject, version: str = LATEST_MODERN_VERSION) -> JsonObject:
    """The `_meta` of each request of 2026-07-28; *capabilities* are those of its client."""
    return {
        types.PROTOCOL_VERSION_META_KEY: version,
        types.CLIENT_INFO_META_KEY: ME,
        types.CLIENT_CAPABILITIES_META_KEY: capabilities,
    }


async def negotiate(session: Ungreeted, era: Era | None, probe_timeout_s: float) -> Greeting:
    """Agree on a protocol with a server of *era*, None if unknown.

    Raises `DiedOnProbe`, `MCPError`, and `ServerUnavailable` if we have no protocol in common.
    """
    greeting = await _probe_or_initialize(session, era, probe_timeout_s)
    session.adopt(greeting)
    if greeting.era is Era.LEGACY:
        await session.notify("notifications/initialized")
    return greeting


async def _probe_or_initialize(
    session: Ungreeted, era: Era | None, probe_timeout_s: float
) -> Greeting:
    if era is not Era.LEGACY:
        with anyio.move_on_after(None if era is Era.MODERN else probe_timeout_s):
            if (found := await _discover(session)) is not None:
                return found
    if era is Era.MODERN:
        raise ServerUnavailable(
            f"it does not speak the protocol of {LATEST_MODERN_VERSION}",
            hint='protocol = "auto" finds out what it speaks',
        )
    try:
        return await _initialize(session)
    except MCPError as error:
        if era is Era.LEGACY:
            raise
        if session.has_ended:
            raise DiedOnProbe from error
        found = (
            await _discover(session) if error.code == types.UNSUPPORTED_PROTOCOL_VERSION else None
        )
        if found is None:
            raise
        return found  # it was slow: the probe had reached it first


async def _initialize(session: Ungreeted) -> Greeting:
    params: JsonObject = {
        "protocolVersion": LATEST_HANDSHAKE_VERSION,
        "capabilities": CAPABILITIES,
        "clientInfo": ME,
    }
    result = await session.greet("initialize", params)
    version = result.get("protocolVersion")
    if not isinstance(version, str) or version not in HANDSHAKE_PROTOCOL_VERSIONS:
        raise ServerUnavailable(
            printable(f"it answered the handshake with the protocol version {version!r}"[:200])
        )
    return _greeting(Era.LEGACY, version, result, result.get("serverInfo"))


async def _discover(session: Ungreeted) -> Greeting | None:
    """Ask which versions the server speaks; None if we share no version of the later era."""
    version = LATEST_MODERN_VERSION
    try:
        return _found(await _ask_versions(session, version))
    except MCPError as error:
        if error.code == types.CONNECTION_CLOSED and session.has_ended:
            raise DiedOnProbe from error
        data: Any = error.error.data
        supported = data.get("supported") if isinstance(data, dict) else None
        supported = supported if isinstance(supported, list) else []
        named = [name for name in supported if isinstance(name, str)]
        if error.code != types.UNSUPPORTED_PROTOCOL_VERSION or not named:
            return None
        mutual = [name for name in MODERN_PROTOCOL_VERSIONS if name in named and name != version]
        if not mutual and not set(named) & {*HANDSHAKE_PROTOCOL_VERSIONS, version}:
            raise
    return _found(await _ask_versions(session, mutual[-1])) if mutual else None


async def _ask_versions(session: Ungreeted, version: str) -> JsonObject:
    return await session.greet(
        "server/discover", {"_meta": envelope(CAPABILITIES, version)}, version
    )


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
    title = None
    if isinstance(info, dict):
        words = [info.get("title") or info.get("name"), info.get("version")]
        text = " ".join(word for word in words if isinstance(word, str))
        title = printable(text.strip()[:120]) or None
    return Greeting(
        era,
        version,
        capabilities if isinstance(capabilities, dict) else {},
        instructions if isinstance(instructions, str) else None,
        title,
        _mark_in(result),
    )


def _mark_in(result: JsonObject) -> str:
    meta = result.get("_meta")
    mark = meta.get(MARK_KEY) if isinstance(meta, dict) else None
    return mark if isinstance(mark, str) else ""
