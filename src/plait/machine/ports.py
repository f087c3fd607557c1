"""A port for clients over HTTP at a desk, for as long as `plait serve --http` runs."""

from __future__ import annotations

import logging
import os
import signal
import socket

import anyio

from ..app.serving import DRAIN_S, run_http
from ..door import frames
from ..door.port import PortOrder
from ..redaction import Secrets
from ..upstream.calls import OpenCalls
from ..upstream.stopping import Stop
from ..upstream.transports.admission import admission_of
from ..upstream.transports.frame_stream import Frame, FrameStream
from ..upstream.transports.hosts import Allowed
from ..upstream.transports.listening import listen_on
from .desks import Desk

log = logging.getLogger(__name__)


class Port:
    """The port of *order*, at *desk*, for the command at the other end of *stream*. An
    `upstream.transports.served.Errand`."""

    def __init__(self, desk: Desk, order: PortOrder, stream: FrameStream, secrets: Secrets) -> None:
        self._desk = desk
        self._order = order
        self._stream = stream
        self._stop = Stop(give_up=self._give_up_waiting)
        self._calls = OpenCalls()
        self.url = ""
        self.settings = desk.config.source
        self._closed = anyio.Event()
        self._is_ended = False
        """Whether the command has asked for the end."""
        if order.token is not None:
            secrets.add([order.token])

    def __repr__(self) -> str:
        return f"<Port {self._order.host}:{self._order.port} of {self._desk!r}>"

    async def run(self) -> None:
        """Serve clients until the command asks for the end, or has gone."""
        try:
            with listen_on(self._order.host, self._order.port) as listening:
                self._desk.start_servers()
                await self._serve(listening)
        except OSError as error:
            self._stream.put(frames.MISUSED, f"--http\0{error.strerror or error}".encode())
            return
        finally:
            self._stop.done()
            self._closed.set()
        if self._is_ended:
            self._stream.put(frames.EXIT, b"0")
        else:  # the gateway ends, and sends the command away
            await self._stream.wait_lost()

    async def _serve(self, listening: socket.socket) -> None:
        order, gateway = self._order, self._desk.gateway
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow)
            await run_http(
                gateway,
                self._desk.config.gateway,
                listening,
                Allowed(order.host, order.hosts, order.origins),
                admission_of(order.token, listening.getsockname()[0]),
                self._stop,
                relaying=gateway.relaying(),
                drain_s=DRAIN_S,
                calls=self._calls,
                give_up=self._cancel_runs,
                on_ready=self._report,
            )
            tasks.cancel_scope.cancel()

    async def drain(self) -> None:
        """Close the port, once its calls have ended or their time is up."""
        self._stop.ask()
        await self._closed.wait()

    def _report(self, url: str) -> None:
        self.url = url
        log.info("port.opened", extra={"url": url, "pid": self._stream.process})
        self._stream.put(frames.PORT, os.fsencode(url))

    async def _follow(self) -> None:
        await self._stream.run(self._take)
        self._stop.ask()

    def _take(self, frame: Frame) -> None:
        if frame.kind != frames.INTERRUPT:
            return
        if int(frame.payload) == signal.SIGHUP:
            self._desk.reload()
        else:
            self._is_ended = True
            self._stop.ask()

    def _cancel_runs(self) -> None:
        for run_id in self._calls.runs:
            self._desk.gateway.engine.cancel(run_id)

    def _give_up_waiting(self, status: int) -> None:
        log.error("port.not_closed", extra={"pid": self._stream.process})
