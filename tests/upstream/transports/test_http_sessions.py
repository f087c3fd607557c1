"""Streamable HTTP as clients meet it on the wire: sessions, single requests of 2026-07-28, streams
and refusals."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from mcp.server import Server
from starlette.datastructures import Headers

from plait.upstream.transports.listening import listen_on
from plait.upstream.transports.messages import Request
from plait.upstream.transports.sessions import Sessions
from plait.upstream.transports.streaming_response import StreamingResponse

from ...fakes import FakeServers
from ..conftest import task
from .test_http import ACCEPT, INITIALIZE, Served, _until, served

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


class Client:
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
async def in_session(gateway: Served) -> AsyncIterator[Client]:
    async with httpx2.AsyncClient(timeout=10) as http:
        opened = await http.post(gateway.url, json=INITIALIZE, headers=ACCEPT)
        headers = {**ACCEPT, "mcp-session-id": opened.headers["mcp-session-id"]}
        client = Client(http, gateway.url, headers)
        assert (
            await client.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        ).status_code == 202
        yield client


async def test_a_quick_answer_is_a_body_and_keeps_session_and_connection(
    servers: FakeServers,
):
    async with served(servers) as gateway, in_session(gateway) as client:
        answers, ends = [], set()
        for id in (2, 3):
            answers.append(await client.post(request("tools/call", CALL, id)))
            ends.add(answers[-1].extensions["network_stream"].get_extra_info("client_addr"))
    assert len(ends) == 1
    for answer in answers:
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["mcp-session-id"] == client.headers["mcp-session-id"]
        assert answer.json()["result"]["structuredContent"]["outputs"] == {"a": {"n": 1}}


async def test_progress_makes_a_stream_of_the_answer_and_comes_before_it(servers: FakeServers):
    async with served(servers) as gateway, in_session(gateway) as client:
        told = await client.stream_of(
            request("tools/call", {**CALL, "_meta": {"progressToken": "p"}})
        )
    assert [message.get("method") for message in told] == ["notifications/progress"] * (
        len(told) - 1
    ) + [None]
    assert len(told) > 1
    assert told[-1]["id"] == 2


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


def _wrong_method(headers: dict[str, str]) -> dict[str, str]:
    return {**headers, "mcp-method": "tools/list"}


async def test_requests_of_2026_are_refused_with_the_status_of_their_error(servers: FakeServers):
    message, headers = modern("tools/call", CALL)
    bare = {**message, "params": CALL}
    cases = [
        (message, _wrong_method(headers), 400, -32020),
        (bare, headers, 400, -32602),
        (message, {**headers, "mcp-protocol-version": "2027-01-01"}, 400, -32020),
        (*modern("no/such", {}), 404, -32601),
        ([message], headers, 400, -32600),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, headers, 400, -32600),
    ]
    async with served(servers) as gateway, httpx2.AsyncClient() as http:
        for sent, given, status, code in cases:
            answer = await http.post(gateway.url, json=sent, headers=given)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        notice = await http.post(
            gateway.url, json={"jsonrpc": "2.0", "method": "x"}, headers=headers
        )
        get = await http.get(gateway.url, headers=headers)
        picky = await http.post(
            gateway.url, json=message, headers={**headers, "accept": "text/html"}
        )
        wild = await http.post(
            gateway.url, json=message, headers={**headers, "accept": "*/*;q=0.5"}
        )
    assert [notice.status_code, get.status_code, picky.status_code, wild.status_code] == [
        202,
        405,
        406,
        200,
    ]
    assert get.headers["allow"] == "POST"


async def test_a_session_has_one_stream_and_ends_with_it_when_it_is_deleted(servers: FakeServers):
    async with served(servers) as gateway, in_session(gateway) as client:
        http, url, headers = client.http, client.url, client.headers
        async with http.stream("GET", url, headers=headers) as stream:
            assert stream.status_code == 200
            assert (await http.get(url, headers=headers)).status_code == 409
            assert (await http.delete(url, headers=headers)).status_code == 200
            with anyio.fail_after(5):
                assert [line async for line in stream.aiter_lines() if line] == []
        assert (await client.post(request("tools/list"))).status_code == 404
        assert (await http.put(url, headers=ACCEPT)).status_code == 405
        assert (await http.get(url, headers=ACCEPT)).status_code == 400


async def test_a_stream_can_be_opened_again_after_its_client_left(servers: FakeServers):
    async with served(servers) as gateway, in_session(gateway) as client:
        async with client.http.stream("GET", client.url, headers=client.headers):
            pass
        with anyio.fail_after(5):
            while True:
                async with client.http.stream("GET", client.url, headers=client.headers) as again:
                    if again.status_code == 200:
                        break


async def test_a_second_request_with_an_open_id_is_refused_and_the_first_continues(
    servers: FakeServers,
):
    release, called = anyio.Event(), anyio.Event()

    async def held() -> dict[str, Any]:
        called.set()
        await release.wait()
        return {}

    servers.add("s:held", held)
    first: list[httpx2.Response] = []
    params = {"name": "execute_dag", "arguments": {"tasks": [task("a", "s:held")]}}
    async with (
        served(servers) as gateway,
        in_session(gateway) as client,
        anyio.create_task_group() as tasks,
    ):

        async def post() -> None:
            first.append(await client.post(request("tools/call", params, 9)))

        tasks.start_soon(post)
        await called.wait()
        second = await client.post(request("ping", id=9))
        release.set()
    assert second.status_code == 400
    assert '"status":"success"' in first[0].text


async def test_deleting_a_session_ends_its_open_requests(servers: FakeServers):
    called = anyio.Event()

    async def hang() -> None:
        called.set()
        await anyio.sleep_forever()

    servers.add("s:hang", hang)
    params = {"name": "execute_dag", "arguments": {"tasks": [task("a", "s:hang")]}}
    async with (
        served(servers) as gateway,
        in_session(gateway) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(client.post, request("tools/call", params))
        await called.wait()
        await client.http.delete(client.url, headers=client.headers)
        await _until(lambda: servers.aborted == ["s:hang"])


def test_small_answers_are_sent_at_once_and_not_held_for_an_acknowledgement():
    with listen_on("127.0.0.1", 0) as listening:
        assert (
            listening.proto == socket.IPPROTO_TCP
        )  # by this asyncio knows that it may say so of each connection


# Sessions alone, on a clock that jumps.


async def _none(message: Any) -> None:
    pass


@asynccontextmanager
async def sessions(most: int = 10, idle_s: float = 60.0) -> AsyncIterator[Sessions]:
    async with anyio.create_task_group() as tasks:
        made = Sessions(Server("test"), {}, tasks, most=most, idle_s=idle_s)
        yield made
        made.end_all()


async def begin(of: Sessions, params: Any = INITIALIZE["params"]) -> dict[bytes, bytes]:
    """The headers of the response to a handshake, with its status under `:status`."""
    said: dict[bytes, bytes] = {}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            said.update(message["headers"])
            said[b":status"] = str(message["status"]).encode()

    await of.begin(Request(1, "initialize", params), Headers(), send)
    return said


@pytest.mark.virtual_time
async def test_a_session_that_is_idle_ends_and_one_that_is_used_does_not():
    async with sessions(idle_s=60) as all_:
        idle, used = [(await begin(all_))[b"mcp-session-id"].decode() for _ in range(2)]
        await anyio.sleep(50)
        session = all_.get(used)
        assert session is not None
        await session.post(Request(2, "ping", None), Headers(), _none)
        await anyio.sleep(30)
        assert all_.get(idle) is None
        assert all_.get(used) is session
        await anyio.sleep(31)
        assert all_.get(used) is None
        assert repr(all_) == "<Sessions: 0 open>"


async def test_a_handshake_that_is_refused_leaves_no_session():
    async with sessions(most=1) as all_:
        refused = (await begin(all_, {"protocolVersion": 5}))[b"mcp-session-id"].decode()
        assert all_.get(refused) is None
        with anyio.fail_after(5):
            while (await begin(all_))[b":status"] != b"200":
                await anyio.lowlevel.checkpoint()


@pytest.mark.virtual_time
async def test_an_open_stream_keeps_its_session_alive():
    async with sessions(idle_s=60) as all_, anyio.create_task_group() as tasks:
        id = (await begin(all_))[b"mcp-session-id"].decode()
        session = all_.get(id)
        assert session is not None
        left = anyio.Event()

        async def receive() -> Any:
            await left.wait()
            return {"type": "http.disconnect"}

        tasks.start_soon(session.open_stream, receive, _none)
        await anyio.sleep(1_000)
        assert all_.get(id) is session
        left.set()
        await anyio.sleep(61)
        assert all_.get(id) is None


async def test_sessions_above_the_bound_are_refused_until_one_has_ended():
    async with sessions(most=1) as all_:
        first = await begin(all_)
        assert (await begin(all_))[b":status"] == b"503"
        session = all_.get(first[b"mcp-session-id"].decode())
        assert session is not None
        session.end()
        with anyio.fail_after(5):
            while (await begin(all_))[b":status"] != b"200":
                await anyio.lowlevel.checkpoint()


# One response.


class Sent:
    def __init__(self) -> None:
        self.events: list[Any] = []

    async def __call__(self, event: Any) -> None:
        self.events.append(event)

    @property
    def body(self) -> bytes:
        return b"".join(event.get("body", b"") for event in self.events)


@pytest.mark.virtual_time
async def test_a_silent_stream_gets_comments_and_ends_with_the_answer():
    responding, sent = StreamingResponse(begins_s=1), Sent()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(responding.run, sent)
        await anyio.sleep(40)
        assert sent.body == b": ping\r\n\r\n" * 3  # after 1, 16 and 31 s
        await responding.put({"id": 1, "result": {}}, is_last=True)
    assert sent.body.endswith(b'event: message\r\ndata: {"id":1,"result":{}}\r\n\r\n')
    assert not sent.events[-1]["more_body"]


@pytest.mark.virtual_time
async def test_a_sender_waits_for_a_client_that_does_not_read_until_it_is_gone():
    responding = StreamingResponse()
    put: list[int] = []

    async def talk() -> None:
        for number in range(1_000):
            await responding.put({"method": "x"})
            put.append(number)

    async with asyncio.TaskGroup() as tasks:
        talking = tasks.create_task(_caught(talk()))
        await anyio.sleep(1)
        assert len(put) < 100
        responding.close()
    assert isinstance(talking.result(), anyio.ClosedResourceError)


async def _caught(awaitable: Awaitable[None]) -> Exception | None:
    try:
        await awaitable
    except Exception as error:
        return error
    return None
