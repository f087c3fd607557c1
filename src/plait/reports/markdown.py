"""A run as Markdown: for a page, or the summary of a job on GitHub.

Foreign text stands in code, where Markdown has no markup, mentions, links or formulas. A code span
cannot hold every text: a line upright would end the cell of a table, and backticks the span. Such a
text goes into `<code>`, each of its signs written as a character reference, which CommonMark never
reads as markup (section 2.5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ..core.results.record import RunStatus
from ..core.results.result import RunResult, TaskError, TaskResult
from ..core.values.wording import counted, milliseconds
from .words import Redact, Words

TIMES = "\N{MULTIPLICATION SIGN}"
MAX_ROWS = 500
"""Most tasks. Of a larger run, those that succeeded or were skipped are only counted. With the
limits below, a report fits into the 1 MiB that GitHub takes of a step."""
MAX_ERRORS = 100
MAX_NOTES = 50
MAX_STEPS = 30
"""Most tasks of the critical path that are named."""
MAX_NAME = 80
MAX_MESSAGE = 300

_SIGN = re.compile(r"[!-/:-@\[-`{-~]")
_MARKS = {
    RunStatus.SUCCESS: "✅",
    RunStatus.PARTIAL: "⚠️",
    RunStatus.WAITING: "⏸️",
    RunStatus.RUNNING: "▶️",
}


def markdown_report(result: RunResult, redact: Redact) -> bytes:
    """Return the run of *result* as Markdown: its summary and critical path, its errors, a table of
    its tasks, and its notes. It holds no outputs."""
    return ("\n".join(_Making(result, Words(redact)).lines()) + "\n").encode()


class _Making:
    def __init__(self, result: RunResult, words: Words) -> None:
        self._result, self._words = result, words

    def lines(self) -> Iterator[str]:
        result, metrics = self._result, self._result.metrics
        mark, name = _MARKS.get(result.status, "❌"), self._name(result.name or "Run")
        yield f"## {mark} {name}: {result.status}"
        counts = [f"{number:,} {status}" for status, number in metrics.counts.items()]
        layers = counted(len(result.layers), "layer")
        yield from ("", " · ".join([*counts, layers, f"{metrics.max_parallelism} at once"]))
        yield from ("", self._times())
        if path := metrics.critical_path:
            steps = [self._name(id) for id in path[:MAX_STEPS]]
            more = [f"{len(path) - MAX_STEPS:,} more"] if len(path) > MAX_STEPS else []
            took = milliseconds(metrics.critical_path_ms)
            yield from ("", f"Critical path ({took}): {' → '.join([*steps, *more])}")
        yield from self._errors(result.errors)
        yield from self._tasks(result.tasks)
        yield from self._notes(result.notes)

    def _times(self) -> str:
        metrics = self._result.metrics
        said = f"Run {self._name(self._result.run_id)} · {milliseconds(metrics.execution_time_ms)}"
        if not metrics.is_faster:
            return said
        alone = milliseconds(metrics.sequential_time_ms)
        if metrics.unproven:
            return f"{said} for {alone} of calls"
        return f"{said} instead of {alone} one at a time ({metrics.speedup:.1f}{TIMES})"

    def _errors(self, errors: Sequence[TaskError]) -> Iterator[str]:
        if not errors:
            return
        yield from ("", "### Errors", "")
        yield from _head("Task", "Code", "Message")
        for error in errors[:MAX_ERRORS]:
            place = error.id if error.index is None else f"{error.id}[{error.index}]"
            said = " ".join(filter(None, (error.message, error.hint)))
            message = self._words.line(said, MAX_MESSAGE)
            yield _row(self._name(place), self._name(error.code), _code(message))
        yield from _left(len(errors) - MAX_ERRORS, "error")

    def _tasks(self, tasks: Sequence[TaskResult]) -> Iterator[str]:
        if not tasks:
            return
        shown = tasks
        if len(tasks) > MAX_ROWS:
            shown = [task for task in tasks if task.status not in {"success", "skipped"}][:MAX_ROWS]
        critical = set(self._result.metrics.critical_path)
        yield from ("", "### Tasks", "")
        yield from _head("Task", "Tool", "Status", "Start", "Duration", "Calls", "Critical")
        for task in shown:
            yield _row(
                self._name(task.id),
                self._name(task.tool),
                f"{task.status}, cached" if task.cached else task.status,
                "" if task.start_ms is None else milliseconds(task.start_ms),
                "" if task.duration_ms is None else milliseconds(task.duration_ms),
                str(task.attempts),
                "yes" if task.id in critical else "",
            )
        yield from _left(len(tasks) - len(shown), "task")

    def _notes(self, notes: Sequence[str]) -> Iterator[str]:
        if not notes:
            return
        yield from ("", "### Notes", "")
        yield from (f"- {_code(self._words.line(note, MAX_MESSAGE))}" for note in notes[:MAX_NOTES])
        yield from _left(len(notes) - MAX_NOTES, "note")

    def _name(self, text: str) -> str:
        return _code(self._words.name(text, MAX_NAME))


def _code(text: str) -> str:
    """Return *text*, one line, as code."""
    if not text:
        return ""
    if "`" not in text and "|" not in text:
        return f"`{text}`"
    return f"<code>{_SIGN.sub(lambda sign: f'&#{ord(sign[0])};', text)}</code>"


def _head(*names: str) -> Iterable[str]:
    return _row(*names), _row(*["---"] * len(names))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _left(count: int, noun: str) -> Iterator[str]:
    """Say how many are left out, if any are."""
    if count > 0:
        yield from ("", f"… and {counted(count, f'more {noun}')}")
