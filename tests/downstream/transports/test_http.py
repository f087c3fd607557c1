"""What HTTP can do wrong costs the request it happens to; the connection and the other calls go
on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest

from plait.config import ServerSettings
from plait.core.tools.catalog import Tool
from plait.core.values.strict import JsonObject
from plait.downstream.connection import Connection
from plait.downstream.timings import ConnectTimings
from plait.downstream.transports.http import _GuardedStream
from plait.errors import (
    CallError,
    ConnectionLost,
    InvalidOutput,
    OutputTooLarge,
    ProtocolError,
    ServerUnavailable,
)
from plait.waiting import RESTS

from ...fakes import a_call
from ..faulty_http import SOON, FaultyHttp, call, faulty_http, reached, serving


@asynccontextmanager
async def connected(
    timings: ConnectTimings | None = None, **settings: Any
) -> AsyncIterator[tuple[FaultyHttp, Connection]]:
    async with faulty_http() as served:
        made = ServerSettings(url=served.url, **settings)
        connection = Connection("web", made, max_message_bytes=1_000_000, timings=timings)
        async with reached(connection):
            yield served, connection


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("reset", ConnectionLost, "the connection broke|Connection reset"),
        ("reset_in_body", ConnectionLost, "broke off"),
        ("truncated", ConnectionLost, "broke off"),
        ("bad_chunk", ConnectionLost, "broke off"),
        ("many_headers", ConnectionLost, "does not keep to HTTP"),
        ("stream_breaks", ConnectionLost, "broke off"),
        ("stream_ends", ConnectionLost, "ended without a response"),
        ("stream_odd_id", ConnectionLost, "ended without a response"),
        ("packed", InvalidOutput, "compressed"),
        ("bomb", InvalidOutput, "compressed"),
        ("too_large", OutputTooLarge, "longer than 1,000,000 bytes"),
        ("unauthorized", ProtocolError, "HTTP 401: authorization required"),
        ("busy", ServerUnavailable, "HTTP 503"),
        ("rpc_error", ProtocolError, "no luck"),
        ("not_json", InvalidOutput, "cannot be read"),
        ("no_object", InvalidOutput, "cannot be read"),
        ("deep", InvalidOutput, "cannot be read"),
        ("other_id", InvalidOutput, r"another request, with the id another instead of \d+"),
        ("stream_other_id", InvalidOutput, "another request, with the id another instead"),
        ("own_error_id", ProtocolError, "web: no luck"),
        ("stream_own_error_id", ProtocolError, "web: no luck"),
        ("stream_junk", InvalidOutput, "cannot be read"),
        ("stream_too_large", OutputTooLarge, "exceeded"),
        ("stream_of_blanks", OutputTooLarge, "exceeded"),
        ("bad_gateway", ConnectionLost, "HTTP 502"),
    ],
)
async def test_a_fault_fails_its_own_call_and_no_other(
    fault: str, kind: type[CallError], said: str
):
    async with connected() as (served, connection):
        beside: list[JsonObject] = []

        async def sibling() -> None:
            beside.append(await call(connection, "echo", x=1))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sibling)
            with pytest.raises(kind, match=said):
                await call(connection, fault)
        assert beside[0]["structuredContent"] == {"x": 1}
        assert (await call(connection, "echo", x=2))["structuredContent"] == {"x": 2}
        assert served.sessions == 1


async def test_a_busy_server_says_when_to_come_again():
    async with connected() as (_, connection):
        with pytest.raises(ServerUnavailable) as busy:
            await call(connection, "busy")
        assert "7 s" in str(busy.value.hint)
        assert (busy.value.retry_after_s, busy.value.retryable) == (7, True)


async def test_a_busy_server_whose_answer_is_an_error_of_the_protocol_is_still_busy():
    async with connected() as (_, connection):
        with pytest.raises(ServerUnavailable, match="web: HTTP 429: too many calls") as busy:
            await call(connection, "overloaded")
        assert busy.value.retry_after_s == 3_600


@pytest.mark.parametrize(
    ("status", "kind", "code", "message"),
    [
        ("404 Not Found", "json", -32000, "x"),
        ("404 Not Found", "html", 0, ""),
        ("400 Bad Request", "json", -32000, "Bad Request: No valid session ID provided"),
        ("410 Gone", "json", -32000, "x"),
        ("410 Gone", "html", 0, ""),
        ("200 OK", "json", -32600, "Session not found"),
        ("200 OK", "json", -32001, "Session terminated"),
        ("200 OK", "stream", -32600, "Session not found"),
    ],
)
async def test_a_lost_session_is_opened_again_and_the_call_sent_once_more(
    status: str, kind: str, code: int, message: str
):
    async with connected() as (served, connection):
        served.forgets, served.forgets_as = status, kind
        served.forgets_with = {"code": code, "message": message}
        await call(connection, "lose_session")
        assert (await call(connection, "echo", x=1))["structuredContent"] == {"x": 1}
        assert served.sessions == 2
        assert served.calls == ["lose_session", "echo"]


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        ("500 Internal Server Error", "json", "Session not found"),
        ("503 Service Unavailable", "text", "the session has expired"),
    ],
)
async def test_after_a_failure_about_the_session_a_new_one_is_opened_and_no_call_sent_again(
    status: str, kind: str, message: str
):
    """The server may have carried the call out before it failed."""
    async with connected() as (served, connection):
        served.forgets, served.forgets_as = status, kind
        served.forgets_with = {"code": -32603, "message": message}
        await call(connection, "lose_session")
        with pytest.raises(ConnectionLost, match=f"web: HTTP {status[:3]}: {message}"):
            await call(connection, "echo", x=1)
        assert (await call(connection, "echo", x=2))["structuredContent"] == {"x": 2}
        assert served.sessions == 2
        assert served.calls == ["lose_session", "echo"]


async def test_many_calls_that_find_their_session_lost_are_all_sent_once_more():
    at_once = ConnectTimings(refresh_pause_s=0, drain_s=60, call_wait_s=60)
    async with connected(at_once) as (served, connection):
        await call(connection, "lose_session")
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(partial(call, connection, "echo", x=number))
        assert served.calls.count("echo") == 20
        assert served.sessions == 2


async def test_a_server_that_forgets_every_session_fails_the_call_after_two_tries():
    async with connected() as (served, connection):
        served.never_knows = True
        with pytest.raises(ServerUnavailable, match="web takes no calls: web: HTTP 404") as failure:
            await call(connection, "echo")
        assert type(failure.value) is ServerUnavailable
        assert served.calls == []


@pytest.mark.parametrize("kind", ["json", "text", "bare text"])
async def test_the_reason_why_a_fresh_session_is_refused_is_passed_on(kind: str):
    async with connected() as (served, connection):
        served.never_knows, served.forgets_as = True, kind
        served.forgets_with = {"code": -32000, "message": "tenant acme is unknown"}
        with pytest.raises(ServerUnavailable, match="web: HTTP 404: tenant acme is unknown"):
            await call(connection, "echo")


@pytest.mark.parametrize("kind", ["", "text/plain", "application/octet-stream", "application/x"])
async def test_an_answer_is_read_whatever_its_content_type_says(kind: str):
    async with connected() as (served, connection):
        served.kind = kind
        assert (await call(connection, "echo", x=1))["structuredContent"] == {"x": 1}


async def test_a_session_is_deleted_when_its_connection_is_left():
    async with connected() as (served, _):
        assert served.deleted == []
    assert served.deleted == ["session-1"]


async def test_a_server_that_does_not_answer_the_end_of_its_session_delays_nothing(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("plait.downstream.transports.http.DELETE_TIMEOUT_S", 0.2)
    async with faulty_http() as served:
        served.hangs_on = "DELETE"
        with anyio.fail_after(SOON) as bound:
            async with anyio.create_task_group() as tasks:
                connection = Connection("web", ServerSettings(url=served.url))
                tasks.start_soon(connection.run)
                await connection.wait_settled()
                tasks.cancel_scope.cancel()
                bound.deadline = anyio.current_time() + 1.5
        assert served.deleted == ["session-1"]


async def test_a_server_that_accepts_no_cancellation_delays_neither_its_caller_nor_the_next_call(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("plait.downstream.transports.http.CANCEL_TIMEOUT_S", 3600)
    monkeypatch.setattr("plait.downstream.transports.http.DELETE_TIMEOUT_S", 0.2)
    async with connected() as (served, connection):
        served.hangs_on = "notifications/cancelled"
        for _ in range(5):
            with anyio.move_on_after(0.1) as scope:
                await connection.call(a_call(Tool("web", "hang"), {}))
            assert anyio.current_time() - scope.deadline < 1
        with anyio.fail_after(SOON):
            assert (await call(connection, "echo", x=1))["structuredContent"] == {"x": 1}


class Moved(FaultyHttp):
    """Redirects to its address with a slash at the end."""

    async def _answer(
        self, verb: str, headers: dict[str, str], message: Any, writer: asyncio.StreamWriter
    ) -> None:
        if self.path == "/mcp":
            self._status(writer, "307 Temporary Redirect", "location: /mcp/\r\n")
        else:
            await super()._answer(verb, headers, message, writer)


async def test_calls_and_cancellations_follow_a_redirect_at_the_same_origin():
    async with (
        serving(Moved()) as served,
        reached(Connection("web", ServerSettings(url=served.url))) as connection,
    ):
        with anyio.move_on_after(0.3):
            await connection.call(a_call(Tool("web", "hang"), {}))
        with anyio.fail_after(SOON):
            while not served.cancelled:
                await anyio.sleep(0.01)


@pytest.mark.parametrize("fault", ["text_id", "mark", "stream_mark"])
async def test_an_answer_is_read_whatever_is_odd_around_it(fault: str):
    async with connected() as (_, connection):
        assert (await call(connection, fault))["content"] == []


async def test_an_answer_that_drips_ends_when_its_caller_gives_up():
    async with connected() as (_, connection):
        with anyio.move_on_after(0.2) as scope:
            await connection.call(a_call(Tool("web", "drip"), {}))
        assert scope.cancelled_caught
        assert anyio.current_time() - scope.deadline < 1
        assert (await call(connection, "echo", x=1))["structuredContent"] == {"x": 1}


async def test_calls_at_once_are_not_limited_by_a_pool_of_tcp_connections():
    async with connected() as (served, connection), anyio.create_task_group() as tasks:
        for _ in range(150):
            tasks.start_soon(call, connection, "hang")
        with anyio.fail_after(SOON):
            while len(served.calls) < 150:
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


async def test_calls_one_after_another_use_one_tcp_connection():
    async with connected() as (served, connection):
        await call(connection, "stream")
        before = served.connections
        for _ in range(10):
            await call(connection, "stream")
            await call(connection, "echo")
        assert served.connections == before


async def test_a_cancelled_call_is_cancelled_at_the_server():
    async with connected() as (served, connection):
        with anyio.move_on_after(0.3):
            await connection.call(a_call(Tool("web", "hang"), {}))
        with anyio.fail_after(SOON):
            while not served.cancelled:
                await anyio.sleep(0.01)
        assert (await call(connection, "echo", x=1))["structuredContent"] == {"x": 1}


async def test_a_session_id_may_be_several_words():
    served = FaultyHttp()
    served.names = "session of {}"
    async with serving(served):
        connection = Connection("web", ServerSettings(url=served.url))
        async with reached(connection):
            assert (await call(connection, "echo", x=1))["structuredContent"] == {"x": 1}


async def test_a_session_id_that_no_header_can_hold_is_the_reason_that_is_given(
    caplog: pytest.LogCaptureFixture,
):
    served = FaultyHttp()
    served.names = "sé-{}"
    async with serving(served):
        connection = Connection("web", ServerSettings(url=served.url, startup_timeout_s=SOON))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            with anyio.fail_after(SOON):
                await connection.wait_settled()
            error = connection.info.error or ""
            tasks.cancel_scope.cancel()
    assert "named its session by an id with other characters than ASCII's" in error
    assert not [one for one in caplog.records if one.exc_info]


async def test_an_unreachable_server_is_reported():
    connection = Connection(
        "gone", ServerSettings(url="http://127.0.0.1:9/mcp", startup_timeout_s=5)
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        with anyio.fail_after(SOON):
            await connection.wait_settled()
        assert connection.info.error == "it cannot be reached: Connection refused"
        with pytest.raises(ServerUnavailable, match="gone cannot be reached"):
            await connection.call(a_call(Tool("gone", "x"), {}))
        tasks.cancel_scope.cancel()


class Chunks(httpx2.AsyncByteStream):
    """The body of a response, chunk by chunk."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


@pytest.mark.virtual_time
@pytest.mark.parametrize("event", [b": k\n\n", b"data:\n\n", b"data: [[[\n\n"])
async def test_a_stream_of_events_that_hold_nothing_is_read_with_rests(
    event: bytes, monkeypatch: pytest.MonkeyPatch
):
    clock = iter(range(1_000))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock) / 100)
    request = httpx2.Request("GET", "http://x/mcp")
    stream = _GuardedStream(Chunks(event, event * 2, event), request, 1_000)
    began = anyio.current_time()
    assert [part async for part in stream] == []
    assert anyio.current_time() - began == pytest.approx(3 * RESTS / 100)


@pytest.mark.virtual_time
async def test_an_answer_on_a_stream_is_passed_before_the_rest(monkeypatch: pytest.MonkeyPatch):
    clock = iter(range(1_000))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock) / 100)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    request = httpx2.Request("POST", "http://x/mcp", json=call)
    answer = b'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n'
    began = anyio.current_time()
    async for part in _GuardedStream(Chunks(answer), request, 1_000):
        assert b'"result":{}' in part
        assert anyio.current_time() == began
