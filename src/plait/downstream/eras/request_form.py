"""The form of requests in each era: the `_meta` of 2026-07-28, and the HTTP headers of both."""

from __future__ import annotations

from collections.abc import Iterable

import mcp_types as types

from ...core.values.strict import JsonObject
from ..mcp_sdk import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)
from .handshake import Era, Greeting, envelope


class RequestForm:
    """The form of requests to one server, which has agreed on a protocol with *greeting*; None
    until then."""

    def __init__(self, greeting: Greeting | None) -> None:
        self._greeting = greeting
        self._param_headers: dict[str, dict[tuple[str, ...], str]] = {}
        """The headers for arguments of each tool, by the path of the argument."""

    def __repr__(self) -> str:
        return f"<RequestForm: {self._greeting.version if self._greeting else 'none yet'}>"

    def with_envelope(
        self, params: JsonObject, capabilities: JsonObject, level: str | None
    ) -> JsonObject:
        """*params* with the `_meta` that each request of 2026-07-28 carries: the *capabilities* of
        its client, and the *level* of the log messages that are wanted."""
        assert self._greeting is not None
        meta = params.get("_meta")
        own: JsonObject = meta if isinstance(meta, dict) else {}
        wanted: JsonObject = {types.LOG_LEVEL_META_KEY: level} if level else {}
        version = self._greeting.version
        return {**params, "_meta": {**wanted, **own, **envelope(capabilities, version)}}

    def read_headers(self, definitions: Iterable[JsonObject]) -> None:
        """Learn from the *definitions* of tools which arguments are sent as headers too."""
        if self._greeting is None or self._greeting.era is not Era.MODERN:
            return
        schemas = {str(tool["name"]): tool.get("inputSchema") for tool in definitions}
        self._param_headers = {
            name: x_mcp_header_map(schema)
            for name, schema in schemas.items()
            if find_invalid_x_mcp_header(schema) is None
        }

    def headers(self, method: str, params: JsonObject) -> dict[str, str]:
        """Return the HTTP headers of a request."""
        if self._greeting is None or self._greeting.era is Era.LEGACY:
            return self.version_header()
        headers = modern_headers(method, params, self._greeting.version)
        name, arguments = params.get("name"), params.get("arguments")
        if method == "tools/call" and isinstance(name, str) and isinstance(arguments, dict):
            headers |= mcp_param_headers(self._param_headers.get(name, {}), arguments)
        return headers

    def version_header(self) -> dict[str, str]:
        """Return the header that every message has once the version is known."""
        if self._greeting is None:
            return {}
        return {MCP_PROTOCOL_VERSION_HEADER: self._greeting.version}


def modern_headers(method: str, params: JsonObject, version: str) -> dict[str, str]:
    """Return the headers of a request of 2026-07-28, but for those of arguments."""
    headers = {MCP_PROTOCOL_VERSION_HEADER: version, MCP_METHOD_HEADER: method}
    name = params.get(NAME_BEARING_METHODS.get(method, ""))
    if isinstance(name, str):
        headers[MCP_NAME_HEADER] = encode_header_value(name)
    return headers
