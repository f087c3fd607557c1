"""A gateway over HTTP on a real port in this process, and a client in a session of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import httpx2

from plait.app.serving import run_http
from plait.config import GatewaySettings
from plait.core.flows.rules import FlowPolicy
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.relay.listings import RelayConfig
from plait.upstream.stopping import Stop
from plait.upstream.transports.admission import Admission, Everybody
from plait.upstream.transports.hosts import Allowed
from plait.upstream.transports.listening import Arrival, listen_on

from ...fakes import FakeServers
from ..conftest import task
from ..relay.downstream import FakeDownstream, by_origin

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
ACCEPT = {"accept": "application/json, text/event-stream"}


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


class Served:
    """A gateway that is served over HTTP."""

    def __init__(self, url: str, stop: Stop, gateway: Gateway) -> None:
        self.url = url
        self.base = url.removesuffix("/mcp")
        self.port = int(self.base.rpartition(":")[2])
        self.stop = stop
        self.gateway = gateway

    async def raw(self, sent: bytes) -> bytes:
        """Whatever comes back for *sent* until the connection is closed."""
        async with connected(self.port) as (reader, writer):
            writer.write(sent)
            return await reader.read()


@asynccontextmanager
async def served(
    servers: FakeServers,
    *,
    drain_s: float = 0.2,
    allowed: Allowed | None = None,
    admission: Admission | None = None,
    arrival: Arrival | None = None,
    relaying: RelayConfig | None = None,
    flows: FlowPolicy | None = None,
) -> AsyncIterator[Served]:
    stop = Stop(give_up=lambda status: None)
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    with listen_on("127.0.0.1", 0) as sock:
        call_tool = (
            servers
            if relaying is None
            else by_origin(servers, cast("FakeDownstream", relaying.downstream))
        )
        async with (
            Gateway(servers, call_tool, InMemoryRuns(), flows=flows) as gateway,
            anyio.create_task_group() as tasks,
        ):

            async def run() -> None:
                rules = allowed or Allowed("127.0.0.1")
                await run_http(
                    gateway, GatewaySettings(), sock, rules, admission or Everybody(), stop,
                    relaying=relaying, drain_s=drain_s, arrival=arrival, on_ready=url.set_result,
                )  # fmt: skip

            tasks.start_soon(run)
            with anyio.fail_after(5):
                address = await url
            yield Served(address, stop, gateway)
            stop.ask()
    stop.done()


async def until(is_true: Any) -> None:
    """Let the loop run until it is so; the limit is for a test that fails."""
    with anyio.fail_after(5):
        while not is_true():
            await anyio.sleep(0.005)


CALL = {"name": "execute_dag", "arguments": {"tasks": [task("a", arguments={"n": 1})]}}
META = "io.modelcontextprotocol/"
ENVELOPE = {f"{META}protocolVersion": "2026-07-28", f"{META}clientCapabilities": {}}
MODERN = {**ACCEPT, "mcp-protocol-version": "2026-07-28"}


def request(method: str, params: Any = None, id: int = 2) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params or {}}


def modern(
    method: str, params: dict[str, Any], id: int = 2
) -> tuple[dict[str, Any], dict[str, str]]:
    headers = {
        **MODERN,
        "mcp-method": method,
        **({"mcp-name": params["name"]} if "name" in params else {}),
    }
    return request(method, {**params, "_meta": ENVELOPE}, id), headers


class SessionClient:
    """A client in a session."""

    def __init__(self, http: httpx2.AsyncClient, url: str, headers: dict[str, str]) -> None:
        self.http, self.url, self.headers = http, url, headers

    async def post(self, message: dict[str, Any], **headers: str) -> httpx2.Response:
        return await self.http.post(self.url, json=message, headers={**self.headers, **headers})

    async def stream_of(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """All that comes in answer to *message*, as a stream."""
        async with self.http.stream(
            "POST", self.url, json=message, headers=self.headers
        ) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = [line async for line in response.aiter_lines()]
        return [
            json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")
        ]


@asynccontextmanager
async def in_session(gateway: Served) -> AsyncIterator[SessionClient]:
    async with httpx2.AsyncClient(timeout=10) as http:
        opened = await http.post(gateway.url, json=INITIALIZE, headers=ACCEPT)
        headers = {**ACCEPT, "mcp-session-id": opened.headers["mcp-session-id"]}
        client = SessionClient(http, gateway.url, headers)
        assert (
            await client.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        ).status_code == 202
        yield client
