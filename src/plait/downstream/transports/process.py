"""A downstream server that is a process of ours: its pipes, its stderr, its end and that of its
process group.

`ProcessTransport` starts and stops the process and gives the MCP SDK's dispatcher two streams.
`Process` is what asyncio's callbacks write to; requests that go around the dispatcher (`direct.py`)
use it as well.

What the server writes is untrusted until it has been read. Lines have a limit, an unreadable line
ends the call it answers and nothing else, stderr is always drained, and a server that stops reading
its input is ended, so that it delays no caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import mcp_types as types

from ...config.environment import inherited
from ...waiting import rest_after
from ..mcp_sdk import SessionMessage
from ..timings import GRACE_S, WRITE_TIMEOUT_S
from .faults import DID_NOT_ANSWER, Unsent, cannot_start
from .guard import Guard
from .lines import Lines, LineTooLong
from .pacing import MANY, REST_S
from .stderr import Stderr

MAX_LINE_BYTES = 16 * 2**20
WRITE_BUFFER_BYTES = 2**20
QUEUE_HIGH, QUEUE_LOW = 1024, 256
"""Messages in the queue at which reading from the server pauses, and resumes."""
DRAIN_S = 0.25
"""Longest time to read the rest of a dead server's pipe; a grandchild may hold it open for ever."""
_FROM_OUTSIDE = frozenset({"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"})
"""Signals that others send to a process; its stderr does not explain them."""


class Process(asyncio.SubprocessProtocol):
    """The process as asyncio's callbacks report it."""

    def __init__(
        self,
        lines: Lines,
        on_stderr: Callable[[str], None],
        on_invalid_lines: Callable[[int, str], None],
        write_timeout_s: float,
    ) -> None:
        self.lines = lines
        self.pid = 0
        self.returncode: int | None = None
        self.exited = asyncio.Event()
        self.complaint: str | None = None
        """Why we ended it, if we did."""
        self._stderr = Stderr(on_stderr)
        self._on_invalid_lines = on_invalid_lines
        self._write_timeout_s = write_timeout_s
        self._queue: deque[SessionMessage] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._has_ended = False
        self._has_closed_stdout = self._has_closed_stderr = False
        self._is_paused = self._is_full = False
        """Whether its output is not read, and whether that is because too much of it waits."""
        self._resting: asyncio.TimerHandle | None = None
        self._taken = 0
        """Messages that were taken since there was none."""
        self._unsent = bytearray()
        self._has_sent = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._stall: asyncio.TimerHandle | None = None

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
            self._stderr.feed(data)
            return
        if self._has_ended:
            return
        invalid_lines, unasked_s = self.lines.invalid_lines, self.lines.unasked_s
        try:
            self._queue.extend(self.lines.read(data))
        except LineTooLong as error:
            self.kill(str(error))
        if (seconds := rest_after(self.lines.unasked_s - unasked_s)) > 0:
            self._rest(seconds)
        if self._queue:
            self._is_full = self._is_full or len(self._queue) > QUEUE_HIGH
            self._pause_or_resume()
            self._wake_reader()
        if self.lines.invalid_lines > invalid_lines:
            self._on_invalid_lines(self.lines.invalid_lines, self.lines.why_invalid)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 0:
            self._stop_watching_writes()
        if fd == 1:
            self._has_closed_stdout = True
            self._end_once_drained()
        if fd == 2:
            self._has_closed_stderr = True
            if self.exited.is_set():
                self._end_once_drained()

    def pause_writing(self) -> None:
        self._writable.clear()
        self._watch_writes()

    def resume_writing(self) -> None:
        self._stop_watching_writes()

    def process_exited(self) -> None:
        self._signal(signal.SIGKILL)  # the rest of its group
        self.returncode = self._transport.get_returncode()
        self.exited.set()
        self._stop_watching_writes()
        self._end_once_drained()

    def _end_once_drained(self) -> None:
        """End once the process has exited and its output and stderr, which explains the exit, are
        read; without one of them, end a moment later anyway."""
        if self._has_closed_stdout and self._has_closed_stderr and self.exited.is_set():
            self.end()
        else:
            asyncio.get_running_loop().call_later(DRAIN_S, self.end)

    # reading

    async def receive(self) -> SessionMessage:
        """Wait for the next message. Raises `StopAsyncIteration` at the end."""
        while not self._queue:
            if self._has_ended:
                raise StopAsyncIteration
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
            self._taken = 0
        if self._taken >= MANY:  # others have their turn
            self._taken = 0
            await asyncio.sleep(REST_S)
        self._taken += 1
        item = self._queue.popleft()
        self._is_full = self._is_full and len(self._queue) >= QUEUE_LOW
        self._pause_or_resume()
        return item

    def _rest(self, seconds: float) -> None:
        """Read nothing for *seconds*."""
        if self._resting is None and not self._has_ended:
            self._resting = asyncio.get_running_loop().call_later(seconds, self._rested)
            self._pause_or_resume()

    def _rested(self) -> None:
        self._resting = None
        self._pause_or_resume()

    def _pause_or_resume(self) -> None:
        is_wanted = self._is_full or self._resting is not None
        if is_wanted != self._is_paused and not self._has_ended:
            self._is_paused = is_wanted
            if is_wanted:
                self._stdout.pause_reading()
            else:
                self._stdout.resume_reading()

    def end(self) -> None:
        """Read nothing more from it."""
        self._has_ended = True
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    @property
    def _stdout(self) -> asyncio.ReadTransport:
        stdout = self._transport.get_pipe_transport(1)
        assert isinstance(stdout, asyncio.ReadTransport)
        return stdout

    # writing

    async def write(self, data: bytes) -> None:
        """Send *data* to the server. Raises `anyio.BrokenResourceError` if it is gone or reads
        nothing any more.

        Everything written in one turn of the event loop goes out with one system call, which costs
        as much as all the rest of a request.
        """
        while not self._writable.is_set():  # another writer may have filled the pipe meanwhile
            await self._writable.wait()
        if not self.is_open:
            raise anyio.BrokenResourceError
        if self._has_sent:
            self._unsent += data
            if len(self._unsent) > WRITE_BUFFER_BYTES:
                self._flush()
        else:
            self._has_sent = True
            asyncio.get_running_loop().call_soon(self._flush)
            self._stdin.write(data)

    def _flush(self) -> None:
        if self._unsent and not self._stdin.is_closing():
            self._stdin.write(bytes(self._unsent))
        self._unsent.clear()
        self._has_sent = False

    @property
    def is_open(self) -> bool:
        return not (self._has_ended or self.exited.is_set() or self._stdin.is_closing())

    @property
    def is_blocked(self) -> bool:
        """Whether its input pipe is full, so that a write would wait."""
        return not self._writable.is_set()

    def _watch_writes(self) -> None:
        waiting = self._stdin.get_write_buffer_size()
        self._stall = asyncio.get_running_loop().call_later(
            self._write_timeout_s, self._check_writes, waiting
        )

    def _check_writes(self, waiting: int) -> None:
        """End a server that has read nothing since *waiting* bytes were buffered for it."""
        if self._stdin.get_write_buffer_size() < waiting:
            self._watch_writes()
        else:
            self.kill(f"it has not read its input for {self._write_timeout_s:g} s")

    def _stop_watching_writes(self) -> None:
        """Let writers go on: the pipe has room again, or is closed."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self._writable.set()

    # the end

    def exit_reason(self) -> str:
        """How it ended, with the most telling line of its stderr unless others ended it."""
        if self.complaint is not None:
            return f"it was stopped: {self.complaint}"
        if self.returncode is None:
            return "it closed its output" + self._stderr.reason()
        if self.returncode >= 0:
            return f"it ended with exit code {self.returncode}" + self._stderr.reason()
        try:
            name = signal.Signals(-self.returncode).name
        except ValueError:  # a real-time signal
            name = f"signal {-self.returncode}"
        reason = "" if name in _FROM_OUTSIDE else self._stderr.reason()
        return f"it was ended by {name}{reason}"

    def kill(self, complaint: str) -> None:
        self.complaint = self.complaint or complaint
        self._signal(signal.SIGKILL)
        self._stop_watching_writes()
        self.end()

    async def stop(self, grace_s: float) -> None:
        """End the process and its whole group: close its stdin, then SIGTERM, then SIGKILL, with
        *grace_s* seconds between them."""
        self.end()
        if self._stall is not None:
            self._stall.cancel()
        if self._resting is not None:
            self._resting.cancel()
        if self._is_paused:  # a server that is stuck on a full pipe could not end by itself
            self._stdout.resume_reading()
        if not self.exited.is_set() and self.complaint is None:
            self._flush()
            self._stdin.close()
            if not await self._exits_within(grace_s):
                self._signal(signal.SIGTERM)
                await self._exits_within(grace_s)
        self._signal(signal.SIGKILL)
        await self._exits_within(grace_s)
        if self._stdin.get_write_buffer_size():  # else the pipe stays open until it is noticed
            self._stdin.abort()
        self._transport.close()
        await asyncio.sleep(0)  # asyncio closes pipes in its next turn

    async def _exits_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.exited.wait()
        return self.exited.is_set()

    def _signal(self, number: signal.Signals) -> None:
        """Signal the whole group, unless its id may already belong to another process."""
        if self.exited.is_set():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class ProcessTransport:
    """A `Transport` to a server that it starts on entering `streams()`, and ends with all its
    children on leaving. *env* is its whole environment, by which the command is found too; without
    one, it gets what is safe of ours. A *guard* ends it if this process dies."""

    def __init__(
        self,
        command: str,
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        on_stderr: Callable[[str], None] = lambda line: None,
        on_invalid_lines: Callable[[int, str], None] = lambda count, why: None,
        max_line_bytes: int = MAX_LINE_BYTES,
        grace_s: float = GRACE_S,
        write_timeout_s: float = WRITE_TIMEOUT_S,
        guard: Guard | None = None,
    ) -> None:
        self._command = [command, *args]
        self._guard = guard
        self._env = inherited(os.environ) if env is None else env
        self._cwd = cwd
        self._on_stderr = on_stderr
        self._on_invalid_lines = on_invalid_lines
        self._max_line_bytes = max_line_bytes
        self._grace_s = grace_s
        self._write_timeout_s = write_timeout_s
        self._process: Process | None = None

    def streams(self) -> AbstractAsyncContextManager[tuple[Any, Any]]:
        return self

    async def __aenter__(self) -> tuple[Reader, Writer]:
        process = Process(
            Lines(self._max_line_bytes),
            self._on_stderr,
            self._on_invalid_lines,
            self._write_timeout_s,
        )
        try:
            if self._guard is not None:
                await self._guard.start()
            with anyio.CancelScope(shield=True):  # a half-started process would never be stopped
                await asyncio.get_running_loop().subprocess_exec(
                    lambda: process,
                    *self._command,
                    env=self._env,
                    cwd=self._cwd,
                    start_new_session=True,
                )
                if self._guard is not None:
                    await self._guard.watch(process.pid)
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
            if self._guard is not None:
                self._guard.release(self._process.pid)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def is_open(self) -> bool:
        return self._process is not None and self._process.is_open

    def exit_reason(self) -> str:
        return self._process.exit_reason() if self._process is not None else "it was not started"

    def delay_reason(self) -> str:
        lines = None if self._process is None else self._process.lines
        if lines is None or not lines.invalid_lines:
            return DID_NOT_ANSWER
        return (
            "it wrote other lines than messages to its standard output, the last one "
            f"{lines.why_invalid[:200]}, and did not answer"
        )


class _Stream:
    """The parts of either stream that the SDK's dispatcher expects and we do not need."""

    last_context = None

    def __init__(self, process: Process) -> None:
        self.process = process

    async def aclose(self) -> None:
        """Do nothing: leaving the transport closes both."""

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
    """Messages from the process that nothing else has taken."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        return await self.process.receive()

    async def receive(self) -> SessionMessage:
        try:
            return await self.process.receive()
        except StopAsyncIteration:
            raise anyio.EndOfStream from None


class Writer(_Stream):
    """Messages of the dispatcher to the process."""

    async def send(self, item: SessionMessage) -> None:
        """Write one message. Raises `Unsent` for a request, and `anyio.BrokenResourceError` for
        anything else, if the server is gone."""
        message = item.message
        if isinstance(message, types.JSONRPCNotification):
            if message.method == "notifications/cancelled" and message.params is not None:
                self.process.lines.forget(message.params.get("requestId"))
            if self.process.is_blocked:
                return  # callers must not wait for a server that does not read
        data = message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
        if isinstance(message, types.JSONRPCRequest):
            self.process.lines.expect(message.id)
        try:
            await self.process.write(data)
        except anyio.BrokenResourceError:
            if isinstance(message, types.JSONRPCRequest):
                raise Unsent(self.process.exit_reason()) from None
            raise
