"""Whether the gateway says that it is alive, and whether it can do its work."""

from __future__ import annotations

import time

import httpx2
import pytest

from plait.core.history import Durable
from plait.core.tools.catalog import ServerInfo, ServerState
from plait.engine.gateway import Gateway, GatewayLimits
from plait.stores.history.memory import MemoryHistory
from plait.stores.in_memory import InMemoryRuns
from plait.upstream.transports.admission import TokenHolders
from plait.upstream.transports.health import unready

from ...fakes import FakeServers
from .http_gateway import served

UP, DOWN, IDLE = ServerState.READY, ServerState.RETRYING, ServerState.IDLE
LATER = time.monotonic() + 1_000


async def test_health_gives_the_version_and_the_servers_by_state(servers: FakeServers):
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        answer = (await http.get(f"{gateway.base}/healthz")).json()
    assert answer["status"] == "ok"
    assert answer["servers"] == {"ready": ["s", "chat"]}
    assert answer["version"]


async def test_it_is_ready_while_the_servers_that_are_required_are_up(servers: FakeServers):
    token = "t" * 20
    async with (
        served(servers, admission=TokenHolders(token)) as gateway,
        httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}) as http,
        httpx2.AsyncClient() as stranger,
    ):
        url = f"{gateway.base}/readyz"
        before = await http.get(url)
        servers.add_server(ServerInfo("db", DOWN, error="refused", is_required=True))
        after = await http.get(url)
        told = await stranger.get(url)
        alive = await stranger.get(f"{gateway.base}/healthz")
    assert (before.status_code, before.json()) == (200, {"status": "ready"})
    reasons = ["db is required, and is retrying: refused"]
    assert (after.status_code, after.json()) == (503, {"status": "not_ready", "reasons": reasons})
    assert (told.status_code, told.json()) == (503, {"status": "not_ready"})
    assert alive.status_code == 200


@pytest.mark.parametrize(
    ("info", "is_ready"),
    [
        (ServerInfo("db", DOWN), True),
        (ServerInfo("db", UP, is_required=True), True),
        (ServerInfo("db", IDLE, is_required=True), True),
        (ServerInfo("db", UP, is_required=True, open_until=0.0), True),
        (ServerInfo("db", UP, is_required=True, open_until=LATER), False),
        (ServerInfo("db", ServerState.CONNECTING, is_required=True), False),
        (ServerInfo("db", ServerState.STOPPED, is_required=True), False),
    ],
)
async def test_a_server_that_is_required_must_take_calls(info: ServerInfo, is_ready: bool):
    servers = FakeServers()
    servers.add_server(info)
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        assert bool(list(unready(gateway))) is not is_ready
        assert next(unready(gateway, is_stopping=True)) == "the gateway is stopping"


@pytest.mark.parametrize("durable", [Durable.PROCESS, Durable.POWER])
async def test_runs_that_are_to_survive_power_cuts_must_be_writable(
    servers: FakeServers, durable: Durable
):
    history, limits = MemoryHistory(), GatewayLimits(durable=durable)
    async with Gateway(servers, servers, InMemoryRuns(), history=history, limits=limits) as gateway:
        assert list(unready(gateway)) == []
        history.trouble = "the disk is full"
        reasons = list(unready(gateway))
    assert ("the disk is full" in "".join(reasons)) is (durable is Durable.POWER)


async def test_what_a_server_needs_that_is_required_is_named():
    servers = FakeServers()
    needy = ServerInfo("db", ServerState.NEEDY, error="not set", is_required=True, needs=("TOKEN",))
    servers.add_server(needy)
    async with Gateway(servers, servers, InMemoryRuns()) as gateway:
        assert [*unready(gateway)] == ["db is required, and it needs TOKEN: not set"]
