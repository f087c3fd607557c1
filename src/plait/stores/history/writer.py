"""The thread that writes: one queue, and one transaction for all that waits in it.

Entries come from one event loop in the order in which they happened there, and leave in that order.
So what is committed is always a beginning of what happened, and the commit of an entry is the
commit of all before it. The loop never waits for the disk and holds no lock: it appends to a batch,
which it hands over when someone waits for it (at the end of that turn of the loop, so that all
calls that become ready in one turn share a commit), 2 ms after the end of a call that changed
something, or 50 ms after its first entry.

The end of such a call waits for 2 ms because the intent of the next one mostly comes right behind
it, and would wait for two commits.

A commit that fails loses the runs with entries in it, and no others. One that takes over a second
loses those that wait for it; until it has ended, nothing else waits.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeAlias, TypeVar

import anyio

from ...core.audit import AuditRow, lost_rows, missing
from ...errors import HistoryLost
from .auditing import append
from .database import DAMAGED, WAL_PAGES, Database, DatabaseError
from .log import Batch, Entry
from .writing import Writing

log = logging.getLogger(__name__)

T = TypeVar("T")
BATCH_S = 0.05
SOON_S = 0.002
PATIENCE_S = 1.0
"""Seconds for a commit. After that, calls go on without it."""
RETRY_S = 5.0
"""Seconds after which a disk that failed is tried again, if nothing else tries it."""
MAX_WAITING = 100_000
"""The most entries that wait for a disk that hangs; the runs of others are lost."""
LONGEST_WORK_S = 5.0
"""Seconds for a transaction that a caller waits for, and for the last one."""


class _Work(Generic[T]):
    """A transaction of its own, after all entries so far. It is not begun, or undone, if nothing
    waits for it any more."""

    def __init__(self, work: Callable[[], T], power: bool) -> None:
        self.work = work
        self.power = power
        self.result: Future[T] = Future()
        self.is_given_up = False


_Job: TypeAlias = "Batch | _Work[Any] | None"


class _GivenUp(Exception):
    pass


class Writer:
    """Commits entries by *writing* them into *db*, which belongs to its thread. *checkpoint* is
    called when the log of the database is long, and *suspect* when the file is damaged."""

    def __init__(
        self,
        db: Database,
        writing: Writing,
        *,
        checkpoint: Callable[[], None],
        suspect: Callable[[], None],
    ) -> None:
        self.commits = 0
        """The number of transactions so far."""
        self.before_commit: Callable[[], None] = lambda: None
        """Called in the thread before each commit; tests fail, wait or die there."""
        self._trouble: str | None = None
        self._is_slow = False
        self._db = db
        self._writing = writing
        self._checkpoint = checkpoint
        self._suspect = suspect
        self._loop = asyncio.get_running_loop()
        self._batch = Batch()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = 0
        self._unaudited = 0
        """The number of rows of the audit that could not be written, and not said so yet."""
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="history-write", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str | None:
        if self._is_slow:
            return f"the history has not been written for {PATIENCE_S:g} s"
        return self._trouble

    # In the event loop.

    def add(self, entry: Entry, *, is_urgent: bool = False) -> None:
        if self._waiting >= MAX_WAITING:
            entry.log.is_lost = True
            return
        batch = self._batch
        batch.entries.append(entry)
        entry.log.batch = batch
        if entry.log.is_to_last:
            batch.power = True
        if is_urgent and not batch.is_soon:
            batch.is_soon = True
            self._hand_over_in(SOON_S)
        elif self._timer is None:
            self._hand_over_in(BATCH_S)

    def audit(self, row: AuditRow) -> None:
        if self._waiting >= MAX_WAITING:
            self._unaudited += 1
            return
        self._batch.audit.append(row)
        if self._timer is None:
            self._hand_over_in(BATCH_S)

    def _hand_over_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self.flush)

    def flush(self) -> None:
        """Hand over what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch = self._batch
        if self._unaudited and (batch.entries or batch.audit):
            batch.audit.append(missing(time.time(), self._unaudited))
            self._unaudited = 0
        if batch.entries or batch.audit:
            self._batch = Batch()
            self._waiting += len(batch.entries) + len(batch.audit)
            self._jobs.put(batch)

    async def wait(self, batch: Batch) -> bool:
        """Wait until *batch* is committed, within the time for that; returns whether it is."""
        if batch.is_over:
            return batch.is_written
        if self._is_slow:
            return False
        if batch.done is None:
            batch.done = self._loop.create_future()
            batch.timer = self._loop.call_later(PATIENCE_S, self._give_up, batch)
        if batch is self._batch and not batch.is_due:
            batch.is_due = True
            self._loop.call_soon(self.flush)
        return await asyncio.shield(batch.done)  # others wait for it too

    def _give_up(self, batch: Batch) -> None:
        self._is_slow = True
        log.warning("history.slow", extra={"seconds": PATIENCE_S})
        batch.resolve(False)

    def _end(self, batches: list[Batch], error: Exception | None) -> None:
        for batch in batches:
            self._waiting -= len(batch.entries) + len(batch.audit)
            batch.is_over, batch.is_written = True, error is None
            if error is not None and batch.audit:
                log.warning("audit.not_written", extra={"rows": len(batch.audit)})
                self._unaudited += sum(lost_rows(row) for row in batch.audit)
            batch.entries.clear()
            batch.audit.clear()
            batch.resolve(batch.is_written)
        self._note(error)

    def _note(self, error: Exception | None) -> None:
        self._is_slow = False
        trouble = None if error is None else f"the history cannot be written: {error}"
        if trouble is not None and self._trouble is None:
            log.warning("history.not_written", extra={"error": str(error)})
        elif trouble is None and self._trouble is not None:
            log.info("history.written_again")
        self._trouble = trouble

    async def run(self, work: Callable[[], T], *, power: bool = False) -> T:
        """Run *work* in a transaction, after all entries so far. Raises `HistoryLost` if that
        cannot be committed in time."""
        self.flush()
        job = _Work(work, power)
        self._jobs.put(job)
        try:
            with anyio.fail_after(LONGEST_WORK_S):
                return await asyncio.wrap_future(job.result)
        except TimeoutError:
            why = f"the history has not been written for {LONGEST_WORK_S:g} s"
            raise HistoryLost(why) from None
        except DatabaseError as error:
            raise HistoryLost(f"the history cannot be written: {error}") from error
        finally:
            job.is_given_up = True

    def stop(self) -> None:
        """Hand over what is left, and let the thread end after it."""
        self.flush()
        self._jobs.put(None)

    def join(self) -> bool:
        """Wait until the thread has ended; returns whether it has. One that hangs in the disk is
        left alone."""
        self._thread.join(LONGEST_WORK_S)
        return not self._thread.is_alive()

    # In the thread.

    def _run(self) -> None:
        is_well = True
        while True:
            try:
                job = self._jobs.get(timeout=None if is_well else RETRY_S)
            except queue.Empty:
                is_well = self._commit([])
                continue
            batches: list[Batch] = []
            while isinstance(job, Batch):
                batches.append(job)
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            if batches:
                is_well = self._commit(batches)
            if job is None:
                return
            if isinstance(job, _Work):
                self._carry_out(job)

    def _commit(self, batches: list[Batch]) -> bool:
        """Commit all entries of *batches*; without any, try whether the disk is well again. Returns
        whether that succeeded."""
        entries = [entry for batch in batches for entry in batch.entries]
        audit = [row for batch in batches for row in batch.audit]
        failure: Exception | None = None
        try:
            with self._db.transaction(power=any(batch.power for batch in batches)):
                self._writing.write(entries)
                if audit:
                    append(self._db, audit)
                if not (entries or audit):
                    self._db.run("touch_gateway")
                self.before_commit()
            self._writing.committed()
            self.commits += 1
        except (DatabaseError, OSError) as error:
            failure = error
            self._writing.forget(entries)
            if isinstance(error, DAMAGED):
                self._suspect()
        except Exception as error:  # a fault of ours: these runs are lost, and others go on
            log.exception("history.crashed")
            failure = error
            self._writing.forget(entries)
        self._call(self._end, batches, failure)
        if self._db.wal_pages > WAL_PAGES:
            self._shorten_log()
        return failure is None

    def _shorten_log(self) -> None:
        """Move commits into the file: in another thread, or here, where that does not keep up."""
        if self._db.wal_pages <= 8 * WAL_PAGES:
            self._checkpoint()
            return
        try:
            self._db.checkpoint(waits=True)
        except DatabaseError as error:
            log.debug("history.not_checkpointed", extra={"error": str(error)})

    def _carry_out(self, job: _Work[Any]) -> None:
        if not job.result.set_running_or_notify_cancel():
            return
        try:
            with self._db.transaction(power=job.power):
                result = job.work()
                if job.is_given_up:
                    raise _GivenUp
                self.before_commit()
        except Exception as error:  # raised where the work is awaited
            self._writing.forget([])
            job.result.set_exception(error)
        else:
            self._writing.committed()
            job.result.set_result(result)

    def _call(self, what: Callable[..., None], *values: object) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *values)
        except RuntimeError:
            log.debug("history.loop_closed")
