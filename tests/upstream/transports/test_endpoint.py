"""The endpoint names the era of a request, and refuses what belongs to neither era."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from ...fakes import FakeServers
from .http_gateway import (
    ACCEPT,
    CALL,
    INITIALIZE,
    MODERN,
    in_session,
    modern,
    request,
    served,
)

SESSION_REFUSALS = [
    ({"mcp-session-id": "none"}, INITIALIZE, 404, "Session not found"),
    ({}, request("tools/list"), 400, "Missing session ID"),
    ({}, {"jsonrpc": "2.0", "method": "notifications/initialized"}, 400, "Missing session ID"),
    ({"accept": "application/json"}, INITIALIZE, 406, "must accept both"),
    ({"accept": "text/event-stream"}, INITIALIZE, 406, "must accept both"),
    ({"content-type": "text/plain"}, INITIALIZE, 415, "must be application/json"),
    ({}, [INITIALIZE], 400, "not a JSON-RPC message"),
    ({}, {"jsonrpc": "2.0", "id": 1, "method": 7}, 400, "not a JSON-RPC message"),
]


@pytest.mark.parametrize(("headers", "message", "status", "said"), SESSION_REFUSALS)
async def test_a_request_that_begins_no_session_is_refused_and_leaves_none(
    servers: FakeServers, headers: dict[str, str], message: Any, status: int, said: str
):
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        answer = await http.post(gateway.url, json=message, headers={**ACCEPT, **headers})
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]
    assert "mcp-session-id" not in answer.headers


SESSION, JSON, EVENTS = "mcp-session-id", "application/json", "text/event-stream"


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("PUT", ACCEPT, 405),
        ("GET", ACCEPT, 400),
        ("DELETE", ACCEPT, 400),
        ("GET", {**ACCEPT, SESSION: "unknown"}, 404),
        ("DELETE", {**ACCEPT, SESSION: "unknown"}, 404),
        ("GET", MODERN, 405),
        ("DELETE", MODERN, 405),
    ],
)
async def test_each_era_has_its_own_methods(
    servers: FakeServers, method: str, headers: dict[str, str], status: int
):
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        answer = await http.request(method, gateway.url, headers=headers)
    assert answer.status_code == status
    if status == 405:
        allowed = "POST" if headers is MODERN else "GET, POST, DELETE"
        assert answer.headers["allow"] == allowed


async def test_the_stream_of_a_session_is_only_for_clients_that_accept_one(servers: FakeServers):
    async with served(servers) as gateway, in_session(gateway) as client:
        headers = {**client.headers, "accept": JSON}
        refused = await client.http.get(client.url, headers=headers)
    assert refused.status_code == 406
    assert EVENTS in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (f"{JSON}, {EVENTS}", 200),
        (f"{EVENTS};q=0.5,{JSON.upper()} ; q=1", 200),
        ("application/*, text/*", 200),
        ("*/*;q=0.5", 200),
        (JSON, 406),
        (EVENTS, 406),
        ("text/html", 406),
        ("", 406),
    ],
)
async def test_a_client_must_accept_both_json_and_a_stream_of_events(
    servers: FakeServers, accept: str, status: int
):
    call, headers = modern("tools/call", CALL)
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        first = await http.post(gateway.url, json=INITIALIZE, headers={"accept": accept})
        answer = await http.post(gateway.url, json=call, headers={**headers, "accept": accept})
    assert (first.status_code, answer.status_code) == (status, status)


async def test_the_header_of_a_request_names_its_era(servers: FakeServers):
    call, headers = modern("tools/call", CALL)
    older = {**headers, "mcp-protocol-version": "2025-11-25"}
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        alone = await http.post(gateway.url, json=call, headers=headers)
        of_a_session = await http.post(gateway.url, json=call, headers=older)
    assert alone.json()["result"]["structuredContent"]["outputs"] == {"a": {"n": 1}}
    assert "Missing session ID" in of_a_session.json()["error"]["message"]


@pytest.mark.parametrize("name", ["mcp-protocol-version", "mcp-session-id"])
@pytest.mark.parametrize("is_folded", [True, False])
async def test_a_header_that_was_sent_twice_is_refused_by_its_name(
    servers: FakeServers, name: str, is_folded: bool
):
    value = {"mcp-protocol-version": "2025-06-18"}.get(name, "a")
    twice = [(name, f"{value}, {value}")] if is_folded else [(name, value), (name, value)]
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        headers = [*ACCEPT.items(), *twice]
        answer = await http.post(gateway.url, json=request("tools/list"), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == f"the header {name} was sent more than once"
