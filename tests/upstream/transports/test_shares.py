"""The share of one address: what is beyond it is refused, and health is answered in any case."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import anyio
import httpx2
import pytest

from plait.upstream.transports import http, listening
from plait.upstream.transports.admission import PEER
from plait.upstream.transports.peers import Peer
from plait.upstream.transports.shares import RETRY_S, FairRequests, address_of

from ...fakes import FakeServers
from .http_gateway import connected, served


def scope_of(host: str, path: str = "/mcp") -> dict[str, Any]:
    return {
        "type": "http",
        "path": path,
        "headers": [(b"x-forwarded-for", b"9.9.9.9")],
        "state": {PEER: Peer((host, 1), ("127.0.0.1", 2))},
    }


def test_the_address_of_a_request_is_that_of_its_connection() -> None:
    assert address_of(scope_of("127.0.0.1")) == "127.0.0.1"
    assert address_of({**scope_of(""), "state": {PEER: Peer(None, None)}}) == ""
    assert address_of({"type": "http"}) == ""


async def test_each_address_may_have_some_requests_open_and_all_of_them_some_more():
    release = anyio.Event()
    begun: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.append(address_of(scope))
        await release.wait()

    fair = FairRequests(app, most=3, of_address=2)
    refused: list[tuple[str, int, str]] = []

    async def ask(host: str, path: str = "/mcp") -> None:
        head: dict[str, Any] = {}

        async def receive() -> Any:
            raise AssertionError("nothing is read")

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                head.update(message)
            else:
                retry = dict(head["headers"])[b"retry-after"]
                assert int(retry) == RETRY_S
                refused.append((host, head["status"], json.loads(message["body"])["error"]))

        await fair(scope_of(host, path), receive, send)

    async with anyio.create_task_group() as tasks:
        for host in ("a", "a", "a", "b", "c"):
            tasks.start_soon(ask, host)
        tasks.start_soon(ask, "a", "/healthz")
        with anyio.fail_after(5):
            while len(begun) + len(refused) < 6:
                await anyio.lowlevel.checkpoint()
        said = "Too many open requests: close some of them, or try again later."
        assert sorted(refused) == [("a", 503, said), ("c", 503, said)]
        release.set()
    assert sorted(begun) == ["a", "a", "a", "b"]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "c")
    assert begun[-1] == "c"


async def test_streams_of_legacy_sse_are_bounded_and_health_is_answered(
    servers: FakeServers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(http, "ADDRESS_STREAMS", 2)
    async with served(servers) as gateway, AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx2.AsyncClient())
        url = f"{gateway.base}/sse"
        for _ in range(2):
            stream = await stack.enter_async_context(client.stream("GET", url))
            assert stream.status_code == 200
        refused = await client.get(url)
        assert refused.status_code == 503
        assert "Too many open streams" in refused.json()["error"]
        assert (await client.get(f"{gateway.base}/healthz")).status_code == 200


async def test_above_the_bound_an_idle_connection_is_closed_for_a_new_one(
    servers: FakeServers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(listening, "ADDRESS_CONNECTIONS", 3)
    async with served(servers) as gateway, AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(connected(gateway.port)) for _ in range(10)]
        with anyio.fail_after(5):
            for reader, _ in opened[:7]:
                assert await reader.read() == b""
        async with httpx2.AsyncClient() as client:
            assert (await client.get(f"{gateway.base}/healthz")).status_code == 200
