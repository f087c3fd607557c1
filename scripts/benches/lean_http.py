"""An MCP client for benchmarks, over Streamable HTTP: a socket for each call in flight, kept alive,
and no library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import orjson

from .lean import GREETING, VERSION

MODERN = "2026-07-28"
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
_META = "io.modelcontextprotocol/"
ENVELOPE = {
    f"{_META}protocolVersion": MODERN,
    f"{_META}clientCapabilities": {},
    f"{_META}clientInfo": {"name": "lean", "version": "1"},
}

Answer: TypeAlias = "tuple[dict[str, str], bytes]"
"""The headers, in lower case and including `:status`, and the body."""


class Connection:
    """One socket, opened anew if the server closes it. `opened` counts that."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.opened = 0

    async def send(self, headers: Mapping[str, str], body: bytes, method: str = "POST") -> Answer:
        lines = [
            (
                f"{method} /mcp HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\ncontent-length: "
                f"{len(body)}\r\n"
            )
        ]
        lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
        if self._streams is not None and self._streams[0].at_eof():
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)
            self.opened += 1
        reader, writer = self._streams
        writer.write("".join([*lines, "\r\n"]).encode() + body)
        answer = await _answer(reader)
        if answer[0].get("connection") == "close":
            self.close()
        return answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _answer(reader: asyncio.StreamReader) -> Answer:
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines if line)
    }
    headers[":status"] = status.split()[1]
    if headers.get("transfer-encoding") == "chunked":
        return headers, await _chunks(reader)
    return headers, await reader.readexactly(int(headers.get("content-length", 0)))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body


def _message(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Decode the answer in *body*: JSON, or the last event of a stream."""
    if headers.get("content-type", "").startswith("text/event-stream"):
        data = [
            line[6:]
            for line in body.replace(b"\r\n", b"\n").split(b"\n")
            if line.startswith(b"data: ")
        ]
        body = data[-1] if data else b"null"
    message: dict[str, Any] = orjson.loads(body)
    return message


class LeanHttpClient:
    """The client of one server: of 2026-07-28 if *is_modern*, else in a session. Raises
    `RuntimeError` for an error."""

    def __init__(self, port: int, *, is_modern: bool = False) -> None:
        self._port = port
        self._is_modern = is_modern
        self._idle: list[Connection] = []
        self._all: list[Connection] = []
        self._headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": MODERN if is_modern else VERSION,
        }
        self._id = 0

    @property
    def connections(self) -> int:
        """The number of sockets that were opened."""
        return sum(connection.opened for connection in self._all)

    async def initialize(self) -> None:
        """Begin a session, if the protocol has them."""
        if self._is_modern:
            return
        headers, _ = await self._post(
            {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": GREETING}
        )
        if "mcp-session-id" in headers:
            self._headers["mcp-session-id"] = headers["mcp-session-id"]
        await self._post(INITIALIZED)

    async def ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of one request."""
        self._id += 1
        more: dict[str, str] = {}
        if self._is_modern:
            params = {**params, "_meta": ENVELOPE}
            more = {"mcp-method": method} | (
                {"mcp-name": params["name"]} if "name" in params else {}
            )
        answer = await self._post(
            {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}, more
        )
        message = _message(*answer)
        if "result" not in message or message["result"].get("isError"):
            raise RuntimeError(f"{method}: {message}"[:2_000])
        result: dict[str, Any] = message["result"]
        return result

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return await self.ask("tools/call", {"name": tool, "arguments": arguments})

    async def tools(self) -> list[str]:
        """Return the names on the first page."""
        return [tool["name"] for tool in (await self.ask("tools/list", {}))["tools"]]

    async def _post(
        self, message: Mapping[str, Any], more: Mapping[str, str] | None = None
    ) -> Answer:
        if not self._idle:
            self._all.append(Connection(self._port))
            self._idle.append(self._all[-1])
        connection = self._idle.pop()
        answer = await connection.send({**self._headers, **(more or {})}, orjson.dumps(message))
        self._idle.append(connection)
        if not answer[0][":status"].startswith("2"):
            raise RuntimeError(f"{answer}"[:2_000])
        return answer

    async def leave(self) -> None:
        """End the session."""
        await Connection(self._port).send({**self._headers, "connection": "close"}, b"", "DELETE")

    def close(self) -> None:
        for connection in self._all:
            connection.close()


@asynccontextmanager
async def lean_http_client(port: int, *, is_modern: bool = False) -> AsyncIterator[LeanHttpClient]:
    client = LeanHttpClient(port, is_modern=is_modern)
    try:
        await client.initialize()
        yield client
    finally:
        client.close()
