"""`plait serve --http` on the shared gateway: it opens the port, and closes it when the command
ends.

The command holds a connection, on which the gateway has nothing to send. A gateway that dies is
replaced as a door replaces it, and the new one opens the same port.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from ..door import frames
from ..door.commands import hello, values
from ..door.frames import Frames, frame
from ..door.gateways import STARTUP_S, TOO_MANY_DEATHS, Gateways
from ..door.place import NoPlace, NotOurs, Place, state_folder
from ..door.port import COMMAND, PortOrder
from ..errors import ConfigError

log = logging.getLogger(__name__)

CLOSE_S = 12
"""Longest wait for the gateway to close the port."""
SETTINGS_S = 1.0
"""Time after which settings that were refused are tried again."""
READ_BYTES = 2**16

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Handler: TypeAlias = Callable[[int, object], None]


class Taken(Exception):
    """The port cannot be opened. The text says why."""


class NotShared(Exception):
    """No shared gateway can hold the port. `order` is for the process that opens it by itself."""

    def __init__(self, reason: str, order: PortOrder) -> None:
        super().__init__(reason)
        self.order = order


class _Ended(Exception):
    """A signal has come while no gateway was there."""


class SharedPort:
    """The port of *order* at the shared gateway, with the settings that *arguments* choose."""

    def __init__(
        self, order: PortOrder, arguments: Sequence[str], startup_s: float = STARTUP_S
    ) -> None:
        self._order = order
        self._arguments = arguments
        self._startup_s = startup_s
        self._folder = str(Path.cwd())
        self._place = Place(state_folder(os.environ, self._folder))
        self._gateways = Gateways(self._place, startup_s, self._pause, self._log_start)
        self._sock: socket.socket | None = None
        self._is_ended = False
        """Whether a signal has come."""
        self._has_answered = False
        """Whether the gateway has answered the hello."""
        self._was_open = False
        self._wrong = ""
        """The last complaint about settings that became wrong."""

    def __repr__(self) -> str:
        return f"<SharedPort {self._order.host}:{self._order.port}>"

    def hold(self) -> None:
        """Keep the port open until a signal comes, or somebody stops the gateway. Raises `Taken`,
        `ConfigError`, and `NotShared` if another process has to open it."""
        with _handling(self._take_signal), suppress(_Ended):
            while not self._is_ended:
                try:
                    found = self._gateways.find()
                except (NoPlace, NotOurs) as error:
                    raise NotShared(str(error), self._order) from error
                if found is None:
                    raise self._not_shared("no gateway could be started")
                self._has_answered = False
                with socket.socket(fileno=found.detach()) as self._sock:
                    try:
                        if self._serve(self._sock):
                            return
                    except TimeoutError:
                        if not self._is_ended:
                            text = f"the gateway has not answered in {self._startup_s:g} s"
                            raise self._not_shared(text) from None
                    except OSError:
                        self._take_death()
                    finally:
                        self._sock = None

    def _pause(self, seconds: float) -> None:
        if self._is_ended:
            raise _Ended
        time.sleep(seconds)

    def _log_start(self) -> None:
        log.info("gateway.starting", extra={"log": self._place.log_path})

    def _not_shared(self, reason: str) -> NotShared:
        trouble = self._place.trouble().rstrip("; \n")
        return NotShared(f"{reason}; {trouble}" if trouble else reason, self._order)

    def _serve(self, sock: socket.socket) -> bool:
        """Keep the port open at the gateway behind *sock*. Returns whether the command ends now;
        else another gateway is to open it. Raises `OSError` if it dies."""
        cut = Frames()
        sock.settimeout(self._startup_s)
        sock.sendall(hello(COMMAND, self._folder, self._arguments))
        while data := sock.recv(READ_BYTES):
            for kind, _, payload in cut.feed(data):
                if kind == frames.NAMES:
                    sock.settimeout(None)
                    self._gateways.answered()
                    self._has_answered = True
                    order = frame(frames.COMMAND, self._order.written())
                    sock.sendall(values(payload) + order)
                    if self._is_ended:  # it came before there was anything to close
                        self._send_end(sock)
                elif kind == frames.PORT:
                    self._take_url(os.fsdecode(payload))
                elif kind == frames.BYE:
                    if payload == b"restart":
                        return False
                    log.warning("port.closed", extra={"reason": "the shared gateway was stopped"})
                    return True
                elif kind == frames.EXIT:
                    return True
                elif kind == frames.MISUSED:
                    raise Taken(os.fsdecode(payload).partition("\0")[2])
                elif kind == frames.REFUSED:
                    self._take_refusal(os.fsdecode(payload))
                    return False
        raise ConnectionError("the gateway died")

    def _take_url(self, url: str) -> None:
        log.info("serving", extra={"url": url})
        port = urlsplit(url).port
        assert port is not None
        # Clients know this one: the next gateway is to open it too.
        self._order = replace(self._order, port=port)
        self._was_open = True

    def _take_refusal(self, refusal: str) -> None:
        """Wait until wrong settings may be right again, if the port was open before. Raises
        `ConfigError` and `NotShared`."""
        code, _, text = refusal.partition("\0")
        if code != "settings":
            raise NotShared(text, self._order)
        if not self._was_open:
            raise ConfigError(text)
        if text != self._wrong:
            self._wrong = text
            log.error("config.refused", extra={"error": text, "kept": "nothing: the port is shut"})
        time.sleep(SETTINGS_S)

    def _take_death(self) -> None:
        """Let another gateway open the port. Raises `NotShared` if gateways have died too often."""
        if self._is_ended or not self._has_answered:  # it was ending when we came
            return
        if self._gateways.died():
            raise self._not_shared(TOO_MANY_DEATHS)
        log.warning("gateway.died", extra={"then": "a new one opens the port"})

    def _take_signal(self, number: int, _: object) -> None:
        """Have the settings read anew, or the port closed. At a second signal, and if the gateway
        does not close it, the process ends."""
        if number == signal.SIGHUP:
            if self._sock is not None:
                self._send_signal(self._sock, number)
            return
        if self._is_ended:
            os._exit(128 + number)
        self._is_ended = True
        log.info("stopping", extra={"signal": signal.Signals(number).name})
        if self._sock is not None:
            self._send_end(self._sock)

    def _send_end(self, sock: socket.socket) -> None:
        signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
        signal.alarm(CLOSE_S)
        self._send_signal(sock, signal.SIGTERM)

    def _send_signal(self, sock: socket.socket, number: int) -> None:
        with suppress(OSError):  # its end is noticed where it is read
            sock.sendall(frame(frames.INTERRUPT, str(int(number)).encode()))


@contextmanager
def _handling(handle: Handler) -> Iterator[None]:
    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
