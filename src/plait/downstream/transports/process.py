"""One process as asyncio's callbacks tell of it: what it writes, what it takes, its words on
stderr, its end.

Nothing that it does blocks: lines have a limit, stderr is always read, and a process that no longer
reads is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable

import anyio

from ..mcp_sdk import SessionMessage
from .lines import Lines, LineTooLong
from .stderr import Stderr

WRITE_BUFFER_BYTES = 2**20
QUEUE_HIGH, QUEUE_LOW = 1024, 256
DRAIN_S = 0.25
"""How long what is left in the pipe of a dead server is read; a grandchild may hold it open for
ever."""

_FROM_OUTSIDE = frozenset({"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"})
"""Signals that a process is sent; what it said before has nothing to do with them."""


class Process(asyncio.SubprocessProtocol):
    """The process as asyncio's callbacks tell of it."""

    def __init__(
        self,
        lines: Lines,
        on_stderr: Callable[[str], None],
        on_junk: Callable[[int, str], None],
        write_timeout_s: float,
    ) -> None:
        self.lines = lines
        self.pid = 0
        self.returncode: int | None = None
        self.exited = asyncio.Event()
        self.complaint: str | None = None
        """Why we ended it, if we did."""
        self._stderr = Stderr(on_stderr)
        self._on_junk = on_junk
        self._write_timeout_s = write_timeout_s
        self._queue: deque[SessionMessage] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._has_ended = False
        self._has_closed_stdout = False
        self._is_paused = False
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
            self._stderr.hear(data)
        elif not self._has_ended:
            self._read(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 0:
            self._forget_stall()
            self._writable.set()
        if fd == 1:
            self._has_closed_stdout = True
            self._end_soon()

    def pause_writing(self) -> None:
        self._writable.clear()
        self._watch_stall()

    def resume_writing(self) -> None:
        self._forget_stall()
        self._writable.set()

    def process_exited(self) -> None:
        self._signal(signal.SIGKILL)  # the rest of its group
        self.returncode = self._transport.get_returncode()
        self.exited.set()
        self._forget_stall()
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
        junk = self.lines.junk
        try:
            for message in self.lines.read(data):
                self._queue.append(message)
        except LineTooLong as error:
            self.kill(str(error))
        if len(self._queue) > QUEUE_HIGH and not self._is_paused and not self._has_ended:
            self._is_paused = True
            self._stdout.pause_reading()
        self._wake()
        if self.lines.junk > junk:
            self._on_junk(self.lines.junk, self.lines.why_junk)

    async def next(self) -> SessionMessage:
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

    async def write(self, data: bytes) -> None:
        """Hand *data* to the server. Raises `anyio.BrokenResourceError` if it is gone, or takes
        nothing any more."""
        while not self._writable.is_set():  # who was woken first may have filled the pipe again
            await self._writable.wait()
        if not self.is_open:
            raise anyio.BrokenResourceError
        if self._has_sent:
            self._unsent += data
            if len(self._unsent) > WRITE_BUFFER_BYTES:
                self._send()
        else:
            self._has_sent = True
            asyncio.get_running_loop().call_soon(self._send)
            self._stdin.write(data)

    def _send(self) -> None:
        """What was written in one turn of the loop goes out together: a call to the system costs as
        much as a call."""
        if self._unsent and not self._stdin.is_closing():
            self._stdin.write(bytes(self._unsent))
        self._unsent.clear()
        self._has_sent = False

    @property
    def is_open(self) -> bool:
        return not (self._has_ended or self.exited.is_set() or self._stdin.is_closing())

    @property
    def is_blocked(self) -> bool:
        return not self._writable.is_set()

    def _watch_stall(self) -> None:
        waiting = self._stdin.get_write_buffer_size()
        self._stall = asyncio.get_running_loop().call_later(
            self._write_timeout_s, self._check_stall, waiting
        )

    def _check_stall(self, waiting: int) -> None:
        """End a server that has read nothing since *waiting* bytes waited for it, whether or not a
        caller waits too."""
        if self._stdin.get_write_buffer_size() < waiting:
            self._watch_stall()
        else:
            self.kill(f"it has not read its input for {self._write_timeout_s:g} s")

    def _forget_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def last_words(self) -> str:
        """How it ended; with what it said last, unless it was ended by others: then that had
        another reason."""
        if self.complaint is not None:
            return f"it was stopped: {self.complaint}"
        if self.returncode is None:
            return "it closed its output" + self._stderr.last_words()
        if self.returncode < 0:
            name = _signal_name(-self.returncode)
            return f"it was ended by {name}" + (
                "" if name in _FROM_OUTSIDE else self._stderr.last_words()
            )
        return f"it ended with exit code {self.returncode}" + self._stderr.last_words()

    # the end

    def kill(self, complaint: str) -> None:
        self.complaint = self.complaint or complaint
        self._signal(signal.SIGKILL)
        self._forget_stall()
        self._writable.set()
        self.end()

    async def stop(self, grace_s: float) -> None:
        """End the process and its whole group: close its stdin, then SIGTERM, then SIGKILL."""
        self.end()
        self._forget_stall()
        if self._is_paused:
            # A server that is stuck on a full pipe could not end by itself.
            self._stdout.resume_reading()
        if not self.exited.is_set() and self.complaint is None:
            self._send()
            self._stdin.close()
            if not await self._exits_within(grace_s):
                self._signal(signal.SIGTERM)
                await self._exits_within(grace_s)
        self._signal(signal.SIGKILL)
        await self._exits_within(grace_s)
        self._transport.close()

    async def _exits_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.exited.wait()
        return self.exited.is_set()

    def _signal(self, number: signal.Signals) -> None:
        """To its whole group, as long as its number cannot have gone to another."""
        if self.exited.is_set():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
