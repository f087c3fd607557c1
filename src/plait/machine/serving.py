"""The life of the process: it accepts doors, looks after its socket, and ends in order.

Every five seconds, its only work when idle, it looks whether its socket is still there and its lock
still the one that doors find, closes what is unused, and keeps its log short.
"""

from __future__ import annotations

import _socket
import asyncio
import logging
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio

from ..app.parts import Parts
from ..app.serving import settle_memory
from ..config import GatewaySettings
from ..core.values.strict import JsonObject
from ..door.place import NoPlace, Place
from ..observers.logs import configure_logging
from ..redaction import Secrets
from ..upstream.stopping import Stop, stopped_by_signals
from .desks import server_keys
from .listening import BACKLOG, Listening
from .loading import load_everything
from .log_file import limit_log
from .shared import SharedGateway

log = logging.getLogger(__name__)

CHECK_S = 5.0
MOST_FILES = 65_536


def serve(listening: Listening, sock: _socket.socket) -> int:
    """Serve all doors that connect to *sock*, until the gateway is unused or asked to end."""
    _raise_limit_of_files()
    secrets = Secrets()
    with configure_logging("info", sys.stderr, as_json=True, secrets=secrets):
        asyncio.run(_serve(listening, sock, secrets))
    return 0


def serve_one(place: Place, fd: int) -> int:
    """Serve the door at the other end of the socket *fd* alone."""
    secrets = Secrets()
    with configure_logging("info", sys.stderr, as_json=True, secrets=secrets):
        asyncio.run(_serve_one(place, fd, secrets))
    return 0


async def _serve(listening: Listening, sock: _socket.socket, secrets: Secrets) -> None:
    where: JsonObject = {"socket": listening.path, "log": listening.place.log_path}
    async with (
        stopped_by_signals() as stop,
        _open(listening.place, stop, secrets, where) as gateway,
    ):
        log.info("serving", extra=where)
        server = await _accept(gateway, sock)
        while not stop.asked.is_set():
            with anyio.move_on_after(CHECK_S):
                await stop.asked.wait()
            if stop.asked.is_set():
                break
            with suppress(OSError):
                limit_log(listening.place.log_path)
            if not listening.is_ours:
                log.warning("lock.lost", extra={"file": listening.place.lock_path})
                gateway.end("restart")
            elif not listening.is_there:
                log.warning("socket.lost", extra={"file": listening.path})
                server.close()
                try:
                    server = await _accept(gateway, listening.open())
                except NoPlace as error:
                    log.warning("socket.refused", extra={"reason": str(error)})
                    gateway.end("restart")
            else:
                gateway.end_if_unused()
        with suppress(OSError):
            listening.remove()
        server.close()


async def _serve_one(place: Place, fd: int, secrets: Secrets) -> None:
    where: JsonObject = {"log": "standard error"}
    async with stopped_by_signals() as stop, _open(place, stop, secrets, where) as gateway:
        stream = gateway.accept()
        await asyncio.get_running_loop().create_unix_connection(
            lambda: stream, sock=socket.socket(fileno=fd)
        )

        async with anyio.create_task_group() as tasks:

            async def end_with_door() -> None:
                await stream.wait_lost()
                stop.ask()

            tasks.start_soon(end_with_door)
            await stop.asked.wait()
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def _open(
    place: Place, stop: Stop, secrets: Secrets, where: JsonObject
) -> AsyncIterator[SharedGateway]:
    """Open the gateway. At the end of the block the doors are sent away, and everything is
    stopped."""
    loop = asyncio.get_running_loop()
    parts = Parts(GatewaySettings(), Path(place.state), keys=server_keys)
    async with parts, anyio.create_task_group() as tasks:
        parts.keep_seen()
        gateway = SharedGateway(tasks, stop, parts, secrets, where)
        loop.add_signal_handler(signal.SIGHUP, gateway.desks.reload)
        settle_memory()
        async with anyio.create_task_group() as loading:
            loading.start_soon(load_everything)
            yield gateway
            loading.cancel_scope.cancel()
        await gateway.leave()


async def _accept(gateway: SharedGateway, sock: _socket.socket) -> asyncio.Server:
    adopted = socket.socket(fileno=sock.detach())
    return await asyncio.get_running_loop().create_unix_server(
        gateway.accept, sock=adopted, backlog=BACKLOG
    )


def _raise_limit_of_files() -> None:
    """Let it have as many open files as the system allows, not as the client that came first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft < most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
