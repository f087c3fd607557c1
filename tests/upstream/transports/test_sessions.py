"""Sessions of the handshake era over HTTP: how they begin, answer, stay alive and end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from mcp import Client
from mcp.server import Server
from starlette.datastructures import Headers

from plait.upstream.transports.messages import Request
from plait.upstream.transports.sessions import Room, Sessions

from ...fakes import FakeServers
from ..conftest import task
from .http_gateway import ACCEPT, CALL, INITIALIZE, in_session, request, served, until


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
        await until(lambda: servers.aborted == ["s:hang"])


async def test_a_client_of_2025_that_cancels_cancels_its_run(
    servers: FakeServers, hanging: anyio.Event
):
    async with served(servers) as gateway, Client(gateway.url, mode="legacy") as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "execute_dag", {"tasks": [task("a", "s:hang")]})
            await hanging.wait()
            tasks.cancel_scope.cancel()
        await until(lambda: servers.aborted == ["s:hang"])


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
        [run] = gateway.gateway.engine.scheduler.runs
        release.set()
        look = {"name": "get_run", "arguments": {"run_id": run}}
        again = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": look}
        answer = await http.post(gateway.url, json=again, headers=session)
    assert answer.json()["result"]["structuredContent"]["outputs"] == {"a": {"n": 1}}
    assert servers.aborted == []


# Sessions alone, on a clock that jumps.


async def _none(message: Any) -> None:
    pass


@asynccontextmanager
async def sessions(
    most: int = 10, idle_s: float = 60.0, of_address: int = 10
) -> AsyncIterator[Sessions]:
    async with anyio.create_task_group() as tasks:
        room = Room(most, of_address)
        made = Sessions(Server("test"), {}, tasks, room, idle_s=idle_s)
        yield made
        made.end_all()


async def begin(
    of: Sessions, params: Any = INITIALIZE["params"], address: str = "here"
) -> dict[bytes, bytes]:
    """The headers of the response to a handshake, with its status under `:status`."""
    said: dict[bytes, bytes] = {}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            said.update(message["headers"])
            said[b":status"] = str(message["status"]).encode()

    await of.begin(Request(1, "initialize", params), Headers(), send, address)
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


async def open_stream(session: Any) -> None:
    """Keep *session* in use."""
    await session.open_stream(anyio.sleep_forever, _none)


async def named(of: Sessions, address: str = "here") -> Any:
    """A new session, as it is found by its id; None if it is refused."""
    begun = await begin(of, address=address)
    return of.get(begun[b"mcp-session-id"].decode()) if begun[b":status"] == b"200" else None


@pytest.mark.virtual_time
@pytest.mark.parametrize("bounds", [{"of_address": 3}, {"most": 3}])
async def test_above_the_bound_the_idle_session_that_is_least_in_use_gives_way(bounds: Any):
    async with sessions(**bounds) as all_, anyio.create_task_group() as tasks:
        first, streaming, working = [await named(all_) for _ in range(3)]
        tasks.start_soon(open_stream, streaming)
        for number in range(3):
            await working.post(Request(number, "ping", None), Headers(), _none)
        await anyio.sleep(1)
        await first.post(Request(1, "ping", None), Headers(), _none)  # later, but never at work
        fourth = await named(all_)
        assert fourth is not None
        assert [session.has_ended for session in (first, streaming, working)] == [
            True,
            False,
            False,
        ]
        fifth = await named(all_)
        assert fifth is not None
        assert (fourth.has_ended, working.has_ended) == (True, False)
        tasks.cancel_scope.cancel()


@pytest.mark.virtual_time
async def test_an_address_never_ends_the_sessions_of_another():
    async with sessions(most=3, of_address=2) as all_:
        one = await named(all_, "there")
        mine = [await named(all_) for _ in range(10)]
        assert not one.has_ended
        assert [session.has_ended for session in mine] == [True] * 8 + [False] * 2
        assert await named(all_, "elsewhere") is None


async def test_sessions_above_the_bound_are_refused_until_one_has_ended():
    async with sessions(most=1) as all_, anyio.create_task_group() as tasks:
        session = await named(all_)
        tasks.start_soon(open_stream, session)
        await anyio.lowlevel.checkpoint()
        assert (await begin(all_))[b":status"] == b"503"
        session.end()
        tasks.cancel_scope.cancel()
        with anyio.fail_after(5):
            while (await begin(all_))[b":status"] != b"200":
                await anyio.lowlevel.checkpoint()
