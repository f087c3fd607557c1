"""A downstream server that is a process of ours: its pipes, its words on stderr, its end and that of its group.

`ProcessTransport` is a transport for the MCP SDK: an async context manager that gives the two streams a dispatcher
reads and writes. What the server writes is hostile until it has been read: lines have a limit, what cannot be read
ends the call it answers and nothing else, and a server that stops reading holds nobody up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import mcp_types as types
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from ..core.strict import NotStrict, decode
from ..errors import ServerUnavailable

MAX_LINE_BYTES = 16 * 2**20
MAX_STDERR_LINE = 8 * 1024
STDERR_LINES_KEPT = 20
WRITE_BUFFER_BYTES = 2**20
QUEUE_HIGH, QUEUE_LOW = 1024, 256
GRACE_S = 2.0
"""How long a server has to end by itself after its stdin was closed, and again after SIGTERM."""
WRITE_TIMEOUT_S = 10.0
DRAIN_S = 0.25
"""How long what is left in the pipe of a dead server is read; a grandchild may hold it open for ever."""

_ID = re.compile(rb'"id"\s*:\s*(\d{1,15})')


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
        max_line_bytes: int = MAX_LINE_BYTES,
        grace_s: float = GRACE_S,
        write_timeout_s: float = WRITE_TIMEOUT_S,
    ) -> None:
        self._command = [command, *args]
        self._env = {**get_default_environment(), **(env or {})}
        self._cwd = cwd
        self._on_stderr = on_stderr
        self._max_line_bytes = max_line_bytes
        self._grace_s = grace_s
        self._write_timeout_s = write_timeout_s
        self._process: _Process | None = None

    async def __aenter__(self) -> tuple[_Reader, _Writer]:
        loop = asyncio.get_running_loop()
        process = _Process(self._max_line_bytes, self._on_stderr)
        try:
            with anyio.CancelScope(shield=True):  # half started, a process would be nobody's to stop
                await loop.subprocess_exec(
                    lambda: process, *self._command, env=self._env, cwd=self._cwd, start_new_session=True
                )
        except OSError as error:
            message = f"cannot start {self._command[0]}: {error.strerror or error}"
            raise ServerUnavailable(message, hint="Is the command installed and on PATH?") from error
        self._process = process
        return _Reader(process), _Writer(process, self._write_timeout_s)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            with anyio.CancelScope(shield=True):
                await self._process.stop(self._grace_s)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def last_words(self) -> str:
        """How the server ended, and what it said last, for an error message."""
        return self._process.last_words() if self._process is not None else "it was not started"


class _Process(asyncio.SubprocessProtocol):
    """The process as asyncio's callbacks tell of it."""

    def __init__(self, max_line_bytes: int, on_stderr: Callable[[str], None]) -> None:
        self.pid = 0
        self.returncode: int | None = None
        self.exited = asyncio.Event()
        self.asked: set[types.RequestId] = set()
        """The ids of the requests that wait for an answer."""
        self.complaint: str | None = None
        """Why we ended it, if we did."""
        self._max_line_bytes = max_line_bytes
        self._on_stderr = on_stderr
        self._line = bytearray()
        self._stderr_line = bytearray()
        self._stderr_tail: deque[str] = deque(maxlen=STDERR_LINES_KEPT)
        self._queue: deque[SessionMessage | Exception] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._has_ended = False
        self._has_closed_stdout = False
        self._is_paused = False
        self._writable = asyncio.Event()
        self._writable.set()

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport
        self.pid = transport.get_pid()
        stdin = transport.get_pipe_transport(0)
        assert isinstance(stdin, asyncio.WriteTransport)
        stdin.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._stdin = stdin

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._hear(data)
        elif not self._has_ended:
            self._read(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 0:
            self._writable.set()
        if fd == 1:
            self._has_closed_stdout = True
            self._end_soon()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def process_exited(self) -> None:
        self.returncode = self._transport.get_returncode()
        self.exited.set()
        self._writable.set()
        self._end_soon()

    def _end_soon(self) -> None:
        """It is over once it has exited and its output is read; of either alone, a moment later."""
        if self._has_closed_stdout and self.exited.is_set():
            self.end()
        else:
            asyncio.get_running_loop().call_later(DRAIN_S, self.end)

    # reading

    def _read(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            if self._line:
                self._line += line
                line = bytes(self._line)
                self._line = bytearray()
            if len(line) > self._max_line_bytes:
                self._refuse_line()
                return
            if not line.isspace() and line:
                self._put(self._parse(line))
        self._line += rest
        if len(self._line) > self._max_line_bytes:
            self._refuse_line()

    def _refuse_line(self) -> None:
        self.kill(f"a line of its answers is longer than {self._max_line_bytes:,} bytes")

    def _parse(self, line: bytes) -> SessionMessage | Exception:
        id: types.RequestId | None = None
        try:
            value = decode(line)
            if isinstance(value, dict) and "method" not in value and isinstance(value.get("id"), int | str):
                id = value["id"]  # type: ignore[assignment]  # narrowed by the isinstance above
            message = jsonrpc_message_adapter.validate_python(value, by_name=False)
        except ValueError as error:  # NotStrict, or pydantic's
            return self._unreadable(line, id, error)
        if isinstance(message, types.JSONRPCResponse | types.JSONRPCError) and message.id is not None:
            self.asked.discard(message.id)
        return SessionMessage(message)

    def _unreadable(self, line: bytes, id: types.RequestId | None, error: ValueError) -> SessionMessage | Exception:
        """The answer that ends the call which *line* was meant for, where that can be told."""
        if id is None:
            id = next((int(found) for found in _ID.findall(line[: 2**16]) if int(found) in self.asked), None)
        if id is None or id not in self.asked:
            return error
        self.asked.discard(id)
        reason = str(error) if isinstance(error, NotStrict) else "it is no JSON-RPC answer"
        data = types.ErrorData(code=types.PARSE_ERROR, message=f"the server's answer cannot be read: {reason}")
        return SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=id, error=data))

    def _put(self, item: SessionMessage | Exception) -> None:
        self._queue.append(item)
        if len(self._queue) > QUEUE_HIGH and not self._is_paused:
            self._is_paused = True
            self._stdout.pause_reading()
        self._wake()

    async def next(self) -> SessionMessage | Exception:
        while not self._queue:
            if self._has_ended:
                raise StopAsyncIteration
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        item = self._queue.popleft()
        if self._is_paused and len(self._queue) < QUEUE_LOW and not self._has_ended:
            self._is_paused = False
            self._stdout.resume_reading()
        return item

    def end(self) -> None:
        """Nothing more is read from it."""
        self._has_ended = True
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    @property
    def _stdout(self) -> asyncio.ReadTransport:
        stdout = self._transport.get_pipe_transport(1)
        assert isinstance(stdout, asyncio.ReadTransport)
        return stdout

    # writing

    async def write(self, data: bytes, timeout_s: float) -> None:
        """Hand *data* to the server. Raises `anyio.BrokenResourceError` if it is gone, or takes nothing any more."""
        if not self._writable.is_set():
            try:
                async with asyncio.timeout(timeout_s):
                    await self._writable.wait()
            except TimeoutError:
                self.kill(f"it has not read its input for {timeout_s:g} s")
        if self._has_ended or self.exited.is_set() or self._stdin.is_closing():
            raise anyio.BrokenResourceError
        self._stdin.write(data)

    @property
    def is_blocked(self) -> bool:
        return not self._writable.is_set()

    # stderr

    def _hear(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._stderr_line += line[:MAX_STDERR_LINE]
            self._say()
        self._stderr_line += rest[:MAX_STDERR_LINE]
        if len(self._stderr_line) >= MAX_STDERR_LINE:
            self._say()

    def _say(self) -> None:
        line = self._stderr_line[:MAX_STDERR_LINE].decode("utf-8", "replace").rstrip()
        self._stderr_line.clear()
        if line:
            self._stderr_tail.append(line)
            self._on_stderr(line)

    def last_words(self) -> str:
        if self.complaint is not None:
            fate = f"it was stopped: {self.complaint}"
        elif self.returncode is None:
            fate = "it closed its output"
        elif self.returncode < 0:
            fate = f"it was ended by {signal.Signals(-self.returncode).name}"
        else:
            fate = f"it ended with exit code {self.returncode}"
        said = next((line for line in reversed(self._stderr_tail) if line.strip()), None)
        return fate + (f"; its last words: {said[:300]}" if said else "")

    # the end

    def kill(self, complaint: str) -> None:
        self.complaint = self.complaint or complaint
        self._signal(signal.SIGKILL)
        self._writable.set()
        self.end()

    async def stop(self, grace_s: float) -> None:
        """End the process and its whole group: close its stdin, then SIGTERM, then SIGKILL."""
        if not self.exited.is_set() and self.complaint is None:
            self._stdin.close()
            if not await self._exits_within(grace_s):
                self._signal(signal.SIGTERM)
                await self._exits_within(grace_s)
        self._signal(signal.SIGKILL)  # the rest of its group, also after it ended by itself
        await self._exits_within(grace_s)
        self.end()
        self._transport.close()

    async def _exits_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.exited.wait()
        return self.exited.is_set()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class _Stream:
    """What the SDK's dispatcher expects of either stream."""

    last_context = None

    def __init__(self, process: _Process) -> None:
        self._process = process

    async def aclose(self) -> None:
        """The transport's own exit closes both."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class _Reader(_Stream):
    """Messages as they come; an exception for what was none."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        return await self._process.next()

    async def receive(self) -> SessionMessage | Exception:
        try:
            return await self._process.next()
        except StopAsyncIteration:
            raise anyio.EndOfStream from None


class _Writer(_Stream):
    def __init__(self, process: _Process, timeout_s: float) -> None:
        super().__init__(process)
        self._timeout_s = timeout_s

    async def send(self, item: SessionMessage) -> None:
        message = item.message
        if isinstance(message, types.JSONRPCNotification) and self._process.is_blocked:
            return  # a server that does not read need not be told, and its callers must not wait
        data = message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
        if isinstance(message, types.JSONRPCRequest):
            self._process.asked.add(message.id)
        await self._process.write(data, self._timeout_s)
