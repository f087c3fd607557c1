"""The protocol of one connection: which era the server speaks, and a request put into its words."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from itertools import count
from typing import Any

import anyio
import mcp_types as types
from mcp import ClientSession, MCPError
from mcp.shared.dispatcher import CallOptions
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    mcp_param_headers,
    x_mcp_header_map,
)
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from .. import __version__
from ..core.catalog import Tool
from ..core.ports import OnProgress
from ..core.strict import JsonObject
from ..errors import ServerUnavailable
from .direct import Direct
from .transports import Transport

log = logging.getLogger(__name__)

FIRST_LISTEN_PAUSE_S, LONGEST_LISTEN_PAUSE_S = 1.0, 60.0
"""Between the end of a stream of changes and the next."""

ME = types.Implementation(name="plait", title="Plait", version=__version__)


class Era(StrEnum):
    """How a server is spoken to: after a handshake (up to 2025-11-25), or each request by itself (2026-07-28)."""

    LEGACY = "legacy"
    MODERN = "modern"


class DiedOnProbe(Exception):
    """The server ended when it was asked for its protocol: some know no other request before `initialize`."""


class Wire:
    """Requests to one connected server, raw: nothing that it answers is dropped or validated here."""

    def __init__(self, dispatcher: JSONRPCDispatcher[Any], transport: Transport, direct: Direct | None = None) -> None:
        self.last_words = transport.last_words
        self.version: str | None = None
        self.era = Era.LEGACY
        self.has_ended = False
        self.is_retired = False
        self._dispatcher = dispatcher
        self._transport = transport
        self._direct = direct
        self._news = anyio.Event()
        self._has_list_changes = False

    async def call_tool(self, tool: Tool, arguments: JsonObject, on_progress: OnProgress | None) -> JsonObject:
        params: JsonObject = {"name": tool.name, "arguments": arguments}
        if self._direct is not None:
            if self.era is Era.MODERN:
                params["_meta"] = _ENVELOPE
            return await self._direct.ask("tools/call", params, on_progress)
        options: CallOptions = {}
        if on_progress is not None:

            async def relay(progress: float, total: float | None, message: str | None) -> None:
                on_progress(progress, total, message)

            options["on_progress"] = relay
        headers = {}
        if self.era is Era.MODERN:
            headers = mcp_param_headers(x_mcp_header_map(tool.definition.get("inputSchema")), arguments)
        return await self.request("tools/call", params, options, headers)

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        options: CallOptions | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The result of one request. Raises `MCPError` as the dispatcher does."""
        sent = dict(params)
        options = options if options is not None else {}
        if self._direct is not None:
            options.setdefault("request_id", self._direct.new_id())
        if self.era is Era.MODERN:
            sent["_meta"] = _ENVELOPE
            options["headers"] = {**_headers(method, sent), **(headers or {})}
        elif self.version is not None:
            options["headers"] = {MCP_PROTOCOL_VERSION_HEADER: self.version}
        return await self._dispatcher.send_raw_request(method, sent or None, options)

    # The end, and news of the tool list.

    @property
    def is_usable(self) -> bool:
        """Whether a call may be sent on it."""
        return not (self.has_ended or self.is_retired) and self._transport.is_open

    def end(self) -> None:
        """The connection is over."""
        self.has_ended = True
        if self._direct is not None:
            self._direct.end()
        self._news.set()

    def retire(self) -> None:
        """The server no longer knows our session: what was sent may still be answered, nothing more is sent."""
        self.is_retired = True
        self._news.set()

    async def news(self) -> None:
        """Wait until the tool list has changed, or the connection has ended."""
        await self._news.wait()

    def heard(self) -> None:
        if self.is_usable:
            self._news = anyio.Event()

    async def on_message(self, message: Any) -> None:
        """What the server says unasked."""
        if isinstance(message, types.ToolListChangedNotification | types.SubscriptionsAcknowledgedNotification):
            self._news.set()  # what changed before the subscription was there, nobody told
        elif isinstance(message, Exception):
            log.debug("server.junk", extra={"error": str(message)[:200]})

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hears of changes of the tool list: by a stream of its own where the era asks for one."""
        if self.era is not Era.MODERN or not self._has_list_changes:
            yield
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            yield
            tasks.cancel_scope.cancel()

    def adopted(self, session: ClientSession, era: Era) -> Era:
        self.era = era
        self.version = session.protocol_version
        capabilities = session.server_capabilities
        self._has_list_changes = bool(capabilities and capabilities.tools and capabilities.tools.list_changed)
        return era

    async def _listen(self) -> None:
        """Keep the stream of changes open; a server that does not have it is asked once."""
        pause = FIRST_LISTEN_PAUSE_S
        for number in count():
            params = {"notifications": {"toolsListChanged": True}}
            try:
                await self.request("subscriptions/listen", params, {"request_id": f"listen-{number}"})
            except MCPError as error:
                log.debug("server.not_listening", extra={"error": error.message})
                if error.code in {types.METHOD_NOT_FOUND, types.INVALID_PARAMS}:
                    return
            if not self.is_usable:
                return
            await anyio.sleep(pause)
            pause = min(pause * 2, LONGEST_LISTEN_PAUSE_S)


async def negotiate(session: ClientSession, wire: Wire, era: Era | None, probe_timeout_s: float) -> Era:
    """Agree with the server on a protocol; *era* is what is known of it. Raises `DiedOnProbe` or `MCPError`."""
    if era is not Era.LEGACY:
        with anyio.move_on_after(None if era is Era.MODERN else probe_timeout_s):
            if await _discover(session, wire):
                return wire.adopted(session, Era.MODERN)
    if era is Era.MODERN:
        raise ServerUnavailable(
            f"it does not speak the protocol of {LATEST_MODERN_VERSION}",
            hint='protocol = "auto" takes what it speaks',
        )
    try:
        await session.initialize()
    except MCPError as error:
        if era is Era.LEGACY:
            raise
        if wire.has_ended:
            raise DiedOnProbe from error
        if error.code != types.UNSUPPORTED_PROTOCOL_VERSION or not await _discover(session, wire):
            raise
        return wire.adopted(session, Era.MODERN)  # it was slow, not silent: the probe reached it first
    return wire.adopted(session, Era.LEGACY)


async def _discover(session: ClientSession, wire: Wire) -> bool:
    """Ask which versions it speaks; True if a modern one was agreed on."""
    version = LATEST_MODERN_VERSION
    try:
        return _adopt(session, await session.send_discover(version))
    except MCPError as error:
        if error.code == types.CONNECTION_CLOSED and wire.has_ended:
            raise DiedOnProbe from error
        named = _named_versions(error)
        if error.code != types.UNSUPPORTED_PROTOCOL_VERSION or not named:
            return False
        mutual = [name for name in MODERN_PROTOCOL_VERSIONS if name in named and name != version]
        if not mutual and not set(named) & {*HANDSHAKE_PROTOCOL_VERSIONS, version}:
            raise
    return bool(mutual) and _adopt(session, await session.send_discover(mutual[-1]))


def _adopt(session: ClientSession, found: dict[str, Any]) -> bool:
    try:
        result = types.DiscoverResult.model_validate(found)
    except ValidationError:
        return False
    if not any(version in result.supported_versions for version in MODERN_PROTOCOL_VERSIONS):
        return False
    session.adopt(result)
    return True


def _named_versions(error: MCPError) -> list[str]:
    data = error.error.data
    supported = data.get("supported") if isinstance(data, dict) else None
    return [name for name in supported if isinstance(name, str)] if isinstance(supported, list) else []


def _headers(method: str, params: Mapping[str, Any]) -> dict[str, str]:
    headers = {MCP_PROTOCOL_VERSION_HEADER: LATEST_MODERN_VERSION, MCP_METHOD_HEADER: method}
    name = params.get(NAME_BEARING_METHODS.get(method, ""))
    if isinstance(name, str):
        headers[MCP_NAME_HEADER] = encode_header_value(name)
    return headers


_ENVELOPE: dict[str, Any] = {
    types.PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION,
    types.CLIENT_INFO_META_KEY: ME.model_dump(by_alias=True, mode="json", exclude_none=True),
    types.CLIENT_CAPABILITIES_META_KEY: {},
}
"""What each request of the modern era carries. This gateway has no client capabilities to offer yet."""
