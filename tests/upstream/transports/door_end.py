"""The door's end of a connection, and a gateway that serves it in this process."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from plait import __version__
from plait.core.values.strict import JsonObject
from plait.door import frames
from plait.door.frames import Frames, frame, read_record, record
from plait.upstream.transports.frame_stream import FrameStream
from plait.upstream.transports.served import Greeting, Hello, Refused, Served
from plait.upstream.transports.socket import Link

from .talking import HANDSHAKE, Talk

MAX_BYTES = 100_000


class House:
    """A `Host` whose server is that of *talk*. Tools whose names begin with `read` are
    read-only."""

    instance = "g1"

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.refusal: Refused | None = None
        self.notice = ""
        self.values: dict[str, str] = {}
        self.drained = anyio.Event()

    async def greet(self, hello: Hello) -> Greeting:
        if self.refusal is not None:
            raise self.refusal
        return Greeting(MAX_BYTES, ["TOKEN"])

    @asynccontextmanager
    async def open(self, hello: Hello, values: dict[str, str]) -> AsyncIterator[Served]:
        self.values = values

        async def drain() -> None:
            self.drained.set()
            self.talk.blocked.set()

        yield Served(
            self.talk.server(),
            drain,
            MAX_BYTES,
            lambda name: name.startswith("read"),
            notice=self.notice,
        )

    @asynccontextmanager
    async def carry_out(
        self, hello: Hello, values: dict[str, str], order: bytes, stream: FrameStream
    ) -> AsyncIterator[Errand]:
        self.values = values
        yield Errand(order, stream, self.drained)

    async def control(self, command: str) -> JsonObject:
        return {"command": command}


class Errand:
    """Shows its *order*, and ends once it is asked to."""

    url = ""
    settings = "servers.toml"

    def __init__(self, order: bytes, stream: FrameStream, drained: anyio.Event) -> None:
        self._order, self._stream, self._drained = order, stream, drained

    async def run(self) -> None:
        self._stream.put(frames.OUT, self._order)
        await self._drained.wait()
        self._stream.put(frames.EXIT, b"0")

    async def drain(self) -> None:
        self._drained.set()


class DoorEnd:
    """The door's end. `frames` are all that came."""

    def __init__(self, sock: socket.socket, link: Link, house: House) -> None:
        self.link, self.house = link, house
        self.frames: list[tuple[bytes, int, bytes]] = []
        self._sock = sock
        self._cut = Frames()

    async def put(self, kind: bytes, payload: bytes = b"", number: int = 0) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, frame(kind, payload, number))

    async def line(self, number: int, **message: Any) -> None:
        await self.put(frames.MESSAGE, json.dumps({"jsonrpc": "2.0", **message}).encode(), number)

    async def request(self, number: int, method: str, params: dict[str, Any] | None = None) -> None:
        """Send a request whose id is its number."""
        await self.line(number, id=number, method=method, params=params or {})

    async def read(self) -> bool:
        """Read what has come; False at the end."""
        data = await asyncio.get_running_loop().sock_recv(self._sock, 2**16)
        self.frames += self._cut.feed(data)
        return bool(data)

    async def until(self, kind: bytes, number: int = 0) -> bytes:
        """Return the payload of the next frame of *kind* about *number*, and forget it with those
        before it."""
        while True:
            for index, (found, about, payload) in enumerate(self.frames):
                if (found, about) == (kind, number):
                    del self.frames[: index + 1]
                    return payload
            assert await self.read(), f"the connection ended before {kind!r} {number}"

    async def answer(self, number: int) -> Any:
        return json.loads(await self.until(frames.MESSAGE, number))

    async def hello(self, **more: str) -> dict[str, str]:
        """Go through both steps of the hello. Returns the record of the first answer."""
        fields = {"hello": "1", "version": __version__, "door": "d", "folder": "/", **more}
        await self.put(frames.HELLO, record(fields.items()))
        names = dict(read_record(await self.until(frames.NAMES)))
        await self.put(frames.VALUES, record([("TOKEN", "t")]))
        return names

    async def handshake(self) -> None:
        """Open a session with the lines 1 and 2."""
        await self.hello()
        await self.request(1, "initialize", HANDSHAKE)
        await self.answer(1)
        await self.line(2, method="notifications/initialized")
        await self.until(frames.DONE, 2)

    async def end(self) -> list[tuple[bytes, int, bytes]]:
        """Return everything that comes until the gateway closes the connection."""
        while await self.read():
            pass
        return self.frames

    def close(self) -> None:
        self._sock.close()


@asynccontextmanager
async def doors(
    *, buffer_bytes: int | None = None
) -> AsyncIterator[tuple[House, Callable[[], Any]]]:
    """A house, and a function that connects a door to it."""
    house = House(Talk())
    ends: list[DoorEnd] = []
    async with anyio.create_task_group() as tasks:

        async def connect() -> DoorEnd:
            ours, theirs = socket.socketpair(socket.AF_UNIX)
            for sock in (ours, theirs) if buffer_bytes else ():
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes or 0)
            ours.setblocking(False)
            theirs.setblocking(False)
            link = Link(house)
            await asyncio.get_running_loop().create_unix_connection(
                lambda: link.stream, sock=theirs
            )
            tasks.start_soon(link.serve)
            ends.append(DoorEnd(ours, link, house))
            return ends[-1]

        with anyio.fail_after(20):
            yield house, connect
        for end in ends:
            end.close()
        house.talk.blocked.set()


@asynccontextmanager
async def door() -> AsyncIterator[DoorEnd]:
    """One door that is connected."""
    async with doors() as (_, connect):
        yield await connect()
