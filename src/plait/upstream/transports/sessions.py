"""Sessions of the handshake era over Streamable HTTP: what a client posts, and the stream that it
may open beside.

A session begins with `initialize` and ends with DELETE, or when it was idle for long. What belongs
to a request goes out in the response to it, anything else in the stream that the client opened with
GET; without one it is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import uuid4

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp.server import Server
from starlette.datastructures import Headers
from starlette.types import Receive, Send

from ...core.values.strict import JsonObject
from ..mcp_sdk import Connection, ServerRunner, TransportContext, aclose_shielded, coerce_request_id
from .messages import Incoming, Request
from .raw_session import Inbound, Params, RawSession
from .streaming_response import StreamingResponse, refuse, respond

log = logging.getLogger(__name__)

SESSION_HEADER = "mcp-session-id"
MAX_SESSIONS = 1_000
IDLE_S = 1_800.0
BEGINS_S = 0.25
"""An answer that takes longer is begun as a stream: some clients wait for the head of a response
only so long."""


class Session:
    """One client. A request in flight, and an open stream, keep it alive."""

    def __init__(self, server: Server[Any], lifespan: Any) -> None:
        self.id = uuid4().hex
        self.has_ended = False
        self._peer = RawSession(self._deliver, answers_cancelled=True)
        self._connection = Connection.for_loop(self._peer, session_id=self.id)
        self._runner = ServerRunner(server, self._connection, lifespan)
        self._posts: dict[types.RequestId, StreamingResponse] = {}
        self._stream: StreamingResponse | None = None
        self._headers = [(SESSION_HEADER.encode(), self.id.encode())]
        self._tasks: asyncio.TaskGroup | None = None
        self._ending = anyio.Event()
        self._in_flight = 0
        self._used = anyio.current_time()

    def __repr__(self) -> str:
        return (
            f"<Session {self.id[:8]}: {len(self._posts)} requests, "
            f"{'a' if self._stream else 'no'} stream>"
        )

    @property
    def is_established(self) -> bool:
        return self._connection.client_params is not None

    # Its life.

    async def run(self, idle_s: float, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Serve it until it ends, or nothing was in flight for *idle_s*."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                task_status.started()
                await self._unused(idle_s)
                self.end()
        finally:
            self.end()
            await aclose_shielded(self._connection)

    async def _unused(self, idle_s: float) -> None:
        """Wait until it is ended, or was idle for so long."""
        while not self._ending.is_set():
            left = idle_s if self._in_flight else self._used + idle_s - anyio.current_time()
            if left <= 0:
                log.info("session.idle", extra={"session": self.id[:8]})
                return
            with anyio.move_on_after(left):
                await self._ending.wait()

    def end(self) -> None:
        """It is over: nothing is taken any more, and all that is open ends."""
        self.has_ended = True
        self._ending.set()
        self._peer.close()
        for responding in [*self._posts.values(), *([self._stream] if self._stream else [])]:
            responding.close()

    # What its client sends.

    async def post(self, message: Incoming, headers: Headers, send: Send) -> None:
        """Take *message*, and respond to it."""
        assert self._tasks is not None
        transport = TransportContext(kind="streamable-http", can_send_request=True, headers=headers)
        if not isinstance(message, Request):
            await respond(send, 202, headers=self._headers)
            if not self.has_ended:
                self._peer.take(message, self, self._tasks, transport)
            return
        key = coerce_request_id(message.id)
        if key in self._posts:
            await refuse(
                send,
                400,
                types.INVALID_REQUEST,
                "A request of this id is open.",
                headers=self._headers,
            )
            return
        responding = self._posts[key] = StreamingResponse(self._headers, begins_s=BEGINS_S)
        self._begin()
        try:
            self._peer.take(message, self, self._tasks, transport)
            await responding.run(send)
        finally:
            self._end()
            del self._posts[key]

    async def open_stream(self, receive: Receive, send: Send) -> None:
        """Respond with the stream of what belongs to no request; a session has one at a time."""
        if self._stream is not None:
            message = "Conflict: Only one SSE stream is allowed per session"
            await refuse(send, 409, types.INVALID_REQUEST, message, headers=self._headers)
            return
        stream = self._stream = StreamingResponse(self._headers)
        self._begin()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_close_when_left, receive, stream)
                await stream.run_stream(send)
                tasks.cancel_scope.cancel()
        finally:
            self._end()
            self._stream = None

    def _begin(self) -> None:
        self._in_flight += 1

    def _end(self) -> None:
        self._in_flight -= 1
        self._used = anyio.current_time()

    # What is sent to its client.

    async def _deliver(self, message: JsonObject, related: types.RequestId | None) -> None:
        responding = (
            self._stream if related is None else self._posts.get(coerce_request_id(related))
        )
        if responding is None:
            log.debug("message.undeliverable", extra={"method": message.get("method")})
            return
        await responding.put(message, is_last="method" not in message)

    # What answers it.

    async def on_request(self, inbound: Inbound, method: str, params: Params) -> dict[str, Any]:
        return await self._runner.on_request(inbound, method, params)

    async def on_notice(self, inbound: Inbound, method: str, params: Params) -> None:
        await self._runner.on_notify(inbound, method, params)


class Sessions:
    """All of them, at most *most*, each ended when it was idle for *idle_s*."""

    def __init__(
        self,
        server: Server[Any],
        lifespan: Any,
        tasks: TaskGroup,
        *,
        most: int = MAX_SESSIONS,
        idle_s: float = IDLE_S,
    ) -> None:
        self._server = server
        self._lifespan = lifespan
        self._tasks = tasks
        self._most = most
        self._idle_s = idle_s
        self._sessions: dict[str, Session] = {}

    def __repr__(self) -> str:
        return f"<Sessions: {len(self._sessions)} open>"

    def end_all(self) -> None:
        for session in list(self._sessions.values()):
            session.end()

    def get(self, id: str) -> Session | None:
        session = self._sessions.get(id)
        return session if session is not None and not session.has_ended else None

    async def begin(self, message: Incoming, headers: Headers, send: Send) -> None:
        """Respond to a POST without a session: the handshake begins one, and nothing else is
        taken."""
        if not (isinstance(message, Request) and message.method == "initialize"):
            await refuse(send, 400, types.INVALID_REQUEST, "Bad Request: Missing session ID")
            return
        if len(self._sessions) >= self._most:
            await refuse(send, 503, types.INTERNAL_ERROR, "Too many open sessions")
            return
        session = Session(self._server, self._lifespan)
        self._sessions[session.id] = session
        try:
            await self._tasks.start(self._run, session)
            await session.post(message, headers, send)
        finally:
            if not session.is_established:
                session.end()

    async def _run(self, session: Session, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        try:
            await session.run(self._idle_s, task_status=task_status)
        finally:
            del self._sessions[session.id]


async def _close_when_left(receive: Receive, stream: StreamingResponse) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.close()
