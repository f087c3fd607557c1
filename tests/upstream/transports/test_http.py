"""The HTTP app on a real port: both eras and legacy SSE, what is refused, deadlines, disconnects
and the stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import httpx2
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.sse import sse_client

from plait.app import run_http
from plait.config import GatewaySettings
from plait.engine.gateway import Gateway
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.relay.listings import RelayConfig
from plait.upstream.stopping import Stop
from plait.upstream.transports.hosts import Allowed
from plait.upstream.transports.listening import Arrival, listen_on

from ...fakes import FakeServers
from ..conftest import LEGACY, structured, task
from ..relay.downstream import DONE, FakeDownstream, a_tool, by_origin
from .test_stdio import started

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
    arrival: Arrival | None = None,
    relaying: RelayConfig | None = None,
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
            Gateway(servers, call_tool, InMemoryRuns()) as gateway,
            anyio.create_task_group() as tasks,
        ):

            async def run() -> None:
                rules = allowed or Allowed("127.0.0.1")
                await run_http(
                    gateway, GatewaySettings(), sock, rules, stop,
                    relaying=relaying, drain_s=drain_s, arrival=arrival, on_ready=url.set_result,
                )  # fmt: skip

            tasks.start_soon(run)
            with anyio.fail_after(5):
                address = await url
            yield Served(address, stop, gateway)
            stop.ask()
    stop.done()


@pytest.fixture
def hanging(servers: FakeServers) -> anyio.Event:
    """Set when `s:hang` was called."""
    called = anyio.Event()

    async def hang() -> None:
        called.set()
        await anyio.sleep_forever()

    servers.add("s:hang", hang)
    return called


async def test_a_client_of_either_era_runs_a_dag_over_one_url(servers: FakeServers, era: str):
    heard: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with served(servers) as gateway, Client(gateway.url, mode=era) as client:
        document = {"tasks": [task("a", arguments={"n": 1}), task("b", depends_on=["a"])]}
        result = await client.call_tool("execute_dag", document, progress_callback=note)
        guide = await client.read_resource("plait://guide")
    assert structured(result)["status"] == "success"
    assert heard[-1] == "2/2 done"
    assert "# DAGs of tool calls" in str(guide.contents[0])


async def test_a_client_of_the_legacy_sse_transport_runs_a_dag(servers: FakeServers):
    async with (
        served(servers) as gateway,
        Client(sse_client(f"{gateway.base}/sse"), mode="legacy") as client,
    ):
        result = await client.call_tool("execute_dag", {"tasks": [task("a", arguments={"n": 1})]})
    assert structured(result)["outputs"] == {"a": {"n": 1}}


async def test_health_gives_the_version_and_the_servers_by_state(servers: FakeServers):
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        answer = (await http.get(f"{gateway.base}/healthz")).json()
    assert answer["status"] == "ok"
    assert answer["servers"] == {"ready": ["s", "chat"]}
    assert answer["version"]


REFUSED = [
    (b"Host: localhost:8977/@evil", b"421"),
    (b"Host: evil.example", b"421"),
    (b"Host: 127.0.0.1.evil.example", b"421"),
    (b"Host: localhost\r\nOrigin: http://127.0.0.1:8977.evil.example", b"403"),
    (b"Host: localhost\r\nOrigin: http://localhost:3000", b"403"),
    (b"Host: localhost\r\nOrigin: null", b"403"),
    (b"Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil.example", b"403"),
    (b"Host: localhost\r\nHost: evil.example", b"400"),
    (b"X-Host: none", b"400"),
]


async def test_every_route_refuses_unknown_hosts_and_origins(servers: FakeServers):
    async with served(servers) as gateway:
        for path in (b"/mcp", b"/sse", b"/messages/", b"/healthz", b"/nowhere"):
            for headers, status in REFUSED:
                sent = (
                    b"GET " + path + b" HTTP/1.1\r\n" + headers + b"\r\nConnection: close\r\n\r\n"
                )
                assert (await gateway.raw(sent)).split(b" ")[1] == status, (path, headers)


async def test_a_page_of_an_allowed_origin_may_ask_and_use_the_gateway(servers: FakeServers):
    allowed = Allowed("127.0.0.1", origins=("https://app.example",))
    async with served(servers, allowed=allowed) as gateway, httpx2.AsyncClient() as http:
        asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
        preflight = await http.options(gateway.url, headers=asked)
        answer = await http.post(
            gateway.url, json=INITIALIZE, headers={**ACCEPT, "origin": "https://app.example"}
        )
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.status_code == 200
    assert "mcp-session-id" in answer.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"x":"\\ud800"}}',
            "lone surrogate",
        ),
        (b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"x":NaN}}', "NaN"),
        (b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"x":1e999}}', "1e999"),
        (b'{"jsonrpc":"2.0","id":5,"method":"ping","params":{"x":1,"x":2}}', "twice"),
        (
            b'{"jsonrpc":"2.0","id":5,"method":"ping","params":{"x":'
            + b"[" * 200
            + b"]" * 200
            + b"}}",
            "levels",
        ),
    ],
)
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_bodies_that_are_not_strict_json_are_refused_with_their_id_in_both_eras(
    servers: FakeServers, body: bytes, said: str, version: str
):
    headers = {**ACCEPT, "content-type": "application/json", "mcp-protocol-version": version}
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        answer = await http.post(gateway.url, content=body, headers=headers)
        alive = await http.get(f"{gateway.base}/healthz")
    assert answer.status_code == 400
    assert answer.json()["id"] == 5
    assert answer.json()["error"]["code"] == types.PARSE_ERROR
    assert said in answer.json()["error"]["message"]
    assert alive.status_code == 200


async def test_a_hundred_thousand_nested_lists_are_refused(servers: FakeServers):
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        answer = await http.post(gateway.url, content=b"[" * 100_000, headers=ACCEPT)
    assert answer.status_code == 400


async def test_bodies_above_the_limit_are_refused_whether_they_say_so_or_not(servers: FakeServers):
    head = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    async with served(servers) as gateway:
        declared = await gateway.raw(head + b"Content-Length: 4194305\r\n\r\n")
        chunk = b"%x\r\n" % 2**20 + b" " * 2**20 + b"\r\n"
        chunked = await gateway.raw(
            head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 4 + b"1\r\n \r\n"
        )
    assert declared.startswith(b"HTTP/1.1 413 ")
    assert chunked.startswith(b"HTTP/1.1 413 ")


POST = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: loc",
        POST + b"{",
        POST.replace(b"/mcp", b"/healthz") + b"{",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + POST,
    ],
)
async def test_a_request_that_does_not_arrive_in_time_is_closed(servers: FakeServers, sent: bytes):
    async with served(servers, arrival=Arrival(0.05, 0.05)) as gateway, asyncio.timeout(3):
        answer = await gateway.raw(sent)
    assert b"HTTP/1.1 408 Request Timeout" in answer


async def test_a_request_that_arrives_byte_by_byte_is_closed_in_time(servers: FakeServers):
    async with (
        served(servers, arrival=Arrival(0.1)) as gateway,
        connected(gateway.port) as (reader, writer),
    ):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ")

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.01)

        async with asyncio.timeout(3), anyio.create_task_group() as tasks:
            tasks.start_soon(drip)
            assert b"408" in await reader.readline()
            tasks.cancel_scope.cancel()


async def test_a_long_call_does_not_count_as_a_slow_request(servers: FakeServers, era: str):
    arrival = Arrival(0.2, 0.2)
    async with served(servers, arrival=arrival) as gateway, Client(gateway.url, mode=era) as client:
        document = {"tasks": [task("a", "s:sleep", arguments={"seconds": 0.6})]}
        result = await client.call_tool("execute_dag", document)
    assert structured(result)["status"] == "success"


async def test_a_modern_client_that_leaves_cancels_its_run(
    servers: FakeServers, hanging: anyio.Event
):
    async with served(servers) as gateway:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_call_and_leave, gateway, "2026-07-28", hanging)
        await _until(lambda: servers.aborted == ["s:hang"])


async def test_a_client_of_2025_that_cancels_cancels_its_run(
    servers: FakeServers, hanging: anyio.Event
):
    async with served(servers) as gateway, Client(gateway.url, mode="legacy") as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "execute_dag", {"tasks": [task("a", "s:hang")]})
            await hanging.wait()
            tasks.cancel_scope.cancel()
        await _until(lambda: servers.aborted == ["s:hang"])


async def test_the_run_of_a_client_of_2025_goes_on_when_its_connection_breaks(
    servers: FakeServers, hanging: anyio.Event
):
    release = anyio.Event()

    async def held() -> dict[str, Any]:
        hanging.set()
        await release.wait()
        return {"n": 1}

    servers.add("s:held", held)
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        opened = await http.post(gateway.url, json=INITIALIZE, headers=ACCEPT)
        session = {**ACCEPT, "mcp-session-id": opened.headers["mcp-session-id"]}
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await http.post(gateway.url, json=ready, headers=session)
        params = {"name": "execute_dag", "arguments": {"tasks": [task("a", "s:held")]}}
        call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}
        async with http.stream("POST", gateway.url, json=call, headers=session):
            await hanging.wait()
        [run] = gateway.gateway._scheduler.runs
        release.set()
        look = {"name": "get_run", "arguments": {"run_id": run}}
        again = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": look}
        answer = await http.post(gateway.url, json=again, headers=session)
    assert answer.json()["result"]["structuredContent"]["outputs"] == {"a": {"n": 1}}
    assert servers.aborted == []


async def test_a_stop_refuses_new_requests_drains_calls_and_ends_streams(
    servers: FakeServers, hanging: anyio.Event
):
    async with (
        served(servers, drain_s=0.5) as gateway,
        httpx2.AsyncClient() as http,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_call, gateway.url, "2026-07-28", "s:hang", [])
        tasks.start_soon(_call, gateway.url, "legacy", "s:hang", [])
        tasks.start_soon(_listen, gateway)
        await _until(lambda: len(servers.calls) == 2)
        with anyio.fail_after(4):
            gateway.stop.ask()
            health = await http.get(f"{gateway.base}/healthz")
            refused = await http.post(gateway.url, json=INITIALIZE, headers=ACCEPT)
            await _until(lambda: len(servers.aborted) == 2)
    assert health.json()["status"] == "stopping"
    assert '"error":{"code":-32000,"message":"The gateway is shutting down."' in refused.text
    assert servers.aborted == ["s:hang", "s:hang"]


async def test_a_signal_drains_then_ends_the_process_with_0_although_streams_are_open():
    async with started("--http", "--drain", "0.2") as process:
        assert process.process.stdout is not None
        url = (await process.process.stdout.readline()).decode().strip()
        drained: list[types.CallToolResult] = []
        async with anyio.create_task_group() as tasks:
            for era in ("legacy", "2026-07-28"):
                tasks.start_soon(_call, url, era, "s:hang", drained)
                await process.said("s:hang called")
                tasks.start_soon(_call, url, era, "s:held", drained)
                await process.said("s:held called")
            process.process.send_signal(signal.SIGTERM)
            with anyio.fail_after(10):
                status, said = await process.ended()
            tasks.cancel_scope.cancel()
    assert status == 0
    statuses = sorted(structured(result)["status"] for result in drained)
    assert statuses == ["cancelled", "cancelled", "success", "success"]
    assert said.count("s:hang aborted") == 2
    assert "Traceback" not in said


async def test_two_clients_are_never_taken_for_one(servers: FakeServers, era: str):
    """A question for one client must never reach another. Requests of 2026-07-28 do not even name
    their client."""

    async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        raise AssertionError

    downstream = FakeDownstream()
    downstream.add("a", tools=(a_tool("x"),))
    downstream.on("a", "tools/call", DONE)
    async with served(servers, relaying=RelayConfig(downstream, "all")) as gateway:
        for _ in range(2):
            async with Client(gateway.url, mode=era, elicitation_callback=answer) as client:
                await client.call_tool("a__x", {})
                await client.call_tool("a__x", {})
    one, again, *of_other = (request.caller.client for request in downstream.requests)
    assert (one == again) is (era == LEGACY)
    assert one not in of_other
    assert again not in of_other


async def _call(url: str, era: str, tool: str, answered: list[types.CallToolResult]) -> None:
    try:
        async with Client(url, mode=era) as client:
            answered.append(await client.call_tool("execute_dag", {"tasks": [task("a", tool)]}))
    except Exception:
        logging.getLogger(__name__).info("the gateway stopped under this call")


async def _listen(gateway: Served) -> None:
    async with (
        httpx2.AsyncClient(timeout=None) as http,
        http.stream("GET", f"{gateway.base}/sse") as stream,
    ):
        async for _ in stream.aiter_raw():
            pass


async def _call_and_leave(gateway: Served, era: str, called: anyio.Event) -> None:
    async with Client(gateway.url, mode=era) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, "execute_dag", {"tasks": [task("a", "s:hang")]})
        await called.wait()
        tasks.cancel_scope.cancel()


async def _until(is_true: Any) -> None:
    """Let the loop run until it is so; the limit is for a test that fails."""
    with anyio.fail_after(5):
        while not is_true():
            await anyio.sleep(0.005)
