"""The endpoint of Streamable HTTP, for both protocol eras. The header of a request names its era.

A request of 2026-07-28 stands alone (`modern_requests.py`); one of the handshake era belongs to a
session (`sessions.py`). This module checks what both have in common: methods, media types, bodies.
Neither passes through the SDK's streams.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from ..mcp_sdk import MCP_PROTOCOL_VERSION_HEADER
from .bodies import OpenRequests, body_of
from .messages import Incoming, Unreadable, as_message
from .modern_requests import ModernRequests
from .sessions import SESSION_HEADER, Room, Sessions
from .shares import address_of
from .streaming_response import refuse, respond

_JSON, _STREAM = "application/json", "text/event-stream"


class Endpoint:
    """An ASGI app, while `running`. It ends everything open when *requests* ends. Its sessions are
    in *room*."""

    def __init__(self, server: Server[Any], requests: OpenRequests, room: Room) -> None:
        self._server = server
        self._requests = requests
        self._room = room
        self._sessions: Sessions | None = None
        self._modern: ModernRequests | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with (
            self._server.lifespan(self._server) as lifespan,
            anyio.create_task_group() as tasks,
        ):
            self._sessions = Sessions(self._server, lifespan, tasks, self._room)
            self._modern = ModernRequests(self._server, lifespan)
            tasks.start_soon(self._end_at_stop)
            try:
                yield
            finally:
                self._end_all()
                tasks.cancel_scope.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._sessions is not None
        assert self._modern is not None
        headers = Headers(scope=scope)
        version = headers.get(MCP_PROTOCOL_VERSION_HEADER)
        if (twice := _repeated(headers)) is not None:
            wrong = f"the header {twice} was sent more than once"
            await refuse(send, 400, types.HEADER_MISMATCH, wrong)
        elif version is None or version in HANDSHAKE_PROTOCOL_VERSIONS:
            await self._in_session(self._sessions, scope, headers, receive, send)
        elif scope["method"] != "POST":
            await respond(send, 405, headers=[(b"allow", b"POST")])
        elif accepted(headers) != (True, True):
            await respond(send, 406)
        else:
            await self._modern.answer(_message(scope), headers, receive, send)

    async def _in_session(
        self, sessions: Sessions, scope: Scope, headers: Headers, receive: Receive, send: Send
    ) -> None:
        id = headers.get(SESSION_HEADER)
        session = sessions.get(id) if id is not None else None
        if id is not None and session is None:
            await refuse(send, 404, types.INVALID_REQUEST, "Session not found")
        elif scope["method"] == "POST":
            if (message := await _posted(scope, headers, send)) is not None:
                await (
                    session.post(message, headers, send)
                    if session
                    else sessions.begin(message, headers, send, address_of(scope))
                )
        elif scope["method"] not in {"GET", "DELETE"}:
            allow = [(b"allow", b"GET, POST, DELETE")]
            await refuse(send, 405, types.INVALID_REQUEST, "Method Not Allowed", headers=allow)
        elif session is None:
            await refuse(send, 400, types.INVALID_REQUEST, "Bad Request: Missing session ID")
        elif scope["method"] == "DELETE":
            session.end()
            await respond(send, 200)
        elif not accepted(headers)[1]:
            wrong = "Not Acceptable: Client must accept text/event-stream"
            await refuse(send, 406, types.INVALID_REQUEST, wrong)
        else:
            await session.open_stream(receive, send)

    async def _end_at_stop(self) -> None:
        await self._requests.wait_ending()
        self._end_all()

    def _end_all(self) -> None:
        for part in (self._sessions, self._modern):
            if part is not None:
                part.end_all()


def _repeated(headers: Headers) -> str | None:
    """Return the header that came more than once where one is needed, also where a proxy has put
    its values together; None without one."""
    for name in (MCP_PROTOCOL_VERSION_HEADER, SESSION_HEADER):
        if len(",".join(headers.getlist(name)).split(",")) > 1:
            return name
    return None


def accepted(headers: Headers) -> tuple[bool, bool]:
    """Return whether the client accepts JSON, and whether it accepts a stream of events."""
    taken = {
        part.partition(";")[0].strip().lower() for part in headers.get("accept", "").split(",")
    }
    takes_all = "*/*" in taken
    return takes_all or bool(taken & {_JSON, "application/*"}), takes_all or bool(
        taken & {_STREAM, "text/*"}
    )


async def _posted(scope: Scope, headers: Headers, send: Send) -> Incoming | None:
    """Return the message that was posted for a session; None if it has been refused."""
    if accepted(headers) != (True, True):
        wrong = f"Not Acceptable: Client must accept both {_JSON} and {_STREAM}"
        await refuse(send, 406, types.INVALID_REQUEST, wrong)
    elif headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        wrong = f"Unsupported Media Type: Content-Type must be {_JSON}"
        await refuse(send, 415, types.INVALID_REQUEST, wrong)
    elif (message := _message(scope)) is None:
        await refuse(
            send, 400, types.INVALID_PARAMS, "Validation error: this is not a JSON-RPC message"
        )
    else:
        return message
    return None


def _message(scope: Scope) -> Incoming | None:
    try:
        return as_message(body_of(scope))
    except Unreadable:
        return None
