"""One door's connection: the hello, then the client's session or a command of a person; or only
questions about the gateway."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

from ... import __version__
from ...core.values.strict import encode
from ...door import frames
from ...door.frames import record
from .conversation import GRACE_S, conversing
from .door_session import Client, DoorSession
from .frame_stream import FrameStream
from .served import SERVE, Errand, Hello, Host, Refused, Served


class Link:
    """The connection of one door to *host*; *on_made* is called once it is made. It is served while
    `serve` runs."""

    def __init__(self, host: Host, on_made: Callable[[], None] = lambda: None) -> None:
        self.stream = FrameStream(on_made, self._on_room)
        self.hello: Hello | None = None
        """None for a connection of `plait ps` and the like."""
        self.since = time.time()
        self._host = host
        self._served: Served | None = None
        self._session: DoorSession | None = None
        self._errand: Errand | None = None

    def __repr__(self) -> str:
        return f"<Link: {self._session or 'without a client'}>"

    @property
    def client(self) -> Client:
        if self._session is not None:
            return self._session.client
        if self.hello is not None and self.hello.client != SERVE:
            return Client(f"plait {self.hello.client}"[:100], self.hello.version[:50])
        return Client()

    @property
    def url(self) -> str:
        """The address that is served for the command there; empty if none is."""
        return "" if self._errand is None else self._errand.url

    @property
    def settings(self) -> str:
        """Where the settings of the client are from."""
        used = self._served or self._errand
        return "" if used is None else used.settings

    async def serve(self) -> None:
        """Serve the door until it leaves, or `leave` is called."""
        try:
            while (first := await self.stream.next()) is not None:
                if first.kind == frames.HELLO:
                    await self._serve_client(Hello.read(first.payload))
                    return
                if first.kind == frames.CONTROL:
                    answer = await self._host.control(first.payload.decode(errors="replace"))
                    self.stream.put(frames.CONTROL, encode(answer), first.number)
        except Refused as refused:
            self.stream.put(frames.REFUSED, f"{refused.code}\0{refused}".encode())
        finally:
            self.stream.close()

    async def drain(self) -> None:
        """Begin no more requests, which the next gateway gets, and wait until the calls of the
        client have been answered, or their time is up."""
        if self._session is not None:
            self._session.hold()
        if self._served is not None:
            await self._served.drain()
        if self._errand is not None:
            await self._errand.drain()

    def leave(self, word: str) -> None:
        """Send the door away. The next gateway answers what is still open."""
        self.stream.put(frames.BYE, word.encode())
        self.stream.close()

    async def _serve_client(self, hello: Hello) -> None:
        greeting = await self._host.greet(hello)
        fields = [
            ("instance", self._host.instance),
            ("version", __version__),
            ("max_line", str(greeting.max_line_bytes)),
            *(("name", name) for name in greeting.names),
        ]
        self.stream.put(frames.NAMES, record(fields))
        answer = await self.stream.next()
        if answer is None or answer.kind != frames.VALUES:
            return
        values = dict(frames.read_record(answer.payload))
        if hello.client != SERVE:
            await self._carry_out(hello, values)
            return
        # A late answer to a question of an earlier gateway must not be taken for one of ours.
        ids = (f"{self._host.instance}-{number}" for number in count(1))
        async with self._host.open(hello, values) as served:
            if served.notice and not hello.is_isolated:  # whose log is at the client already
                self.stream.put(frames.ERR, served.notice.encode(errors="replace"))
            session = DoorSession(self.stream, served)
            self.hello, self._served, self._session = hello, served, session
            async with conversing(served.server, session.send, self.stream, ids) as conversation:
                session.conversation = conversation
                await self.stream.run(session.take)
                if session.has_ended:
                    await session.wait_begun()
                    await conversation.finish(served.drain, GRACE_S, self.stream.wait_lost)

    async def _carry_out(self, hello: Hello, values: dict[str, str]) -> None:
        order = await self.stream.next()
        if order is None or order.kind != frames.COMMAND:
            return
        async with self._host.carry_out(hello, values, order.payload, self.stream) as errand:
            self.hello, self._errand = hello, errand
            await errand.run()

    def _on_room(self) -> None:
        if self._session is not None:
            self._session.begin_waiting()
