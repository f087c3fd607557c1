"""Runs of the history as lines for a person, and as JSON documents."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..core.history import INTERRUPTED, RUNNING, WAITING, Kind
from ..core.values.strict import Json, JsonObject, present
from .report import MARKS, run_report
from .style import Line, Look, Styled, Verbatim, counted, milliseconds, one_line, pretty
from .widths import padded, width_of

if TYPE_CHECKING:
    from ..core.history import KeptCall, RunEntry
    from ..core.results.figures import Figures
    from ..core.results.result import RunResult

MOST_CALLS = 60
"""Most calls of a run that are shown. In a run of more, those that succeeded are only counted."""
LONGEST_ARGUMENTS = 80
LONGEST_NAME = 40
_MARKS = MARKS | {
    "partial": Styled("◐", Look.YELLOW),
    INTERRUPTED: Styled("✗", Look.YELLOW),
    WAITING: Styled("?", Look.YELLOW),
}


class ShownRun(NamedTuple):
    """One run as it is shown, without secrets."""

    entry: RunEntry
    result: RunResult | None
    """None for a call by name."""
    calls: list[KeptCall]
    head: str
    """The last run of its chain."""
    doubts: list[str]
    """The tasks with a call in doubt that the next run waits for a word about."""
    has_restarted: bool = False
    """Whether the machine has started anew since, so that more calls may have been sent."""

    @property
    def resume(self) -> str | None:
        """The command that goes on with it; None if none can, or nothing is left."""
        entry = self.entry
        if entry.status != INTERRUPTED or self.head != entry.id or entry.why_final is not None:
            return None
        words = ["plait", "resume", entry.id]
        if Path(entry.desk).is_absolute():
            words += ["--config", entry.desk]
        for task in self.doubts:
            words += ["--in-doubt", f"{task}=retry"]
        return shlex.join(words)


def run_lines(
    entries: Sequence[RunEntry], width: int, redact: Callable[[str], str]
) -> Iterator[Line]:
    """Show a line for each run: id, time, status, duration, calls, and name, without secrets."""
    durations = [_duration(entry) for entry in entries]
    counts = [_count(entry) for entry in entries]
    id_width = max((len(entry.id) for entry in entries), default=0)
    duration_width, count_width = (max(map(len, texts), default=0) for texts in (durations, counts))
    for entry, duration, count in zip(entries, durations, counts, strict=True):
        yield (
            _MARKS.get(entry.status, _MARKS["failed"]),
            " ",
            Styled(entry.id.ljust(id_width), Look.BOLD),
            f"  {_local(entry.began)}  {entry.status.ljust(len(INTERRUPTED))}",
            f"  {duration.rjust(duration_width)}  {count.ljust(count_width)}  ",
            one_line(redact(entry.name) if entry.name else "", max(LONGEST_NAME, width - 100)),
        )


def run_document(entry: RunEntry) -> JsonObject:
    """Return a run of a list as JSON."""
    return present(
        run_id=entry.id,
        kind=str(entry.kind),
        status=entry.status,
        name=entry.name,
        began=_utc(entry.began),
        ended=None if entry.ended is None else _utc(entry.ended),
        duration_s=None if entry.ended is None else round(entry.ended - entry.began, 6),
        calls=entry.calls,
        failed=entry.failed,
        durable=str(entry.durable),
        principal=entry.principal,
        settings=entry.desk or None,
        resumed_from=entry.resumed_from,
        not_resumable=entry.why_final,
    )


def shown_lines(shown: ShownRun, width: int, *, is_whole: bool) -> Iterator[Line]:
    """Show one run. If *is_whole*, nothing is cut or left out."""
    entry = shown.entry
    if shown.result is not None:
        yield from run_report(shown.result, width, is_whole=is_whole)
    else:
        mark = _MARKS.get(entry.status, _MARKS["failed"])
        yield (mark, f" {entry.status}  ", Styled(entry.name or "", Look.BOLD))
    facts = [entry.id, f"began {_local(entry.began)}"]
    facts += [] if entry.ended is None else [f"took {_duration(entry)}"]
    facts += [f"went on from {entry.resumed_from}"] if entry.resumed_from else []
    yield (Styled("run", Look.DIM), f"  {' · '.join(facts)}")
    if entry.desk:
        yield (Styled("settings", Look.DIM), f"  {entry.desk}")
    yield from _calls(shown, is_whole=is_whole)
    yield from _way_on(shown)


def shown_document(shown: ShownRun) -> JsonObject:
    """Return one run as JSON."""
    calls: list[Json] = [_call_document(call) for call in shown.calls]
    doubts: list[Json] = list(shown.doubts)
    return {
        **run_document(shown.entry),
        **present(
            went_on_as=None if shown.head == shown.entry.id else shown.head,
            in_doubt=doubts or None,
            machine_restarted=shown.has_restarted or None,
            resume=shown.resume,
            result=None if shown.result is None else shown.result.document("full"),
        ),
        "calls_made": calls,
    }


def figures_lines(tools: Sequence[Figures], servers: Sequence[Figures]) -> Iterator[Line]:
    """Show a table of the figures of *tools*, then of *servers*."""
    head = ("calls", "failed", "mean", "p50", "p95", "min", "max")
    for title, figures in (("tool", tools), ("server", servers)):
        rows = [(one.name, *_cells(one)) for one in figures]
        table = [(title, *head), *rows]
        widths = [max(width_of(row[column]) for row in table) for column in range(len(head) + 1)]
        for index, (name, *cells) in enumerate(table):
            texts = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
            look = Look.DIM if index == 0 else Look.BOLD
            failures = figures[index - 1].failures if index else {}
            codes = ", ".join(f"{code} {count:,}" for code, count in failures.items())
            yield (Styled(padded(name, widths[0]), look), "  ", "  ".join(texts), f"  {codes}")


def figures_document(figures: Figures) -> JsonObject:
    """Return the figures of a tool or a server as JSON."""
    failures: JsonObject = dict(figures.failures)
    return {
        "name": figures.name,
        "count": figures.count,
        "failures": failures,
        "total_ms": round(figures.total_ms, 3),
        "mean_ms": round(figures.mean_ms, 3),
        "p50_ms": round(figures.percentile_ms(0.5), 3),
        "p95_ms": round(figures.percentile_ms(0.95), 3),
        "min_ms": round(figures.min_ms, 3),
        "max_ms": round(figures.max_ms, 3),
    }


def _cells(figures: Figures) -> tuple[str, ...]:
    times = (
        figures.mean_ms,
        figures.percentile_ms(0.5),
        figures.percentile_ms(0.95),
        figures.min_ms,
        figures.max_ms,
    )
    failed = sum(figures.failures.values())
    return (f"{figures.count:,}", f"{failed:,}", *map(milliseconds, times))


def _calls(shown: ShownRun, *, is_whole: bool) -> Iterator[Line]:
    calls = shown.calls
    if not calls:
        return
    yield (Styled("calls", Look.BOLD),)
    if len(calls) > MOST_CALLS and not is_whole:
        calls = [call for call in calls if call.code != "success"][:MOST_CALLS]
    places = [_place(call) for call in calls]
    place_width, tool_width = (
        max(map(width_of, texts), default=0) for texts in (places, [call.tool for call in calls])
    )
    for call, place in zip(calls, places, strict=True):
        status = _status(call, shown.entry)
        arguments = "" if call.arguments is None else json.dumps(call.arguments, ensure_ascii=False)
        yield (
            "  ",
            MARKS["success"] if call.code == "success" else _MARKS.get(status, MARKS["failed"]),
            f" {padded(place, place_width)}  ",
            Styled(padded(call.tool, tool_width), Look.DIM),
            f"  {status}  ",
            arguments if is_whole else one_line(arguments, LONGEST_ARGUMENTS),
        )
        if call.error is not None:
            yield ("      ", f"{call.error.code}: {one_line(call.error.message, 400)}")
        elif shown.entry.kind is Kind.CALL and call.output is not None:
            yield from ((Verbatim(f"      {line}"),) for line in pretty(call.output.value, 100))
    if left := len(shown.calls) - len(calls):
        more = f"  … {counted(left, 'more call')}: see all with --detail full"
        yield (Styled(more, Look.DIM),)


def _place(call: KeptCall) -> str:
    """Return the task of *call*, with the items of the groups around it and its own."""
    items = [*call.key.at, *([] if call.key.item is None else [call.key.item])]
    place = call.key.task + "".join(f"[{item}]" for item in items)
    place += f" round {call.key.round + 1}" if call.key.round else ""
    return f"{place} attempt {call.attempt}" if call.attempt > 1 else place


def _status(call: KeptCall, entry: RunEntry) -> str:
    """Say how *call* ended, and how long it took."""
    if call.ended_at is None:
        return RUNNING if entry.status == RUNNING else "in doubt"
    if call.sent_at is None:
        return "from the cache" if call.cached else "not sent"
    return milliseconds(1_000 * (call.ended_at - call.sent_at))


def _way_on(shown: ShownRun) -> Iterator[Line]:
    entry = shown.entry
    if shown.head != entry.id:
        yield (Styled("went on", Look.DIM), f"  as {shown.head}")
        return
    if entry.status != INTERRUPTED:
        return
    if entry.why_final is not None:
        yield (Styled("final", Look.DIM), f"  {entry.why_final}")
        return
    for task in shown.doubts:
        yield (
            Styled("in doubt", Look.YELLOW),
            f"  {task}: it was sent; look whether it took effect",
        )
    if shown.has_restarted:
        text = "the machine has started anew: what changes something may have been sent, too"
        yield (Styled("in doubt", Look.YELLOW), f"  {text}")
    ways = "  (or done, or skip)" if shown.doubts else ""
    yield (Styled("go on", Look.BOLD), f"  {shown.resume}{ways}")


def _call_document(call: KeptCall) -> JsonObject:
    error = call.error
    duration_s = None
    if call.sent_at is not None and call.ended_at is not None:
        duration_s = round(call.ended_at - call.sent_at, 6)
    at: list[Json] = list(call.key.at)
    return present(
        task=call.key.task,
        groups=at or None,
        item=call.key.item,
        round=call.key.round or None,
        attempt=call.attempt,
        tool=call.tool,
        effect=str(call.effect),
        code=call.code,
        cached=call.cached or None,
        admitted_s=call.admitted_at,
        sent_s=call.sent_at,
        duration_s=duration_s,
        arguments=call.arguments,
        output=None if call.output is None else call.output.value,
        error=None if error is None else present(message=error.message, hint=error.hint),
    )


def _duration(entry: RunEntry) -> str:
    return "" if entry.ended is None else milliseconds(1_000 * (entry.ended - entry.began))


def _count(entry: RunEntry) -> str:
    if entry.ended is None:
        return ""
    if entry.kind is Kind.CALL:
        return "call"
    failed = f", {entry.failed:,} failed" if entry.failed else ""
    return f"{counted(entry.calls, 'call')}{failed}"


def _local(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
