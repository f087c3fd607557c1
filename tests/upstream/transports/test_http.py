"""The HTTP app on a real port: both eras and legacy SSE, what is refused, deadlines, disconnects
and the stop."""

from __future__ import annotations

import json
import logging
import signal
from typing import Any

import anyio
import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.sse import sse_client

from plait.upstream.relay.listings import RelayConfig
from plait.upstream.transports.hosts import Allowed

from ...fakes import FakeServers
from ..conftest import LEGACY, structured, task
from ..relay.downstream import DONE, FakeDownstream, a_tool
from .http_gateway import ACCEPT, INITIALIZE, Served, served, until
from .test_stdio import started


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


async def test_a_flaw_in_the_arguments_of_our_own_tools_is_an_answer_over_sse(
    servers: FakeServers,
):
    flawed = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"execute_dag",'
    flawed += b'"arguments":{"tasks":[{"id":"a","id":"b"}]}}}'
    headers = {"content-type": "application/json"}
    async with (
        served(servers) as gateway,
        httpx2.AsyncClient(timeout=10) as http,
        http.stream("GET", f"{gateway.base}/sse") as stream,
    ):
        data = (
            line.removeprefix("data: ")
            async for line in stream.aiter_lines()
            if line.startswith("data: ")
        )
        url = gateway.base + await anext(data)
        await http.post(url, json=INITIALIZE)
        await anext(data)
        await http.post(url, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        await http.post(url, content=flawed, headers=headers)
        answer = json.loads(await anext(data))
    assert answer["id"] == 7
    [problem] = answer["result"]["structuredContent"]["errors"]
    assert (problem["path"], problem["code"]) == ("tasks[0].id", "invalid_json")


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
        for path in (b"/mcp", b"/sse", b"/messages/", b"/healthz", b"/readyz", b"/nowhere"):
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
        await until(lambda: len(servers.calls) == 2)
        with anyio.fail_after(4):
            gateway.stop.ask()
            health = await http.get(f"{gateway.base}/healthz")
            refused = await http.post(gateway.url, json=INITIALIZE, headers=ACCEPT)
            await until(lambda: len(servers.aborted) == 2)
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
