"""The door: a small process between a client's pipe and the gateway of this machine.

It reads no settings and parses no message. It cuts its client's lines, numbers them and passes them
on in frames; the gateway answers in frames. `session.py` says what the door remembers, so that the
session outlives a gateway. The gateway reports `TAKEN` before the first effect, and waits until the
system has the report. What a process wrote into a socket outlives it, so a door that reads a dead
gateway's socket to its end knows everything that was reported.

Back-pressure is one rule for each direction: no line is read while more than `WINDOW_BYTES` wait to
be sent or are unread, and nothing is read from the gateway while more than that wait for the
client.

No descriptor is made non-blocking: standard input and output may be shared with other processes,
and a flag that a SIGKILL leaves behind would be theirs too. A pipe that polls as writable takes
`PIPE_BUF` bytes.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has none; `signal` takes 3 ms
import _socket
import errno
import os
import select
import time

from .. import __version__
from ..privacy import hide_memory
from . import frames
from .buffers import LineCutter, Outbox
from .frames import Frames, frame, read_record, record
from .gateways import STARTUP_S, TOO_MANY_DEATHS, Gateways
from .place import NoPlace, NotOurs, Place, start_isolated, state_folder
from .session import Session
from .variables import is_for_settings, to_send

WINDOW_BYTES = 2**20
MAX_LINE_BYTES = 16 * 2**20
"""Until the gateway has named its own limit."""
READ_BYTES = 2**16
"""Not much more: a read of 256 KiB would map fresh memory each time (25 microseconds, not 2)."""
SILENT = 0.1
"""The share of the wait for an answer which needs no note."""
LAST_WRITE_S = 5.0
"""Longest wait, at the end, for a client that reads nothing."""

_FAILED, _WRONG_SETTINGS = 1, 4
_READ, _WRITE = select.POLLIN | select.POLLHUP, select.POLLOUT
_BROKEN = select.POLLERR | select.POLLNVAL
_LEFT = frozenset({errno.EPIPE, errno.ECONNRESET})


class ClientGone(Exception):
    """The client does not read any more. The door ends with `code`."""

    def __init__(self, code: int = 0) -> None:
        super().__init__(code)
        self.code = code


class Door:
    """Serves the client on two descriptors, until it leaves or no gateway can be had."""

    def __init__(
        self,
        in_fd: int,
        out_fd: int,
        place: Place,
        folder: str,
        arguments: list[str],
        startup_s: float = STARTUP_S,
    ) -> None:
        self._in_fd, self._out_fd = in_fd, out_fd
        self._place = place
        self._startup_s = startup_s
        starting = "starting the gateway"
        self._gateways = Gateways(place, startup_s, self._pause, lambda: _note(starting))
        self._hello = [
            ("hello", frames.HELLO_VERSION),
            ("version", __version__),
            ("door", os.urandom(16).hex()),  # with a line's number, the name of a request for ever
            ("pid", str(os.getpid())),
            ("folder", folder),
            ("client", "serve"),
            *(("arg", argument) for argument in arguments),
            *(("env", f"{n}={v}") for n, v in os.environ.items() if is_for_settings(n)),
        ]
        self._session = Session()
        self._lines = LineCutter(MAX_LINE_BYTES)
        self._has_ended = False
        """Whether the client has closed its end."""
        self._to_client, self._to_gateway = Outbox(), Outbox()
        self._frames = Frames()
        self._sock: _socket.socket | None = None
        self._is_open = False
        """Whether the gateway has answered the hello."""
        self._is_isolated = False
        self._deadline = self._note_at = 0.0
        self._exit: int | None = None
        self._poll, self._watched = select.poll(), dict[int, int]()
        self._room, self._client_gone = select.poll(), select.poll()
        self._room.register(out_fd, _WRITE)
        self._client_gone.register(out_fd, 0)

    def __repr__(self) -> str:
        state = "open" if self._is_open else "opening" if self._sock else "without a gateway"
        return f"<Door: {state}, {self._session!r}>"

    def run(self) -> int:
        """Serve, and return the exit code."""
        try:
            self._connect()
            hide_memory()
            while self._exit is None:
                self._turn()
            self._write_client(LAST_WRITE_S)
        except ClientGone as gone:
            return gone.code
        return self._exit

    def _turn(self) -> None:
        """Wait for whatever can be done next, and do it."""
        in_fd, out_fd, sock = self._in_fd, self._out_fd, self._sock
        may_read = not self._has_ended and (self._is_open or sock is None)
        has_room = max(self._to_gateway.size, self._session.unread_bytes) < WINDOW_BYTES
        self._watch(in_fd, select.POLLIN if may_read and has_room else None)
        # Without asking for anything, `poll` still reports that the client has gone.
        self._watch(out_fd, _WRITE if self._to_client.size else 0)
        takes_answers = self._to_client.size < WINDOW_BYTES
        if sock is not None:
            # A dead gateway's socket is always ready, also if nothing is asked of it.
            events = select.POLLIN if takes_answers else 0
            events |= _WRITE if self._to_gateway.size else 0
            self._watch(sock.fileno(), events or None)
        wait_s = None
        if sock is not None and not self._is_open:
            wait_s = max(0.0, min(self._deadline, self._note_at) - time.monotonic())
        ready = self._poll.poll(None if wait_s is None else wait_s * 1000)
        for fd, events in ready:
            if fd == out_fd:
                if events & (_BROKEN | select.POLLHUP):
                    raise ClientGone
            elif fd == in_fd:
                self._read_client()
            elif sock is self._sock and takes_answers and events & (_READ | _BROKEN):
                self._read_gateway()
        if not ready and wait_s is not None:
            if self._note_at < self._deadline:
                left_s = self._deadline - self._note_at
                _note(f"the gateway does not answer yet; waiting {left_s:.0f} s more")
                self._note_at = self._deadline
            else:
                self._stop_waiting()
        if self._to_gateway.size:
            self._write_gateway()
        if self._to_client.size:
            self._write_client()

    def _watch(self, fd: int, events: int | None) -> None:
        if self._watched.get(fd) == events:
            return
        if events is None:
            self._poll.unregister(fd)
            del self._watched[fd]
        else:
            self._poll.register(fd, events)
            self._watched[fd] = events

    # The client.

    def _read_client(self) -> None:
        try:
            data = os.read(self._in_fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # a terminal or a peer that has gone
            data = b""
        for kind, line in self._lines.feed(data):
            sent = self._session.pass_on(line, kind)
            if self._is_open:
                self._to_gateway.add(sent)
        if not data:
            self._has_ended = True
            if self._is_open:
                self._to_gateway.add(frame(frames.END))
        if self._sock is None:  # the gateway was stopped
            if self._session.is_waiting:
                self._connect()
            elif self._has_ended:
                self._exit = 0

    def _write_client(self, patience_s: float = 0.0) -> None:
        """Write what the client takes. Wait for more room for at most *patience_s* each time."""
        while self._to_client.size:
            ready = self._room.poll(patience_s * 1000)
            if not ready:
                return
            if ready[0][1] & _BROKEN:
                raise ClientGone
            try:
                written = os.write(self._out_fd, self._to_client.first(select.PIPE_BUF))
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _LEFT:
                    raise ClientGone from None
                _note(f"standard output cannot be written: {error.strerror}")
                raise ClientGone(_FAILED) from None
            self._to_client.remove(written)

    def _send_client(self, *messages: bytes) -> None:
        for message in messages:
            self._to_client.add(message, b"\n")

    # The gateway.

    def _read_gateway(self) -> None:
        assert self._sock is not None
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # it died without having read everything that we sent
            data = b""
        if not data:
            self._end_connection()
            return
        for kind, number, payload in self._frames.feed(data):
            if kind == frames.NAMES:
                self._open(read_record(payload))
            elif kind == frames.REFUSED:
                self._take_refusal(payload)
                break
            elif kind == frames.ERR:
                _note(os.fsdecode(payload))
            elif kind == frames.BYE:
                self._take_leave(payload)
                break
            elif (message := self._session.receive(kind, number, payload)) is not None:
                self._send_client(message)

    def _write_gateway(self) -> None:
        assert self._sock is not None
        try:
            while self._to_gateway.size:
                self._to_gateway.remove(self._sock.send(self._to_gateway.first(READ_BYTES)))
        except BlockingIOError:
            pass
        except OSError:  # its last reports are still to be read
            self._to_gateway.clear()

    def _greet(self, sock: _socket.socket) -> None:
        """Begin with the first step of the hello."""
        sock.setblocking(False)
        self._sock = sock
        patience_s = STARTUP_S if self._is_isolated else self._startup_s
        self._deadline = time.monotonic() + patience_s
        self._note_at = time.monotonic() + SILENT * patience_s
        hello = [*self._hello, ("isolated", str(int(self._is_isolated)))]
        self._to_gateway.add(frame(frames.HELLO, record(hello)))
        self._write_gateway()

    def _open(self, fields: list[tuple[str, str]]) -> None:
        """Take the second step of the hello, and hand over everything that is open."""
        names = (value for name, value in fields if name == "name")
        values = to_send(os.environ, names)
        self._lines.max_bytes = int(dict(fields).get("max_line", MAX_LINE_BYTES))
        self._to_gateway.add(frame(frames.VALUES, record(values)), *self._session.reopen())
        if self._has_ended:
            self._to_gateway.add(frame(frames.END))
        self._is_open = True
        self._gateways.answered()

    def _take_refusal(self, payload: bytes) -> None:
        code, _, text = os.fsdecode(payload).partition("\0")
        _note(text)
        if code == "version" and not self._is_isolated:
            self._isolate()
        elif code == "settings" and self._session.has_begun and not self._has_ended:
            # They became wrong while the session went on: its next message tries them again.
            self._send_client(*self._session.give_up(text))
            self._close()
        else:
            self._give_up(text, _WRONG_SETTINGS if code == "settings" else _FAILED)

    def _take_leave(self, word: bytes) -> None:
        """Leave a gateway that was asked to end. A new one is started at once after a restart and
        if the client waits for something, else with the client's next message."""
        self._close()
        if self._has_ended and not self._session.is_waiting:
            self._exit = 0
        elif word == b"restart" or self._session.is_waiting:
            self._connect()

    def _stop_waiting(self) -> None:
        """Go on without a gateway that does not answer the hello."""
        if self._is_isolated:
            text = f"an isolated gateway has not answered in {STARTUP_S:g} s"
            _note(text)
            self._give_up(text, _FAILED)
        else:
            text = f"the gateway has not answered in {self._startup_s:g} s"
            _note(f"{text}; {self._place.trouble()}going on isolated")
            self._isolate()

    def _end_connection(self) -> None:
        """Go on after the gateway has closed the connection without a word."""
        was_open = self._is_open
        self._close()
        if not was_open and not self._is_isolated:
            self._connect()  # it was ending when we came, or could not start
            return
        if self._has_ended and not self._session.is_waiting:
            self._exit = 0
            return
        self._send_client(*self._session.withdraw_questions())
        if not self._gateways.died():
            _note("the gateway died; the session goes on with a new one")
            self._connect()
        elif self._is_isolated:
            _note(TOO_MANY_DEATHS)
            self._give_up(TOO_MANY_DEATHS, _FAILED)
        else:
            _note(f"{TOO_MANY_DEATHS}; {self._place.trouble()}going on isolated")
            self._isolate()

    def _close(self) -> None:
        if self._sock is not None:
            self._watch(self._sock.fileno(), None)
            self._sock.close()
        self._sock, self._is_open = None, False
        self._frames = Frames()
        self._to_gateway.clear()

    # Another gateway.

    def _connect(self) -> None:
        """Find the gateway or start it; without one, go on isolated."""
        sock = None
        if not self._is_isolated:
            try:
                if (sock := self._gateways.find()) is None:
                    trouble = self._place.trouble()
                    _note(f"no gateway could be started; {trouble}going on isolated")
            except (NotOurs, NoPlace) as error:
                _note(f"{error}; going on isolated")
        if sock is None:
            self._isolate()
        else:
            self._greet(sock)

    def _pause(self, seconds: float) -> None:
        """Wait, unless the client goes."""
        if self._client_gone.poll(seconds * 1000):
            raise ClientGone

    def _isolate(self) -> None:
        """Go on with a gateway of our own: the same program over a pair of sockets, so that the
        session goes on as well."""
        self._close()
        self._is_isolated = True
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            start_isolated(self._place, theirs)
        except NoPlace as error:
            _note(str(error))
            self._give_up(str(error), _FAILED)
        else:
            self._greet(ours)
        finally:
            theirs.close()

    def _give_up(self, reason: str, code: int) -> None:
        self._send_client(*self._session.give_up(reason))
        self._exit = code


def _note(text: str) -> None:
    """Write a note to standard error, unless that is full or closed."""
    poll = select.poll()
    poll.register(2, _WRITE)
    if any(events & _WRITE for _, events in poll.poll(0)):
        try:  # noqa: SIM105  # `contextlib` takes 5 ms
            os.write(2, f"plait: {text}\n".encode(errors="replace")[: select.PIPE_BUF])
        except OSError:
            pass


def main(arguments: list[str], startup_s: float = STARTUP_S) -> int:
    """Serve the client on standard input and output as `plait serve` with *arguments*, and return
    the exit code."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # an end by it needs no traceback
    try:
        folder = os.getcwd()
        place = Place(state_folder(os.environ, folder))
    except OSError as error:
        _note(f"the current folder cannot be used: {error.strerror}")
        return _WRONG_SETTINGS
    return Door(0, 1, place, folder, arguments, startup_s).run()
