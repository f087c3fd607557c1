"""A client in memory of a small server of the real SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server

from plait.upstream.transports.conversation import Conversation, conversing
from plait.upstream.transports.messages import Notice, Reply, Request

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
HANDSHAKE: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


class Talk:
    """The client. `sent` is what reached it, `noticed` the notifications that reached the
    server."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.noticed: list[str] = []
        self.is_paused = False
        self.announces = False
        """Whether the server says that it announces changes of its tools."""
        self.calls = 0
        self.blocked = anyio.Event()
        self.conversation: Conversation
        self._id = 0

    async def send(self, message: Any, related: Any) -> None:
        self.sent.append(message)

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def server(self) -> Server[Any]:
        async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
            return types.ListToolsResult(tools=[])

        async def call(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
            self.calls += 1
            await self.blocked.wait()
            return types.CallToolResult(content=[])

        async def note(ctx: Any, call_next: Any) -> Any:
            if ctx.request_id is None:
                self.noticed.append(ctx.method)
            result = await call_next(ctx)
            if ctx.method == "initialize" and self.announces:
                result = {**result, "capabilities": {"tools": {"listChanged": True}}}
            return result

        server: Server[Any] = Server("test", on_list_tools=list_tools, on_call_tool=call)
        server.middleware.append(note)
        return server

    def begin(self, method: str, params: dict[str, Any] | None = None) -> int:
        self._id += 1
        self.conversation.take(Request(self._id, method, params or {}))
        return self._id

    def notify(self, method: str) -> None:
        self.conversation.take(Notice(method, {}))

    def reply(self, id: types.RequestId, result: dict[str, Any]) -> None:
        self.conversation.take(Reply(id, result))

    def answers(self, id: int) -> list[Any]:
        return [each for each in self.sent if each.get("id") == id and "method" not in each]

    async def request(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Send a request, and return its answer once nothing more can happen."""
        id = self.begin(method, params)
        await self.turn()
        [answer] = self.answers(id)
        return answer

    async def turn(self) -> None:
        """Let everything go on that does not wait for time."""
        await anyio.sleep(0.001)


@asynccontextmanager
async def talking(**more: Any) -> AsyncIterator[Talk]:
    talk = Talk()
    async with conversing(talk.server(), talk.send, talk, **more) as talk.conversation:
        yield talk
