"""A connection to `history.db`: opened, brought up to date, and asked by the names of statements.

This module alone knows `apsw`. It brings an SQLite of its own: those of many systems can damage a
file that several processes write (before 3.51.3, when the write-ahead log is started anew).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import apsw

MAJOR = 1
BUSY_S = 5.0
"""Seconds for which a statement waits for other processes."""
BUSY_PAUSE_S = 0.005
WAL_PAGES = 1_000
"""Pages in the write-ahead log after which they are moved into the file."""
AT_ONCE = (64, 16, 4, 1)
"""The numbers of rows that one statement inserts."""
_VALUES = re.compile(r"VALUES(\([?, ]+\))")

DatabaseError: TypeAlias = apsw.Error
DAMAGED: tuple[type[apsw.Error], ...] = (apsw.CorruptError, apsw.NotADBError)
Cells: TypeAlias = tuple[Any, ...]
"""One row. What its columns hold is known where it is asked for."""
Bindings: TypeAlias = Sequence[Any] | Mapping[str, Any]


class Unusable(Exception):
    """This process cannot use the file; the message says why."""


@cache
def statements() -> Mapping[str, str]:
    """Return all statements, by name."""
    blocks = re.split(r"^-- name: (\w+)\n", _text("queries.sql"), flags=re.MULTILINE)[1:]
    return dict(zip(blocks[::2], blocks[1::2], strict=True))


@cache
def steps() -> tuple[str, ...]:
    """Return the steps that make the tables."""
    return tuple(re.split(r"^-- step \d+\n", _text("schema.sql"), flags=re.MULTILINE)[1:])


@cache
def inserting(name: str, count: int) -> str:
    """Return the statement *name*, which inserts a row, for *count* rows."""
    return _VALUES.sub(lambda found: f"VALUES{', '.join([found[1]] * count)}", statements()[name])


def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


class Database:
    """A connection, used by one thread at a time. Its methods raise `DatabaseError`."""

    def __init__(self, path: Path, schema: Sequence[str] | None = None) -> None:
        """Open *path*, made and brought up to date if need be. Raises `Unusable` too, and
        `OSError`."""
        schema = steps() if schema is None else schema
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite would let others read
        self._db = apsw.Connection(str(path))
        self.wal_pages = 0
        try:
            self._prepare(path, schema)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, path: Path, schema: Sequence[str]) -> None:
        db = self._db
        # Before the first read: opening after a crash takes an exclusive lock for the recovery.
        db.set_busy_timeout(int(1_000 * BUSY_S))
        if (version := self._version()) // 1_000 > MAJOR:
            raise Unusable(f"{path} was written by a newer Plait (version {version // 1_000})")
        if version == 0:
            db.pragma("auto_vacuum", "INCREMENTAL")  # possible before the first table only
        if self._use_log() != "wal":
            raise Unusable(f"{path} is on a file system without shared memory")
        for name, value in {
            "synchronous": "NORMAL",
            "fullfsync": "ON",  # macOS would only hand commits to its disk
            "wal_autocheckpoint": 0,  # `checkpoint` is called where no commit waits for it
        }.items():
            db.pragma(name, value)
        db.set_wal_hook(self._wal_grew)
        if version < 1_000 * MAJOR + len(schema):
            with self.transaction():
                for number in range(self._version() % 1_000, len(schema)):
                    db.execute(schema[number])
                    db.execute(f"PRAGMA user_version = {1_000 * MAJOR + number + 1}")

    def _use_log(self) -> str:
        """Let the file have a write-ahead log; returns how it keeps its journal now. SQLite does
        not wait for another process that changes this at the same moment, as two first starts
        do."""
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                return str(self._db.pragma("journal_mode", "wal"))
            except apsw.BusyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(BUSY_PAUSE_S)

    def _version(self) -> int:
        return int(self._db.pragma("user_version"))

    def _wal_grew(self, db: apsw.Connection, name: str, pages: int) -> int:
        self.wal_pages = pages
        return 0

    def run(self, name: str, bindings: Bindings = ()) -> int:
        """Run a statement; returns how many rows it changed."""
        self._db.execute(statements()[name], bindings)
        return self._db.changes()

    def run_many(self, name: str, rows: Iterable[Bindings]) -> None:
        """Run a statement that returns no rows for each of *rows*."""
        self._db.executemany(statements()[name], rows)

    def insert(self, name: str, rows: Sequence[Cells]) -> None:
        """Insert *rows* by a statement with one `VALUES(?, …)`, many of them at once: each time
        that SQLite runs, this thread lets go of the interpreter lock and has to wait for it, and a
        busy event loop waits for it as often (11 us a row; 3 so)."""
        done = 0
        for count in AT_ONCE:
            while len(rows) - done >= count:
                cells = chain.from_iterable(rows[done : done + count])
                self._db.execute(inserting(name, count), tuple(cells))
                done += count

    def all(self, name: str, bindings: Bindings = ()) -> list[Cells]:
        return self._db.execute(statements()[name], bindings).fetchall()

    def each(self, name: str, bindings: Bindings = ()) -> Iterator[Cells]:
        """Yield the rows one by one, of a statement that may have many."""
        yield from self._db.execute(statements()[name], bindings)

    def one(self, name: str, bindings: Bindings = ()) -> Cells | None:
        """Return the first row; None if absent."""
        cells: Cells | None = self._db.execute(statements()[name], bindings).fetchone()
        return cells

    @contextmanager
    def transaction(self, *, power: bool = False) -> Iterator[None]:
        """Open a block that is committed as a whole, with *power* to the disk itself."""
        if power:  # it belongs to the connection, and cannot change within a transaction
            self._db.pragma("synchronous", "FULL")
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        finally:
            if power:
                self._db.pragma("synchronous", "NORMAL")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Open a block whose reads see one state of the file."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def make_read_only(self) -> None:
        self._db.pragma("query_only", 1)

    def is_whole(self) -> bool:
        """Check all pages, which takes a while."""
        return bool(self._db.pragma("quick_check") == "ok")

    def used_bytes(self) -> int:
        """Return the bytes of the pages in use."""
        pages = int(self._db.pragma("page_count")) - int(self._db.pragma("freelist_count"))
        return pages * int(self._db.pragma("page_size"))

    def limit_pages(self, pages: int) -> None:
        """Let commits fail that would make the file longer than so, as a full disk does."""
        self._db.pragma("max_page_count", pages)

    def give_back(self) -> None:
        """Return some of the free pages to the file system."""
        self._db.pragma("incremental_vacuum", 256)

    def checkpoint(self, *, waits: bool = False) -> None:
        """Move commits from the log into the file: those that no reader needs, or, if it *waits*
        for readers, all."""
        self._db.wal_checkpoint(
            mode=apsw.SQLITE_CHECKPOINT_RESTART if waits else apsw.SQLITE_CHECKPOINT_PASSIVE
        )

    def close(self) -> None:
        self._db.close()
