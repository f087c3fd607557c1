"""A downstream server that is a process, over the SDK's own transport: for platforms that lack what `stdio.py` needs.

What can be kept around that transport is kept: strict JSON, a limit to what is passed on, an answer that cannot be read
ends its own call, a server that stops reading holds nobody up. What cannot: a line has no limit while it is read, bytes
that are no UTF-8 are replaced, and neither the id of the process nor its exit code is known.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from io import FileIO
from types import TracebackType
from typing import Any, Self

import anyio
import mcp_types as types
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token
from anyio.streams.memory import MemoryObjectSendStream
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from ...core.values.strict import NotStrict, measure
from .faults import Fault, Unsent, cannot_start, made_error
from .lines import TAIL_BYTES, answered_id
from .process import DRAIN_S
from .stderr import Stderr

NOTICE_S = 1.0
"""How long a notification may wait for a server to read: it need not be told, and its callers must not wait."""
STDERR_BYTES = 64 * 1024
_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError)


class SdkStdioTransport:
    """A `Transport`: starts the server on entering `streams`, ends it with all its children on leaving."""

    pid: int | None = None

    def __init__(
        self,
        parameters: StdioServerParameters,
        *,
        on_stderr: Callable[[str], None],
        on_junk: Callable[[int, str], None],
        max_message_bytes: int,
        write_timeout_s: float,
    ) -> None:
        self.is_open = False
        self._parameters = parameters
        self._stderr = Stderr(on_stderr)
        self._on_junk = on_junk
        self._max_message_bytes = max_message_bytes
        self._write_timeout_s = write_timeout_s
        self._incoming: MemoryObjectSendStream[SessionMessage]
        self._complaint: str | None = None
        self._junk = 0

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[tuple[Any, Any]]:
        self._incoming, receive = anyio.create_memory_object_stream[SessionMessage]()
        async with anyio.create_task_group() as tasks, self._incoming, receive:
            heard = anyio.Event()
            try:
                async with self._started(heard) as (read, write):
                    tasks.start_soon(self._pump, read)
                    yield receive, Writer(write, self, self._write_timeout_s)
            finally:
                with anyio.move_on_after(DRAIN_S, shield=True):
                    await heard.wait()  # its last words may explain its end

    @asynccontextmanager
    async def _started(self, heard: anyio.Event) -> AsyncIterator[tuple[Any, Any]]:
        """The process. *heard* is set at the end of what it says on stderr."""
        reading, writing = os.pipe()
        hearing = os.fdopen(reading, "rb", 0), current_token(), heard
        threading.Thread(target=self._hear, args=hearing, daemon=True).start()
        async with contextlib.AsyncExitStack() as stack:
            try:
                with os.fdopen(writing, "w") as stderr:
                    streams = await stack.enter_async_context(stdio_client(self._parameters, stderr))
            except OSError as error:
                raise cannot_start(self._parameters.command, self._parameters.cwd, error) from error
            self.is_open = True
            yield streams

    def last_words(self) -> str:
        """How the server ended, and what it said last, for an error message."""
        if self._complaint:
            return f"it was stopped: {self._complaint}"
        return "it closed its output" + self._stderr.last_words()

    # What it says.

    async def _pump(self, read: Any) -> None:
        """Pass on what can be read, until the end of either side."""
        with contextlib.suppress(*_GONE):
            async for item in read:
                if (message := self._checked(item)) is not None:
                    await self._incoming.send(message)
        self.end()

    def _checked(self, item: SessionMessage | Exception) -> SessionMessage | None:
        """*item*, or the error for the request that it cannot be the answer to; None for what is nobody's answer."""
        if isinstance(item, Exception):
            return self._refused(_answered(item), Fault.UNREADABLE, _reason(item))
        id = item.message.id if isinstance(item.message, types.JSONRPCResponse | types.JSONRPCError) else None
        try:
            size = measure(item.message.model_dump(by_alias=True, exclude_unset=True))
        except NotStrict as error:
            return self._refused(id, Fault.UNREADABLE, str(error))
        if size > self._max_message_bytes:
            return self._refused(id, Fault.TOO_LARGE, f"it is longer than {self._max_message_bytes:,} bytes")
        return item

    def _refused(self, id: types.RequestId | None, fault: Fault, reason: str) -> SessionMessage | None:
        if id is not None:
            error = made_error(fault, f"the server's answer cannot be read: {reason}")
            return SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=id, error=error))
        self._junk += 1
        self._on_junk(self._junk, reason)
        return None

    def _hear(self, stderr: FileIO, token: EventLoopToken, heard: anyio.Event) -> None:
        """Listen to the end of *stderr*, in a thread; then set *heard*. A grandchild may hold it open for ever."""
        with stderr, contextlib.suppress(RuntimeError):  # the loop may have ended before
            while data := stderr.read(STDERR_BYTES):
                from_thread.run_sync(self._stderr.hear, data, token=token)
            from_thread.run_sync(heard.set, token=token)

    def end(self, complaint: str | None = None) -> None:
        """It says nothing more, nor is anything sent to it; *complaint* is why we gave it up, if we did."""
        self.is_open = False
        self._complaint = self._complaint or complaint
        self._incoming.close()


class Writer:
    """Messages to the server, around the *inner* stream of the SDK's."""

    def __init__(self, inner: Any, transport: SdkStdioTransport, timeout_s: float) -> None:
        self._inner = inner
        self._transport = transport
        self._timeout_s = timeout_s

    async def send(self, item: SessionMessage) -> None:
        """Raises `BrokenResourceError` if the server is gone or takes nothing any more, `Unsent` for a request."""
        try:
            if isinstance(item.message, types.JSONRPCNotification):
                with anyio.move_on_after(NOTICE_S):
                    await self._inner.send(item)
                return
            with anyio.fail_after(self._timeout_s):
                await self._inner.send(item)
        except TimeoutError:
            self._transport.end(f"it has not read its input for {self._timeout_s:g} s")
            raise anyio.BrokenResourceError from None
        except _GONE:
            if isinstance(item.message, types.JSONRPCRequest):
                raise Unsent(self._transport.last_words()) from None
            raise

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _answered(error: Exception) -> types.RequestId | None:
    """The id of the request that a line answers which the SDK could not read: it tells of the line in its *error*."""
    match _flaw(error).get("input"):
        case str(line):
            return answered_id(line.encode("utf-8", "replace"), line[-TAIL_BYTES:].encode("utf-8", "replace"))
        case {"method": _} | {"id": bool()}:
            return None
        case {"id": int() | str() as id}:
            return id
    return None


def _reason(error: Exception) -> str:
    flaw = _flaw(error)
    return str(flaw["msg"]) if flaw.get("type") == "json_invalid" else "it is no JSON-RPC answer"


def _flaw(error: Exception) -> Mapping[str, Any]:
    return error.errors(include_url=False)[0] if isinstance(error, ValidationError) else {}
