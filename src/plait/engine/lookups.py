"""Looks up in threads where files are: a file system may answer late, or never.

At most eight lookups run at a time. One that is not promptly done hangs, as far as anyone can tell: it goes on, but no
longer counts, so that a mount that gives no answer does not take the turns of others. Names for which a thread would
only wait where others do are put off, and asked about again when one of those is done. The threads are daemons, because
one that hangs must not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from threading import Condition, Thread

import anyio

from ..core.ports import ResourceResolver
from ..core.scheduling.locating import PROMPT_S
from ..core.tools.claims import ResourceName, as_written

log = logging.getLogger(__name__)

TURNS = 8
"""Lookups that run at a time, without those that hang."""
MAX_THREADS = 64
"""Threads there are at most, with those that hang."""
IDLE_S = 10.0
"""How long a thread waits for the next lookup before it ends."""


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
        self._changed = Condition()
        """Guards all that follows."""
        self._queue: deque[_Lookup] = deque()
        self._running: set[_Lookup] = set()
        self._hanging: set[_Lookup] = set()
        """Those of `_running` that were not done promptly."""
        self._put_off: set[_Lookup] = set()
        """Those that would only wait where others do."""
        self._threads = 0
        self._idle = 0
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Lookups: {len(self._running)} running, {len(self._hanging)} of them hang, {len(self._queue)} queued>"

    def at_once(self, names: Iterable[ResourceName]) -> dict[ResourceName, str] | None:
        """The keys of the files of these names, if no file system has to be asked for any of them."""
        found = {name: self.resolver.at_once(name) for name in names}
        places = {name: place for name, place in found.items() if place is not None}
        return places if len(places) == len(found) else None

    async def locate(self, names: Iterable[ResourceName], seconds: float) -> dict[ResourceName, str]:
        """The keys of the files of these names, as far as they are found within *seconds*."""
        found = {name: self.resolver.at_once(name) for name in names}
        places = {name: place for name, place in found.items() if place is not None}
        if len(places) == len(found):
            return places
        request = _Request([name for name, place in found.items() if place is None], places)
        self._begin(request)
        try:
            with anyio.move_on_after(seconds):
                while not request.done.is_set():
                    with anyio.move_on_after(PROMPT_S):
                        await request.done.wait()
                    self._let_others_go_on(request)
        finally:
            self._end(request)
        return places

    def close(self) -> None:
        """End all threads that do not hang; those end when their file system has answered."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _begin(self, request: _Request) -> None:
        with self._changed:
            hanging = {lookup.name: lookup for lookup in self._hanging}
            for name in request.left:
                if (lookup := hanging.get(name)) is None:
                    lookup = _Lookup(name)
                    self._queue.append(lookup)
                lookup.requests.append(request)
                request.lookups.append(lookup)
            self._wake()

    def _let_others_go_on(self, request: _Request) -> None:
        """The lookups of *request* that run have taken their time: they do not count any more. Those that were put off
        are tried again."""
        with self._changed:
            self._hanging.update(self._running.intersection(request.lookups))
            self._try_again(self._put_off.intersection(request.lookups))
            self._wake()

    def _end(self, request: _Request) -> None:
        """Nobody waits for *request* any more."""
        self._let_others_go_on(request)
        with self._changed:
            for lookup in request.lookups:
                if request in lookup.requests:
                    lookup.requests.remove(request)
            self._queue = deque(lookup for lookup in self._queue if lookup.requests)
            self._put_off = {lookup for lookup in self._put_off if lookup.requests}

    def _try_again(self, lookups: set[_Lookup]) -> None:
        self._put_off -= lookups
        self._queue.extend(lookups)

    def _wake(self) -> None:
        """Have threads for all that may run now."""
        turns = max(0, min(len(self._queue), TURNS - len(self._running) + len(self._hanging)))
        self._changed.notify(turns)
        for _ in range(min(turns - self._idle, MAX_THREADS - self._threads)):
            self._threads += 1
            Thread(target=self._work, name="plait lookup", daemon=True).start()

    def _work(self) -> None:
        while (lookup := self._next()) is not None:
            place = None
            try:
                place = self.resolver.look_up(lookup.name)
                is_over = place is not None
            except Exception:  # a fault of ours: the file has no place, and the thread goes on
                is_over = True
                log.exception("lookup.crashed", extra={"key": lookup.name.key})
            with self._changed:
                self._running.remove(lookup)
                if not is_over:
                    self._put_off.add(lookup)
                elif lookup in self._hanging:
                    self._try_again(set(self._put_off))
                self._hanging.discard(lookup)
                self._wake()
                for request in lookup.requests if is_over else ():
                    request.found(lookup.name, place)

    def _next(self) -> _Lookup | None:
        """What this thread does next, or None if it is to end."""
        with self._changed:
            while not self._is_closed:
                if self._queue and len(self._running) - len(self._hanging) < TURNS:
                    lookup = self._queue.popleft()
                    self._running.add(lookup)
                    return lookup
                self._idle += 1
                is_awake = self._changed.wait(IDLE_S)
                self._idle -= 1
                if not is_awake and not self._queue:
                    break
            self._threads -= 1
            return None


class _Request:
    """Names that are asked for at one time."""

    def __init__(self, names: list[ResourceName], places: dict[ResourceName, str]) -> None:
        self.left = set(names)
        self.places = places
        self.lookups: list[_Lookup] = []
        self.done = anyio.Event()
        self._loop = asyncio.get_running_loop()

    def found(self, name: ResourceName, place: str | None) -> None:
        """The lookup of *name* is over. Called in its thread."""
        self.left.remove(name)
        if place is not None:
            self.places[name] = place
        if not self.left:
            self._loop.call_soon_threadsafe(self.done.set)


class _Lookup:
    """One name that is looked up, or will be, for the requests that wait for it."""

    __slots__ = ("name", "requests")

    def __init__(self, name: ResourceName) -> None:
        self.name = name
        self.requests: list[_Request] = []
