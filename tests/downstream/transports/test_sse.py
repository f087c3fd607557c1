"""Legacy SSE: what fails to be posted fails its call at once; the stream and the other calls go
on."""

from __future__ import annotations

import asyncio
import base64
import json
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
from plait.downstream.transports.sse import sse_streams
from plait.errors import CallError, ConnectionLost, ProtocolError, ServerUnavailable

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
            case "forgotten" if self.calls.count(name) == 1:
                self._status(writer, "404 Not Found")
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
        ("reset", ConnectionLost, "Error"),
        ("unauthorized", ProtocolError, "HTTP 401"),
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


async def test_a_server_that_forgot_our_session_is_connected_again_and_the_call_sent_once_more():
    async with connected() as (served, connection):
        assert (await call(connection, "forgotten", x=1))["structuredContent"] == {"x": 1}
        assert served.streams == 2
        assert served.calls == ["forgotten", "forgotten"]


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
            async with sse_streams(served.url, {}, auth=auth) as (read, write):
                await write.send(SessionMessage(request))
                assert (await read.receive()).message.result == {"tools": []}
    basic = "Basic " + base64.b64encode(b"user:password").decode()
    assert served.authorized == [("GET", basic), ("POST", basic)]
