"""A command of a person that the shared gateway carries out, from the person's side.

The gateway does everything, to the last character of what is shown; only bytes come back. So it
makes no difference to a person who does the work, and a start costs no imports.

A gateway that refuses the hello, or dies before the command may have had effects and before
anything was shown, has done nothing: the command is carried out without it.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has none; `signal` takes 3 ms
import os
import sys
from _json import encode_basestring_ascii as quoted  # `json` takes longer than all the rest

from .. import __version__
from ..privacy import hide_memory
from . import frames
from .frames import HELLO_VERSION, Frames, frame, read_record, record
from .place import NoPlace, NotOurs, Place, state_folder
from .variables import is_for_settings, to_send

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from .terminal import Terminal

    Save = Callable[[str, bytes], None]

GREETING_S = 10.0
"""Longest wait for the answer to the hello: a gateway that has just been started still imports."""
LAST_S = 2
"""Seconds in which a gateway has to end a command that is interrupted again."""
READ_BYTES = 2**16
DEFAULT_COLUMNS = 80


class Misused(Exception):
    """The command line is wrong: `text` says how, for the parameter `hint`."""

    def __init__(self, hint: str, text: str) -> None:
        super().__init__(text)
        self.hint, self.text = hint, text


class Lost(Exception):
    """The gateway has ended during the command. `is_taken`: it may have had effects. `has_shown`:
    some of its result was written. `signal` is the last one that was passed on; 0 if none was."""

    def __init__(self, *, is_taken: bool, has_shown: bool, signal: int) -> None:
        super().__init__("the shared gateway ended during this command")
        self.is_taken, self.has_shown, self.signal = is_taken, has_shown, signal


class _Unserved(Exception):
    """The gateway has done nothing."""


def order(command: str, *, as_json: bool, debug: bool = False) -> bytes:
    """Return what a gateway needs to carry out *command*, which is JSON."""
    environ = [f"{quoted(name)}:{quoted(os.environ[name])}" for name in _OF_STREAMS & {*os.environ}]
    flags = {"as_json": as_json, "debug": debug}
    fields = [
        f'"command":{command}',
        *(f'"{name}":{str(flag).lower()}' for name, flag in flags.items()),
        f'"out":{_form(sys.stdout)}',
        f'"err":{_form(sys.stderr)}',
        f'"columns":{_columns()}',
        f'"environ":{{{",".join(environ)}}}',
    ]
    return f"{{{','.join(fields)}}}".encode()


_OF_STREAMS = frozenset({"TERM", "NO_COLOR", "FORCE_COLOR"})


def _form(stream: TextIO) -> str:
    encoding = quoted(stream.encoding or "ascii")
    return f'{{"encoding":{encoding},"is_terminal":{str(stream.isatty()).lower()}}}'


def _columns() -> int:
    """Return the width of the terminal, as `shutil.get_terminal_size` does."""
    try:
        columns = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        columns = 0
    if columns <= 0:
        try:
            assert sys.__stdout__ is not None
            columns = os.get_terminal_size(sys.__stdout__.fileno()).columns
        except (AssertionError, AttributeError, ValueError, OSError):
            columns = 0
    return columns if columns > 0 else DEFAULT_COLUMNS


def carry_out(
    name: str, order: bytes, arguments: Sequence[str] = (), save: Save | None = None
) -> int | None:
    """Let the shared gateway carry out the command *name* as *order* says, with the settings that
    *arguments* choose. Files are written by *save*. Return the exit code; None if no gateway serves
    us, and nothing has been done. Raises `Misused` and `Lost`."""
    try:
        folder = os.getcwd()
        sock = Place(state_folder(os.environ, folder)).connect()
    except (OSError, NoPlace, NotOurs):
        return None
    if sock is None:
        return None
    hide_memory()
    try:
        return _Conversation(sock, save).hold(hello(name, folder, arguments), order)
    except _Unserved:
        return None
    finally:
        sock.close()


def hello(name: str, folder: str, arguments: Sequence[str]) -> bytes:
    """Return the frame with the first step of the hello of the command *name*."""
    fields = [
        ("hello", HELLO_VERSION),
        ("version", __version__),
        ("door", os.urandom(16).hex()),
        ("pid", str(os.getpid())),
        ("folder", folder),
        ("client", name),
        *(("arg", argument) for argument in arguments),
        *(("env", f"{n}={v}") for n, v in os.environ.items() if is_for_settings(n)),
    ]
    return frame(frames.HELLO, record(fields))


class _Conversation:
    """One command over the connection *sock*."""

    def __init__(self, sock: _socket.socket, save: Save | None) -> None:
        self._sock = sock
        self._save = save
        self._is_taken = False
        self._has_shown = False
        self._signals: list[int] = []
        self._terminal: Terminal | None = None
        """Open while the gateway waits for a line, which is the answer to this question."""
        self._question = 0

    def hold(self, hello: bytes, order: bytes) -> int:
        frames_read = Frames()
        self._sock.settimeout(GREETING_S)
        before = [(number, _signal.getsignal(number)) for number in _SIGNALS]
        try:
            self._sock.sendall(hello)
            while data := self._read():
                for kind, number, payload in frames_read.feed(data):
                    if kind == frames.QUESTION:
                        self._open_terminal(number)
                    elif kind == frames.NAMES:
                        self._sock.settimeout(None)
                        for signal in _SIGNALS:
                            _signal.signal(signal, self._interrupt)
                        self._sock.sendall(values(payload) + frame(frames.COMMAND, order))
                    elif (code := self._take(kind, payload)) is not None:
                        return code
        except OSError:  # it died, or does not answer
            pass
        finally:
            self._close_terminal()
            _signal.alarm(0)
            for number, handler in before:
                _signal.signal(number, handler)
        if self._is_taken or self._has_shown or self._signals:
            signal = self._signals[-1] if self._signals else 0
            raise Lost(is_taken=self._is_taken, has_shown=self._has_shown, signal=signal)
        raise _Unserved

    def _read(self) -> bytes:
        """Return what comes next from the gateway. Meanwhile it is sent the line that it waits
        for."""
        if self._terminal is not None:
            line = self._terminal.read(self._sock.fileno())
            if line is not None:
                self._close_terminal()
                self._sock.sendall(frame(frames.ANSWER, line, self._question))
        return self._sock.recv(READ_BYTES)

    def _open_terminal(self, question: int) -> None:
        from .terminal import Terminal

        self._question = question
        try:
            self._terminal = Terminal()
        except OSError:
            self._sock.sendall(frame(frames.ANSWER, number=question))

    def _close_terminal(self) -> None:
        if self._terminal is not None:
            self._terminal.close()
            self._terminal = None

    def _take(self, kind: bytes, payload: bytes) -> int | None:
        """Take a frame. Return the exit code, if it is the last one."""
        if kind == frames.OUT:
            self._has_shown = True
            _write(sys.stdout, payload)
        elif kind == frames.ERR:
            _write(sys.stderr, payload)
        elif kind == frames.TAKEN:
            self._is_taken = True
        elif kind == frames.WITHDRAWN:
            self._close_terminal()
        elif kind == frames.FILE and self._save is not None:
            path, _, content = payload.partition(b"\0")
            self._save(os.fsdecode(path), content)
        elif kind == frames.MISUSED:
            hint, _, text = os.fsdecode(payload).partition("\0")
            raise Misused(hint, text)
        elif kind == frames.REFUSED:
            raise _Unserved
        elif kind == frames.EXIT:
            return int(payload)
        return None

    def _interrupt(self, number: int, _: object) -> None:
        """Pass a signal on. The process ends at the third one, and if the gateway does not end the
        command."""
        self._signals.append(number)

        def end(*_: object) -> None:
            os._exit(128 + number)

        if len(self._signals) == 2:
            _signal.signal(_signal.SIGALRM, end)
            _signal.alarm(LAST_S)
        elif len(self._signals) > 2:
            end()
        try:  # noqa: SIM105  # `contextlib` takes 5 ms
            self._sock.sendall(frame(frames.INTERRUPT, str(number).encode()))
        except OSError:  # its end is noticed where it is read
            pass


_SIGNALS = (_signal.SIGINT, _signal.SIGTERM)


def values(names: bytes) -> bytes:
    """Return the frame with the variables that the gateway asked for in *names*."""
    wanted = (value for name, value in read_record(names) if name == "name")
    return frame(frames.VALUES, record(to_send(os.environ, wanted)))


def _write(stream: TextIO, data: bytes) -> None:
    stream.buffer.write(data)
    stream.buffer.flush()
