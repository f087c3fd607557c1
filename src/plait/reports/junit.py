"""A run as JUnit XML, which build servers read: a test case for each task and each item.

JUnit has several schemas. This keeps to what two have in common: the one of Ant
(github.com/windyroad/JUnit-Schema), the strictest, which readers for GitHub and GitLab follow; and
`junit-10.xsd` of the xUnit plugin of Jenkins. So a suite has each attribute that either requires, a
timestamp without a time zone, its properties first and its streams last; a case has at most one
result; suites are not nested; and the root has no attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import NamedTuple, TypeAlias

import junitparser

from ..core.results.record import RunRecord
from ..core.results.result import RunResult, inner_results
from ..core.scheduling.events import Failure, Status
from .words import Redact, Words

_Result: TypeAlias = junitparser.Failure | junitparser.Error | junitparser.Skipped

HOST = "localhost"  # the schema of Ant wants it where the host is unknown


class _Suite(junitparser.TestSuite):
    """A suite with what the schema of Ant requires of it in a file of several."""

    id = junitparser.Attr()
    package = junitparser.Attr()


class _Case(NamedTuple):
    """A task, or an item of one. `is_allowed`: its task succeeded in spite of its failure."""

    name: str
    tool: str
    status: Status
    error: Failure | None
    seconds: float = 0.0
    is_allowed: bool = False


def junit_report(result: RunResult, redact: Redact) -> bytes:
    """Return the run of *result* as an XML file: a suite of its tasks, and one of the items of each
    task that has some. The duration of a single item is not recorded: it is 0."""
    record, words = result.record, Words(redact)
    durations = {task.id: (task.duration_ms or 0.0) / 1000 for task in result.tasks}
    passages, omitted = inner_results(record)
    failures = {place: error for inner in record.inner for place, error in inner.errors}
    name = record.dag.name or record.id
    facts = {"run_id": record.id, "status": str(record.status)}
    if omitted:
        facts["omitted"] = str(omitted)
    cases = [
        _Case(task.id, task.tool, task.status, task.error, durations[task.id])
        for task in record.tasks.values()
    ]
    making = _Making(record, words)
    xml = junitparser.JUnitXml()
    seconds = result.metrics.execution_time_ms / 1000
    xml.append(making.suite(name, cases, seconds, facts, words.text("\n".join(result.notes))))
    for task in record.tasks.values():
        is_allowed = task.status is Status.SUCCESS
        errors = dict(task.items.errors) if task.items is not None else {}
        statuses = task.items.statuses if task.items is not None else ()
        cases = [
            _Case(f"{task.id}[{at}]", task.tool, status, errors.get(at), is_allowed=is_allowed)
            for at, status in enumerate(statuses)
        ]
        for inner in passages.get(task.id, ()):
            error = failures.get(inner.id)
            cases.append(
                _Case(inner.id, inner.tool, Status(inner.status), error, is_allowed=is_allowed)
            )
        if cases:
            xml.append(making.suite(f"{name}.{task.id}", cases, durations[task.id]))
    file = BytesIO()
    xml.write(file)
    return file.getvalue()


class _Making:
    """Makes the suites of the run of *record*."""

    def __init__(self, record: RunRecord, words: Words) -> None:
        self._record, self._words = record, words
        began = datetime.fromtimestamp(record.began or 0.0, UTC)
        self._began = began.strftime("%Y-%m-%dT%H:%M:%S")
        self._count = 0

    def suite(
        self,
        name: str,
        cases: Iterable[_Case],
        seconds: float,
        facts: dict[str, str] | None = None,
        notes: str = "",
    ) -> junitparser.TestSuite:
        suite = self._empty_suite(self._words.name(name))
        suite.append(properties := junitparser.Properties())
        for fact, value in (facts or {}).items():
            properties.add_property(junitparser.Property(fact, self._words.name(value)))
        suite.add_testcases(list(map(self._case, cases)))
        suite.time = round(seconds, 3)
        suite.append(junitparser.SystemOut(notes))
        suite.append(junitparser.SystemErr(""))
        return suite

    def _empty_suite(self, name: str) -> junitparser.TestSuite:
        suite = _Suite(name)
        suite.timestamp, suite.hostname = self._began, HOST
        suite.id, suite.package = str(self._count), name
        self._count += 1
        return suite

    def _case(self, case: _Case) -> junitparser.TestCase:
        words = self._words
        made = junitparser.TestCase(words.name(case.name), words.name(case.tool))
        made.time = round(case.seconds, 3)
        made.result = list(self._results(case))
        return made

    def _results(self, case: _Case) -> Iterator[_Result]:
        match case.status:
            case Status.SUCCESS:
                return
            case Status.SKIPPED:
                yield self._skipped(case.error.message if case.error is not None else "")
            case Status.FAILED | Status.TIMEOUT | Status.CANCELLED if case.is_allowed:
                yield self._skipped(f"failed, and its task allows it: {_said(case)}")
            case Status.FAILED:
                yield self._failed(junitparser.Failure, case)
            case Status.TIMEOUT | Status.CANCELLED:
                yield self._failed(junitparser.Error, case)
            case _ if self._record.is_done:
                yield self._failed(junitparser.Error, case)
            case _:
                yield self._skipped(f"not ended: {case.status}")

    def _skipped(self, why: str) -> junitparser.Skipped:
        return junitparser.Skipped(self._words.line(why) or "skipped")

    def _failed(self, kind: type[junitparser.Failure | junitparser.Error], case: _Case) -> _Result:
        code = case.error.code if case.error is not None else str(case.status)
        made = kind(self._words.line(_said(case)), self._words.name(code))
        hint = case.error.hint if case.error is not None else None
        made.text = self._words.text("\n".join(filter(None, (_said(case), hint))))
        return made


def _said(case: _Case) -> str:
    """Return the code and the message of a failure; of one that had not ended, its status."""
    if case.error is not None:
        return f"{case.error.code}: {case.error.message}"
    return str(case.status) if case.status.is_final else f"not ended: {case.status}"
