"""The turn of one call from outside of any run: who makes the call waits for it, and gives it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import anyio

from ..core.ports import RpcError
from ..core.scheduling.events import Key, Paused, Resumed, Step
from ..core.scheduling.scheduler import Scheduler
from ..core.scheduling.visits import Visit
from ..errors import CallError

CONNECTION_CLOSED = -32000
"""The code that a client gets for a call that could not be sent."""


class Visiting:
    """All visits to *scheduler* that are under way; *carry_out* does what it says to them, *now* tells the time."""

    def __init__(self, scheduler: Scheduler, carry_out: Callable[[Step], None], now: Callable[[], float]) -> None:
        self.scheduler = scheduler
        self.carry_out = carry_out
        self.now = now
        self.waiting: dict[Key, anyio.Event] = {}
        self.refused: dict[Key, CallError] = {}

    def __repr__(self) -> str:
        return f"<Visiting: {len(self.waiting)} waiting>"

    def turn(self, visit: Visit) -> Turn:
        """A turn for *visit*, which enters when that is entered."""
        return Turn(visit, self)

    def admit(self, key: Key) -> None:
        """The call of *key* may be sent."""
        self.waiting.pop(key).set()

    def refuse(self, key: Key, error: CallError) -> None:
        """The call of *key* cannot be made: the visit has ended."""
        self.refused[key] = error
        self.waiting.pop(key).set()


class Turn:
    """Use as `async with turn:`. Entering waits until the call may be sent, leaving ends the visit; how the call went
    is told by what the block raises, or by `went_well`."""

    __slots__ = ("_is_well", "_questions", "_visit", "_visiting")

    def __init__(self, visit: Visit, visiting: Visiting) -> None:
        self._visit = visit
        self._visiting = visiting
        self._is_well = False
        self._questions = 0

    def __repr__(self) -> str:
        return f"<Turn of {self._visit!r}>"

    async def __aenter__(self) -> Self:
        visiting, visit = self._visiting, self._visit
        step = visiting.scheduler.enter(visit, visiting.now())
        if visit.started_at is None:
            await self._admission(step)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(None if error is None else _cause(error))

    def went_well(self) -> None:
        """The call was answered as it should be: how long it took counts."""
        self._is_well = True

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While the block runs, the client is asked something: the call takes no room, but keeps what it accesses."""
        visiting, key = self._visiting, self._visit.key
        self._questions += 1
        visiting.carry_out(visiting.scheduler.handle(Paused(key), visiting.now()))
        try:
            yield
        finally:
            self._questions -= 1
            if not self._questions:
                visiting.carry_out(visiting.scheduler.handle(Resumed(key), visiting.now()))

    async def _admission(self, step: Step) -> None:
        visiting, key = self._visiting, self._visit.key
        admitted = visiting.waiting[key] = anyio.Event()
        visiting.carry_out(step)
        try:
            if not admitted.is_set():
                await admitted.wait()
        except BaseException:
            visiting.waiting.pop(key, None)
            if visiting.refused.pop(key, None) is None:
                self._leave(None)
            raise
        if (error := visiting.refused.pop(key, None)) is not None:
            raise RpcError(CONNECTION_CLOSED, error.message) from error

    def _leave(self, error: CallError | None) -> None:
        visiting = self._visiting
        step = visiting.scheduler.leave(self._visit, visiting.now(), error, is_well=self._is_well)
        visiting.carry_out(step)


def _cause(error: BaseException) -> CallError | None:
    """What went wrong on the way to the server, or there; None for what the server itself has answered."""
    cause = error.__cause__ if isinstance(error, RpcError) else error
    return cause if isinstance(cause, CallError) else None
