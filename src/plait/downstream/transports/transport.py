"""From settings to the streams of a server: a process, Streamable HTTP or legacy SSE."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, assert_never
from urllib.parse import urlsplit

import anyio
import httpx2
import mcp_types as types

from ...config import ServerSettings
from ...config.environment import expand_user, inherited
from ...waiting import Signal
from ..mcp_sdk import (
    ReadStream,
    SessionMessage,
    WriteStream,
    coerce_request_id,
    streamable_http_client,
)
from ..timings import ConnectTimings
from .faults import DID_NOT_ANSWER
from .guard import Guard
from .http import IsolatingTransport, make_client
from .process import ProcessTransport
from .sse import sse_streams

log = logging.getLogger(__name__)

MOST_OPEN = 256
"""Most requests of a server that may be open at once. Refusals count too until they are sent."""


class Transport(Protocol):
    """The way to one server, as a connection sees it.

    Every transport promises (`tests/downstream/contract.py` has the ways that the tests run over):

    - A message that comes in is at most the given bytes, and strict: the stream to read from gives
      what `delivered(read_message(data))` (`events.py`) makes of its bytes, if anything.
    - Every request gets an answer. A fault of the way to the server is a `JSONRPCError` with
      `made_error(Fault.…, reason)` (`faults.py`), so that it differs from an error of the server:
      `UNSENT` if nothing reached the server, `BROKEN` if its effect is unknown, `TOO_LARGE` or
      `UNREADABLE` if its answer cannot be used.
    - A fault of one message ends no other request. A fault that ends all of them closes the stream
      that is read from; `exit_reason` is their error then.
    """

    def streams(
        self,
    ) -> AbstractAsyncContextManager[
        tuple[ReadStream[SessionMessage | Exception], WriteStream[SessionMessage]]
    ]:
        """Open the transport. Gives the stream to read messages from, and the one to write to, such
        as those of `anyio.create_memory_object_stream`.

        A message to send may have `metadata`: HTTP headers, which other transports ignore. If the
        server cannot be reached, raises `ServerUnavailable` with the reason; the errors of `httpx2`
        are put into words in `faults.py`, and any other is shown with the name of its type. (The
        `Writer` of a process lets requests go around the dispatcher; no other transport needs one.)
        """
        ...

    @property
    def pid(self) -> int | None: ...

    @property
    def is_open(self) -> bool:
        """False once it is known that nothing can be sent any more."""
        ...

    def exit_reason(self) -> str:
        """Say how the connection ended, for an error message."""
        ...

    def delay_reason(self) -> str:
        """Say what the server has not done yet, for the error of a start that takes too long."""
        ...


OpenTransport: TypeAlias = Callable[
    [str, ServerSettings, int, Callable[[str], None], ConnectTimings], Transport
]
"""Makes the transport of a server from its name, its settings, the most bytes in a message, what
takes the lines of its stderr, and its timings."""


def open_transport(
    name: str,
    settings: ServerSettings,
    max_message_bytes: int,
    on_stderr: Callable[[str], None],
    timings: ConnectTimings,
    *,
    guard: Guard | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Transport:
    """Choose the transport of a server by its settings: an `OpenTransport`. A *guard* ends its
    process if this one dies.

    *environment* (None: what is safe of ours) and *folder* are those of `Config`.
    """
    environment = inherited(os.environ) if environment is None else environment
    match settings.kind:
        case "http" | "sse":
            return UrlTransport(settings, max_message_bytes, environment)
        case "stdio":
            program, *args = _command_line(settings, environment)
            return ProcessTransport(
                program,
                args,
                env={**environment, **settings.env},
                cwd=settings.runs_in(folder),
                on_stderr=on_stderr,
                on_invalid_lines=_invalid_lines_logger(name),
                max_line_bytes=max_message_bytes,
                grace_s=timings.grace_s,
                write_timeout_s=timings.write_timeout_s,
                guard=guard,
            )
        case kind:
            assert_never(kind)


def _command_line(settings: ServerSettings, environment: Mapping[str, str]) -> list[str]:
    """Return the program of a server that is a process, and its arguments."""
    if settings.builtin is None:
        assert settings.command is not None  # the settings were checked
        return [expand_user(settings.command, environment), *settings.args]
    # -P: else Python would import from the folder that we were started in.
    line = [sys.executable, "-P", "-m", f"plait.{settings.builtin}", "--root", str(settings.root)]
    for allowed in settings.allow_commands:
        line += ["--allow-command", allowed]
    line += ["--read-only"] if settings.read_only else []
    for tool in settings.tools:
        line += ["--tool", tool]
    for file in settings.protect:
        line += ["--protect", str(file)]
    return line


def _invalid_lines_logger(server: str) -> Callable[[int, str], None]:
    """Log how many lines of *server* were invalid, and why the last one was, each time that the
    number has doubled."""
    logged = 0

    def warn(count: int, why: str) -> None:
        nonlocal logged
        if count >= 2 * logged:
            logged = count
            fields = {"server": server, "lines": count, "error": why[:200]}
            log.warning("server.invalid_lines", extra=fields)

    return warn


class UrlTransport:
    """Streamable HTTP, or legacy SSE: a way to a server at a URL that needs a branch in `streams`
    and no class of its own."""

    pid: int | None = None
    is_open = True

    def __init__(
        self, settings: ServerSettings, max_message_bytes: int, environment: Mapping[str, str]
    ) -> None:
        self._settings = settings
        self._max_message_bytes = max_message_bytes
        self._environment = environment
        self._delay_reason = DID_NOT_ANSWER

    def delay_reason(self) -> str:
        return self._delay_reason

    def exit_reason(self) -> str:
        parts = urlsplit(self._settings.url or "")
        host = parts.netloc.rpartition("@")[2]  # user, password and query may be secrets
        return f"{parts.scheme}://{host}{parts.path} closed the connection"

    @asynccontextmanager
    async def streams(
        self,
    ) -> AsyncIterator[tuple[ReadStream[SessionMessage | Exception], WriteStream[SessionMessage]]]:
        url, headers, limit = self._settings.url, self._settings.headers, self._max_message_bytes
        environ = self._environment
        assert url is not None  # the settings were checked
        self._delay_reason = DID_NOT_ANSWER
        if self._settings.kind == "sse":
            async with sse_streams(
                url, headers, environ, limit, on_stream=self._stream_opened
            ) as opened:
                self._delay_reason = DID_NOT_ANSWER
                yield opened
            return
        assert self._settings.kind == "http"
        async with anyio.create_task_group() as tasks:

            def isolated(inner: httpx2.AsyncBaseTransport) -> httpx2.AsyncBaseTransport:
                return IsolatingTransport(inner, tasks, max_body_bytes=limit)

            async with (
                make_client(url, headers, environ, isolated) as client,
                streamable_http_client(url, http_client=client, max_sse_event_size=None) as streams,
            ):
                yield streams
            tasks.cancel_scope.cancel()

    def _stream_opened(self) -> None:
        self._delay_reason = "it sent no endpoint event"


class _Wrapper:
    """A stream around one of the SDK's; they are closed together."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._inner.__aexit__(kind, error, trace)


class Watched(_Wrapper):
    """A read stream that calls `on_end` at its end, and pauses while too many requests of the
    server are unanswered: a server that asks without reading would fill the memory."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.on_end: Callable[[], None] = lambda: None
        self.heard = 0
        """Number of messages that came."""
        self._open: set[types.RequestId] = set()
        self._settled = Signal()

    @property
    def last_context(self) -> Any:
        return getattr(self._inner, "last_context", None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            while True:
                while len(self._open) >= MOST_OPEN:
                    await self._settled.wait()
                item = await self._inner.__anext__()
                self.heard += 1
                if self._is_new(item):
                    return item
        except BaseException:
            self.on_end()
            raise

    def settle(self, id: object) -> None:
        """Note that the server's request *id* is answered or cancelled."""
        self._open.discard(coerce_request_id(id) if isinstance(id, int | str) else "")
        self._settled.notify()

    def _is_new(self, item: Any) -> bool:
        """Track *item*. False for a request whose id belongs to an open one, which is skipped."""
        match item:
            case SessionMessage(message=types.JSONRPCRequest(id=id)):
                key = coerce_request_id(id)
                is_new = key not in self._open
                self._open.add(key)
                return is_new
            case SessionMessage(
                message=types.JSONRPCNotification(method="notifications/cancelled", params=params)
            ):
                self.settle((params or {}).get("requestId"))
        return True

    async def receive(self) -> Any:
        return await self._inner.receive()


class Answering(_Wrapper):
    """A write stream that notes in *watched* which requests of the server have been answered."""

    def __init__(self, inner: Any, watched: Watched) -> None:
        super().__init__(inner)
        self._watched = watched

    async def send(self, item: SessionMessage) -> None:
        try:
            await self._inner.send(item)
        finally:
            if isinstance(item.message, types.JSONRPCResponse | types.JSONRPCError):
                self._watched.settle(item.message.id)
