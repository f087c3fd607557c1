"""Results and refusals as lines for a person to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ..core.values.problems import some_of
from ..core.values.strict import Json, JsonObject
from .style import TIMES, Line, Look, Styled, counted, milliseconds, one_line, pretty

if TYPE_CHECKING:
    from ..core.results.result import Metrics, RunResult, TaskError, TaskResult
    from ..errors import InvalidDag

MAX_OUTPUT_LINES = 30
MAX_LINE = 400
MAX_ROWS = 60
"""Most rows. In a run of more tasks, those that succeeded or were skipped are only counted."""
MAX_ERRORS = 50
LEAST_SPEEDUP = 1.1
"""Below it, a speedup is noise."""
LEAST_STARTUP_MS = 50
LONGEST_ID, LONGEST_TOOL, LONGEST_BAR = 24, 40, 40

MARKS = {
    "success": Styled("✓", Look.GREEN),
    "failed": Styled("✗", Look.RED),
    "timeout": Styled("✗", Look.RED),
    "skipped": Styled("↷", Look.YELLOW),
    "cancelled": Styled("✗", Look.YELLOW),
    "running": Styled("●", Look.BLUE),
}
_STATUS_LOOKS = {"success": Look.GREEN, "partial": Look.YELLOW, "cancelled": Look.YELLOW}
_COUNT_WORDS = {"success": "succeeded", "timeout": "timed out"}


class Startup(NamedTuple):
    """The milliseconds in which these servers started before a run, whose tools were unknown."""

    ms: float = 0.0
    servers: tuple[str, ...] = ()


AT_ONCE = Startup()


def run_report(
    result: RunResult, width: int, *, is_whole: bool, startup: Startup = AT_ONCE
) -> Iterator[Line]:
    """Show the outputs, then the course of the run. If *is_whole*, nothing is cut or left out."""
    for id, value in result.outputs.items():
        yield from _output(id, value, width, is_whole=is_whole)
        yield from (
            (Styled(f"and {_attachment(block)}", Look.DIM),)
            for block in result.attachments.get(id, [])
        )
        yield ()
    yield _heading(result)
    yield from _waterfall(result, width, is_whole=is_whole)
    yield from _totals(result, startup, is_whole=is_whole)
    yield from notes_report(result.notes)
    yield from _errors(result, is_whole=is_whole)


def settled_line(task: TaskResult, reasons: Sequence[TaskError]) -> Line:
    """Return the line that a finished *task* gets while its run goes on."""
    mark = MARKS.get(task.status, Styled("●", Look.BLUE))
    return (mark, f" {task.id}  ", Styled(task.tool, Look.DIM), f"  {_outcome(task, reasons)}")


def errors_report(errors: Iterable[TaskError]) -> Iterator[Line]:
    """Show each error with its hint."""
    for error in errors:
        is_skip = error.code in {"dependency_failed", "condition", "fail_fast"}
        place = error.id if error.index is None else f"{error.id}[{error.index}]"
        first, *more = error.message.splitlines() or [""]
        message = first if is_skip else f"{error.code}: {first}"
        yield (
            "  ",
            MARKS["skipped" if is_skip else "failed"],
            " ",
            Styled(place, Look.BOLD),
            f"  {message}",
        )
        yield from ((f"      {line}",) for line in more)
        if error.hint:
            yield ("      ", Styled(error.hint, Look.DIM))


def refusal_report(error: InvalidDag) -> Iterator[Line]:
    """Show all problems of a document, numbered, each with its hint."""
    number = len(error.problems)
    yield (Styled("refused", Look.RED), f": {counted(number, 'problem')}, nothing has run")
    for index, problem in enumerate(error.problems, 1):
        place = f'{problem.path} "{problem.id}"' if problem.id else problem.path
        first, *more = problem.message.splitlines() or [""]
        yield (f"{index:>3}. ", Styled(place, Look.BOLD), f"  {first}")
        yield from ((f"     {line}",) for line in more)
        if problem.hint:
            yield from (("     ", Styled(line, Look.DIM)) for line in problem.hint.splitlines())
    yield from notes_report(error.notes)


def invalid_document(error: InvalidDag) -> JsonObject:
    """Return a refusal as a JSON document (`docs/contract.md`, section 5)."""
    errors: list[Json] = [problem.document() for problem in error.problems]
    notes: list[Json] = list(error.notes)
    return {"status": "invalid", "errors": errors, "notes": notes}


def notes_report(notes: Iterable[str]) -> Iterator[Line]:
    return ((Styled("note", Look.DIM), f"  {note}") for note in notes)


def _output(id: str, value: Json, width: int, *, is_whole: bool) -> Iterator[Line]:
    yield (Styled("── ", Look.DIM), Styled(id, Look.BOLD))
    lines = pretty(value, width)
    shown = lines if is_whole else islice(lines, MAX_OUTPUT_LINES)
    yield from (
        (line if is_whole or len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…",)
        for line in shown
    )
    left = sum(1 for _ in lines)
    if left:
        yield (
            Styled(
                f"… {counted(left, 'more line')}: see all with --detail full, or --json", Look.DIM
            ),
        )


def _attachment(block: JsonObject) -> str:
    size = len(str(block.get("data", ""))) * 3 // 4
    return f"{block.get('mimeType', block.get('type', 'content'))}, about {size:,} bytes: not shown"


def _heading(result: RunResult) -> Line:
    look = _STATUS_LOOKS.get(result.status, Look.RED)
    mark = "●" if result.status == "success" else "◐" if result.status == "partial" else "✗"
    name = (f"  {result.name}",) if result.name else ()
    return (Styled(f"{mark} {result.status}", look), *name, "  ", Styled(result.run_id, Look.DIM))


def _waterfall(result: RunResult, width: int, *, is_whole: bool) -> Iterator[Line]:
    """Show a row for each task, by layers, with bars on one time axis."""
    tasks = result.tasks
    if len(tasks) > MAX_ROWS and not is_whole:
        tasks = tuple(task for task in tasks if task.status not in {"success", "skipped"})[
            :MAX_ROWS
        ]
    id_width = min(LONGEST_ID, max((len(task.id) for task in tasks), default=0))
    tool_width = min(LONGEST_TOOL, max((len(task.tool) for task in tasks), default=0))
    bar_width = max(10, min(LONGEST_BAR, width - id_width - tool_width - 36))
    critical = set(result.metrics.critical_path)
    reasons = _by_task(result.errors)
    last_layer = -1
    for task in sorted(tasks, key=lambda task: task.layer):
        is_critical = task.id in critical
        yield (
            Styled(f"{'' if task.layer == last_layer else task.layer:>3}", Look.DIM),
            " ",
            MARKS.get(task.status, MARKS["running"]),
            " ",
            _padded(task.id, id_width, Look.BOLD if is_critical else None),
            "  ",
            _padded(task.tool, tool_width, Look.DIM),
            "  ",
            Styled(_bar(task, result, bar_width), _bar_look(task, is_critical=is_critical)),
            f"  {_outcome(task, reasons.get(task.id, ()))}",
        )
        last_layer = task.layer
    if left := len(result.tasks) - len(tasks):
        yield (Styled(f"    … {counted(left, 'more task')}: see all with --detail full", Look.DIM),)


def _by_task(errors: Iterable[TaskError]) -> dict[str, list[TaskError]]:
    found: dict[str, list[TaskError]] = {}
    for error in errors:
        found.setdefault(error.id, []).append(error)
    return found


def _padded(text: str, width: int, look: Look | None) -> str | Styled:
    text = one_line(text, width).ljust(width)
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


def _outcome(task: TaskResult, reasons: Sequence[TaskError]) -> str:
    parts = [] if task.duration_ms is None else [milliseconds(task.duration_ms)]
    if task.cached:
        parts.append("cache")
    if task.attempts > 1:
        parts.append(f"{task.attempts} calls")
    if task.status == "success" and not task.attempts and task.duration_ms is None:
        parts.append("taken from the earlier run")
    if task.reason is not None:
        parts.append(one_line(task.reason, 80))
    if task.status != "success" and reasons:
        first = reasons[0]
        is_call = first.code not in {
            "dependency_failed",
            "condition",
            "fail_fast",
            "cancelled",
            "timeout",
        }
        parts.append(one_line(f"{first.code}: {first.message}" if is_call else first.message, 80))
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
    if metrics.speedup is not None and metrics.speedup >= LEAST_SPEEDUP:
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
    yield from errors_report(shown)
    if left := len(result.errors) - len(shown):
        yield (Styled(f"  … {left:,} more: see all with --detail full", Look.DIM),)
