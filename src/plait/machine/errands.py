"""A command of a person that is carried out at a desk, as the command line does it elsewhere: the
result is formed here, and its bytes go to the streams of the person.

Large documents are read, and large results formed, in a thread: other clients notice nothing.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from ..app.serving import DRAIN_S
from ..cli.console import Console
from ..cli.exits import Misused
from ..cli.invocation import Invocation, line_of
from ..cli.orders import Order, StreamForm
from ..cli.performing import Performance
from ..cli.reporting import Made
from ..core.ports import NoClient
from ..door import frames
from ..errors import ConfigError, InvalidDag
from ..redaction import Secrets
from ..upstream.transports.frame_stream import MOST_BUFFERED_BYTES, Frame, FrameStream
from .desks import Desk

log = logging.getLogger(__name__)

CHUNK_BYTES = 2**16
LAST_S = 4.0
"""Time for a command to show what there is, once it was cancelled because the gateway ends."""

Result = TypeVar("Result")


class Errand:
    """The command of *order*, carried out at *desk* for the person at the other end of *stream*;
    *connection* is the id of that."""

    url = ""

    def __init__(self, desk: Desk, order: Order, stream: FrameStream, connection: str) -> None:
        self._desk = desk
        self.settings = desk.config.source
        self._stream = stream
        self._invocation = _Remote(desk.config.secrets, order, stream, connection)
        self._performance = Performance(order.command, self._invocation, self._invocation.end)
        self._ended = anyio.Event()

    async def run(self) -> None:
        """Carry it out to its end, or until the person goes away."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow)
            try:
                self._invocation.end(
                    await self._performance.run(self._desk.gateway, self._desk.config)
                )
            except Misused as error:
                text = f"{error.hint}\0{error}".encode(errors="replace")
                self._stream.put(frames.MISUSED, text)
            except anyio.BrokenResourceError:  # the person has gone
                pass
            except Exception as error:  # the command ends here; the clients go on
                if not isinstance(error, (InvalidDag, ConfigError)):
                    log.exception("command.failed")
                self._invocation.end(self._invocation.report(error))
            finally:
                self._ended.set()
            tasks.cancel_scope.cancel()

    async def drain(self) -> None:
        """Let it end, and after a while cancel it."""
        with anyio.move_on_after(DRAIN_S):
            await self._ended.wait()
        if not self._ended.is_set():
            self._invocation.has_left = True
            self._performance.cancel("The shared gateway is asked to end: stopping.")
            with anyio.move_on_after(LAST_S):
                await self._ended.wait()

    async def _follow(self) -> None:
        await self._stream.run(self._take)
        self._invocation.has_left = True
        self._performance.cancel("The person has gone.")

    def _take(self, frame: Frame) -> None:
        if frame.kind == frames.INTERRUPT:
            self._performance.interrupt(int(frame.payload))
        elif frame.kind == frames.ANSWER:
            self._invocation.answered(frame.number, frame.payload)


class _Person(NoClient):
    """The origin of a command: it takes turns with other clients, and is asked nothing."""

    def __init__(self, connection: str) -> None:
        self._connection = connection

    @property
    def connection(self) -> str:
        return self._connection


class _Remote(Invocation):
    """An invocation whose person is at the other end of *stream*."""

    def __init__(
        self, secrets: Secrets, order: Order, stream: FrameStream, connection: str
    ) -> None:
        out, err = _Pen(order.out, self._out), _Pen(order.err, self._err)
        console = Console(out, err, order.environ, order.columns)
        super().__init__(console, as_json=order.as_json, debug=order.debug, secrets=secrets)
        console.err.may_redraw = lambda: stream.waiting_bytes < MOST_BUFFERED_BYTES
        self.caller = _Person(connection)
        self._stream = stream
        self._has_ended = False
        self._answer = _Answer(0)
        """The line of the person that is waited for, or was."""
        self._home = threading.get_ident()
        self._unsent: deque[tuple[bytes, bytes]] = deque()
        """Frames that threads have written."""

    async def begin(self) -> None:
        self._stream.put(frames.TAKEN)
        await self._stream.flushed()

    async def work(self, do: Callable[[], Result]) -> Result:
        result = await to_thread.run_sync(do)
        while self._unsent:
            self._put(*self._unsent.popleft())
            await self._stream.wait_room()
        return result

    async def read_line(self, ask: Callable[[], None]) -> str | None:
        self._answer = answer = _Answer(self._answer.number + 1)
        self._stream.put(frames.QUESTION, number=answer.number)
        ask()
        try:
            await answer.given.wait()
        except anyio.get_cancelled_exc_class():
            self._put(frames.WITHDRAWN, b"")
            raise
        return line_of(answer.line)

    def answered(self, number: int, line: bytes) -> None:
        """Take a line of the person: the first one, and not one for a question that was
        withdrawn."""
        if number == self._answer.number and not self._answer.given.is_set():
            self._answer.line = line
            self._answer.given.set()

    def save(self, files: Sequence[tuple[Path, bytes]], see: str = "") -> None:
        for path, content in files:
            self._put(frames.FILE, os.fsencode(path) + b"\0" + content)

    def deliver(self, made: Made) -> None:
        self.save([(report.path, content) for report, content in made])

    def end(self, code: int) -> None:
        """Send the exit code, and nothing after it."""
        self._put(frames.EXIT, str(int(code)).encode())
        self._has_ended = True

    def _out(self, data: bytes) -> None:
        self._put(frames.OUT, data)

    def _err(self, data: bytes) -> None:
        self._put(frames.ERR, data)

    def _put(self, kind: bytes, payload: bytes) -> None:
        if threading.get_ident() != self._home:
            self._unsent.append((kind, payload))
        elif not self._has_ended:
            self._stream.put(kind, payload)


class _Answer:
    """The line for the question *number*, once it is `given`."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.line = b""
        self.given = anyio.Event()


class _Pen:
    """One of the streams of a person, as a text file: *put* takes its bytes."""

    def __init__(self, form: StreamForm, put: Callable[[bytes], None]) -> None:
        self.encoding = form.encoding
        self._is_terminal = form.is_terminal
        self._put = put

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, text: str) -> int:
        data = text.encode(self.encoding)
        for start in range(0, len(data), CHUNK_BYTES):
            self._put(data[start : start + CHUNK_BYTES])
        return len(text)

    def flush(self) -> None:
        """Everything is sent at once."""
