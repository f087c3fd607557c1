"""Servers that repeat what they were given, in every place where a text of theirs can end up in an
error."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

MODERN = "2026-07-28"
TOOLS = [{"name": "look", "inputSchema": {"type": "object"}}]


def result_of(message: dict[str, Any], given: str) -> dict[str, Any] | None:
    """The answer of a server that works; its tool gives what the server was given."""
    match message["method"]:
        case "server/discover":
            return {"supportedVersions": [MODERN], "capabilities": {"tools": {}}}
        case "initialize":
            info = {"name": "leaky", "version": "1"}
            return {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": info,
            }
        case "tools/list":
            return {"tools": TOOLS}
        case "tools/call":
            return {"content": [{"type": "text", "text": given}], "isError": False}
    return None


def error_of(given: str) -> dict[str, Any]:
    return {
        "code": -32001,
        "message": f"{given} is not a key of ours",
        "data": {"keys": [given, 1]},
    }


class LeakyHttp:
    """Over HTTP. From the method *at* on it answers with what it was given as `Authorization`, in
    the place *where*."""

    def __init__(self, where: str, at: str) -> None:
        self.url = ""
        self._where = where
        self._at = at

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = {
                    name.lower(): value
                    for name, _, value in (line.partition(": ") for line in head.split("\r\n"))
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                writer.write(
                    self._answer(headers["authorization"], json.loads(body) if body else {})
                )
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _answer(self, given: str, message: dict[str, Any]) -> bytes:
        if "id" not in message:
            status = b"202 Accepted" if message else b"405 Method Not Allowed"
            return b"HTTP/1.1 %s\r\ncontent-length: 0\r\n\r\n" % status
        if message["method"] == self._at or (
            self._at == "initialize" and message["method"] == "server/discover"
        ):
            return self._leak(given, message["id"])
        return self._json(
            {"jsonrpc": "2.0", "id": message["id"], "result": result_of(message, given)}
        )

    def _leak(self, given: str, id: object) -> bytes:
        ok = b"HTTP/1.1 200 OK\r\n"
        match self._where:
            case "status line":
                return f"HTTP/1.1 {given}\r\n\r\n".encode()
            case "header":
                return ok + f"a {given}: x\r\n\r\n".encode()
            case "chunk":
                return (
                    ok
                    + "content-type: application/json\r\ntransfer-encoding: "
                    f"chunked\r\n\r\n{given}\r\n".encode()
                )
            case "encoding":
                return ok + f"content-encoding: {given}\r\ncontent-length: 0\r\n\r\n".encode()
            case "event":
                event = f"event: message\ndata: {given}\n\n".encode()
                return (
                    ok
                    + b"content-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(event)
                    + event
                )
            case "body":
                return (
                    ok
                    + b"content-type: text/plain\r\ncontent-length: %d\r\n\r\n" % len(given)
                    + given.encode()
                )
            case "busy":
                return self._json(
                    {"jsonrpc": "2.0", "id": id, "error": error_of(given)}, "429 Too Many Requests"
                )
        return self._json({"jsonrpc": "2.0", "id": id, "error": error_of(given)})

    def _json(self, message: dict[str, Any], status: str = "200 OK") -> bytes:
        body = json.dumps(message).encode()
        head = (
            f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: "
            f"{len(body)}\r\n\r\n"
        )
        return head.encode() + body


def serve_pipe(where: str, given: str) -> None:
    """Over a pipe, in the era of the handshake."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        method = message["method"]
        if where == f"exit at {method}":
            sys.exit(f"Error: {given} is not a key of ours")
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if where == f"error at {method}" or method == "server/discover":
            answer["error"] = error_of(given)
        else:
            answer["result"] = result_of(message, given)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "long last words":
        sys.exit("Error: " + "x" * 280 + sys.argv[2])
    serve_pipe(*sys.argv[1:])
