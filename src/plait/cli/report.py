"""Results and refusals as lines for a person to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ..core.values.problems import some_of
from ..core.values.strict import Json, JsonObject
from .binary import binaries, without_binary
from .style import (
    TIMES,
    Line,
    Look,
    Styled,
    Verbatim,
    counted,
    milliseconds,
    one_line,
    pretty,
)
from .widths import padded, width_of

if TYPE_CHECKING:
    from ..core.results.result import Metrics, RunResult, TaskError, TaskResult
    from ..core.values.problems import Way
    from ..errors import InvalidDag

MAX_OUTPUT_LINES = 30
MAX_LINE = 400
MAX_ROWS = 60
"""Most rows. In a run of more tasks, those that succeeded or were skipped are only counted."""
MAX_ERRORS = 50
LEAST_STARTUP_MS = 50
LONGEST_ID, LONGEST_TOOL, LONGEST_BAR, LONGEST_OUTCOME = 24, 40, 40, 30
SHORTEST_BAR = 10

MARKS = {
    "success": Styled("✓", Look.GREEN),
    "failed": Styled("✗", Look.RED),
    "timeout": Styled("✗", Look.RED),
    "skipped": Styled("↷", Look.YELLOW),
    "cancelled": Styled("✗", Look.YELLOW),
    "running": Styled("●", Look.BLUE),
}
_STATUS_LOOKS = {
    "success": Look.GREEN,
    "partial": Look.YELLOW,
    "waiting": Look.YELLOW,
    "cancelled": Look.YELLOW,
}
_COUNT_WORDS = {"success": "succeeded", "timeout": "timed out"}


class Startup(NamedTuple):
    """The milliseconds in which these servers started before a run, whose tools were unknown."""

    ms: float = 0.0
    servers: tuple[str, ...] = ()


AT_ONCE = Startup()


def abandoned(result: RunResult) -> RunResult:
    """Make of a run as it stands the result to show if the program ends without waiting for it."""
    from ..core.results.record import RunStatus
    from ..core.scheduling.events import Status

    unfinished = [task.id for task in result.tasks if not Status(task.status).is_final]
    if not unfinished:
        return result
    note = f"the program ended without waiting for {some_of(unfinished, 20)}"
    record = replace(result.record, status=RunStatus.CANCELLED)
    return replace(result, record=record, notes=(*result.notes, note))


def run_report(
    result: RunResult, width: int, *, is_whole: bool, startup: Startup = AT_ONCE
) -> Iterator[Line]:
    """Show the outputs, then the course of the run. If *is_whole*, nothing is cut or left out."""
    for id, value in result.outputs.items():
        yield from _output(id, value, width, result.run_id, is_whole=is_whole)
        if not any(binaries(value)):
            attached = binaries([*result.attachments.get(id, [])])
            yield from ((Styled(f"and {each}: not shown", Look.DIM),) for each in attached)
        yield ()
    yield _heading(result)
    yield from _waterfall(result, width, is_whole=is_whole)
    yield from _totals(result, startup, is_whole=is_whole)
    yield from notes_report(result.notes)
    yield from _errors(result, is_whole=is_whole)


def settled_line(task: TaskResult) -> Line:
    """Return the line that a finished *task* gets while its run goes on."""
    mark = MARKS.get(task.status, Styled("●", Look.BLUE))
    return (mark, f" {task.id}  ", Styled(task.tool, Look.DIM), f"  {_outcome(task)}")


def errors_report(errors: Iterable[TaskError], statuses: Mapping[str, str]) -> Iterator[Line]:
    """Show each error with its hint. *statuses* are those of the tasks, by id."""
    for error in errors:
        status = statuses.get(error.id, "failed")
        is_failure = status in {"failed", "timeout"} or error.index is not None
        place = error.id if error.index is None else f"{error.id}[{error.index}]"
        first, *more = error.message.splitlines() or [""]
        message = f"{error.code}: {first}" if is_failure else first
        mark = MARKS["failed"] if is_failure else MARKS[status]
        yield ("  ", mark, " ", Styled(place, Look.BOLD), f"  {message}")
        yield from ((f"      {line}",) for line in more)
        if error.hint:
            yield ("      ", Styled(error.hint, Look.DIM))


def refusal_report(error: InvalidDag, name: str | None = None) -> Iterator[Line]:
    """Show all problems of the document *name*, numbered, each with its hint."""
    number = counted(len(error.problems), "problem")
    where = f" in {name}" if name else ""
    yield (Styled("refused", Look.RED), f": {number}{where}, nothing has run")
    for index, problem in enumerate(error.problems, 1):
        place = f'{problem.path} "{problem.id}"' if problem.id else problem.path
        first, *more = problem.message_without_ways.splitlines() or [""]
        yield (f"{index:>3}. ", Styled(place, Look.BOLD), f"  {first}")
        yield from ((f"     {line}",) for line in more)
        yield from ways_report(problem.ways)
        is_syntax = problem.path == "$" and problem.code == "invalid_json"
        hint = "Fix the file." if is_syntax and name else problem.hint or ""
        yield from (("     ", Styled(line, Look.DIM)) for line in hint.splitlines())
    yield from notes_report(error.notes)


def ways_report(ways: Iterable[Way]) -> Iterator[Line]:
    """Draw the ways of data that may not flow, each once, with the labels at both ends."""
    labels: dict[tuple[str, ...], list[str]] = {}
    for way in ways:
        labels.setdefault((*way.steps, way.to), []).append(way.source)
    rows: list[tuple[str, Styled | None]] = []
    for (*steps, to), sources in labels.items():
        ends = {0: Styled(", ".join(sources), Look.YELLOW), len(steps) - 1: Styled(to, Look.RED)}
        for depth, step in enumerate(steps):
            branch = f"{'     ' * (depth - 1)}  └─ " if depth else ""
            rows.append((f"       {branch}{step}", ends.get(depth)))
    width = max((width_of(text) for text, _ in rows), default=0) + 2
    for text, label in rows:
        yield (text,) if label is None else (padded(text, width), label)


def invalid_document(error: InvalidDag) -> JsonObject:
    """Return a refusal as a JSON document (`docs/contract.md`, section 5)."""
    errors: list[Json] = [problem.document() for problem in error.problems]
    notes: list[Json] = list(error.notes)
    return {"status": "invalid", "errors": errors, "notes": notes}


def notes_report(notes: Iterable[str]) -> Iterator[Line]:
    return ((Styled("note", Look.DIM), f"  {note}") for note in notes)


def _output(id: str, value: Json, width: int, run_id: str, *, is_whole: bool) -> Iterator[Line]:
    yield (Styled("── ", Look.DIM), Styled(id, Look.BOLD))
    lines = pretty(without_binary(value), width)
    shown = lines if is_whole else islice(lines, MAX_OUTPUT_LINES)
    yield from (
        (Verbatim(line if is_whole or len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…"),)
        for line in shown
    )
    left = sum(1 for _ in lines)
    if left:
        yield (
            Styled(
                f"… {counted(left, 'more line')}: plait history {run_id} --detail full", Look.DIM
            ),
        )


def _heading(result: RunResult) -> Line:
    look = _STATUS_LOOKS.get(result.status, Look.RED)
    mark = (
        "●"
        if result.status == "success"
        else "◐"
        if result.status in {"partial", "waiting"}
        else "✗"
    )
    name = (f"  {result.name}",) if result.name else ()
    return (Styled(f"{mark} {result.status}", look), *name)


def _waterfall(result: RunResult, width: int, *, is_whole: bool) -> Iterator[Line]:
    """Show a row for each task, by layers, with bars on one time axis. Where they do not fit, the
    bars are left out, then the tools."""
    tasks = result.tasks
    if len(tasks) > MAX_ROWS and not is_whole:
        tasks = tuple(task for task in tasks if task.status not in {"success", "skipped"})[
            :MAX_ROWS
        ]
    outcomes = {task.id: _outcome(task) for task in tasks}
    id_width = min(LONGEST_ID, max((len(task.id) for task in tasks), default=0))
    tool_width = min(LONGEST_TOOL, max((width_of(task.tool) for task in tasks), default=0))
    outcome_width = min(LONGEST_OUTCOME, max(map(len, outcomes.values()), default=0))
    room = width - len("  0 ✓ ") - id_width - outcome_width - 2
    bar_width = min(LONGEST_BAR, room - tool_width - 4)
    has_bars, has_tools = bar_width >= SHORTEST_BAR, room >= tool_width + 2
    critical = set(result.metrics.critical_path)
    last_layer = -1
    for task in sorted(tasks, key=lambda task: task.layer):
        is_critical = task.id in critical
        pieces: list[str | Styled] = [
            Styled(f"{'' if task.layer == last_layer else task.layer:>3}", Look.DIM),
            " ",
            MARKS.get(task.status, MARKS["running"]),
            " ",
            _padded(task.id, id_width, Look.BOLD if is_critical else None),
        ]
        if has_tools:
            pieces += ["  ", _padded(task.tool, tool_width, Look.DIM)]
        if has_bars:
            bar = _bar(task, result, bar_width)
            pieces += ["  ", Styled(bar, _bar_look(task, is_critical=is_critical))]
        yield (*pieces, f"  {outcomes[task.id]}")
        last_layer = task.layer
    if left := len(result.tasks) - len(tasks):
        yield (Styled(f"    … {counted(left, 'more task')}: see all with --detail full", Look.DIM),)


def _padded(text: str, width: int, look: Look | None) -> str | Styled:
    text = padded(one_line(text, width), width)
    return text if look is None else Styled(text, look)


def _bar(task: TaskResult, result: RunResult, width: int) -> str:
    if task.start_ms is None or task.duration_ms is None:
        return " " * width
    scale = width / max(result.metrics.execution_time_ms, 0.1)
    start = min(width - 1, int(task.start_ms * scale))
    length = max(1, min(width - start, round(task.duration_ms * scale)))
    return (" " * start + "━" * length).ljust(width)


def _bar_look(task: TaskResult, *, is_critical: bool) -> Look:
    if task.status != "success":
        return Look.RED
    return Look.MAGENTA if is_critical else Look.GREEN


def _outcome(task: TaskResult) -> str:
    """Say how long *task* took and what was special; why it failed stands with the errors."""
    parts = [] if task.duration_ms is None else [milliseconds(task.duration_ms)]
    if task.cached:
        parts.append("cache")
    if task.attempts > 1:
        parts.append(f"{task.attempts} calls")
    is_call = ":" in task.tool
    if task.status == "success" and is_call and not task.attempts and task.duration_ms is None:
        parts.append("taken from the earlier run")
    if task.reason is not None:
        parts.append(one_line(task.reason, 80))
    return "  ".join(parts)


def _totals(result: RunResult, startup: Startup, *, is_whole: bool) -> Iterator[Line]:
    metrics = result.metrics
    counts = [
        f"{number:,} {_COUNT_WORDS.get(status, status)}"
        for status, number in metrics.counts.items()
    ]
    yield (
        " · ".join(
            [*counts, counted(len(result.layers), "layer"), f"{metrics.max_parallelism} at once"]
        ),
    )
    yield _times(metrics, startup)
    if metrics.critical_path:
        path = " → ".join(metrics.critical_path)
        yield (f"critical path: {path} ({milliseconds(metrics.critical_path_ms)})",)
    if is_whole:
        from ..core.results.explain import OWN_LIMIT

        is_one_by_one = result.record.dag.max_concurrency == 1
        yield from (
            (Styled("faster", Look.DIM), f"  {sentence}")
            for sentence in metrics.faster
            if not (is_one_by_one and sentence.startswith(OWN_LIMIT))
        )


def _times(metrics: Metrics, startup: Startup) -> Line:
    """Show the duration of the run, and what it saved unless that is noise."""
    wall_ms, alone_ms = metrics.execution_time_ms, metrics.sequential_time_ms
    pieces: list[str | Styled] = [f"{milliseconds(wall_ms)} wall"]
    if metrics.is_faster and metrics.unproven:  # whether calls slowed each other down is not known
        pieces.append(f" for {milliseconds(alone_ms)} of calls")
    elif metrics.is_faster:
        saved = f"saved {milliseconds(alone_ms - wall_ms)} ({metrics.speedup:.1f}{TIMES})"
        pieces += [f" · {milliseconds(alone_ms)} one at a time · ", Styled(saved, Look.GREEN)]
    startup_ms = startup.ms + metrics.startup_ms
    if startup_ms >= LEAST_STARTUP_MS:
        servers = some_of(dict.fromkeys((*startup.servers, *metrics.started)), 5)
        pieces.append(Styled(f" · +{milliseconds(startup_ms)} starting {servers}", Look.DIM))
    return tuple(pieces)


def _errors(result: RunResult, *, is_whole: bool) -> Iterator[Line]:
    if not result.errors:
        return
    shown = result.errors if is_whole else result.errors[:MAX_ERRORS]
    yield (Styled("errors", Look.BOLD),)
    yield from errors_report(shown, {task.id: task.status for task in result.tasks})
    if left := len(result.errors) - len(shown):
        yield (Styled(f"  … {left:,} more: see all with --detail full", Look.DIM),)
