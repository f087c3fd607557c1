"""Who may come in over HTTP, on every route and on real connections."""

from __future__ import annotations

import sys
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from plait.upstream.transports.admission import (
    PEER,
    Everybody,
    TokenHolders,
    is_loopback,
)
from plait.upstream.transports.hosts import Allowed
from plait.upstream.transports.peers import Peer

from ...fakes import FakeServers
from ..conftest import structured, task
from .http_gateway import ACCEPT, INITIALIZE, served

TOKEN = "a-token-of-these-tests"
BEARER = {"authorization": f"Bearer {TOKEN}"}
ROUTES = [
    ("GET", "/mcp"),
    ("POST", "/mcp"),
    ("DELETE", "/mcp"),
    ("GET", "/sse"),
    ("POST", "/messages/?session_id=0123456789abcdef0123456789abcdef"),
    ("GET", "/nowhere"),
    ("OPTIONS", "/mcp"),
]


class OfOurUser(Peer):
    def __init__(self, is_ours: bool) -> None:
        super().__init__(None, None)
        self._is_our_user = is_ours


def scope(*headers: tuple[str, str], is_ours: bool = True, host: str = "localhost") -> Any:
    return {
        "headers": [
            (name.lower().encode(), value.encode()) for name, value in (("Host", host), *headers)
        ],
        "state": {PEER: OfOurUser(is_ours)},
    }


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_but_health_needs_the_token(servers: FakeServers, method: str, path: str):
    async with (
        served(servers, admission=TokenHolders(TOKEN)) as gateway,
        httpx2.AsyncClient(base_url=gateway.base) as http,
    ):
        without = await http.request(method, path)
        wrong = await http.request(method, path, headers={"authorization": "Bearer of-others"})
        health = await http.get("/healthz")
        mine = (await http.get("/healthz", headers=BEARER)).json()
        ready = await http.get("/readyz")
    assert (without.status_code, wrong.status_code) == (401, 401)
    assert without.headers["www-authenticate"] == 'Bearer realm="plait"'
    assert wrong.headers["www-authenticate"] == 'Bearer realm="plait", error="invalid_token"'
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    assert mine["servers"] == {"ready": ["s", "chat"]}


async def test_a_client_with_the_token_runs_a_dag_in_either_era(servers: FakeServers, era: str):
    async with (
        served(servers, admission=TokenHolders(TOKEN)) as gateway,
        httpx2.AsyncClient(headers=BEARER) as http,
        Client(streamable_http_client(gateway.url, http_client=http), mode=era) as client,
    ):
        result = await client.call_tool("execute_dag", {"tasks": [task("a", arguments={"n": 1})]})
    assert structured(result)["outputs"] == {"a": {"n": 1}}


async def test_a_client_of_the_legacy_sse_transport_sends_the_token(servers: FakeServers):
    async with (
        served(servers, admission=TokenHolders(TOKEN)) as gateway,
        Client(sse_client(f"{gateway.base}/sse", headers=BEARER), mode="legacy") as client,
    ):
        result = await client.call_tool("execute_dag", {"tasks": [task("a", arguments={"n": 1})]})
    assert structured(result)["outputs"] == {"a": {"n": 1}}


async def test_a_program_of_our_user_needs_no_token_where_the_system_knows_it(
    servers: FakeServers,
):
    admission = TokenHolders(TOKEN, with_own_user=True)
    async with served(servers, admission=admission) as gateway, httpx2.AsyncClient() as http:
        answer = await http.post(gateway.url, json=INITIALIZE, headers=ACCEPT)
    assert answer.status_code == (200 if sys.platform == "linux" else 401)


async def test_a_page_of_an_allowed_origin_may_ask_before_it_has_the_token(servers: FakeServers):
    allowed = Allowed("127.0.0.1", origins=("https://app.example",))
    asked = {
        "origin": "https://app.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    async with (
        served(servers, allowed=allowed, admission=TokenHolders(TOKEN)) as gateway,
        httpx2.AsyncClient() as http,
    ):
        preflight = await http.options(gateway.url, headers=asked)
        refused = await http.post(gateway.url, headers={"origin": "https://app.example"})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-headers"] == "authorization"
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://app.example"


@pytest.mark.parametrize(
    "header",
    [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER   {TOKEN} "],
)
async def test_the_token_may_be_written_in_these_ways(header: str):
    assert await TokenHolders(TOKEN).refusal(scope(("Authorization", header))) is None


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("Authorization", TOKEN),),
        (("Authorization", "Bearer"),),
        (("Authorization", "Bearer "),),
        (("Authorization", f"Basic {TOKEN}"),),
        (("Authorization", f"Bearer {TOKEN}x"),),
        (("Authorization", f"Bearer {TOKEN[:-1]}"),),
        (("Authorization", f"Bearer {TOKEN.upper()}"),),
        (("Authorization", f"Bearer {TOKEN}, Bearer {TOKEN}"),),
        (("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")),
        (("X-Authorization", f"Bearer {TOKEN}"),),
        (("Authorization", "Bearer \u00e9\u00e9"),),
    ],
)
async def test_anything_else_is_not_the_token(headers: tuple[tuple[str, str], ...]):
    assert await TokenHolders(TOKEN).refusal(scope(*headers)) is not None


async def test_no_token_admits_nobody_who_sends_one():
    for header in ("Bearer", "Bearer ", "Bearer None"):
        assert await TokenHolders(None).refusal(scope(("Authorization", header))) is not None


@pytest.mark.parametrize("host", ["localhost", "localhost:8420", "127.0.0.1", "[::1]:8420"])
async def test_our_own_user_is_let_in_with_or_without_a_token(host: str):
    rule = TokenHolders(TOKEN, with_own_user=True)
    assert await rule.refusal(scope(host=host)) is None
    assert await rule.refusal(scope(("Authorization", "Bearer stale"), host=host)) is None


@pytest.mark.parametrize(
    "request_of_another",
    [
        scope(is_ours=False),
        scope(host="gateway.example"),
        scope(host="10.0.0.1:8420"),
        scope(("X-Forwarded-For", "203.0.113.5")),
        scope(("Forwarded", "for=203.0.113.5")),
        scope(("X-Real-IP", "203.0.113.5")),
        scope(("X-Forwarded-Host", "gateway.example")),
        scope(("X-Forwarded-Proto", "https")),
        scope(("CF-Connecting-IP", "203.0.113.5")),
        scope(("True-Client-IP", "203.0.113.5")),
        scope(("Tailscale-User-Login", "ada")),
        scope(("Via", "1.1 proxy")),
        {**scope(), "state": {}},
        {"headers": scope()["headers"]},
    ],
)
async def test_a_request_of_another_or_through_a_proxy_needs_the_token(request_of_another: Any):
    assert await TokenHolders(TOKEN, with_own_user=True).refusal(request_of_another) is not None


OF_PROXIES = """
Akamai-Origin-Hop CDN-Loop CF-Connecting-IP CF-Connecting-IPv6 CF-Ray Client-IP
CloudFront-Viewer-Address DO-Connecting-IP Fastly-Client-IP Fly-Client-IP Fly-Region Forwarded
Forwarded-For Incap-Client-IP Proxy-Client-IP Tailscale-User-Login True-Client-IP Via
WL-Proxy-Client-IP X-Amz-Cf-Id X-Amzn-Oidc-Identity X-AppEngine-User-IP X-ARR-ClientCert
X-Auth-Request-User X-Azure-ClientIP X-Azure-SocketIP X-Client-IP X-Cluster-Client-IP
X-Envoy-External-Address X-Forwarded X-Forwarded-Client-Cert X-Forwarded-For
X-Goog-IAP-JWT-Assertion X-NF-Client-Connection-IP X-Original-Forwarded-For X-Original-Host
X-Originating-Client-IP X-ProxyUser-IP X-Real-IP X-Remote-Addr X-Remote-User X-Sucuri-ClientIP
X-Varnish X-Vercel-Forwarded-For X-Vercel-Id X-Webauth-User X_Forwarded_For X_Real_IP
Fly_Client_IP
"""
OF_CLIENTS = """
Accept Accept-Encoding Cache-Control Client-Id Content-Type Cookie Last-Event-ID Mcp-Method
Mcp-Session-Id Mcp-Protocol-Version Origin Sec-Fetch-Site Traceparent User-Agent X-Api-Key
X-Client-Name X-Client-Version X-Request-Id X-Source
"""


@pytest.mark.parametrize("header", OF_PROXIES.split())
async def test_headers_of_proxies_are_known_by_their_kind(header: str):
    refusal = await TokenHolders(TOKEN, with_own_user=True).refusal(scope((header, "203.0.113.5")))
    assert refusal is not None
    assert refusal.status_code == 401


@pytest.mark.parametrize("header", OF_CLIENTS.split())
async def test_headers_of_clients_are_those_of_nothing_else(header: str):
    assert await TokenHolders(TOKEN, with_own_user=True).refusal(scope((header, "x"))) is None


async def test_our_own_user_needs_the_token_where_that_is_the_rule():
    assert await TokenHolders(TOKEN).refusal(scope()) is not None


async def test_everybody_means_everybody():
    assert await Everybody().refusal(scope(is_ours=False, host="10.0.0.1")) is None


@pytest.mark.parametrize(
    ("address", "is_ours"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("fe80::1", False),
    ],
)
def test_an_address_of_loopback_is_reached_from_this_machine_alone(address: str, is_ours: bool):
    assert is_loopback(address) is is_ours


def test_the_token_is_not_shown():
    assert TOKEN not in repr(TokenHolders(TOKEN))
