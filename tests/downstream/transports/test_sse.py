"""Legacy SSE: what fails to be posted fails its call at once; the stream and the other calls go
on."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import mcp_types as types
import pytest

from plait.config import ServerSettings
from plait.downstream.connection import Connection
from plait.downstream.mcp_sdk import SessionMessage
from plait.downstream.timings import ConnectTimings
from plait.downstream.transports.events import Event
from plait.downstream.transports.sse import _EventStream, sse_streams
from plait.errors import CallError, ConnectionLost, ProtocolError, ServerUnavailable
from plait.waiting import RESTS

from ..faulty_http import SOON, FaultyHttp, call, reached, serving

QUICK = ConnectTimings(first_backoff_s=0.05, longest_backoff_s=0.2, refresh_pause_s=0.01)
STATUSES = {
    "unauthorized": "401 Unauthorized",
    "busy": "503 Service Unavailable",
    "broken": "500 Internal Error",
}


class FaultySse(FaultyHttp):
    """Answers on the stream of its last GET; what is wrong with a POST is chosen by the name of the
    tool."""

    def __init__(self, packing: str = "identity") -> None:
        super().__init__()
        self.streams = 0
        self._packing = packing
        self._stream: asyncio.StreamWriter | None = None

    async def _answer(
        self, verb: str, headers: dict[str, str], message: Any, writer: asyncio.StreamWriter
    ) -> None:
        if verb == "GET":
            self.streams += 1
            self._stream = writer
            kind = f"content-type: text/event-stream\r\ncontent-encoding: {self._packing}\r\n"
            writer.write(
                f"HTTP/1.1 200 OK\r\n{kind}\r\nevent: endpoint\ndata: "
                f"/post?{self.streams}\n\n".encode()
            )
            return
        method = message.get("method")
        if method == "initialize":
            info = {"name": "faulty-sse", "version": "1"}
            result = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": info,
            }
            self._say(message, result)
        elif method == "tools/list":
            self._say(message, {"tools": []})
        elif method == "tools/call":
            self.calls.append(message["params"]["name"])
            await self._post(message["params"]["name"], message, writer)
            return
        elif "id" in message:
            self._status(writer, "400 Bad Request")
            return
        self._status(writer, "202 Accepted")

    async def _post(self, name: str, message: Any, writer: asyncio.StreamWriter) -> None:
        match name:
            case "reset":
                self._reset(writer)
            case "forgotten" | "gone" | "unknown" | "failed" if self.calls.count(name) == 1:
                self._forgotten(name, writer)
            case "long_body":
                writer.write(b"HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n")
                self._say(message, {"content": []})
                while not writer.is_closing():
                    writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
                    await writer.drain()
                    await asyncio.sleep(0)
            case "stream_ends":
                assert self._stream is not None
                self._stream.close()
                self._status(writer, "202 Accepted")
            case _ if name in STATUSES:
                self._status(writer, STATUSES[name], "retry-after: 7\r\n")
            case _:
                self._say(
                    message, {"content": [], "structuredContent": message["params"]["arguments"]}
                )
                self._status(writer, "202 Accepted")

    def _forgotten(self, name: str, writer: asyncio.StreamWriter) -> None:
        if name == "unknown":
            self._body(writer, b"Unknown session", "400 Bad Request", kind="text/plain")
        elif name == "failed":
            self._body(writer, b"Session lost", "500 Internal Error", kind="text/plain")
        else:
            self._status(writer, {"gone": "410 Gone"}.get(name, "404 Not Found"))

    def _say(self, message: Any, result: Any) -> None:
        assert self._stream is not None
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})
        self._stream.write(f"event: message\ndata: {body}\n\n".encode())


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[FaultySse, Connection]]:
    async with serving(FaultySse()) as served:
        settings = ServerSettings(url=served.url, transport="sse", startup_timeout_s=5)
        connection = Connection("old", settings, max_message_bytes=100_000, timings=QUICK)
        async with reached(connection):
            yield served, connection


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("reset", ConnectionLost, "the connection broke|Connection reset"),
        ("unauthorized", ProtocolError, "HTTP 401: authorization required"),
        ("busy", ServerUnavailable, "HTTP 503"),
        ("broken", ProtocolError, "HTTP 500"),
    ],
)
async def test_a_post_that_fails_fails_its_call_at_once_and_no_other(
    fault: str, kind: type[CallError], said: str
):
    async with connected() as (served, connection):
        with pytest.raises(kind, match=said):
            await call(connection, fault)
        assert (await call(connection, "echo", x=1))["structuredContent"] == {"x": 1}
        assert served.streams == 1


@pytest.mark.parametrize("how", ["forgotten", "gone", "unknown"])
async def test_a_server_that_forgot_our_session_is_connected_again_and_the_call_sent_once_more(
    how: str,
):
    async with connected() as (served, connection):
        assert (await call(connection, how, x=1))["structuredContent"] == {"x": 1}
        assert served.streams == 2
        assert served.calls == [how, how]


async def test_after_a_failure_about_the_session_a_new_one_is_opened_and_no_call_sent_again():
    async with connected() as (served, connection):
        with pytest.raises(ConnectionLost, match="HTTP 500: Session lost"):
            await call(connection, "failed")
        assert (await call(connection, "echo", x=1))["structuredContent"] == {"x": 1}
        assert served.streams == 2
        assert served.calls == ["failed", "echo"]


async def test_the_end_of_the_stream_ends_the_calls_in_flight_and_it_is_opened_again():
    async with connected() as (served, connection):
        with pytest.raises(ConnectionLost, match="closed the connection"):
            await call(connection, "stream_ends")
        assert (await call(connection, "echo", x=1))["structuredContent"] == {"x": 1}
        assert served.streams == 2


async def test_the_body_of_a_post_is_not_read():
    async with connected() as (_, connection):
        await call(connection, "long_body")
        assert (await call(connection, "echo", x=1))["structuredContent"] == {"x": 1}


async def test_a_compressed_stream_is_refused_before_it_is_decompressed():
    async with serving(FaultySse(packing="gzip")) as served:
        settings = ServerSettings(url=served.url, transport="sse", startup_timeout_s=5)
        connection = Connection("old", settings, timings=QUICK)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            with anyio.fail_after(SOON):
                await connection.wait_settled()
            assert "compressed (gzip), which was not asked for" in str(connection.info.error)
            tasks.cancel_scope.cancel()


async def test_a_secret_in_the_url_appears_in_no_message():
    async with serving(FaultySse()) as served:
        url = served.url.replace("http://", "http://user:s3cret@") + "?token=s3cret"
        connection = Connection("old", ServerSettings(url=url, transport="sse"), timings=QUICK)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            with anyio.fail_after(SOON):
                await connection.wait_settled()
            with pytest.raises(ConnectionLost) as failure:
                await call(connection, "stream_ends")
            assert "127.0.0.1" in failure.value.message
            assert "s3cret" not in failure.value.message
            tasks.cancel_scope.cancel()


class NoEndpoint(FaultySse):
    """Opens its stream and names no address to post to, or another one."""

    def __init__(self, events: bytes | None) -> None:
        super().__init__()
        self._events = events

    async def _answer(
        self, verb: str, headers: dict[str, str], message: Any, writer: asyncio.StreamWriter
    ) -> None:
        self.streams += 1
        if self._events is None:
            await asyncio.sleep(3600)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
        writer.write(head + (self._events or b""))
        if self._events == b": end\n\n":
            writer.close()


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (b": hello\n\nevent: ping\ndata: 1\n\n", "it sent no endpoint event within 0.3 s"),
        (
            b"event: endpoint\ndata: http://evil.example/post\n\n",
            "it wants messages to be posted to another host",
        ),
        (b": end\n\n", "its stream ended before it said where to post"),
        (None, "it did not answer within 0.3 s"),
    ],
)
async def test_a_stream_that_cannot_be_used_is_given_up_in_time_and_says_why(
    events: bytes | None, said: str, caplog: pytest.LogCaptureFixture
):
    async with serving(NoEndpoint(events)) as served:
        settings = ServerSettings(url=served.url, transport="sse", startup_timeout_s=0.3)
        connection = Connection("old", settings, timings=QUICK)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            with anyio.fail_after(SOON):
                await connection.wait_settled()
                assert connection.error == said
                while served.streams < 3:
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []


class SlowToAccept(FaultySse):
    async def _post(self, name: str, message: Any, writer: asyncio.StreamWriter) -> None:
        if name == "unaccepted":
            await asyncio.sleep(3600)
        await super()._post(name, message, writer)


async def test_a_server_that_is_slow_to_accept_a_call_delays_no_other_call():
    async with serving(SlowToAccept()) as served:
        settings = ServerSettings(url=served.url, transport="sse")
        async with reached(Connection("old", settings, timings=QUICK)) as connection:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, connection, "unaccepted")
                with anyio.fail_after(SOON):
                    while "unaccepted" not in served.calls:
                        await anyio.sleep(0.01)
                assert (await call(connection, "echo", x=1))["structuredContent"] == {"x": 1}
                tasks.cancel_scope.cancel()
            assert (await call(connection, "echo", x=2))["structuredContent"] == {"x": 2}


class RefusesPosts(FaultySse):
    """A server of SSE alone, which refuses whatever is posted to its stream."""

    def __init__(self, status: str, has_stream: bool = True) -> None:
        super().__init__()
        self._refusal = status
        self._has_stream = has_stream

    async def _answer(
        self, verb: str, headers: dict[str, str], message: Any, writer: asyncio.StreamWriter
    ) -> None:
        if (
            "mcp-method" in headers
            or "mcp-protocol-version" in headers
            or (verb == "GET" and not self._has_stream)
        ):
            self._status(writer, self._refusal)
            return
        if verb == "POST" and self._stream is None:
            self._status(writer, self._refusal)
            return
        await super()._answer(verb, headers, message, writer)


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "405 Method Not Allowed"])
async def test_an_sse_server_is_found_without_being_named_as_one(status: str):
    async with serving(RefusesPosts(status)) as served:
        connection = Connection("old", ServerSettings(url=served.url), timings=QUICK)
        async with reached(connection):
            assert (await call(connection, "echo", x=1))["structuredContent"] == {"x": 1}
            assert connection.info.transport == "sse"
            assert served.streams == 1


@pytest.mark.parametrize(
    ("status", "settings", "path", "hint"),
    [
        ("404 Not Found", {}, "/mcp", "neither Streamable HTTP nor SSE is served there"),
        ("404 Not Found", {}, "", "the URL has no path; most servers serve MCP at /mcp"),
        ("405 Nope", {"transport": "http"}, "/mcp", 'set transport = "sse"'),
        ("404 Not Found", {"transport": "sse"}, "/mcp", "leave out `transport`"),
    ],
)
async def test_a_refused_address_is_explained_by_what_to_check(
    status: str, settings: Any, path: str, hint: str
):
    async with serving(RefusesPosts(status, has_stream=False)) as served:
        url = served.url.removesuffix("/mcp") + path
        connection = Connection("old", ServerSettings(url=url, **settings), timings=QUICK)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.run)
            with anyio.fail_after(SOON):
                await connection.wait_settled()
            assert f"it answered with an error: HTTP {status[:3]} (" in str(connection.error)
            assert hint in str(connection.error)
            tasks.cancel_scope.cancel()


class Guarded(FaultySse):
    """Keeps how each request is authorized."""

    def __init__(self) -> None:
        super().__init__()
        self.authorized: list[tuple[str, str | None]] = []

    async def _answer(
        self, verb: str, headers: dict[str, str], message: Any, writer: asyncio.StreamWriter
    ) -> None:
        self.authorized.append((verb, headers.get("authorization")))
        await super()._answer(verb, headers, message, writer)


async def test_the_stream_and_the_posts_are_authorized_alike():
    async with serving(Guarded()) as served:
        auth = httpx2.BasicAuth("user", "password")
        request = types.JSONRPCRequest(jsonrpc="2.0", id=1, method="tools/list")
        with anyio.fail_after(SOON):
            async with sse_streams(served.url, {}, {}, auth=auth) as (read, write):
                await write.send(SessionMessage(request))
                answer = (await read.receive()).message
    assert answer == types.JSONRPCResponse(jsonrpc="2.0", id=1, result={"tools": []})
    basic = "Basic " + base64.b64encode(b"user:password").decode()
    assert served.authorized == [("GET", basic), ("POST", basic)]


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("data", "rests"),
    [
        (b"", 1),
        (b"[[[", 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', 1),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', 0),
    ],
)
async def test_reading_rests_after_all_but_answers(
    data: bytes, rests: int, monkeypatch: pytest.MonkeyPatch
):
    clock = iter(range(1_000))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock) / 100)
    incoming, read = anyio.create_memory_object_stream[SessionMessage](10)
    stream = _EventStream(httpx2.Response(200), incoming, 1_000)
    began = anyio.current_time()
    await stream._take(iter([Event("message", data)]))
    lasted = anyio.current_time() - began
    assert lasted == pytest.approx(rests * RESTS / 100, abs=0.002)
    incoming.close()
    read.close()
