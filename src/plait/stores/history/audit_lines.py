"""The audit in memory: the twin of the tables of `auditing.py`."""

from __future__ import annotations

from collections.abc import Iterable

from ...core.audit import AuditRow, ChainEnd, deleted, hash_of, read_line, written_time

DAY_S = 86_400.0


class AuditLines:
    """The lines of one chain, by their numbers."""

    def __init__(self) -> None:
        self.lines: dict[int, str] = {}
        self.end = ChainEnd()

    def __repr__(self) -> str:
        return f"<AuditLines: {len(self.lines)}>"

    def append(self, rows: Iterable[AuditRow]) -> None:
        for row in rows:
            line = row.line(self.end)
            self.end = self.end.after(line)
            self.lines[self.end.number] = line

    def trim(self, oldest: float, now: float) -> None:
        """Delete the rows before the time *oldest*, at most once a day."""
        times = {number: str(read_line(line).get("at")) for number, line in self.lines.items()}
        if times and min(times.values()) < written_time(oldest - DAY_S):
            kept = [number for number, at in times.items() if at >= written_time(oldest)]
            self._delete(min(kept, default=self.end.number + 1) - 1, now)

    def trim_to(self, most: int, now: float) -> None:
        """Delete all but the last *most* rows, if there are twice as many."""
        if len(self.lines) > 2 * most:
            self._delete(self.end.number - most, now)

    def _delete(self, last: int, at: float) -> None:
        end = ChainEnd(last, hash_of(self.lines[last]))
        for number in [number for number in self.lines if number <= last]:
            del self.lines[number]
        self.append([deleted(at, end)])
