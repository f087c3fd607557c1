"""The audit: each decision about a call and each call that changes something, as one row, for those
who have to say later what was done for whom, and who allowed it.

Rows are lines of JSON, one chain in the order in which they were committed, whichever process wrote
them. Each line has its number and, as `before`, the SHA-256 of the line before it; the store keeps
the number and the hash of the last line. So one row that is changed, deleted, inserted or put
elsewhere breaks the chain at its place. Whoever may write the file can write the whole chain anew:
against that helps only a copy elsewhere, of all rows or of the last hash.

Nothing changes a row. The oldest are deleted by their age, and that is a row: it has the number and
the hash of the last one that went, so what is left still follows on something that is known. Rows
up to there may be gone or not: they are deleted in small steps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from .values.strict import Json, JsonObject, NotStrict, encode_sorted, loads

START: Final = "0" * 64
"""The hash before the first row."""
_ASCII: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
DEPTH: Final = 20
"""The deepest nesting of a row."""


class What(StrEnum):
    """The kinds of rows."""

    SENT = "sent"
    """A call is about to leave; `why` says by which rule it may."""
    ENDED = "ended"
    """It ended: with `success`, or with the code of its error."""
    ASKED = "asked"
    """A person is asked for a call."""
    ANSWERED = "answered"
    """The answer to that, and the way it came."""
    DENIED = "denied"
    """A call was refused, by a rule or because its tool has changed."""
    ACCEPTED = "accepted"
    """A person accepted a changed tool."""
    RESOLVED = "resolved"
    """A caller said what becomes of a call in doubt, before its run goes on."""
    TRUSTED = "trusted"
    """A person said that a settings file may be used where it was found."""
    DELETED = "deleted"
    """The oldest rows were deleted, by their age."""
    MISSING = "missing"
    """Some rows could not be written."""


class Reply(StrEnum):
    """The answers to a question about a call."""

    YES = "yes"
    NO = "no"
    NONE = "none"
    """There was no answer in time."""

    @classmethod
    def of(cls, is_yes: bool | None) -> Reply:
        """Return a yes or no as one; None stands for no answer."""
        return cls.NONE if is_yes is None else cls.YES if is_yes else cls.NO


class AuditRow(NamedTuple):
    """One row, before it has its place in the chain."""

    at: float
    """In seconds since 1970."""
    what: What
    principal: str | None = None
    client: str | None = None
    run: str | None = None
    task: str | None = None
    """The place of the call in its document (`close[3].comment`)."""
    tool: str | None = None
    """Its full name."""
    arguments: JsonObject | None = None
    """Kept as their digest alone; None where they are not known."""
    detail: Mapping[str, Json] = MappingProxyType({})
    """The members of this kind of row."""

    def members(self) -> JsonObject:
        """Return its members, without its place."""
        members: JsonObject = {"at": written_time(self.at), "what": self.what.value, **self.detail}
        for name in ("principal", "client", "run", "task", "tool"):
            if (value := getattr(self, name)) is not None:
                members[name] = value
        if self.arguments is not None:
            members["arguments"] = digest(self.arguments)
        return members

    def line(self, end: ChainEnd) -> str:
        """Return it as the line that follows on *end*."""
        members = self.members()
        members["number"], members["before"] = end.number + 1, end.hash
        return written(members)


class ChainEnd(NamedTuple):
    """The number and the hash of the last row of a chain."""

    number: int = 0
    hash: str = START

    def after(self, line: str) -> ChainEnd:
        """Return the end of the chain once *line* is appended."""
        return ChainEnd(self.number + 1, hash_of(line))


class AuditSink(Protocol):
    """Takes rows."""

    def audit(self, row: AuditRow) -> None:
        """Write *row* soon. It does not block and never fails."""
        ...


def written(members: JsonObject) -> str:
    """Return *members* as a line: in ASCII without anything that a terminal obeys, so that it can
    be shown as it is hashed."""
    line = encode_sorted(members).decode()
    if line.isascii() and "\x7f" not in line:
        return line
    return _ASCII.encode(members).replace("\x7f", "\\u007f")


def written_time(at: float) -> str:
    """Return a time in seconds since 1970 as rows have it: `2026-03-01T12:00:00.123Z`."""
    second = int(at)
    return f"{_written_second(second)}.{int(1_000 * (at - second)):03}Z"


@lru_cache(100)
def _written_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:-6]


def digest(arguments: Json) -> str:
    """Return the SHA-256 of *arguments* as JSON without spaces, with the members of objects in the
    order of their names."""
    return hashlib.sha256(encode_sorted(arguments)).hexdigest()


def hash_of(line: str) -> str:
    return hashlib.sha256(line.encode("utf-8", "surrogatepass")).hexdigest()


def missing(at: float, count: int) -> AuditRow:
    """Return the row that says that *count* rows could not be written."""
    return AuditRow(at, What.MISSING, detail={"rows": count})


def lost_rows(row: AuditRow) -> int:
    """Return how many rows are missing once *row* could not be written."""
    count = row.detail.get("rows") if row.what is What.MISSING else 1
    return count if isinstance(count, int) else 1


def deleted(at: float, last: ChainEnd) -> AuditRow:
    """Return the row that says that all rows up to *last* are deleted."""
    return AuditRow(at, What.DELETED, detail={"last": last.number, "hash": last.hash})


class ChainCheck:
    """Checks the lines of a chain, which are added in the order of their numbers."""

    def __init__(self) -> None:
        self.count = 0
        self._end = ChainEnd()
        self._deleted = ChainEnd()
        """The last row that may be gone."""
        self._starts: dict[int, Json] = {}
        """The hashes before the rows that follow on a gap, by their numbers."""
        self._faults: list[tuple[int, str]] = []
        """The broken places, with the numbers of rows that were changed or are missing there."""

    def __repr__(self) -> str:
        return f"<ChainCheck of {self.count} rows>"

    def add(self, number: int, line: str) -> JsonObject:
        """Check *line*, which stands at the place *number*; returns its members."""
        self.count += 1
        row = read_line(line)
        before, last = row.get("before"), self._end.number
        if number != last + 1:
            self._add_fault(number - 1, f"{_rows(last + 1, number - 1)} missing")
            self._starts[number] = before
        elif before != self._end.hash:
            why = f"row {number} does not follow on row {last}: one of them was changed"
            self._add_fault(max(last, 1), why if last else "row 1 was changed")
        if row.get("number") != number:
            self._add_fault(number, f"row {number} was changed or put there from elsewhere")
        if row.get("what") == What.DELETED:
            last_deleted, hash = row.get("last"), row.get("hash")
            if isinstance(last_deleted, int) and isinstance(hash, str):
                self._deleted = max(self._deleted, ChainEnd(last_deleted, hash))
        self._end = ChainEnd(number, hash_of(line))
        return row

    def fault(self, end: ChainEnd) -> str | None:
        """Return the first place at which the chain is broken, given its *end* as the store keeps
        it; None if it is whole."""
        last, hash = self._end
        if last < end.number:
            self._add_fault(end.number, f"{_rows(last + 1, end.number)} missing")
        elif last > end.number:
            self._add_fault(
                last, f"{_rows(end.number + 1, last, 'were', 'was')} added from outside"
            )
        elif hash != end.hash:
            self._add_fault(last, f"row {last} was changed")
        first = self._deleted.number + 1
        if self._starts.get(first, self._deleted.hash) != self._deleted.hash:
            self._add_fault(first, f"row {first} does not follow on the rows that were deleted")
        # What is in front of the first row that has to be there may be gone by now.
        found = [one for one in self._faults if one[0] >= first]
        return min(found)[1] if found else None

    def _add_fault(self, number: int, text: str) -> None:
        self._faults.append((number, text))


def read_line(line: str) -> JsonObject:
    """Return the members of a row; none of a line that is not one any more."""
    try:
        row = loads(line, DEPTH)
    except NotStrict:
        return {}
    return row if isinstance(row, dict) else {}


def _rows(first: int, last: int, many: str = "are", one: str = "is") -> str:
    return f"row {first} {one}" if first == last else f"rows {first} to {last} {many}"
