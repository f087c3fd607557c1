"""Sessions of the handshake era over Streamable HTTP.

*The idea.* A client posts messages, and may open one stream with GET. Messages that belong to a
request go out in the response to it, all others on that stream.

*The invariants.*

1. A session begins with `initialize`, and ends with DELETE or when it has been idle for
   `IDLE_S`. An open request or stream keeps it alive.
2. A lost connection does not cancel a request; only a notification does, as the specification
   has it ("Streamable HTTP").
3. A message with neither response nor stream is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
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
from .shares import ADDRESS_SESSIONS
from .streaming_response import StreamingResponse, refuse, respond

log = logging.getLogger(__name__)

SESSION_HEADER = "mcp-session-id"
MAX_SESSIONS = 1_000
IDLE_S = 1_800.0
_OF_HANDSHAKE = 2
"""Messages of a handshake: `initialize`, and that it is done."""
BEGINS_S = 0.25
"""Time after which a response begins as a stream: some clients do not wait long for its head."""


class Session:
    """One client. A request in flight, and an open stream, keep it alive."""

    def __init__(self, server: Server[Any], lifespan: Any, address: str = "") -> None:
        self.id = uuid4().hex
        self.address = address
        """The address that its handshake came from."""
        self.has_ended = False
        self._raw = RawSession(self._deliver, answers_cancelled=True)
        self._connection = Connection.for_loop(self._raw, session_id=self.id)
        self._runner = ServerRunner(server, self._connection, lifespan)
        self._posts: dict[types.RequestId, StreamingResponse] = {}
        self._stream: StreamingResponse | None = None
        self._headers = [(SESSION_HEADER.encode(), self.id.encode())]
        self._tasks: asyncio.TaskGroup | None = None
        self._ending = anyio.Event()
        self._in_flight = 0
        self._used = anyio.current_time()
        self._messages = 0

    def __repr__(self) -> str:
        return (
            f"<Session {self.id[:8]}: {len(self._posts)} requests, "
            f"{'a' if self._stream else 'no'} stream>"
        )

    @property
    def is_idle(self) -> bool:
        """Whether it has neither a request in flight nor a stream."""
        return self._in_flight == 0

    @property
    def use(self) -> tuple[bool, float]:
        """Its use, to compare with others: whether anything came after the handshake, and the time
        of its last use."""
        return self._messages > _OF_HANDSHAKE, self._used

    @property
    def is_established(self) -> bool:
        return self._connection.client_params is not None

    # Its life.

    async def run(self, idle_s: float, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Serve the session until it ends, or has been idle for *idle_s*."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                task_status.started()
                while not self._ending.is_set():
                    left = idle_s if self._in_flight else self._used + idle_s - anyio.current_time()
                    if left <= 0:
                        log.info("session.idle", extra={"session": self.id[:8]})
                        break
                    with anyio.move_on_after(left):
                        await self._ending.wait()
                self.end()
        finally:
            self.end()
            await aclose_shielded(self._connection)

    def end(self) -> None:
        """End everything open, and take no more messages."""
        self.has_ended = True
        self._ending.set()
        self._raw.close()
        for response in [*self._posts.values(), *([self._stream] if self._stream else [])]:
            response.close()

    # From its client.

    async def post(self, message: Incoming, headers: Headers, send: Send) -> None:
        """Take in *message*, and respond to it."""
        assert self._tasks is not None
        self._messages += 1
        transport = TransportContext(kind="streamable-http", can_send_request=True, headers=headers)
        if not isinstance(message, Request):
            await respond(send, 202, headers=self._headers)
            if not self.has_ended:
                self._raw.take(message, self, self._tasks, transport)
            return
        key = coerce_request_id(message.id)
        if key in self._posts:
            text = "A request of this id is open."
            await refuse(send, 400, types.INVALID_REQUEST, text, headers=self._headers)
            return
        response = self._posts[key] = StreamingResponse(self._headers, begins_s=BEGINS_S)
        try:
            with self._kept_alive():
                self._raw.take(message, self, self._tasks, transport)
                await response.run(send)
        finally:
            del self._posts[key]

    async def open_stream(self, receive: Receive, send: Send) -> None:
        """Respond with the stream for messages that belong to no request; a session has at most
        one."""
        if self._stream is not None:
            message = "Conflict: Only one SSE stream is allowed per session"
            await refuse(send, 409, types.INVALID_REQUEST, message, headers=self._headers)
            return
        stream = self._stream = StreamingResponse(self._headers)

        async def close_when_left() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            stream.close()

        try:
            with self._kept_alive():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(close_when_left)
                    await stream.run_stream(send)
                    tasks.cancel_scope.cancel()
        finally:
            self._stream = None

    @contextmanager
    def _kept_alive(self) -> Iterator[None]:
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._used = anyio.current_time()

    # To its client.

    async def _deliver(self, message: JsonObject, related: types.RequestId | None) -> None:
        response = self._stream if related is None else self._posts.get(coerce_request_id(related))
        if response is None:
            log.debug("message.undeliverable", extra={"method": message.get("method")})
            return
        await response.put(message, is_last="method" not in message)

    # As a `Handler`.

    async def on_request(self, inbound: Inbound, method: str, params: Params) -> dict[str, Any]:
        return await self._runner.on_request(inbound, method, params)

    async def on_notice(self, inbound: Inbound, method: str, params: Params) -> None:
        await self._runner.on_notify(inbound, method, params)


class Room:
    """The room for the sessions of all servers: at most *most*, and at most *of_address* from one
    address."""

    def __init__(self, most: int = MAX_SESSIONS, of_address: int = ADDRESS_SESSIONS) -> None:
        self._most = most
        self._of_address = of_address
        self._sessions: dict[Session, None] = {}

    def __repr__(self) -> str:
        return f"<Room: {len(self._sessions)} of {self._most} sessions>"

    def add(self, session: Session) -> None:
        self._sessions[session] = None

    def remove(self, session: Session) -> None:
        del self._sessions[session]

    def make(self, address: str) -> bool:
        """Make room for one more session of *address*, if need be by ending that of its idle ones
        which is least in use. Returns whether there is room."""
        live = [session for session in self._sessions if not session.has_ended]
        own = [session for session in live if session.address == address]
        if len(own) < self._of_address and len(live) < self._most:
            return True
        idle = [session for session in own if session.is_idle]
        if not idle:
            return False
        least = min(idle, key=lambda session: session.use)
        log.info("session.made_room", extra={"session": least.id[:8]})
        least.end()
        return True


class Sessions:
    """The open sessions of one server, in *room*, which others may share; each ends when it has
    been idle for *idle_s*."""

    def __init__(
        self,
        server: Server[Any],
        lifespan: Any,
        tasks: TaskGroup,
        room: Room,
        *,
        idle_s: float = IDLE_S,
    ) -> None:
        self._server = server
        self._lifespan = lifespan
        self._tasks = tasks
        self._room = room
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

    async def begin(
        self, message: Incoming, headers: Headers, send: Send, address: str = ""
    ) -> None:
        """Respond to a POST from *address* without a session: only a handshake is accepted, and
        begins one."""
        if not (isinstance(message, Request) and message.method == "initialize"):
            await refuse(send, 400, types.INVALID_REQUEST, "Bad Request: Missing session ID")
            return
        if not self._room.make(address):
            await refuse(send, 503, types.INTERNAL_ERROR, "Too many open sessions")
            return
        session = Session(self._server, self._lifespan, address)
        self._sessions[session.id] = session
        self._room.add(session)
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
            self._room.remove(session)
