"""The audit in its two tables: appended to in the transaction that has what it is about, so that
all processes write one chain; read and checked; deleted by age."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...core.audit import AuditRow, ChainEnd, deleted, hash_of, read_line, written_time
from .audit_lines import DAY_S
from .database import Database


def append(db: Database, rows: Sequence[AuditRow]) -> None:
    """Append *rows* to the chain, within a transaction."""
    end, cells = _end(db), []
    for row in rows:
        line = row.line(end)
        end = end.after(line)
        cells.append((end.number, line))
    db.insert("add_audit", cells)
    db.run("set_audit_end", end)


def _end(db: Database) -> ChainEnd:
    """Return the row to go on from. Where somebody has put rows behind it, these stay, and are
    found."""
    found = db.one("audit_to_go_on_from")
    assert found is not None
    highest, number, hash = found
    known = ChainEnd() if number is None else ChainEnd(number, hash)
    return known._replace(number=max(known.number, highest))


def _known_end(db: Database) -> ChainEnd:
    found = db.one("audit_end")
    return ChainEnd() if found is None else ChainEnd(*found)


def read(db: Database, take: Callable[[int, str], object]) -> ChainEnd:
    """Give each line with its number to *take*; returns the end of the chain. All of it is one
    state of the file."""
    with db.snapshot():
        for number, line in db.each("audit"):
            take(number, line)
        return _known_end(db)


def trim(db: Database, oldest: float, now: float) -> None:
    """Delete the rows before the time *oldest*, at most once a day: that it was done is a row."""
    first = db.one("audit_after", (0,))
    if first is not None and _is_before(first[1], oldest - DAY_S):
        last = _last_before(db, oldest)
        with db.transaction():
            append(db, [deleted(now, last)])
            db.run("may_delete_audit", (last.number,))
    while db.one("has_deletable_audit"):
        with db.transaction():
            db.run("delete_audit")


def _last_before(db: Database, oldest: float) -> ChainEnd:
    last = ChainEnd()
    while (found := db.one("audit_after", (last.number,))) and _is_before(found[1], oldest):
        last = ChainEnd(found[0], hash_of(found[1]))
    return last


def _is_before(line: str, at: float) -> bool:
    written = read_line(line).get("at")
    return isinstance(written, str) and written < written_time(at)


def used_bytes(db: Database) -> int:
    """Return about how much of the file the audit is: no limit of runs counts it."""
    found = db.one("audit_bytes")
    return 0 if found is None or found[0] is None else int(found[0])
