"""The upstream pipe: messages on standard input and output, one a line, without threads.

The two descriptors are made private first: a stray `print`, ours or a library's, goes to standard
error and never onto the wire. Reading can be cancelled at any moment, and stopped; the server takes
a stop for the client's end of file.

The client's first request decides the protocol era of the connection (`EraLock`): a request with
the envelope of 2026-07-28 opens one of that era, anything else one of the handshake era. Later
requests of the other era are refused. The SDK does the same (`mcp/server/runner.py`).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server import Server
from mcp_types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS

from ...core.values.strict import JsonObject
from ..mcp_sdk import (
    Connection,
    InboundLadderRejection,
    NotifyOnlyOutbound,
    Outbound,
    ServerRunner,
    TransportContext,
    aclose_shielded,
    classify_inbound_request,
    serve_one,
)
from .descriptors import Lines, Sink, open_both
from .messages import Request, Unreadable, as_message, read_json, written
from .raw_session import Inbound, Params, RawSession

MAX_LINE_BYTES = 16 * 2**20
FLUSH_S = 1.0
"""Time at the end for a slow client to read what was written."""
GRACE_S = 0.5
"""Time to answer requests other than calls once the client has closed its end."""
MOST_EARLY = 8
"""Most notifications before the first request that are kept until the era is decided."""
_PIPE = TransportContext(kind="jsonrpc", can_send_request=True)
_NO_QUESTIONS = TransportContext(kind="jsonrpc", can_send_request=False)

Drain: TypeAlias = Callable[[], Awaitable[None]]
"""Waits until the open calls have been answered, or their time is up."""


class Pipe:
    """Both directions of one connection. `on_written` is called after each message."""

    def __init__(self, lines: Lines, sink: Sink, grace_s: float) -> None:
        self.on_written: Callable[[], None] = lambda: None
        self._lines = lines
        self._sink = sink
        self._grace_s = grace_s
        self._stopped = False

    @property
    def fault(self) -> OSError | None:
        """The reason why nothing more can be written; None where the client is gone."""
        return self._sink.fault

    def stop(self) -> None:
        """Stop reading: the server sees the end of its input."""
        self._stopped = True
        self._lines.close()

    async def serve(self, server: Server[Any], drain: Drain) -> None:
        """Let *server* answer the client, until the client closes its end or `stop` is called.
        Requests before the end are still answered: calls as long as *drain* waits, others within
        the grace period."""
        session = RawSession(self._send)
        async with server.lifespan(server) as lifespan:
            era = EraLock(server, lifespan, session)
            try:
                async with asyncio.TaskGroup() as tasks:
                    await self._lines.run(partial(self._take, session, era, tasks))
                    if not self._stopped:
                        await self._finish(session, drain)
                    session.close()
            finally:
                await era.aclose()

    async def _finish(self, session: RawSession, drain: Drain) -> None:
        """Answer what is open, after the client has closed its end, for as long as it reads."""
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await self._sink.wait_lost()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            with anyio.move_on_after(self._grace_s) as grace:
                await session.wait_idle()
            if grace.cancelled_caught:
                await drain()
            tasks.cancel_scope.cancel()

    def _take(
        self, session: RawSession, era: EraLock, tasks: asyncio.TaskGroup, line: bytes | Unreadable
    ) -> None:
        """Take in one line. If it is not a message, an error answers it. While the handshake is
        answered, no other line is read."""
        if self._stopped:
            return
        try:
            if isinstance(line, Unreadable):
                raise line
            message = as_message(read_json(line))
        except Unreadable as unreadable:
            tasks.create_task(self._refuse(unreadable))
            return
        answering = session.take(message, era, tasks, _PIPE)
        if (
            answering is not None
            and isinstance(message, Request)
            and message.method == "initialize"
        ):
            self._lines.pause()
            answering.add_done_callback(lambda _: self._lines.resume())

    async def _refuse(self, unreadable: Unreadable) -> None:
        with suppress(anyio.BrokenResourceError):
            await self._sink.write(unreadable.as_json() + b"\n")

    async def _send(self, message: JsonObject, related: types.RequestId | None) -> None:
        await self._sink.write(written(message) + b"\n")
        self.on_written()


@asynccontextmanager
async def open_pipe(
    in_fd: int,
    out_fd: int,
    *,
    max_line_bytes: int = MAX_LINE_BYTES,
    grace_s: float = GRACE_S,
) -> AsyncIterator[Pipe]:
    """Open the connection over two descriptors: pipes, sockets, terminals or files. They are closed
    at the end."""
    async with open_both(in_fd, out_fd, max_line_bytes) as (lines, sink):
        try:
            yield Pipe(lines, sink, grace_s)
        finally:
            lines.close()
            with anyio.move_on_after(FLUSH_S, shield=True):
                await sink.aclose()
            sink.abort()


@contextmanager
def private_stdio() -> Iterator[tuple[int, int]]:
    """Take standard input and output as private descriptors. Until the process ends, standard input
    is empty for all other code, and standard output leads to standard error."""
    sys.stdout.flush()
    in_fd, out_fd = _private(0, os.O_RDONLY), _private(1, os.O_WRONLY)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    yield in_fd, out_fd


def _private(fd: int, flags: int) -> int:
    """Return a descriptor of our own for *fd*. A terminal is opened again: made non-blocking, it
    would be non-blocking for everyone."""
    if os.isatty(fd):
        return os.open(os.ttyname(fd), flags | os.O_NOCTTY)
    return os.dup(fd)


class EraLock:
    """Serves one connection by *server*; *outbound* leads to its client. Close it when the
    connection has ended."""

    def __init__(self, server: Server[Any], lifespan: Any, outbound: Outbound) -> None:
        self._server = server
        self._lifespan = lifespan
        self._outbound = outbound
        self._era: _Handshake | _Modern | None = None
        self._early: list[tuple[Inbound, str, Params]] = []

    async def on_request(self, inbound: Inbound, method: str, params: Params) -> dict[str, Any]:
        if self._era is None:
            is_modern = method != "initialize" and _is_enveloped(params)
            era = _Modern if is_modern else _Handshake
            self._era = era(self._server, self._lifespan, self._outbound)
            for notice in self._early:
                await self._era.on_notice(*notice)
            self._early.clear()
        return await self._era.on_request(inbound, method, params)

    async def on_notice(self, inbound: Inbound, method: str, params: Params) -> None:
        if self._era is not None:
            await self._era.on_notice(inbound, method, params)
        elif len(self._early) < MOST_EARLY:
            self._early.append((inbound, method, params))

    async def aclose(self) -> None:
        if isinstance(self._era, _Handshake):
            await aclose_shielded(self._era.connection)


class _Handshake:
    """A connection of the handshake era, up to 2025-11-25."""

    def __init__(self, server: Server[Any], lifespan: Any, outbound: Outbound) -> None:
        self.connection = Connection.for_loop(outbound)
        options = server.create_initialization_options()
        self._runner = ServerRunner(server, self.connection, lifespan, init_options=options)

    async def on_request(self, inbound: Inbound, method: str, params: Params) -> dict[str, Any]:
        if method != "initialize" and _is_enveloped(params):
            message = (
                "This connection was opened in the handshake era; requests of 2026-07-28 "
                "are not taken on it."
            )
            raise MCPError(types.INVALID_REQUEST, message)
        return await self._runner.on_request(inbound, method, params)

    async def on_notice(self, inbound: Inbound, method: str, params: Params) -> None:
        await self._runner.on_notify(inbound, method, params)


class _Modern:
    """A connection of 2026-07-28: each request names its client, which is sent no requests."""

    def __init__(self, server: Server[Any], lifespan: Any, outbound: Outbound) -> None:
        self._server = server
        self._lifespan = lifespan
        self._outbound = NotifyOnlyOutbound(outbound)

    async def on_request(self, inbound: Inbound, method: str, params: Params) -> dict[str, Any]:
        inbound.transport = _NO_QUESTIONS
        if method == "initialize":
            data: dict[str, Any] = {"supported": list(MODERN_PROTOCOL_VERSIONS)}
            if isinstance(requested := (params or {}).get("protocolVersion"), str):
                data["requested"] = requested
            message = "This connection was opened in the era of 2026-07-28, which has no handshake."
            raise MCPError(types.UNSUPPORTED_PROTOCOL_VERSION, message, data)
        route = classify_inbound_request({"method": method, "params": params})
        if isinstance(route, InboundLadderRejection):
            raise MCPError(route.code, route.message, route.data)
        connection = Connection.from_envelope(
            route.protocol_version,
            route.client_info,
            route.client_capabilities,
            outbound=self._outbound,
        )
        return await serve_one(
            self._server,
            inbound,
            method,
            params,
            connection=connection,
            lifespan_state=self._lifespan,
        )

    async def on_notice(self, inbound: Inbound, method: str, params: Params) -> None:
        inbound.transport = _NO_QUESTIONS
        connection = Connection.from_envelope(
            LATEST_MODERN_VERSION, None, None, outbound=self._outbound
        )
        try:
            await ServerRunner(self._server, connection, self._lifespan).on_notify(
                inbound, method, params
            )
        finally:
            await aclose_shielded(connection)


def _is_enveloped(params: Params) -> bool:
    meta = (params or {}).get("_meta")
    return isinstance(meta, dict) and types.PROTOCOL_VERSION_META_KEY in meta
