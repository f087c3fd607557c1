"""One run that is being written, whatever the store: rows get their numbers, and what they need of
earlier rows, in the order in which they are put."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

from ...core.history import (
    Admission,
    Beginning,
    CallKey,
    Durable,
    Effect,
    Ending,
    Happened,
    Intent,
    Outcome,
    Row,
    Settled,
)
from ...errors import HistoryUnavailable


class Admitted(NamedTuple):
    """An admission at its place, and the time at which its call left."""

    number: int
    admission: Admission
    sent_at: float | None = None


Written: TypeAlias = Beginning | Intent | Outcome | Happened | Settled | Ending


class Entry(NamedTuple):
    """A row at its place among those of its chain, as a store writes it."""

    log: Log
    number: int
    row: Written
    admitted: Admitted | None = None
    """The admission of an intent or an outcome."""

    @property
    def ends_a_write(self) -> bool:
        return (
            self.admitted is not None
            and self.admitted.admission.effect is not Effect.READ
            and isinstance(self.row, Outcome)
        )


class Queue(Protocol):
    """The part of a store that takes entries. It is used from one event loop."""

    def add(self, entry: Entry) -> None: ...

    async def committed(self, log: Log) -> bool:
        """Wait until all entries of *log* are committed, within the time for that; returns whether
        they are. If not, the log is lost."""
        ...

    async def note_loss(self, run_id: str) -> None:
        """Note outside of what is committed that the run is lost. Raises `OSError`."""
        ...


class Log:
    """A `RunLog` that gives its rows to a queue. `number` and `chain` are for its store."""

    __slots__ = (
        "_admitted",
        "_held",
        "_is_noted",
        "_last",
        "_queue",
        "beginning",
        "chain",
        "id",
        "is_lost",
        "number",
        "root",
    )

    def __init__(
        self, beginning: Beginning, queue: Queue, *, root: str = "", last: int = 0
    ) -> None:
        """*last* is the number of the last row of the chain that it goes on from; *root* that of
        its first run."""
        self.id = beginning.id
        self.root = root or beginning.id
        self.beginning = beginning
        self.is_lost = False
        self.number = 0
        self.chain = 0
        self._queue = queue
        self._last = last
        self._admitted: dict[tuple[CallKey, int], Admitted] = {}
        self._held: list[Entry] = []
        """The rows of a run that is written when it has ended."""
        self._is_noted = False

    def __repr__(self) -> str:
        return f"<Log of {self.id}: {self._last} rows{', lost' if self.is_lost else ''}>"

    @property
    def is_durable(self) -> bool:
        return self.beginning.durable is not Durable.OFF

    def begin(self) -> None:
        """Put the beginning."""
        self._add(Entry(self, 0, self.beginning))

    def put(self, row: Row) -> None:
        match row:
            case Admission(key, attempt):
                self._last += 1
                self._admitted[key, attempt] = Admitted(self._last, row)
            case Intent(key, attempt, at):
                number, admission, _ = self._admitted[key, attempt]
                admitted = self._admitted[key, attempt] = Admitted(number, admission, at)
                if admission.effect is not Effect.READ:
                    self._add(Entry(self, number, row, admitted))
            case Outcome(key, attempt):
                self._last += 1
                self._add(Entry(self, self._last, row, self._admitted.pop((key, attempt))))
            case _:
                self._last += 1
                self._add(Entry(self, self._last, row))

    def _add(self, entry: Entry) -> None:
        if self.is_durable:
            self._queue.add(entry)
            return
        self._held.append(entry)
        if isinstance(entry.row, Ending):
            for held in self._held:
                self._queue.add(held)
            self._held.clear()

    async def committed(self) -> bool:
        if self._held:
            return True  # nothing is promised before its end
        return not self.is_lost and await self._queue.committed(self)

    async def secure(self) -> None:
        if await self.committed():
            return
        if self.beginning.durable is Durable.POWER:
            raise HistoryUnavailable(
                "the history cannot be written, and this run is to survive a power cut",
                hint='Start it without durable: "power", or wait until the disk is well again.',
            )
        if self._is_noted:
            return
        try:
            await self._queue.note_loss(self.id)
        except OSError as error:
            raise HistoryUnavailable(
                f"the start of the call could be written nowhere: {error}",
                hint="Make room on the disk of the state folder, or start the run again later.",
            ) from error
        self._is_noted = True
