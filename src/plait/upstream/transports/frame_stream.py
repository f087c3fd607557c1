"""The frames of one connection to a door, in both directions.

asyncio buffers what the system does not take, and what is buffered is lost if the process is
killed. So the buffer's high-water mark is 0, and `flushed` waits until the system has everything:
bytes in a socket outlive the process that wrote them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, cast

import anyio

from ...door.frames import Frames, frame
from ...door.place import peer
from ...waiting import Signal

WINDOW_BYTES = 2**20
"""Most bytes that wait for a door before nothing more is begun for its client."""
MOST_BUFFERED_BYTES = 2**16
"""Bytes that wait for a door before those who send to it wait, too."""
READ_BYTES = 2**16


class Frame(NamedTuple):
    kind: bytes
    number: int
    payload: bytes


Take: TypeAlias = Callable[[Frame], None]


class FrameStream(asyncio.Protocol):
    """The connection. Frames that are put in one turn of the event loop go out together. *on_made*
    is called once it is made, *on_room* whenever the system has taken everything."""

    def __init__(
        self,
        on_made: Callable[[], None] = lambda: None,
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        self.process, self.user = 0, -1
        """The process and the user at the other end."""
        self._on_made, self._on_room = on_made, on_room
        self._cut = Frames()
        self._unread: deque[Frame] = deque()
        self._take: Take | None = None
        self._is_paused = False
        self._resting: asyncio.TimerHandle | None = None
        self._arrived = Signal()
        self._ended = asyncio.Event()
        """No more frames are given."""
        self._lost = asyncio.Event()
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._transport: asyncio.Transport | None = None

    def __repr__(self) -> str:
        return f"<FrameStream of process {self.process}: {len(self._unread)} frames unread>"

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.process, self.user = peer(transport.get_extra_info("socket"))
        self._transport.set_write_buffer_limits(high=0)
        # asyncio reads 256 KiB at once, for which a process would map fresh memory each time.
        cast("Any", transport).max_size = READ_BYTES
        self._on_made()

    def data_received(self, data: bytes) -> None:
        self._unread.extend(Frame(*each) for each in self._cut.feed(data))
        self._deliver()
        self._arrived.notify()

    def eof_received(self) -> None:
        """The door has gone: one that only stops sending says so in a frame."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set()
        self._ended.set()
        self._has_room.set()
        self._arrived.notify()

    def pause_writing(self) -> None:
        self._has_room.clear()

    def resume_writing(self) -> None:
        self._has_room.set()
        self._on_room()

    # Reading.

    async def next(self) -> Frame | None:
        """Wait for the next frame. None at the end."""
        while not self._unread and not self._ended.is_set():
            await self._arrived.wait()
        found = self._unread.popleft() if self._unread else None
        self._deliver()
        return found

    async def run(self, take: Take) -> None:
        """Give *take* every frame as it comes, until the end."""
        self._take = take
        self._deliver()
        await self._ended.wait()
        self._take = None

    def pause(self) -> None:
        """Give no more frames until `resume`."""
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False
        self._deliver()

    def rest(self, seconds: float) -> None:
        """Give no more frames for *seconds*."""
        if self._resting is None and not self._ended.is_set():
            self._resting = asyncio.get_running_loop().call_later(seconds, self._rested)

    def _rested(self) -> None:
        self._resting = None
        self._deliver()

    def end(self) -> None:
        """Give no more frames; they may still be put."""
        self._ended.set()

    def _deliver(self) -> None:
        while self._take and self._unread and not self._is_held:
            self._take(self._unread.popleft())
        if self._transport is not None and not self._transport.is_closing():
            if self._unread:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    @property
    def _is_held(self) -> bool:
        """Whether no frames are given, though there may be some."""
        return self._is_paused or self._resting is not None or self._ended.is_set()

    # Writing.

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def waiting_bytes(self) -> int:
        """The number of bytes that the system has not taken yet."""
        buffered = self._transport.get_write_buffer_size() if self._transport is not None else 0
        return self._unsent_bytes + buffered

    @property
    def is_crowded(self) -> bool:
        """Whether the door does not read what it is sent."""
        return self.waiting_bytes > WINDOW_BYTES

    def put(self, kind: bytes, payload: bytes = b"", number: int = 0) -> None:
        """Send a frame, unless the connection is closed."""
        if not self.is_open:
            return
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self.flush)
        data = frame(kind, payload, number)
        self._unsent.append(data)
        self._unsent_bytes += len(data)

    def flush(self) -> None:
        if self._unsent and self._transport is not None and self.is_open:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()
        self._unsent_bytes = 0
        if self._has_room.is_set():
            self._on_room()

    async def flushed(self) -> None:
        """Wait until the system has everything that was put. Raises `BrokenResourceError` if the
        door has gone."""
        self.flush()
        await self._has_room.wait()
        if not self.is_open:
            raise anyio.BrokenResourceError

    async def wait_room(self) -> None:
        """Wait while much waits for the door."""
        if self.waiting_bytes > MOST_BUFFERED_BYTES:
            await self._has_room.wait()

    async def wait_lost(self) -> None:
        """Wait until the connection is closed."""
        await self._lost.wait()

    def close(self) -> None:
        """Give no more frames, and close once everything that was put has been sent."""
        self.end()
        self.flush()
        self._arrived.notify()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()
