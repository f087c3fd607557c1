"""An MCP server over HTTP with every fault that HTTP has, chosen by the name of the tool. Raw
sockets, no SDK."""

from __future__ import annotations

import asyncio
import codecs
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, TypeVar

import anyio

from plait.core.ports import Ask
from plait.core.tools.catalog import Tool
from plait.core.values.strict import JsonObject
from plait.downstream.connection import Connection

from ..fakes import FakeCaller, a_call

SOON = 30.0

FAULTS = [
    "echo", "stream", "reset", "reset_in_body", "truncated", "bad_chunk", "packed", "bomb",
    "many_headers", "too_large",
    "stream_breaks", "unauthorized", "busy", "rpc_error", "lose_session", "hang", "not_json",
    "deep", "bad_gateway", "stream_of_blanks",
    "stream_ends", "stream_junk", "stream_too_large", "drip", "no_object", "overloaded", "other_id",
    "stream_other_id", "own_error_id", "stream_own_error_id", "text_id", "mark", "stream_mark",
    "stream_odd_id",
]  # fmt: skip


OTHER = b'{"jsonrpc": "2.0", "id": "another", "result": {"content": []}}'
"""The answer to a request that nobody has sent."""
OWN_ERROR = (
    b'{"jsonrpc": "2.0", "id": "server-error", "error": {"code": -32603, "message": "no luck"}}'
)
"""An error as the Python SDK sends it, whatever the request."""


class FaultyHttp:
    """Answers on loopback; `calls` and `cancelled` hold what it saw, `connections` how many TCP
    connections."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.cancelled: list[Any] = []
        self.sessions = 0
        self.connections = 0
        self.deleted: list[str] = []
        self.url = ""
        self.path = ""
        """The path of the last request."""
        self.forgets = "404 Not Found"
        """The status for a session that is not known."""
        self.forgets_as = "json"
        """What it says then: `json`, `html`, `text`, `bare text` without a content type, or the
        JSON on a `stream`."""
        self.forgets_with: dict[str, Any] = {
            "code": -32000,
            "message": "Bad Request: No valid session ID provided",
        }
        self.kind = "application/json"
        """The content type of the answers to `echo`; empty for none."""
        self.names = "session-{}"
        """The form of the ids of its sessions."""
        self.never_knows = False
        """Whether no call ever finds its session."""
        self.hangs_on: str | None = None
        """The verb, or the method, that gets no answer."""
        self._session = ""
        self._hanging: list[asyncio.StreamWriter] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (request := await self._read(reader)) is not None:
                await self._answer(*request, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> tuple[str, dict[str, str], Any] | None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.path = lines[0].split()[1]
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return lines[0].split()[0], headers, json.loads(body) if body else None

    async def _answer(
        self, verb: str, headers: dict[str, str], message: Any, writer: asyncio.StreamWriter
    ) -> None:
        if verb == "DELETE":
            self.deleted.append(headers["mcp-session-id"])
        if self.hangs_on is not None and self.hangs_on in {verb, (message or {}).get("method")}:
            await asyncio.sleep(3600)
        if verb != "POST":
            self._status(writer, "405 Method Not Allowed")
            return
        method = message.get("method")
        if method == "initialize":
            self.sessions += 1
            self._session = self.names.format(self.sessions)
            info = {"name": "faulty-http", "version": "1"}
            result = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": info,
            }
            self._json(writer, message, result, f"mcp-session-id: {self._session}\r\n")
        elif method == "server/discover":
            self._status(writer, "400 Bad Request")
        elif headers.get("mcp-session-id") != self._session or (
            self.never_knows and method == "tools/call"
        ):
            self._forget(writer, message.get("id"))
        elif method == "notifications/cancelled":
            self.cancelled.append(message["params"]["requestId"])
            self._status(writer, "202 Accepted")
        elif "id" not in message:
            self._status(writer, "202 Accepted")
        elif method == "tools/list":
            self._json(
                writer,
                message,
                {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in FAULTS]},
            )
        else:
            self.calls.append(message["params"]["name"])
            await self._call(message["params"]["name"], message, writer)
        await writer.drain()

    def _forget(self, writer: asyncio.StreamWriter, id: Any) -> None:
        answer = {"jsonrpc": "2.0", "id": id, "error": self.forgets_with}
        body, kind = json.dumps(answer).encode(), "application/json"
        if self.forgets_as == "html":
            body, kind = b"<html>Gone</html>", "text/html"
        elif self.forgets_as in {"text", "bare text"}:
            body = str(self.forgets_with["message"]).encode()
            kind = "text/plain" if self.forgets_as == "text" else ""
        elif self.forgets_as == "stream":
            body, kind = b"data: " + body + b"\n\n", "text/event-stream"
        self._body(writer, body, self.forgets, kind=kind)

    async def _call(self, name: str, message: Any, writer: asyncio.StreamWriter) -> None:
        body = json.dumps(
            {"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}
        ).encode()
        json_head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        stream_head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: "
            b"chunked\r\n\r\n"
        )
        match name:
            case "echo":
                echoed = {"content": [], "structuredContent": message["params"]["arguments"]}
                self._json(writer, message, echoed, kind=self.kind)
            case "stream" | "stream_mark" | "stream_other_id" | "stream_own_error_id":
                if name == "stream_other_id":
                    body = OTHER
                elif name == "stream_own_error_id":
                    body = OWN_ERROR
                mark = codecs.BOM_UTF8 if name == "stream_mark" else b""
                event = b"event: message\ndata: " + mark + body + b"\n\n"
                writer.write(stream_head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(event), event))
            case "mark":
                self._body(writer, codecs.BOM_UTF8 + body)
            case "text_id":
                self._json(writer, {"id": str(message["id"])}, {"content": []})
            case "own_error_id":
                self._body(writer, OWN_ERROR)
            case "reset":
                self._reset(writer)
            case "reset_in_body":
                writer.write(json_head + b"content-length: 1000\r\n\r\n{")
                await writer.drain()
                self._reset(writer)
            case "truncated":
                writer.write(json_head + b"content-length: 1000\r\n\r\n" + body)
                writer.close()
            case "bad_chunk":
                writer.write(json_head + b"transfer-encoding: chunked\r\n\r\nzz\r\nnope\r\n")
            case "packed":
                packed = gzip.compress(body)
                writer.write(
                    json_head
                    + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
                    + packed
                )
            case "bomb":
                packed = gzip.compress(b"0" * 50_000_000)
                writer.write(
                    json_head
                    + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
                    + packed
                )
            case "many_headers":
                writer.write(
                    json_head
                    + b"".join(b"x-%d: y\r\n" % number for number in range(20_000))
                    + b"\r\n"
                )
            case "too_large":
                writer.write(json_head + b"content-length: 3000000\r\n\r\n" + b" " * 3_000_000)
            case "stream_breaks":
                writer.write(stream_head + b"5\r\nevent\r\n")
                await writer.drain()
                self._reset(writer)
            case "unauthorized":
                self._status(writer, "401 Unauthorized")
            case "busy":
                self._status(writer, "503 Service Unavailable", "retry-after: 7\r\n")
            case "overloaded":
                error = {
                    "jsonrpc": "2.0",
                    "id": message["id"],
                    "error": {"code": -32000, "message": "too many calls"},
                }
                after = "retry-after: Fri, 01 Jan 2100 00:00:00 GMT\r\n"
                self._body(writer, json.dumps(error).encode(), "429 Too Many Requests", after)
            case "not_json":
                writer.write(json_head + b"content-length: 5\r\n\r\nhello")
            case "deep" | "no_object":
                result = b'{"a":' * 400 + b"1" + b"}" * 400 if name == "deep" else b"[]"
                self._body(
                    writer, b'{"jsonrpc":"2.0","id":%d,"result":%s}' % (message["id"], result)
                )
            case "other_id":
                self._body(writer, OTHER)
            case "bad_gateway":
                self._status(writer, "502 Bad Gateway")
            case "stream_odd_id":
                event = "id: stéphane\ndata:\n\n".encode()
                writer.write(stream_head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(event), event))
            case "stream_ends":
                writer.write(stream_head + b"0\r\n\r\n")
            case "stream_junk":
                writer.write(stream_head + b'12\r\ndata: {"id":\xff}\n\n\r\n')  # and it stays open
            case "stream_too_large" | "stream_of_blanks":
                filler = b"x" if name == "stream_too_large" else b" "
                writer.write(
                    stream_head + b"1e8480\r\ndata: " + filler * 1_999_994 + b"\r\n0\r\n\r\n"
                )
            case "drip":
                writer.write(json_head + b"content-length: 1000000\r\n\r\n")
                while True:
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.02)
            case "rpc_error":
                error = {
                    "jsonrpc": "2.0",
                    "id": message["id"],
                    "error": {"code": -32042, "message": "no luck"},
                }
                self._body(writer, json.dumps(error).encode(), "400 Bad Request")
            case "lose_session":
                self._session = ""
                self._json(writer, message, {"content": []})
            case "hang":
                self._hanging.append(writer)
                await asyncio.sleep(3600)

    def _json(
        self,
        writer: asyncio.StreamWriter,
        message: Any,
        result: Any,
        more: str = "",
        kind: str = "application/json",
    ) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
        self._body(writer, body, more=more, kind=kind)

    def _body(
        self,
        writer: asyncio.StreamWriter,
        body: bytes,
        status: str = "200 OK",
        more: str = "",
        kind: str = "application/json",
    ) -> None:
        typed = f"content-type: {kind}\r\n" if kind else ""
        head = f"HTTP/1.1 {status}\r\n{typed}content-length: {len(body)}\r\n{more}\r\n"
        writer.write(head.encode() + body)

    def _status(self, writer: asyncio.StreamWriter, status: str, more: str = "") -> None:
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n{more}\r\n".encode())

    def _reset(self, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()


class Serves(Protocol):
    """Handles one TCP connection after the other at its `url`."""

    url: str

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None: ...


Served = TypeVar("Served", bound=Serves)


def faulty_http() -> AbstractAsyncContextManager[FaultyHttp]:
    return serving(FaultyHttp())


@asynccontextmanager
async def serving(served: Served) -> AsyncIterator[Served]:
    tasks: set[asyncio.Task[None]] = set()

    def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(served.handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(on_connect, "127.0.0.1", 0, limit=2**22)
    served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    try:
        yield served
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def reached(connection: Connection) -> AsyncIterator[Connection]:
    """*connection* kept, from when it was made without an error."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.run)
        with anyio.fail_after(SOON):
            await connection.wait_settled()
        assert connection.info.error is None
        yield connection
        tasks.cancel_scope.cancel()


async def call(
    connection: Connection, name: str, ask: Ask | None = None, **arguments: Any
) -> JsonObject:
    """The result of a tool of its server."""
    with anyio.fail_after(SOON):
        return await connection.call(
            a_call(Tool(connection.name, name), arguments, FakeCaller(ask))
        )
