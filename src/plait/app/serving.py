"""Two ways to serve a gateway: one client on a pipe, or any number over HTTP.

To stop, no new call is taken, calls in flight get a few seconds to end, then their runs are
cancelled, which answers them, then the downstream servers are stopped. Each step is bounded, and so
is the whole.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from ..config import Config, GatewaySettings
from ..config.reloading import Reloading
from ..engine import gateway as verbs
from .gateway import Gateway

if TYPE_CHECKING:
    import socket

    from ..upstream.calls import OpenCalls
    from ..upstream.relay.listings import RelayConfig
    from ..upstream.stopping import Stop
    from ..upstream.transports.admission import Admission
    from ..upstream.transports.hosts import Allowed
    from ..upstream.transports.listening import Arrival

log = logging.getLogger(__name__)

DRAIN_S = 5.0
"""Seconds that calls in flight may take to end after SIGTERM or SIGINT."""


def settle_memory() -> None:
    """Make the garbage collector skip imported objects, and run less often.

    A large run makes many objects that live to its end; looking through all of them again and again
    took a third of its time. Cycles are rare here, so little is kept longer for it. It may have
    been off while the program started.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


async def serve_stdio(config: Config, reloading: Reloading | None = None) -> OSError | None:
    """Serve one client on standard input and output, until it leaves or a signal comes. New
    settings are taken as *reloading* says. Servers are started once the first answer is out.
    Returns the reason why standard output could not be written, if it could not."""
    from ..upstream.stopping import stopped_by_signals
    from ..upstream.transports.stdio import private_stdio

    with private_stdio() as (in_fd, out_fd):
        first = anyio.Event()
        async with stopped_by_signals() as stop, _serving(config, reloading, first) as gateway:
            relaying = gateway.relaying()
            settle_memory()
            return await run_stdio(
                gateway, config.gateway, in_fd, out_fd, stop, relaying=relaying, on_answer=first.set
            )


async def serve_http(
    config: Config,
    host: str = "127.0.0.1",
    port: int = 8420,
    *,
    admit: Callable[[str], Admission],
    allowed_hosts: tuple[str, ...] = (),
    allowed_origins: tuple[str, ...] = (),
    reloading: Reloading | None = None,
    on_ready: Callable[[str], None] = lambda url: log.info("serving", extra={"url": url}),
) -> None:
    """Serve any number of clients over HTTP, until a signal comes. *admit* decides who may come in
    to the address that is bound. *on_ready* gets the URL of the MCP endpoint. New settings are
    taken as *reloading* says.

    Allowed hosts and origins are as in `upstream/transports/hosts.py`. Raises `OSError` if the
    address cannot be bound, and `ValueError` for an invalid host or origin.
    """
    from ..upstream.stopping import stopped_by_signals
    from ..upstream.transports.hosts import Allowed
    from ..upstream.transports.listening import listen_on

    allowed = Allowed(host, allowed_hosts, allowed_origins)
    with listen_on(host, port) as listening:
        admission = admit(listening.getsockname()[0])
        async with stopped_by_signals() as stop, _serving(config, reloading) as gateway:
            relaying = gateway.relaying()
            settle_memory()
            await run_http(
                gateway,
                config.gateway,
                listening,
                allowed,
                admission,
                stop,
                relaying=relaying,
                on_ready=on_ready,
            )


@asynccontextmanager
async def _serving(
    config: Config, reloading: Reloading | None, first: anyio.Event | None = None
) -> AsyncIterator[Gateway]:
    """Open the gateway of *config*, and apply new settings as they arrive."""
    async with (
        Gateway.from_config(config, first=first) as gateway,
        anyio.create_task_group() as tasks,
    ):
        if reloading is not None:
            tasks.start_soon(reloading.follow, config, gateway.reload)
        if config.history.resume == "safe":
            tasks.start_soon(gateway.go_on_with_interrupted)
        gateway.keep_seen()
        yield gateway
        gateway.forget_seen()
        tasks.cancel_scope.cancel()


async def run_stdio(
    gateway: verbs.Gateway,
    settings: GatewaySettings,
    in_fd: int,
    out_fd: int,
    stop: Stop,
    *,
    relaying: RelayConfig | None = None,
    drain_s: float = DRAIN_S,
    on_answer: Callable[[], None] = lambda: None,
) -> OSError | None:
    """Serve *gateway* over two descriptors, until the client closes its end or *stop* is asked for.
    *on_answer* is called after each message that was written. Returns the reason why no more could
    be written, if the client did not just leave."""
    from ..upstream.calls import OpenCalls
    from ..upstream.principals import always_user
    from ..upstream.server import build_server
    from ..upstream.transports.stdio import open_pipe

    calls = OpenCalls()
    server = build_server(
        gateway,
        max_chars=settings.max_result_chars,
        wait_s=settings.wait_s,
        calls=calls,
        relaying=relaying,
        principal_of=always_user,
    )
    async with (
        open_pipe(in_fd, out_fd, max_line_bytes=settings.limits.max_message_bytes) as pipe,
        anyio.create_task_group() as tasks,
    ):

        async def drain() -> None:
            await calls.drain(drain_s, gateway.cancel_all)

        async def obey() -> None:
            await stop.asked.wait()
            if calls.is_closed:  # the client has closed its end: it wants nothing more
                calls.hurry()
            await drain()
            pipe.stop()

        tasks.start_soon(obey)
        pipe.on_written = on_answer
        await pipe.serve(server, drain)
        stop.ask()
        tasks.cancel_scope.cancel()
    return pipe.fault


async def run_http(
    gateway: verbs.Gateway,
    settings: GatewaySettings,
    listening: socket.socket,
    allowed: Allowed,
    admission: Admission,
    stop: Stop,
    *,
    relaying: RelayConfig | None = None,
    drain_s: float = DRAIN_S,
    arrival: Arrival | None = None,
    calls: OpenCalls | None = None,
    give_up: Callable[[], None] | None = None,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve *gateway* over HTTP on the socket *listening*, until *stop* is asked for. *arrival*
    bounds the time for a request to come in. *give_up* ends the work for the open *calls*, once
    their time is up; by default every run is cancelled."""
    from ..upstream.calls import OpenCalls
    from ..upstream.server import build_server
    from ..upstream.transports.bodies import OpenRequests
    from ..upstream.transports.http import build_app
    from ..upstream.transports.listening import Listener

    calls, requests = calls or OpenCalls(), OpenRequests()
    build = partial(
        build_server, max_chars=settings.max_result_chars, wait_s=settings.wait_s, calls=calls
    )
    app = build_app(
        gateway,
        build(gateway, relaying=relaying),
        allowed,
        admission,
        profiles=_Profiles(gateway, build) if isinstance(gateway, Gateway) else None,
        calls=calls,
        requests=requests,
    )
    listener = Listener(
        app, arrival=arrival, on_started=lambda: on_ready(_url(allowed.bound, listening))
    )

    async def obey() -> None:
        await stop.asked.wait()
        await calls.drain(drain_s, give_up or gateway.cancel_all)
        requests.end_all()
        listener.should_exit = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(obey)
        await listener.serve(sockets=[listening])
        stop.ask()
        tasks.cancel_scope.cancel()


class _Profiles:
    """The profiles of *gateway* for clients over HTTP; *build* makes the server of each."""

    def __init__(self, gateway: Gateway, build: Callable[..., Any]) -> None:
        self._gateway = gateway
        self._build = build

    def names(self) -> Collection[str]:
        return self._gateway.profiles()

    async def open(self, name: str) -> Any:
        gateway = await self._gateway.in_profile(name)
        return self._build(gateway, relaying=gateway.relaying())


def _url(host: str, listening: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}/mcp"
