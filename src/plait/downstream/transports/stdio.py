"""A downstream server that is a process of ours: its pipes, its words on stderr, its end and that
of its group.

`ProcessTransport` is a transport for the MCP SDK: an async context manager that gives the two
streams a dispatcher reads and writes. What the server writes is hostile until it has been read:
lines have a limit, what cannot be read ends the call it answers and nothing else, and a server that
stops reading holds nobody up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import mcp_types as types

from ..mcp_sdk import SessionMessage
from .direct import Direct
from .environment import inherited
from .faults import Unsent, cannot_start
from .lines import Lines
from .process import Process

MAX_LINE_BYTES = 16 * 2**20
GRACE_S = 2.0
"""How long a server has to end by itself after its stdin was closed, and again after SIGTERM."""
WRITE_TIMEOUT_S = 10.0
"""How long a server may leave its input unread, once more waits than the pipe and
`WRITE_BUFFER_BYTES` hold."""


class ProcessTransport:
    """Starts the server on entering, ends it with all its children on leaving."""

    def __init__(
        self,
        command: str,
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        on_stderr: Callable[[str], None] = lambda line: None,
        on_junk: Callable[[int, str], None] = lambda count, why: None,
        max_line_bytes: int = MAX_LINE_BYTES,
        grace_s: float = GRACE_S,
        write_timeout_s: float = WRITE_TIMEOUT_S,
    ) -> None:
        self._command = [command, *args]
        self._env = {**inherited(), **(env or {})}
        self._cwd = cwd
        self._on_stderr = on_stderr
        self._on_junk = on_junk
        self._max_line_bytes = max_line_bytes
        self._grace_s = grace_s
        self._write_timeout_s = write_timeout_s
        self._process: Process | None = None

    async def __aenter__(self) -> tuple[Reader, Writer]:
        loop = asyncio.get_running_loop()
        process = Process(
            Lines(self._max_line_bytes), self._on_stderr, self._on_junk, self._write_timeout_s
        )
        try:
            with anyio.CancelScope(
                shield=True
            ):  # half started, a process would be nobody's to stop
                await loop.subprocess_exec(
                    lambda: process,
                    *self._command,
                    env=self._env,
                    cwd=self._cwd,
                    start_new_session=True,
                )
        except OSError as error:
            raise cannot_start(self._command[0], self._cwd, error) from error
        self._process = process
        return Reader(process), Writer(process)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            with anyio.CancelScope(shield=True):
                await self._process.stop(self._grace_s)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def is_open(self) -> bool:
        return self._process is not None and self._process.is_open

    def last_words(self) -> str:
        """How the server ended, and what it said last, for an error message."""
        return self._process.last_words() if self._process is not None else "it was not started"


class _Stream:
    """What the SDK's dispatcher expects of either stream."""

    last_context = None

    def __init__(self, process: Process) -> None:
        self._process = process

    async def aclose(self) -> None:
        """The transport's own exit closes both."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


class Reader(_Stream):
    """Messages as they come."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        return await self._process.next()

    async def receive(self) -> SessionMessage:
        try:
            return await self._process.next()
        except StopAsyncIteration:
            raise anyio.EndOfStream from None


class Writer(_Stream):
    def __init__(self, process: Process) -> None:
        super().__init__(process)
        self.direct = Direct(process)

    async def send(self, item: SessionMessage) -> None:
        message = item.message
        if isinstance(message, types.JSONRPCNotification):
            if message.method == "notifications/cancelled" and message.params is not None:
                self._process.lines.forget(message.params.get("requestId"))
            if self._process.is_blocked:
                return  # its callers must not wait for a server that does not read
        data = message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
        if isinstance(message, types.JSONRPCRequest):
            self._process.lines.asked(message.id)
        try:
            await self._process.write(data)
        except anyio.BrokenResourceError:
            if isinstance(message, types.JSONRPCRequest):
                raise Unsent(self._process.last_words()) from None
            raise
