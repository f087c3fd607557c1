"""Requests of 2026-07-28 over HTTP: one response each, refused with the status of its error."""

from __future__ import annotations

from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client

from ...fakes import FakeServers
from ..conftest import task
from .http_gateway import CALL, ENVELOPE, MODERN, Served, modern, served, until


async def test_a_request_of_2026_with_progress_is_a_stream_and_without_it_a_body(
    servers: FakeServers,
):
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        message, headers = modern("tools/call", CALL)
        quiet = await http.post(gateway.url, json=message, headers=headers)
        message["params"]["_meta"] = {**ENVELOPE, "progressToken": 5}
        loud = await http.post(gateway.url, json=message, headers=headers)
    assert quiet.headers["content-type"] == "application/json"
    assert quiet.json()["result"]["resultType"] == "complete"
    assert loud.headers["content-type"] == "text/event-stream"
    assert '"progressToken":5' in loud.text
    assert '"resultType":"complete"' in loud.text
    assert "mcp-session-id" not in quiet.headers


CALLED, HEADERS = modern("tools/call", CALL)
REFUSED: list[tuple[Any, dict[str, str], int, int]] = [
    (CALLED, {**HEADERS, "mcp-method": "tools/list"}, 400, -32020),
    ({**CALLED, "params": CALL}, HEADERS, 400, -32602),
    (CALLED, {**HEADERS, "mcp-protocol-version": "2027-01-01"}, 400, -32020),
    (*modern("no/such", {}), 404, -32601),
    ([CALLED], HEADERS, 400, -32600),
    ({"jsonrpc": "2.0", "id": 1, "result": {}}, HEADERS, 400, -32600),
]


@pytest.mark.parametrize(("message", "headers", "status", "code"), REFUSED)
async def test_a_request_is_refused_with_the_http_status_of_its_error(
    servers: FakeServers, message: Any, headers: dict[str, str], status: int, code: int
):
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        answer = await http.post(gateway.url, json=message, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert servers.calls == []


@pytest.mark.parametrize(("version", "status"), [("2026-07-28", 202), ("2027-01-01", 400)])
async def test_a_notification_is_accepted_in_a_version_that_is_served(
    servers: FakeServers, version: str, status: int
):
    notice = {"jsonrpc": "2.0", "method": "x"}
    headers = {**MODERN, "mcp-protocol-version": version}
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        answer = await http.post(gateway.url, json=notice, headers=headers)
    assert answer.status_code == status


async def test_a_routing_header_that_comes_twice_is_refused(servers: FakeServers):
    headers = [*HEADERS.items(), ("mcp-method", "tools/call")]
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        answer = await http.post(gateway.url, json=CALLED, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)
    assert "more than once" in answer.json()["error"]["message"]


async def test_a_modern_client_that_leaves_cancels_its_run(
    servers: FakeServers, hanging: anyio.Event
):
    async with served(servers) as gateway:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_call_and_leave, gateway, "2026-07-28", hanging)
        await until(lambda: servers.aborted == ["s:hang"])


async def _call_and_leave(gateway: Served, era: str, called: anyio.Event) -> None:
    async with Client(gateway.url, mode=era) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, "execute_dag", {"tasks": [task("a", "s:hang")]})
        await called.wait()
        tasks.cancel_scope.cancel()
