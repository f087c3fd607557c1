"""`plait history audit`: the rows of the audit, and whether its chain is whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from ..core.audit import ChainCheck, What, written_time
from ..core.values.strict import Json, JsonObject
from .exits import Exit
from .history import find_entry
from .style import Line, Look, Styled, counted, one_line
from .widths import padded, width_of

if TYPE_CHECKING:
    from ..core.history_store import History
    from .session import Session

MOST = 50
"""Most rows that a person is shown without being asked."""
LONGEST_PLACE = 40
LONGEST_OUTCOME = 200
ID_CHARS = 28
_LOOKS = {
    What.DENIED: Look.RED,
    What.MISSING: Look.RED,
    What.ASKED: Look.YELLOW,
    What.ANSWERED: Look.YELLOW,
    What.ACCEPTED: Look.YELLOW,
    What.RESOLVED: Look.YELLOW,
    What.TRUSTED: Look.YELLOW,
    What.SENT: Look.BLUE,
}


_WORDS = {"retry": "sent again", "done": "taken as done", "skip": "left out"}


class AuditQuery(NamedTuple):
    """The rows to show, the latest last."""

    run: str | None = None
    """The id of a run or of a call by name, or its beginning."""
    since: float | None = None
    limit: int | None = None
    verifies_only: bool = False
    """Whether no row is shown."""


async def show_audit(history: History, session: Session, query: AuditQuery) -> int:
    """Show the rows of *query*, and whether the whole chain is as it was written."""
    since = None if query.since is None else written_time(query.since)
    run = query.run
    if run is not None and len(run) < ID_CHARS:
        run = await _whole_id(history, run)
    check = ChainCheck()
    limit = query.limit or (None if session.as_json else MOST)
    found: deque[tuple[JsonObject, str]] = deque(maxlen=0 if query.verifies_only else limit)
    count = 0

    def take(number: int, line: str) -> None:
        nonlocal count
        row = check.add(number, line)
        if (run is None or row.get("run") == run) and _is_since(row, since):
            count += 1
            found.append((row, line))

    fault = check.fault(await history.audited(take))
    if not query.verifies_only:
        _show(session, list(found), count)
    return _say(session, check.count, fault, verifies_only=query.verifies_only)


async def _whole_id(history: History, word: str) -> str:
    """Return the one id in the audit that begins with *word*, else that of a run. Raises
    `Misused`."""
    check = ChainCheck()
    ids: set[str] = set()

    def take(number: int, line: str) -> None:
        run = check.add(number, line).get("run")
        if isinstance(run, str) and run.startswith(word):
            ids.add(run)

    await history.audited(take)
    return ids.pop() if len(ids) == 1 else (await find_entry(history, word)).id


def _is_since(row: JsonObject, since: str | None) -> bool:
    at = row.get("at")
    return since is None or not isinstance(at, str) or at >= since


def _show(session: Session, rows: Sequence[tuple[JsonObject, str]], count: int) -> None:
    out, err = session.console.out, session.console.err
    if session.as_json:
        for _, line in rows:
            out.json_line(f"{line}\n")
    else:
        out.lines(_lines([row for row, _ in rows], out.width))
    if len(rows) < count:
        err.line(f"These are the last {len(rows):,} of {count:,}; --limit N shows more.")


def _say(session: Session, count: int, fault: str | None, *, verifies_only: bool) -> int:
    """Say whether the chain is whole; returns the exit code."""
    is_whole = fault is None
    console = session.console
    if session.as_json and verifies_only:
        found: JsonObject = {"verified": is_whole, "rows": count}
        console.out.json(found if is_whole else {**found, "broken": fault})
    else:
        to = console.out if verifies_only else console.err
        rows = counted(count, "row")
        if is_whole:
            to.line(Styled("✓", Look.GREEN), f" verified: {rows}, none changed or missing")
        else:
            to.line(Styled("✗", Look.RED), f" the audit was changed: {fault} ({rows})")
    return Exit.SUCCESS if is_whole else Exit.TASK_FAILED


def _lines(rows: Sequence[JsonObject], width: int) -> Iterator[Line]:
    tools = [_text(row, "tool") or "" for row in rows]
    places = [one_line(_text(row, "task") or "", LONGEST_PLACE) for row in rows]
    tool_width, place_width = (max(map(width_of, texts), default=0) for texts in (tools, places))
    for row, tool, place in zip(rows, tools, places, strict=True):
        what = _text(row, "what") or "?"
        look = _LOOKS.get(what)  # type: ignore[call-overload]  # a `What` is equal to its text
        name = what.ljust(8)
        yield (
            f"{_local(row)}  ",
            name if look is None else Styled(name, look),
            f"  {padded(tool, tool_width)}  {padded(place, place_width)}  ",
            Styled((_text(row, "run") or "").ljust(ID_CHARS), Look.DIM),
            f"  {one_line(_outcome(row), max(LONGEST_OUTCOME, width))}",
        )


def _outcome(row: JsonObject) -> str:
    """Return in words what a row says besides the call that it is about."""
    match row:
        case {"what": What.ANSWERED, "answer": answer}:
            by = row.get("by")
            return f"{answer}, by {by}" if by else f"{answer}"
        case {"what": What.ASKED, "why": why}:
            ways = row.get("ways")
            how = ", ".join(map(str, ways)) if isinstance(ways, list) else ""
            return f"{why} ({how})"
        case {"what": What.ENDED, "code": code}:
            return f"{code}"
        case {"what": What.RESOLVED, "word": str(word)}:
            return f"in doubt: {_WORDS.get(word, word)}"
        case {"what": What.TRUSTED, "file": file}:
            return f"{file}"
        case {"what": What.MISSING, "rows": int(count)}:
            return f"{counted(count, 'row')} could not be written"
        case {"what": What.DELETED, "last": last}:
            return f"rows up to {last}, by their age"
        case {"why": why}:
            return f"{why}"
    return _text(row, "server") or ""


def _text(row: JsonObject, name: str) -> str | None:
    value: Json = row.get(name)
    return value if isinstance(value, str) else None


def _local(row: JsonObject) -> str:
    try:
        at = datetime.fromisoformat(_text(row, "at") or "").astimezone()
    except (ValueError, OverflowError):
        return "?".ljust(19)
    return at.strftime("%Y-%m-%d %H:%M:%S")
