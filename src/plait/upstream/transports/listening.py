"""uvicorn as part of a program: requests must arrive within deadlines, and the program ends it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from .admission import PEER
from .peers import Peer
from .shares import ADDRESS_CONNECTIONS, MAX_CONNECTIONS

log = logging.getLogger(__name__)

LAST_S = 2
"""Time for open requests to end at a stop."""

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Arrival:
    """Time limits for a request to arrive; uvicorn itself has none."""

    headers_s: float = 10.0
    body_s: float = 30.0


class Listener(uvicorn.Server):
    """A uvicorn server that handles no signals; `should_exit` ends it. *on_started* is called when
    it listens."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        arrival: Arrival | None = None,
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_started = on_started
        super().__init__(
            uvicorn.Config(
                app,
                http=_protocol(arrival or Arrival()),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=LAST_S,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen_on(host: str, port: int) -> socket.socket:
    """Open a listening socket; port 0 takes any free port. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # If the protocol is named, asyncio sends at once; else small answers wait for acknowledgements.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host.strip("[]"), port))
    except OSError:
        listening.close()
        raise
    return listening


class _Connection(H11Protocol):
    """Closes a connection whose request does not arrive completely in time. Above the bounds
    (`shares.py`), an idle connection is closed for each new one."""

    arrival = Arrival()
    open: dict[_Connection, str]
    """All open connections, the oldest first, each with the address of its other end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._phase: Any = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        # `client` of a request is what a proxy says it is; this is the connection's own.
        ends = (transport.get_extra_info(name) for name in ("peername", "sockname"))
        peer = Peer(*ends)
        self.app_state = {**self.app_state, PEER: peer}
        self._make_room(peer.host)
        self.open[self] = peer.host
        self._watch()

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        self.open.pop(self, None)
        super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _make_room(self, host: str) -> None:
        if len(self.open) < ADDRESS_CONNECTIONS:
            return
        own = [connection for connection, of in self.open.items() if of == host]
        if len(own) < ADDRESS_CONNECTIONS and len(self.open) < MAX_CONNECTIONS:
            return
        for connection in own if len(own) >= ADDRESS_CONNECTIONS else list(self.open):
            if connection.is_idle and not connection.transport.is_closing():
                connection.transport.close()
                return

    def _watch(self) -> None:
        """Set the deadline of the current phase (headers or body), if the phase has changed."""
        phase = self.conn.their_state
        if phase is self._phase:
            return
        self._phase = phase
        self._forget()
        seconds = {h11.IDLE: self.arrival.headers_s, h11.SEND_BODY: self.arrival.body_s}.get(phase)
        if seconds is not None:
            self._deadline = self.loop.call_later(seconds, self._close)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_TOO_SLOW)
        self.transport.close()


def _protocol(arrival: Arrival) -> type[_Connection]:
    return type("Connection", (_Connection,), {"arrival": arrival, "open": {}})
