"""Finds the places of files, in threads: a file system may answer late, or never.

At most eight lookups run at a time. A lookup that is not done promptly is taken to hang: it goes on
but no longer counts, so that a mount without answers does not take the turns of others. Names for
which a thread would only wait where others do are put off, and looked up again when one of those is
done. The threads are daemons, because one that hangs must not keep the process
from ending.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread

import anyio

from ..core.ports import ResourceResolver
from ..core.tools.claims import ResourceName, as_written

log = logging.getLogger(__name__)

TURNS = 8
"""Lookups that run at a time, without those that hang."""
MAX_THREADS = 64
"""Most threads, including hanging ones."""
NAMES_A_THREAD = 16
"""Names per thread, as long as none of them hangs."""
HANGS_S = 0.02
"""Seconds for which a lookup counts, and others wait behind it."""
IDLE_S = 10.0
"""Seconds that a thread waits for the next lookup before it ends."""


class AsWritten:
    """A resolver that knows no file system: equal keys are equal resources."""

    def at_once(self, name: ResourceName, /) -> str:
        return as_written(name.key)

    look_up = at_once


AS_WRITTEN = AsWritten()


class Lookups:
    """Finds the places of files with *resolver*; use `locate`, and `close` at the end."""

    def __init__(self, resolver: ResourceResolver) -> None:
        self.resolver = resolver
        self._queue: SimpleQueue[_Request | None] = SimpleQueue()
        """Requests, each once for every thread that helps with it; None ends a thread."""
        self._lock = Lock()
        """Guards the fields below, and requests."""
        self._helping = 0
        """The number of entries in the queue and of busy threads."""
        self._running: set[_Lookup] = set()
        self._hanging: set[_Lookup] = set()
        """The lookups of `_running` that were not done promptly."""
        self._put_off: set[_Request] = set()
        """Requests with names for which a thread would only wait where others do."""
        self._threads = 0
        self._is_closed = False

    def __repr__(self) -> str:
        return (
            f"<Lookups: {len(self._running)} running, {len(self._hanging)} of them hang, "
            f"{self._threads} threads>"
        )

    def at_once(self, names: Iterable[ResourceName]) -> dict[ResourceName, str] | None:
        """Return the keys of these files, if no file system has to be asked for any of them; else
        None."""
        found = {name: self.resolver.at_once(name) for name in names}
        places = {name: place for name, place in found.items() if place is not None}
        return places if len(places) == len(found) else None

    async def locate(
        self, names: Iterable[ResourceName], seconds: float
    ) -> dict[ResourceName, str]:
        """Find the keys of these files; those that are not found within *seconds* are absent."""
        found = {name: self.resolver.at_once(name) for name in names}
        places = {name: place for name, place in found.items() if place is not None}
        if len(places) == len(found):
            return places
        request = _Request(places, {name for name, place in found.items() if place is None})
        deadline = anyio.current_time() + seconds
        with self._lock:
            hanging = {lookup.name: lookup for lookup in self._hanging}
            for name in request.left:
                if name in hanging:
                    hanging[name].requests.append(request)
                else:
                    request.todo.append(name)
            self._help(request, 1 + len(request.todo) // NAMES_A_THREAD)
        try:
            while not request.done.is_set() and (left_s := deadline - anyio.current_time()) > 0:
                with anyio.move_on_after(min(left_s, HANGS_S)):
                    await request.done.wait()
                if not request.done.is_set():
                    self._let_others_go_on(request)
        finally:
            if not request.done.is_set():
                self._give_up(request)
        return places

    def close(self) -> None:
        """End all threads that do not hang; those end when their file system has answered."""
        with self._lock:
            self._is_closed = True
            for _ in range(self._threads):
                self._queue.put(None)

    def _help(self, request: _Request, helpers: int = TURNS) -> None:
        """Let at most *helpers* more threads work on *request*."""
        helpers = 0 if self._is_closed else min(helpers, len(request.todo), TURNS)
        for _ in range(helpers):
            self._queue.put(request)
        self._helping += helpers
        for _ in range(self._threads, min(self._helping, TURNS + len(self._hanging), MAX_THREADS)):
            self._threads += 1
            Thread(target=self._work, name="plait lookup", daemon=True).start()

    def _let_others_go_on(self, request: _Request) -> None:
        """Stop counting the running lookups of *request*: they took too long. Lookups that were put
        off are tried again."""
        with self._lock:
            self._hanging.update(lookup for lookup in self._running if request in lookup.requests)
            self._try_again(request)
            self._help(request)

    def _try_again(self, request: _Request) -> None:
        self._put_off.discard(request)
        request.todo += request.put_off
        request.put_off.clear()

    def _give_up(self, request: _Request) -> None:
        """Give up *request*: its caller no longer waits."""
        with self._lock:
            for lookup in self._running:
                if request in lookup.requests:
                    self._hanging.add(lookup)
                    lookup.requests.remove(request)
            self._put_off.discard(request)
            request.todo.clear()

    def _work(self) -> None:
        while (request := self._next()) is not None:
            while (lookup := self._begin(request)) is not None:
                place = None
                try:
                    place = self.resolver.look_up(lookup.name)
                    is_over = place is not None
                except Exception:  # a fault of ours: the file has no place, and the thread goes on
                    is_over = True
                    log.exception("lookup.crashed", extra={"key": lookup.name.key})
                with self._lock:
                    self._end(lookup, place, is_over=is_over)

    def _next(self) -> _Request | None:
        """Return the next request for this thread; None to end it."""
        while True:
            try:
                request = self._queue.get(timeout=IDLE_S)
            except Empty:
                request = None
            with self._lock:
                is_one_too_many = self._threads > TURNS + len(self._hanging)
                if request is None and (self._is_closed or is_one_too_many or self._queue.empty()):
                    self._threads -= 1
                    return None
            if request is not None:
                return request

    def _begin(self, request: _Request) -> _Lookup | None:
        """Begin the next lookup for *request*; None if none is left."""
        with self._lock:
            if request.todo:
                lookup = _Lookup(request.todo.popleft(), [request])
                self._running.add(lookup)
                return lookup
            self._helping -= 1
            return None

    def _end(self, lookup: _Lookup, place: str | None, *, is_over: bool) -> None:
        self._running.remove(lookup)
        for request in lookup.requests:
            if is_over:
                request.found(lookup.name, place)
            else:
                request.put_off.append(lookup.name)
                self._put_off.add(request)
        if lookup not in self._hanging:
            return
        self._hanging.remove(lookup)
        if self._threads > TURNS + len(
            self._hanging
        ):  # others took its turn, and one of them will do
            self._queue.put(None)
        if is_over:
            for request in list(self._put_off):
                self._try_again(request)
                self._help(request)


@dataclass(slots=True, eq=False)
class _Request:
    """Names that one caller asks for."""

    places: dict[ResourceName, str]
    left: set[ResourceName]
    todo: deque[ResourceName] = field(default_factory=deque)
    put_off: list[ResourceName] = field(default_factory=list)
    done: anyio.Event = field(default_factory=anyio.Event)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    def found(self, name: ResourceName, place: str | None) -> None:
        """Take the place of *name*. Called in the thread of the lookup."""
        self.left.remove(name)
        if place is not None:
            self.places[name] = place
        if not self.left:
            self.loop.call_soon_threadsafe(self.done.set)


@dataclass(slots=True, eq=False)
class _Lookup:
    """The lookup of one name, for the requests that wait for it."""

    name: ResourceName
    requests: list[_Request]
