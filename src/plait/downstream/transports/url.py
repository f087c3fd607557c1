"""The transport of a server at a URL: as the settings name it, else found out.

A server of before 2025-03-26 serves SSE alone and refuses the POST of a newer client with 400, 404
or 405. The specification tells clients to try a GET then, and to look for an endpoint event. So a
client's file needs to name no transport.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from mcp import MCPError

from ...config import ServerSettings
from .faults import status_of

_REFUSALS: Final = frozenset({400, 404, 405})


class TransportGuess:
    """The transport of the server of *settings*, which is guessed between Streamable HTTP and SSE
    if they name none; for a process it changes nothing."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        """The settings to open a connection with."""
        self._is_named = settings.url is None or settings.transport is not None

    def adjust(self, settings: ServerSettings) -> None:
        """Use *settings* of the same server."""
        transport = self.settings.transport
        self.settings = settings.model_copy(update={"transport": transport})

    def guess_sse(self, error: BaseException) -> bool:
        """Note that a start failed with *error*. Returns whether to try SSE at once."""
        if self._is_named or self.settings.kind != "http" or _refusal(error) is None:
            return False
        self._use("sse")
        return True

    def was_no_sse(self) -> None:
        """Note that the server was not found to speak SSE."""
        self._use(None)

    def hint(self, error: BaseException) -> str:
        """Say what to check in the settings after a start failed with *error*; may be empty."""
        url, status = self.settings.url, _refusal(error)
        if url is None or status is None:
            return ""
        if urlsplit(url).path in {"", "/"}:
            return "the URL has no path; most servers serve MCP at /mcp, older ones at /sse"
        if not self._is_named:
            return "neither Streamable HTTP nor SSE is served there: check the path of the URL"
        if self.settings.kind == "sse":
            return "if it is not an SSE server, leave out `transport`"
        return 'check the path of the URL, or set transport = "sse" if it is an SSE server'

    def _use(self, transport: str | None) -> None:
        self.settings = self.settings.model_copy(update={"transport": transport})


def _refusal(error: BaseException) -> int | None:
    """The status with which a server refused the first message, if it is one of `_REFUSALS`."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    status = status_of(error.error) if isinstance(error, MCPError) else None
    return status if status in _REFUSALS else None
