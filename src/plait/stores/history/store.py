"""The history in one SQLite file, which any number of processes of a user share.

One thread writes (`writer.py`), in the order in which things happened; readers see what is
committed. One kind of entry leaves its place in that order: a large output is packed by another
thread, so that it does not hold up the commits of other runs, and joins the queue when that is
done. Until then it is *late*, and what its own run puts behind it waits for it: what may follow
from it is never there without it, and a call that is not read-only leaves after all that may have
decided it. Only the answer of such a call passes it: the call left when nothing was late, so it
follows from nothing that is.

Checkpoints and deletions have a third thread and a connection of their own, so that no commit waits
for one of ours.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from anyio import move_on_after, to_thread

from ...core.audit import AuditRow, ChainEnd
from ...core.history import (
    Beginning,
    Chain,
    Durable,
    KeptCall,
    KeptEvent,
    KeptRun,
    Limits,
    Outcome,
    Post,
    RunEntry,
    RunQuery,
    Settled,
)
from ...core.history_store import TakenOver
from ...core.results.figures import Figures
from ...core.scheduling.events import Status
from ...core.tools.output import Output
from ...core.values.principal import Principal
from ...core.values.strict import Json
from ...errors import HistoryLost
from ...waiting import Signal
from .database import Database, DatabaseError
from .files import Files
from .log import Entry, Log, Written
from .packing import LARGE_BYTES, pack, text_of_output
from .reading import Reading
from .retention import trim
from .writer import PATIENCE_S, Writer
from .writing import Writing

log = logging.getLogger(__name__)

T = TypeVar("T")
LOOK_S = 0.25
"""Pause before a look for what other processes have posted."""


def _is_answer(row: Written) -> bool:
    """Whether *row* is the end of a call that was not cancelled, which would follow from others."""
    return isinstance(row, Outcome) and row.code != Status.CANCELLED


class SqliteHistory:
    """A `History` over *files*, which are open. It is used from the event loop that runs now."""

    lasts = True

    def __init__(self, files: Files, *, now: Callable[[], float] = time.time) -> None:
        self._files = files
        self._now = now
        writing = Writing(files.db, files.lease, files.others, files.boot)
        self._writing = writing
        self._writer = Writer(
            files.db, writing, checkpoint=self._start_checkpoint, suspect=files.suspect
        )
        self._loop = asyncio.get_running_loop()
        self._packed = Signal()
        self._readers = ThreadPoolExecutor(1, "history-read")
        self._reading: Reading | None = None
        self._reading_db: Database | None = None
        self._packers = ThreadPoolExecutor(1, "history-pack")
        self._sweepers = ThreadPoolExecutor(1, "history-sweep")
        self._sweeping: Database | None = None
        self._is_checkpointing = False

    def __repr__(self) -> str:
        return f"<SqliteHistory in {self._files.path}: {self._writer.commits} commits>"

    @property
    def trouble(self) -> str | None:
        return self._writer.trouble

    @property
    def lease(self) -> int | None:
        return self._files.lease.descriptor

    # Writing.

    def begin(self, beginning: Beginning) -> Log:
        log = Log(beginning, self)
        log.begin()
        return log

    def add(self, entry: Entry, *, is_urgent: bool = False) -> None:
        row = entry.row
        output = row.output if isinstance(row, (Outcome, Settled)) else None
        log = entry.log
        if output is None or output.memory_bytes <= LARGE_BYTES or not log.beginning.keeps_values:
            if log.late and not (is_urgent and _is_answer(row)):
                log.behind.append(entry)
            else:
                self._writer.add(entry, is_urgent=is_urgent)
            return
        if log.late:
            log.behind.append(None)
        log.late += 1
        packing = self._packers.submit(lambda: pack(text_of_output(output)))
        packing.add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(
                self._add_late, entry._replace(packed=done.result()), is_urgent
            )
        )

    def _add_late(self, entry: Entry, is_urgent: bool) -> None:
        log = entry.log
        log.late -= 1
        self._writer.add(entry, is_urgent=is_urgent)
        while log.behind and (next := log.behind.popleft()) is not None:
            self._writer.add(next)
        self._packed.notify()

    def audit(self, row: AuditRow) -> None:
        self._writer.audit(row)

    def flush(self) -> None:
        self._writer.flush()

    async def committed(self, log: Log) -> bool:
        while log.late:
            await self._packed.wait()
        if log.batch is not None and not await self._writer.wait(log.batch):
            log.is_lost = True
        return not log.is_lost

    async def note_loss(self, run_id: str) -> None:
        with move_on_after(PATIENCE_S) as scope:
            await to_thread.run_sync(self._files.lease.note_loss, run_id, abandon_on_cancel=True)
        if scope.cancelled_caught:
            raise OSError("the folder of the socket does not answer")

    async def go_on(
        self,
        chain: Chain,
        beginning: Beginning,
        says: Mapping[str, Json] | None = None,
        *,
        anew: bool = False,
    ) -> TakenOver:
        work = partial(self._writing.go_on, chain, beginning, says or {}, self, anew=anew)
        return await self._writer.run(work, power=beginning.durable is Durable.POWER)

    async def answered(self, run_id: str) -> None:
        await self._writer.run(partial(self._writing.answer, run_id))

    async def post(self, post: Post) -> bool:
        return await self._writer.run(partial(self._writing.post, post))

    async def posted(self) -> list[Post]:
        await asyncio.sleep(LOOK_S)
        try:
            if await self._read(lambda reading: reading.has_posts(self._files.lease.name)):
                return await self._writer.run(self._writing.take_posts)
        except (DatabaseError, HistoryLost) as error:  # the next look may succeed
            log.debug("history.no_posts", extra={"error": str(error)})
        return []

    # Reading.

    async def _read(self, work: Callable[[Reading], T]) -> T:
        return await self._loop.run_in_executor(self._readers, lambda: work(self._reader()))

    def _reader(self) -> Reading:
        if self._reading is None:
            self._reading_db = self._files.connect()
            self._reading_db.make_read_only()
            self._reading = Reading(self._reading_db, self._files.others, self._files.boot)
        return self._reading

    async def runs(self, query: RunQuery) -> list[RunEntry]:
        return await self._read(lambda reading: reading.runs(query))

    async def run(self, run_id: str, principal: Principal | None = None) -> KeptRun | None:
        return await self._read(lambda reading: reading.run(run_id, principal))

    async def output(self, run_id: str, task: str) -> Output | None:
        return await self._read(lambda reading: reading.output(run_id, task))

    async def calls(self, run_id: str, *, values: bool = False) -> list[KeptCall]:
        return await self._read(lambda reading: reading.calls(run_id, values=values))

    async def events(self, run_id: str) -> list[KeptEvent]:
        return await self._read(lambda reading: reading.events(run_id))

    async def question(self, run_id: str) -> Json:
        return await self._read(lambda reading: reading.question(run_id))

    async def settled(self, run_id: str) -> list[Settled]:
        return await self._read(lambda reading: reading.settled(run_id))

    async def chain(self, run_id: str, principal: Principal) -> Chain | None:
        return await self._read(lambda reading: reading.chain(run_id, principal))

    async def links(self, run_id: str) -> list[str]:
        return await self._read(lambda reading: reading.links(run_id))

    async def definitions(self, run_id: str) -> list[Json] | None:
        return await self._read(lambda reading: reading.definitions(run_id))

    async def damage(self, run_id: str) -> str | None:
        return await self._read(lambda reading: reading.damage(run_id))

    async def audited(self, take: Callable[[int, str], object]) -> ChainEnd:
        return await self._read(lambda reading: reading.audited(take))

    async def statistics(self) -> list[Figures]:
        return await self._read(lambda reading: reading.statistics())

    # Housekeeping.

    async def trim(self, limits: Limits) -> int:
        return await self._loop.run_in_executor(
            self._sweepers, lambda: trim(self._sweeper(), self._files.others, limits, self._now())
        )

    def _sweeper(self) -> Database:
        if self._sweeping is None:
            self._sweeping = self._files.connect()
        return self._sweeping

    def _start_checkpoint(self) -> None:
        """Let the log of the database be moved into the file, unless that is going on."""
        if not self._is_checkpointing:
            self._is_checkpointing = True
            try:
                self._sweepers.submit(self._checkpoint)
            except RuntimeError:  # it is closing, and moves all of it then
                self._is_checkpointing = False

    def _checkpoint(self) -> None:
        try:
            self._sweeper().checkpoint()
        except DatabaseError as error:  # another process does it, or the next one will
            log.debug("history.not_checkpointed", extra={"error": str(error)})
        finally:
            self._is_checkpointing = False

    async def close(self) -> None:
        await self._loop.run_in_executor(None, self._packers.shutdown)
        self._writer.stop()
        await self._loop.run_in_executor(None, self._close)

    def _close(self) -> None:
        has_ended = self._writer.join()
        for pool in (self._readers, self._sweepers):
            pool.shutdown(wait=has_ended)
        if has_ended:  # else the connections are in use, and end with the process
            for db in (self._reading_db, self._sweeping, self._files.db):
                if db is not None:
                    db.close()
        self._files.release()
