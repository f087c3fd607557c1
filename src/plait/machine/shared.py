"""The shared gateway: its links to doors, its desks, and the commands of a person."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from .. import __version__
from ..app.parts import Parts
from ..cli.orders import read_order
from ..config.models import GatewaySettings, LimitSettings
from ..core.values.strict import JsonObject
from ..door.port import read_port_order
from ..redaction import Secrets
from ..upstream.stopping import Stop
from ..upstream.transports.frame_stream import FrameStream
from ..upstream.transports.served import SERVE_HTTP, Greeting, Hello, Refused, Served
from ..upstream.transports.socket import Link
from .desks import Desks, variables_of
from .errands import Errand
from .ports import Port
from .status import status_of
from .versions import is_newer

log = logging.getLogger(__name__)

FLUSH_S = 1.0
"""Time at the end for slow doors to read what was sent."""


class SharedGateway:
    """Serves doors in *tasks* until *stop* is asked for. A `Host`."""

    def __init__(
        self,
        tasks: TaskGroup,
        stop: Stop,
        parts: Parts,
        secret_values: Secrets,
        where: JsonObject,
    ) -> None:
        self.instance = secrets.token_hex(4)
        self.links: set[Link] = set()
        self.desks = Desks(tasks, parts, secret_values)
        self.where = where
        """The places of its files, as `plait ps` shows them."""
        self.since = time.time()
        self.is_retiring = False
        """Whether a newer door has asked it to end as soon as it is unused."""
        self._tasks = tasks
        self._stop = stop
        self._parts = parts
        self._secrets = secret_values
        self._word = "stop"
        self._had_desks = False
        self._unused_since = anyio.current_time()

    def __repr__(self) -> str:
        return f"<SharedGateway: {len(self.links)} links, {self.desks!r}>"

    def accept(self) -> FrameStream:
        """Return the protocol of a new connection, which is served from when it is made."""

        def begin() -> None:
            self._tasks.start_soon(self._serve, link)

        link = Link(self, begin)
        return link.stream

    def end(self, word: str) -> None:
        """End, after the calls that are open. *word* is what doors do then: `stop` or
        `restart`."""
        self._word = word
        self._stop.ask()

    def end_if_unused(self) -> None:
        """End, if no desk is open any more, or none was opened for the default of `idle_exit_s`. A
        gateway that retires does not wait until unused desks are closed."""
        self.desks.close_unused()
        now, desks = anyio.current_time(), self.desks.open_ones.values()
        if self.links or desks:
            self._unused_since = now
            is_over = self.is_retiring and not self.links and not any(d.is_used for d in desks)
        else:
            waits = not self.is_retiring and not self._had_desks
            is_over = not waits or now - self._unused_since >= GatewaySettings().idle_exit_s
        if is_over:
            self._stop.ask()

    async def leave(self) -> None:
        """Let the open calls end, and send the doors away."""
        async with anyio.create_task_group() as tasks:
            for link in self.links:
                tasks.start_soon(link.drain)
        links = list(self.links)
        for link in links:
            link.leave(self._word)
        with anyio.move_on_after(FLUSH_S):
            for link in links:
                await link.stream.wait_lost()
        await self._parts.engine.end_runs()  # their servers are still there
        self.desks.close_all()

    # As a `Host`.

    async def greet(self, hello: Hello) -> Greeting:
        if not hello.is_understood or is_newer(hello.version, __version__):
            if not hello.is_person:
                self.is_retiring = not hello.is_isolated
            raise Refused(
                "version",
                f"the gateway is of version {__version__}, this client of {hello.version}: it ends "
                "when no client uses it any more (or at once with: plait restart)",
            )
        names = await to_thread.run_sync(variables_of, hello)
        return Greeting(LimitSettings().max_message_bytes, sorted(names))

    @asynccontextmanager
    async def open(self, hello: Hello, values: dict[str, str]) -> AsyncIterator[Served]:
        async with self.desks.open(hello, values) as desk:
            self._had_desks = True
            yield desk.serve_client(self._tasks, hello.door)

    @asynccontextmanager
    async def carry_out(
        self, hello: Hello, values: dict[str, str], order: bytes, stream: FrameStream
    ) -> AsyncIterator[Errand | Port]:
        async with self.desks.open(hello, values) as desk:
            self._had_desks = True
            try:
                errand: Errand | Port
                if hello.client == SERVE_HTTP:
                    errand = Port(desk, read_port_order(order), stream, self._secrets)
                else:
                    read = await to_thread.run_sync(read_order, order)
                    errand = Errand(desk, read, stream, hello.door)
            except (ValueError, LookupError) as error:  # of another version
                raise Refused("protocol", f"the command is not understood: {error}") from error
            yield errand

    async def control(self, command: str) -> JsonObject:
        match command:
            case "ps":
                return status_of(
                    self.desks.open_ones.values(),
                    self.links,
                    since=self.since,
                    where=self.where,
                    is_retiring=self.is_retiring,
                )
            case "stop" | "restart":
                self.end(command)
                return {"pid": os.getpid(), "ends": True}
        return {"error": f"unknown command: {command[:100]}"}

    async def _serve(self, link: Link) -> None:
        stream = link.stream
        if stream.user != os.geteuid():
            log.warning("link.refused", extra={"user": stream.user, "pid": stream.process})
            stream.abort()
            return
        self.links.add(link)
        try:
            await link.serve()
        except Exception:  # the other doors go on
            log.exception("link.failed", extra={"pid": stream.process})
            stream.abort()
        finally:
            self.links.discard(link)
            if self.is_retiring:
                self.end_if_unused()
