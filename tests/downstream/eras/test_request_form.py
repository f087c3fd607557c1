"""The form of requests: none before the handshake, and that of the era after it."""

from __future__ import annotations

from typing import Any

import pytest

from plait.core.values.strict import JsonObject
from plait.downstream.eras.handshake import ME, Era, Greeting
from plait.downstream.eras.request_form import RequestForm, modern_headers

LEGACY = RequestForm(Greeting(Era.LEGACY, "2025-11-25"))
LEVEL = "io.modelcontextprotocol/logLevel"


def modern() -> RequestForm:
    return RequestForm(Greeting(Era.MODERN, "2026-07-28"))


def tool(name: str, **header: str) -> JsonObject:
    region: JsonObject = {"type": "string", **header}
    return {"name": name, "inputSchema": {"type": "object", "properties": {"region": region}}}


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def test_before_the_handshake_there_are_no_headers():
    form = RequestForm(None)
    assert (form.headers("tools/list", {}), form.version_header()) == ({}, {})


def test_a_server_of_the_handshake_era_gets_its_version_with_each_message():
    headers = LEGACY.headers("tools/call", {"name": "look", "arguments": {"region": "here"}})
    assert lower(headers) == {"mcp-protocol-version": "2025-11-25"}
    assert headers == LEGACY.version_header()


def test_a_request_of_2026_says_who_we_are_and_what_its_client_can_do():
    params: JsonObject = {"name": "look", "_meta": {"mine": 1}}
    assert modern().with_envelope(params, {"sampling": {}}, None) == {
        "name": "look",
        "_meta": {
            "mine": 1,
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": ME,
            "io.modelcontextprotocol/clientCapabilities": {"sampling": {}},
        },
    }
    assert params == {"name": "look", "_meta": {"mine": 1}}


@pytest.mark.parametrize(
    ("own", "level", "sent"),
    [({}, None, None), ({}, "info", "info"), ({LEVEL: "error"}, "info", "error")],
)
def test_the_log_level_is_that_of_the_client_or_else_that_of_the_server(
    own: JsonObject, level: str | None, sent: str | None
):
    whole: Any = modern().with_envelope({"_meta": own}, {}, level)
    assert whole["_meta"].get(LEVEL) == sent


def test_a_request_of_2026_has_its_method_its_name_and_mapped_arguments_as_headers():
    form = modern()
    form.read_headers([tool("look", **{"x-mcp-header": "Region"}), tool("plain"), {"name": "none"}])
    common = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call"}
    for name, mapped in [("look", {"mcp-param-region": "here"}), ("plain", {}), ("none", {})]:
        params: JsonObject = {"name": name, "arguments": {"region": "here"}}
        assert lower(form.headers("tools/call", params)) == {**common, "mcp-name": name, **mapped}


def test_a_tool_whose_headers_are_invalid_maps_none():
    form = modern()
    form.read_headers([tool("look", **{"x-mcp-header": "not a header"})])
    headers = form.headers("tools/call", {"name": "look", "arguments": {"region": "here"}})
    assert "mcp-param-region" not in lower(headers)
    assert not any("not a header" in name for name in headers)


def test_the_handshake_itself_has_the_headers_of_the_version_that_it_asks_for():
    headers = lower(modern_headers("server/discover", {}, "2026-07-28"))
    assert headers == {"mcp-protocol-version": "2026-07-28", "mcp-method": "server/discover"}
