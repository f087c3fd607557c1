"""A client that keeps every message as it came: what a server said to it directly, and through the
gateway, can so be compared member by member."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import ErrorData, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

Message: TypeAlias = dict[str, Any]
Reply: TypeAlias = Callable[[Message], Message]

VERSION = "2025-11-25"
LONGEST_S = 20
METHOD_NOT_FOUND = -32601


class Refused(Exception):
    """The other side answered with an error: `code`, `message` and `data` as it sent them."""

    def __init__(self, error: ErrorData) -> None:
        super().__init__(error.message)
        self.error: Message = error.model_dump(mode="json", exclude_unset=True)


class RawClient:
    """One connection of the handshake era, over the streams of any transport of the SDK.

    `heard` are the notifications that came and `asked` the requests, in their order, each as
    (method, params). *replies* gives the result for each method that the server may ask;
    *capabilities* are what it is told of them."""

    def __init__(self, read: Any, write: Any, replies: Mapping[str, Reply] | None = None) -> None:
        self.heard: list[tuple[str, Message]] = []
        self.asked: list[tuple[str, Message]] = []
        self.introduction: Message = {}
        self._read, self._write = read, write
        self._replies = replies or {}
        self._waiting: dict[Any, asyncio.Future[Message]] = {}
        self._came = asyncio.Condition()
        self._last_id = 0

    async def introduce(self, capabilities: Message) -> None:
        client = {"name": "interop", "version": "1"}
        params = {"protocolVersion": VERSION, "capabilities": capabilities, "clientInfo": client}
        self.introduction = await self.request("initialize", params)
        await self.notify("notifications/initialized", {})

    async def request(self, method: str, params: Message | None = None) -> Message:
        """The result, as it came. Raises `Refused`, or TimeoutError after 20 s."""
        self._last_id += 1
        number = self._last_id
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._send(
            JSONRPCRequest(jsonrpc="2.0", id=number, method=method, params=params or {})
        )
        try:
            async with asyncio.timeout(LONGEST_S):
                return await self._waiting[number]
        finally:
            del self._waiting[number]

    async def call(self, tool: str, arguments: Message, **meta: Any) -> Message:
        """The result of a call of *tool*, or the error that came in its place, under `refused`."""
        params: Message = {"name": tool, "arguments": arguments} | ({"_meta": meta} if meta else {})
        try:
            return await self.request("tools/call", params)
        except Refused as refused:
            return {"refused": refused.error}

    async def list_all(self, what: str) -> list[Message]:
        """Every entry of `tools`, `prompts`, `resources` or `resourceTemplates`, through all
        pages."""
        method = {"resourceTemplates": "resources/templates"}.get(what, what)
        entries: list[Message] = []
        cursor: Message = {}
        while True:
            page = await self.request(f"{method}/list", cursor)
            entries += page[what]
            if "nextCursor" not in page:
                return entries
            cursor = {"cursor": page["nextCursor"]}

    async def notify(self, method: str, params: Message) -> None:
        await self._send(JSONRPCNotification(jsonrpc="2.0", method=method, params=params))

    async def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait for what is heard to make *is_so* true. Raises AssertionError with all that was
        heard after 20 s."""
        try:
            async with asyncio.timeout(LONGEST_S), self._came:
                await self._came.wait_for(is_so)
        except TimeoutError:
            raise AssertionError(f"not heard within {LONGEST_S} s: {self.heard}") from None

    def heard_of(self, method: str) -> list[Message]:
        return [params for name, params in self.heard if name == method]

    async def listen(self) -> None:
        """Take what comes, until the stream ends."""
        async for message in self._read:
            assert isinstance(message, SessionMessage), message
            await self._take(message.message)

    async def _take(self, message: Any) -> None:
        match message:
            case JSONRPCResponse():
                self._settle(message.id, lambda future: future.set_result(message.result))
            case JSONRPCError():
                self._settle(
                    message.id, lambda future: future.set_exception(Refused(message.error))
                )
            case JSONRPCRequest():
                self.asked.append((message.method, dict(message.params or {})))
                await self._send(self._answer(message))
            case _:
                self.heard.append((message.method, dict(message.params or {})))
        async with self._came:
            self._came.notify_all()

    def _settle(self, number: Any, settle: Callable[[asyncio.Future[Message]], None]) -> None:
        future = self._waiting.get(number)
        if future is not None and not future.done():
            settle(future)

    def _answer(self, request: JSONRPCRequest) -> JSONRPCResponse | JSONRPCError:
        reply = self._replies.get(request.method)
        if reply is None:
            error = ErrorData(code=METHOD_NOT_FOUND, message="Method not found")
            return JSONRPCError(jsonrpc="2.0", id=request.id, error=error)
        return JSONRPCResponse(
            jsonrpc="2.0", id=request.id, result=reply(dict(request.params or {}))
        )

    async def _send(self, message: Any) -> None:
        headers = {MCP_PROTOCOL_VERSION_HEADER: VERSION} if self.introduction else None
        await self._write.send(
            SessionMessage(message, metadata=ClientMessageMetadata(headers=headers))
        )


@asynccontextmanager
async def connected(
    transport: Any, capabilities: Message | None = None, replies: Mapping[str, Reply] | None = None
) -> AsyncIterator[RawClient]:
    """A `RawClient` over *transport* (a context manager of the SDK that gives two streams),
    introduced."""
    async with transport as (read, write):
        peer = RawClient(read, write, replies)
        listening = asyncio.create_task(peer.listen())
        try:
            await peer.introduce(capabilities or {})
            yield peer
        finally:
            listening.cancel()
            await asyncio.wait([listening])
