"""A shared gateway in a thread of this process, over a real socket: links and errands are the real
ones, and its desks are what a test gives."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import anyio

from plait.cli.orders import read_order
from plait.config import Config, load_config
from plait.core.values.strict import JsonObject
from plait.door.place import Place
from plait.engine.gateway import Gateway
from plait.machine.errands import Errand
from plait.machine.options import Options
from plait.upstream.transports.frame_stream import FrameStream
from plait.upstream.transports.served import Greeting, Hello, Served
from plait.upstream.transports.socket import Link

Opened: TypeAlias = Callable[[Config], AbstractAsyncContextManager[Gateway]]


class ThreadGateway:
    """The gateway. *opened* opens what carries out the commands of one person."""

    instance = "thread"

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.hellos: list[Hello] = []
        self.links: set[Link] = set()
        self.failures: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, path: str, ready: threading.Event, ended: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(self._accept, path)
        ready.set()
        await asyncio.to_thread(ended.wait)
        server.close()
        with anyio.move_on_after(10):
            await asyncio.gather(*self._tasks)

    def _accept(self) -> FrameStream:
        async def serve() -> None:
            self.links.add(link)
            try:
                await link.serve()
            except Exception as error:  # the test fails with it
                self.failures.append(error)
            self.links.discard(link)

        def begin() -> None:
            task = asyncio.get_running_loop().create_task(serve())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        link = Link(self, begin)
        return link.stream

    # As a `Host`.

    async def greet(self, hello: Hello) -> Greeting:
        self.hellos.append(hello)
        return Greeting(2**24, ["KEY"])

    def open(self, hello: Hello, values: dict[str, str]) -> AbstractAsyncContextManager[Served]:
        raise AssertionError("a command opens no session, and asks for no state")

    @asynccontextmanager
    async def carry_out(
        self, hello: Hello, values: dict[str, str], order: bytes, stream: FrameStream
    ) -> AsyncIterator[Errand]:
        options = Options.of(hello)
        file = None if options.config is None else hello.folder / options.config
        environ = {**values, **hello.environ}
        config = load_config(file, environ, hello.folder, profile=options.profile)
        async with self.opened(config) as gateway:
            desk: Any = SimpleNamespace(config=config, gateway=gateway)
            yield Errand(desk, read_order(order), stream, hello.door)

    async def control(self, command: str) -> JsonObject:
        raise AssertionError("a command opens no session, and asks for no state")


@contextmanager
def sharing(state: Path, opened: Opened) -> Iterator[ThreadGateway]:
    """Serve in a thread, where clients with this *state* folder find it."""
    gateway, ready, ended = ThreadGateway(opened), threading.Event(), threading.Event()
    with tempfile.TemporaryDirectory(prefix="pc", dir="/tmp") as folder:  # short, for a socket
        path = f"{folder}/g"
        state.mkdir(mode=0o700)
        Path(Place(str(state)).lock_path).write_text(f"{path}\n")
        thread = threading.Thread(target=lambda: asyncio.run(gateway.serve(path, ready, ended)))
        thread.start()
        log = logging.getLogger("plait.machine.errands")
        log.disabled = True  # a gateway's log is not that of the person, as it is in one process
        try:
            ready.wait(10)
            yield gateway
        finally:
            log.disabled = False
            ended.set()
            thread.join()


class Lasting:
    """Opens one gateway, which stays open from command to command as that of a desk does. It closes
    when the loop ends."""

    def __init__(self, opened: Callable[[Config], Gateway]) -> None:
        self._opened = opened
        self._gateway: Gateway | None = None
        self._holding: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def __call__(self, config: Config) -> AsyncIterator[Gateway]:
        if self._gateway is None:
            self._gateway = self._opened(config)
            is_open = anyio.Event()
            self._holding = asyncio.create_task(self._hold(self._gateway, is_open))
            await is_open.wait()
        yield self._gateway

    async def _hold(self, gateway: Gateway, is_open: anyio.Event) -> None:
        async with gateway:
            is_open.set()
            await anyio.sleep_forever()
