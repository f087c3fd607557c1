"""From settings to the streams of a server: a process, Streamable HTTP or legacy SSE."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Protocol, Self

import anyio
import httpx2
import mcp_types as types
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

from ..config import ServerSettings
from .http import HTTP_FAULT, IsolatingTransport, PostingTransport, make_client
from .stdio import ProcessTransport

QUEUE = 1024
"""Messages that wait to be dispatched; a server that sends faster is held back."""


class Transport(Protocol):
    """What a connection needs to know of the way to its server."""

    def streams(self) -> AbstractAsyncContextManager[tuple[Any, Any]]:
        """Opens it; gives what a dispatcher reads from and writes to."""
        ...

    @property
    def pid(self) -> int | None: ...

    def last_words(self) -> str:
        """How it ended, for an error message."""
        ...


def open_transport(
    name: str, settings: ServerSettings, max_message_bytes: int, on_stderr: Callable[[str], None]
) -> Transport:
    if settings.kind == "stdio":
        return StdioTransport(settings, max_message_bytes, on_stderr)
    return HttpTransport(settings, max_message_bytes)


class StdioTransport:
    def __init__(self, settings: ServerSettings, max_message_bytes: int, on_stderr: Callable[[str], None]) -> None:
        command, args = _command(settings)
        self._process = ProcessTransport(
            command,
            args,
            env=settings.env,
            cwd=settings.cwd,
            on_stderr=on_stderr,
            max_line_bytes=max_message_bytes,
        )

    def streams(self) -> AbstractAsyncContextManager[tuple[Any, Any]]:
        return self._process

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def last_words(self) -> str:
        return self._process.last_words()


class HttpTransport:
    """Streamable HTTP, or legacy SSE."""

    pid: int | None = None

    def __init__(self, settings: ServerSettings, max_message_bytes: int) -> None:
        self._settings = settings
        self._max_message_bytes = max_message_bytes

    def last_words(self) -> str:
        return f"{self._settings.url} closed the connection"

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[tuple[Any, Any]]:
        assert self._settings.url is not None  # the settings were checked
        if self._settings.kind == "sse":
            async with self._posted_streams(self._settings.url) as streams:
                yield streams
            return
        limit = self._max_message_bytes
        async with (
            make_client(
                self._settings.headers, lambda inner: IsolatingTransport(inner, max_body_bytes=limit)
            ) as client,
            streamable_http_client(self._settings.url, http_client=client, max_sse_event_size=limit) as streams,
        ):
            yield streams

    @asynccontextmanager
    async def _posted_streams(self, url: str) -> AsyncIterator[tuple[Any, Any]]:
        """Legacy SSE: what the server sends, and an error for each request that could not be posted to it."""
        send, receive = anyio.create_memory_object_stream[Any](QUEUE)

        def fail(id: int | str, message: str) -> None:
            error = types.ErrorData(code=HTTP_FAULT, message=message, data={"sent": False})
            send.send_nowait(SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=id, error=error)))

        def client(
            headers: dict[str, str] | None = None,
            timeout: httpx2.Timeout | None = None,
            auth: httpx2.Auth | None = None,
        ) -> httpx2.AsyncClient:
            own = {**(headers or {}), **self._settings.headers}
            return make_client(own, lambda inner: PostingTransport(inner, fail))

        async def pump(read: Any) -> None:
            async for item in read:
                await send.send(item)
            send.close()

        with send, receive:
            async with (
                sse_client(url, sse_read_timeout=86_400, httpx_client_factory=client) as (read, write),
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(pump, read)
                yield receive, write
                tasks.cancel_scope.cancel()


class Watched:
    """A read stream that tells when it has ended."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.on_end: Callable[[], None] = lambda: None

    @property
    def last_context(self) -> Any:
        return getattr(self._inner, "last_context", None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._inner.__anext__()
        except BaseException:
            self.on_end()
            raise

    async def receive(self) -> Any:
        return await self._inner.receive()

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inner.__aexit__(kind, error, trace)


def _command(settings: ServerSettings) -> tuple[str, list[str]]:
    if settings.builtin is None:
        assert settings.command is not None  # the settings were checked
        return settings.command, list(settings.args)
    allowed = [word for command in settings.allow_commands for word in ("--allow-command", command)]
    return sys.executable, ["-m", f"plait.{settings.builtin}", "--root", str(settings.root), *allowed]
