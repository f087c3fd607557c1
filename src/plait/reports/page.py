"""A run as one HTML page, which loads nothing: no script, image, font or link.

The page is built as a tree, so that a text can never become markup. As a second wall its policy
(`Content-Security-Policy`) allows one style sheet, named by its hash, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, tostring

from ..core.results.result import RunResult, TaskResult
from ..core.values.wording import counted, milliseconds
from .words import Redact, Words

MAX_ROWS = 5_000
"""Most tasks. Of a larger run, those that succeeded or were skipped are only counted."""
MAX_ERRORS = 1_000
MAX_NOTES = 200
MAX_STEPS = 100
"""Most tasks of the critical path that are named."""
TIMES = "\N{MULTIPLICATION SIGN}"
TICKS = 4
SHORTEST_BAR = 0.3
"""Percent of the time axis."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #767676; --well: #2a9d5c;
  --bad: #d1383d; --other: #b8860b; --critical: #8a3ffc; }
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem .25rem 0; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--dim); font-weight: normal; } th.time { width: 40%; }
.axis { display: flex; justify-content: space-between; }
.number { text-align: right; white-space: nowrap; }
.text { white-space: pre-wrap; } .hint { color: var(--dim); }
svg { display: block; width: 100%; height: 1.4em; } rect { fill: var(--other); }
.success rect { fill: var(--well); } .failed rect, .timeout rect { fill: var(--bad); }
.critical.success rect { fill: var(--critical); } .critical .id { font-weight: bold; }
.success .status { color: var(--well); } .failed .status, .timeout .status { color: var(--bad); }
.skipped .status, .cancelled .status, .partial .status { color: var(--other); }
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"


def html_report(result: RunResult, redact: Redact) -> bytes:
    """Return the run of *result* as a page: its summary, a row for each task with its bar on one
    time axis, its errors and notes. It holds no outputs."""
    page = _Making(result, Words(redact)).page()
    return f"<!doctype html>\n{tostring(page, 'unicode', method='html')}\n".encode()


class _Making:
    def __init__(self, result: RunResult, words: Words) -> None:
        self._result, self._words = result, words

    def page(self) -> Element:
        result = self._result
        name = self._words.name(result.name or "Run")
        page = Element("html", lang="en")
        head = _add(page, "head")
        _add(head, "meta", charset="utf-8")
        _add(head, "meta", **{"http-equiv": "Content-Security-Policy", "content": POLICY})
        _add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
        _add(head, "title", f"{name}: {result.status}")
        _add(head, "style", STYLE)
        body = _add(page, "body")
        title = _add(body, "h1", **{"class": result.status})
        _add(title, "bdi", name).tail = ": "
        _add(title, "span", result.status, **{"class": "status"})
        self._summary(body)
        self._tasks(body, result.tasks)
        self._errors(body)
        self._list(body, "What would make it faster", result.metrics.faster)
        self._list(body, "Notes", result.notes)
        return page

    def _summary(self, body: Element) -> None:
        record, metrics = self._result.record, self._result.metrics
        counts = [f"{number:,} {status}" for status, number in metrics.counts.items()]
        layers = counted(len(self._result.layers), "layer")
        facts = {"Run": self._words.name(record.id)}
        if record.began is not None:
            began = datetime.fromtimestamp(record.began, UTC)
            facts["Began"] = began.strftime("%Y-%m-%d %H:%M:%S UTC")
        facts["Tasks"] = ", ".join([*counts, layers, f"{metrics.max_parallelism} at once"])
        facts["Time"] = milliseconds(metrics.execution_time_ms)
        if metrics.is_faster:
            alone = milliseconds(metrics.sequential_time_ms)
            facts["Calls" if metrics.unproven else "One at a time"] = (
                alone if metrics.unproven else f"{alone} ({metrics.speedup:.1f}{TIMES})"
            )
        if path := metrics.critical_path:
            steps = [self._words.name(id) for id in path[:MAX_STEPS]]
            more = [f"{len(path) - MAX_STEPS:,} more"] if len(path) > MAX_STEPS else []
            took = milliseconds(metrics.critical_path_ms)
            facts["Critical path"] = f"{' → '.join([*steps, *more])} ({took})"
        table = _add(body, "table")
        for fact, value in facts.items():
            row = _add(table, "tr")
            _add(row, "th", fact, scope="row")
            _add(_add(row, "td"), "bdi", value)

    def _tasks(self, body: Element, tasks: tuple[TaskResult, ...]) -> None:
        if not tasks:
            return
        shown = tasks
        if len(tasks) > MAX_ROWS:
            shown = tuple(t for t in tasks if t.status not in {"success", "skipped"})[:MAX_ROWS]
        total_ms = self._result.metrics.execution_time_ms
        critical = set(self._result.metrics.critical_path)
        _add(body, "h2", "Tasks")
        table = _add(body, "table")
        head = _add(table, "tr")
        for name in ("Task", "Tool", "Status"):
            _add(head, "th", name, scope="col")
        axis = _add(_add(head, "th", scope="col", **{"class": "time"}), "div", **{"class": "axis"})
        for tick in range(TICKS + 1):
            _add(axis, "span", milliseconds(total_ms * tick / TICKS))
        for name in ("Duration", "Calls"):
            _add(head, "th", name, scope="col", **{"class": "number"})
        for task in shown:
            self._task(table, task, total_ms, is_critical=task.id in critical)
        _left(body, len(tasks) - len(shown), "task")

    def _task(
        self, table: Element, task: TaskResult, total_ms: float, *, is_critical: bool
    ) -> None:
        row = _add(table, "tr", **{"class": f"{task.status}{' critical' * is_critical}"})
        cell = _add(row, "td", **{"class": "id"})
        _add(cell, "bdi", self._words.name(task.id))
        _add(_add(row, "td"), "bdi", self._words.name(task.tool))
        said = f"{task.status}{', cached' * task.cached}{', critical path' * is_critical}"
        _add(row, "td", said, **{"class": "status"})
        time = _add(row, "td")
        took = ""
        if task.start_ms is not None and task.duration_ms is not None:
            took = milliseconds(task.duration_ms)
            percent = 100 / max(total_ms, 0.1)
            start = min(100 - SHORTEST_BAR, task.start_ms * percent)
            width = min(100 - start, max(SHORTEST_BAR, task.duration_ms * percent))
            label = f"{took} from {milliseconds(task.start_ms)}"
            drawing = _add(time, "svg", role="img", **{"aria-label": label})
            _add(drawing, "rect", x=f"{start:.2f}%", y="20%", width=f"{width:.2f}%", height="60%")
        _add(row, "td", took, **{"class": "number"})
        _add(row, "td", str(task.attempts), **{"class": "number"})

    def _errors(self, body: Element) -> None:
        errors = self._result.errors
        if not errors:
            return
        _add(body, "h2", "Errors")
        table = _add(body, "table")
        head = _add(table, "tr")
        for name in ("Task", "Code", "Message"):
            _add(head, "th", name, scope="col")
        for error in errors[:MAX_ERRORS]:
            row = _add(table, "tr")
            place = error.id if error.index is None else f"{error.id}[{error.index}]"
            _add(_add(row, "td"), "bdi", self._words.name(place))
            _add(_add(row, "td"), "bdi", self._words.name(error.code))
            message = _add(row, "td")
            _add(message, "div", self._words.text(error.message), dir="auto", **{"class": "text"})
            if error.hint:
                hint = self._words.text(error.hint)
                _add(message, "div", hint, dir="auto", **{"class": "text hint"})
        _left(body, len(errors) - MAX_ERRORS, "error")

    def _list(self, body: Element, title: str, texts: Iterable[str]) -> None:
        found = list(texts)
        if not found:
            return
        _add(body, "h2", title)
        items = _add(body, "ul")
        for text in found[:MAX_NOTES]:
            _add(items, "li", self._words.text(text), dir="auto")
        _left(body, len(found) - MAX_NOTES, "line")


def _add(parent: Element, tag: str, text: str = "", **attributes: str) -> Element:
    """Add an element to *parent*, and return it."""
    made = SubElement(parent, tag, {name: str(value) for name, value in attributes.items()})
    made.text = str(text)
    return made


def _left(body: Element, count: int, noun: str) -> None:
    """Say how many are left out, if any are."""
    if count > 0:
        _add(body, "p", f"… and {counted(count, f'more {noun}')}")
