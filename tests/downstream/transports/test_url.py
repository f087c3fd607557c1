"""The transport that is tried at a URL, and what to check if none works. `test_sse.py` does it over
HTTP."""

from __future__ import annotations

from typing import Any

import mcp_types as types
import pytest
from mcp import MCPError

from plait.config import ServerSettings
from plait.downstream.transports.faults import Fault, made_error
from plait.downstream.transports.url import TransportGuess

URL = "http://127.0.0.1:1/mcp"


def refused(status: int) -> BaseException:
    error = MCPError.from_error_data(made_error(Fault.STATUS, f"HTTP {status}", status=status))
    return ExceptionGroup("of a task group", [error])


@pytest.mark.parametrize(
    ("settings", "error", "is_tried"),
    [
        ({"url": URL}, refused(404), True),
        ({"url": URL}, refused(405), True),
        ({"url": URL}, refused(400), True),
        ({"url": URL}, refused(401), False),
        ({"url": URL}, refused(500), False),
        ({"url": URL}, MCPError.from_error_data(types.ErrorData(code=404, message="x")), False),
        ({"url": URL}, TimeoutError(), False),
        ({"url": URL, "transport": "http"}, refused(404), False),
        ({"url": URL, "transport": "sse"}, refused(404), False),
        ({"command": "x"}, refused(404), False),
    ],
)
def test_sse_is_tried_where_a_message_is_refused_and_no_transport_is_named(
    settings: dict[str, Any], error: BaseException, is_tried: bool
):
    way = TransportGuess(ServerSettings(**settings))
    before = way.settings.kind
    assert way.guess_sse(error) is is_tried
    assert way.settings.kind == ("sse" if is_tried else before)
    assert way.hint(TimeoutError()) == ""


def test_a_server_that_speaks_sse_keeps_doing_so_with_new_settings_until_that_proves_wrong():
    way = TransportGuess(ServerSettings(url=URL))
    assert way.guess_sse(refused(405))
    way.adjust(ServerSettings(url=URL, timeout_s=7))
    assert (way.settings.kind, way.settings.timeout_s) == ("sse", 7)
    assert not way.guess_sse(refused(405))
    way.was_no_sse()
    assert way.settings.kind == "http"
    assert way.guess_sse(refused(405))
