"""One run that is being written, whatever the store: rows get their numbers, and what they need of
earlier rows, in the order in which they are put."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from ...core.audit import AuditRow
from ...core.history import (
    Admission,
    Answered,
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
from .packing import Packed


@dataclass(slots=True)
class Admitted:
    """An admission at its place, and the time at which its call left."""

    number: int
    admission: Admission
    sent_at: float | None = None


Written: TypeAlias = Beginning | Intent | Outcome | Happened | Settled | Ending | Answered


class Entry(NamedTuple):
    """A row at its place among those of its chain, as a store writes it."""

    log: Log
    number: int
    row: Written
    admitted: Admitted | None = None
    """The admission of an intent or an outcome."""
    packed: Packed | None = None
    """Its output, if that is large."""


class Batch:
    """Entries that are committed together."""

    __slots__ = (
        "audit",
        "done",
        "entries",
        "is_due",
        "is_over",
        "is_soon",
        "is_written",
        "power",
        "timer",
    )

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.audit: list[AuditRow] = []
        self.power = False
        self.is_soon = False
        self.is_due = False
        self.is_over = False
        self.is_written = False
        self.done: asyncio.Future[bool] | None = None
        self.timer: asyncio.TimerHandle | None = None

    def resolve(self, is_written: bool) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.done is not None and not self.done.done():
            self.done.set_result(is_written)


class Queue(Protocol):
    """The part of a store that takes entries. It is used from one event loop."""

    @property
    def lasts(self) -> bool:
        """Whether what is committed outlives a power cut."""
        ...

    def add(self, entry: Entry, *, is_urgent: bool = False) -> None:
        """Take an entry, which is to be committed within 5 ms if it *is_urgent*."""
        ...

    def flush(self) -> None:
        """Commit now what was taken so far."""
        ...

    async def committed(self, log: Log) -> bool:
        """Wait until all entries of *log* are committed, within the time for that; returns whether
        they are. If not, the log is lost."""
        ...

    async def note_loss(self, run_id: str) -> None:
        """Note outside of what is committed that the run is lost. Raises `OSError`."""
        ...


class Log:
    """A `RunLog` that gives its rows to a queue. Its store uses `number`, `chain`, `late`, `behind`
    and `batch`."""

    __slots__ = (
        "_admitted",
        "_held",
        "_is_noted",
        "_last",
        "_queue",
        "batch",
        "beginning",
        "behind",
        "chain",
        "id",
        "is_durable",
        "is_lost",
        "is_to_last",
        "late",
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
        self.is_durable = beginning.durable is not Durable.OFF
        self.is_to_last = beginning.durable is Durable.POWER
        """Whether it is to survive a power cut."""
        self.number = 0
        """The number of its run in the tables; 0 until it is there. So is that of its chain."""
        self.chain = 0
        self.late = 0
        """The number of its entries that are not in their place yet, since they are being
        packed."""
        self.behind: deque[Entry | None] = deque()
        """The entries that wait behind these. None stands for each of them but the first."""
        self.batch: Batch | None = None
        """The batch with the last of its entries."""
        self._queue = queue
        self._last = last
        self._admitted: dict[tuple[CallKey, int], Admitted] = {}
        self._held: list[Entry] = []
        """The rows of a run that is written when it has ended."""
        self._is_noted = False

    def __repr__(self) -> str:
        return f"<Log of {self.id}: {self._last} rows{', lost' if self.is_lost else ''}>"

    def begin(self) -> None:
        """Put the beginning."""
        self._add(Entry(self, 0, self.beginning))

    def next_number(self) -> int:
        self._last += 1
        return self._last

    def put(self, row: Row) -> None:
        if isinstance(row, Admission):
            self._last += 1
            self._admitted[row[:2]] = Admitted(self._last, row)
            return
        if isinstance(row, Intent):
            admitted = self._admitted[row[:2]]
            admitted.sent_at = row.at
            self._add(Entry(self, admitted.number, row, admitted))
            return
        if isinstance(row, Answered):  # it has no place among what happened to the run
            self._queue.add(Entry(self, self._last, row))
            return
        self._last += 1
        if isinstance(row, Outcome):
            admitted = self._admitted.pop(row[:2])
            if row.sent_at is not None:
                admitted.sent_at = row.sent_at
            is_urgent = admitted.admission.effect is not Effect.READ
            self._add(Entry(self, self._last, row, admitted), is_urgent)
        else:
            self._add(Entry(self, self._last, row))

    def _add(self, entry: Entry, is_urgent: bool = False) -> None:
        if self.is_durable:
            self._queue.add(entry, is_urgent=is_urgent)
            return
        self._held.append(entry)
        if isinstance(entry.row, Ending):
            for held in self._held:
                self._queue.add(held)
            self._held.clear()

    def flush(self) -> None:
        self._queue.flush()

    async def committed(self) -> bool:
        if self._held:
            return True  # nothing is promised before its end
        return not self.is_lost and await self._queue.committed(self)

    async def secure(self) -> None:
        if await self.committed() and (self._queue.lasts or not self.is_to_last):
            return
        if self.is_to_last:
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
