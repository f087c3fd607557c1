"""From settings to the streams of a server: a process, Streamable HTTP or legacy SSE."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias
from urllib.parse import urlsplit

import mcp_types as types

from ...config import ServerSettings
from ...waiting import Signal
from ..mcp_sdk import SessionMessage, coerce_request_id, streamable_http_client
from .http import IsolatingTransport, make_client
from .sse import sse_streams
from .stdio import GRACE_S, WRITE_TIMEOUT_S, ProcessTransport

log = logging.getLogger(__name__)

MOST_OPEN = 256
"""How many requests of a server may be open at once; of most of them we say no, and that has to be
sent too."""


@dataclass(frozen=True, slots=True)
class ConnectTimings:
    """How long a server may take, in seconds."""

    call_wait_s: float = 10.0
    """How long a call waits for a server that is being connected to."""
    soon_s: float = 2.0
    """How long it waits for the next attempt, after a server that was there has gone."""
    healthy_s: float = 5.0
    """A connection that held so long is opened again at once after its end."""
    first_backoff_s: float = 1.0
    longest_backoff_s: float = 60.0
    refresh_pause_s: float = 0.2
    """Changes of the tool list that come together are read together."""
    grace_s: float = GRACE_S
    write_timeout_s: float = WRITE_TIMEOUT_S


class Transport(Protocol):
    """What a connection needs to know of the way to its server."""

    def streams(self) -> AbstractAsyncContextManager[tuple[Any, Any]]:
        """Opens it; gives what a dispatcher reads from and writes to."""
        ...

    @property
    def pid(self) -> int | None: ...

    @property
    def is_open(self) -> bool:
        """False once it is known that nothing can be sent any more."""
        ...

    def last_words(self) -> str:
        """How it ended, for an error message."""
        ...


OpenTransport: TypeAlias = Callable[
    [str, ServerSettings, int, Callable[[str], None], ConnectTimings], Transport
]
"""Makes the way to a server: of its name, its settings, how many bytes a message may have, what is
told the lines that it writes to stderr, and how long it may take."""


def open_transport(
    name: str,
    settings: ServerSettings,
    max_message_bytes: int,
    on_stderr: Callable[[str], None],
    patience: ConnectTimings,
) -> Transport:
    """Choose the transport of a server by its settings: an `OpenTransport`."""
    if settings.kind != "stdio":
        return HttpTransport(settings, max_message_bytes)
    return StdioTransport(name, settings, max_message_bytes, on_stderr, patience)


class StdioTransport:
    def __init__(
        self,
        name: str,
        settings: ServerSettings,
        max_message_bytes: int,
        on_stderr: Callable[[str], None],
        patience: ConnectTimings,
    ) -> None:
        command, args = _command(settings)
        self._process = ProcessTransport(
            command,
            args,
            env=settings.env,
            cwd=settings.cwd,
            on_stderr=on_stderr,
            on_junk=_junk_logger(name),
            max_line_bytes=max_message_bytes,
            grace_s=patience.grace_s,
            write_timeout_s=patience.write_timeout_s,
        )

    def streams(self) -> AbstractAsyncContextManager[tuple[Any, Any]]:
        return self._process

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def is_open(self) -> bool:
        return self._process.is_open

    def last_words(self) -> str:
        return self._process.last_words()


class HttpTransport:
    """Streamable HTTP, or legacy SSE."""

    pid: int | None = None
    is_open = True

    def __init__(self, settings: ServerSettings, max_message_bytes: int) -> None:
        self._settings = settings
        self._max_message_bytes = max_message_bytes

    def last_words(self) -> str:
        parts = urlsplit(self._settings.url or "")
        host = parts.netloc.rpartition("@")[2]
        return (
            f"{parts.scheme}://{host}{parts.path} closed the connection"  # the rest may be a secret
        )

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[tuple[Any, Any]]:
        assert self._settings.url is not None  # the settings were checked
        if self._settings.kind == "sse":
            async with sse_streams(
                self._settings.url, self._settings.headers, self._max_message_bytes
            ) as streams:
                yield streams
            return
        limit = self._max_message_bytes
        async with (
            make_client(
                self._settings.url,
                self._settings.headers,
                lambda inner: IsolatingTransport(inner, max_body_bytes=limit),
            ) as client,
            streamable_http_client(
                self._settings.url, http_client=client, max_sse_event_size=None
            ) as streams,
        ):
            yield streams


class _Around:
    """A stream around another of the SDK's; they are closed together."""

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


class Watched(_Around):
    """A read stream that tells when it has ended. It is not read on while too many requests of the
    server's wait for their answers to be sent: a server that asks and does not read would fill the
    memory."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.on_end: Callable[[], None] = lambda: None
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
                if self._is_new(item):
                    return item
        except BaseException:
            self.on_end()
            raise

    def settled(self, id: object) -> None:
        """The request of that id of the server's is over."""
        self._open.discard(coerce_request_id(id) if isinstance(id, int | str) else "")
        self._settled.notify()

    def _is_new(self, item: Any) -> bool:
        """Whether *item* is to be read; a request is not whose id belongs to one that is open."""
        match item:
            case SessionMessage(message=types.JSONRPCRequest(id=id)):
                key = coerce_request_id(id)
                is_new = key not in self._open
                self._open.add(key)
                return is_new
            case SessionMessage(
                message=types.JSONRPCNotification(method="notifications/cancelled", params=params)
            ):
                self.settled((params or {}).get("requestId"))
        return True

    async def receive(self) -> Any:
        return await self._inner.receive()


class Answering(_Around):
    """A write stream that tells *watched* which of the server's requests have been answered."""

    def __init__(self, inner: Any, watched: Watched) -> None:
        super().__init__(inner)
        self._watched = watched

    async def send(self, item: SessionMessage) -> None:
        try:
            await self._inner.send(item)
        finally:
            if isinstance(item.message, types.JSONRPCResponse | types.JSONRPCError):
                self._watched.settled(item.message.id)


def _junk_logger(server: str) -> Callable[[int, str], None]:
    """Told how many lines of *server* were no messages, and why the last was none; it logs that
    once in a while."""
    told = 0

    def warn(count: int, why: str) -> None:
        nonlocal told
        if count >= 2 * told:
            told = count
            log.warning("server.junk", extra={"server": server, "lines": count, "error": why[:200]})

    return warn


def _command(settings: ServerSettings) -> tuple[str, list[str]]:
    if settings.builtin is None:
        assert settings.command is not None  # the settings were checked
        return settings.command, list(settings.args)
    allowed = [word for command in settings.allow_commands for word in ("--allow-command", command)]
    return sys.executable, [
        "-m",
        f"plait.{settings.builtin}",
        "--root",
        str(settings.root),
        *allowed,
    ]
