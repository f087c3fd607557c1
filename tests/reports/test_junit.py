"""A run as JUnit XML. The rules are those of two schemas: `JUnit.xsd` of Ant, the strictest, and
`junit-10.xsd` of the xUnit plugin of Jenkins."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import junitparser
import pytest

from plait.core.language.dag import Dag
from plait.core.results.record import InnerRecord, ItemsRecord, RunStatus, TaskRecord
from plait.core.results.result import RunResult
from plait.core.scheduling.events import Failure, Status
from plait.redaction import Secrets
from plait.reports.junit import junit_report

from ..cli.records import ended, record

HOSTILE = "\x00\x1b[31m]]><script>&amp;\"'\ud800\ufffe\u202e宽🙂\n|`"
SUITE = {"name", "timestamp", "hostname", "tests", "failures", "errors", "time", "id", "package"}
EACCES = Failure("tool_error", "EACCES: /x\nsecond line", hint="Change the mode.")


def report(result: RunResult, secrets: Iterable[str] = ()) -> junitparser.JUnitXml:
    data = junit_report(result, Secrets(secrets).redact)
    check(ElementTree.fromstring(data))
    return junitparser.JUnitXml.fromstring(data)


def check(root: ElementTree.Element) -> None:
    """Check what both schemas require."""
    assert (root.tag, root.attrib) == ("testsuites", {})
    for number, suite in enumerate(root):
        assert suite.tag == "testsuite"
        assert set(suite.attrib) == SUITE | {"skipped"}
        assert suite.attrib["id"] == str(number)
        assert suite.attrib["name"].strip()
        assert suite.attrib["package"].strip()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        assert re.fullmatch(r"\d+(\.\d{1,3})?", suite.attrib["time"])
        first, *cases, out, err = suite
        assert [first.tag, out.tag, err.tag] == ["properties", "system-out", "system-err"]
        assert all(set(one.attrib) == {"name", "value"} for one in first)
        assert {case.tag for case in cases} <= {"testcase"}
        found = [check_case(case) for case in cases]
        for kind, member in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.attrib[member]) == found.count(kind)
        assert int(suite.attrib["tests"]) == len(cases)


def check_case(case: ElementTree.Element) -> str:
    assert set(case.attrib) == {"name", "classname", "time"}
    assert re.fullmatch(r"\d+(\.\d{1,3})?", case.attrib["time"])
    assert len(case) <= 1
    for result in case:
        if result.tag != "skipped":
            assert result.attrib["type"]
        assert result.attrib["message"]
        return result.tag
    return "success"


def cases_of(suite: junitparser.TestSuite) -> dict[str | None, Any]:
    return {case.name: case.result[0] if case.result else None for case in suite}


def test_each_task_is_a_case_with_its_time_and_its_failure():
    result = ended(
        RunStatus.PARTIAL,
        record("a", end_s=1.23456),
        record("b", Status.FAILED, error=EACCES, attempts=1, start_s=0.5, end_s=0.75),
        record("c", Status.SKIPPED, 1, error=Failure("dependency_failed", "skipped: b failed")),
        record("d", Status.TIMEOUT, error=Failure("timeout", "took over 3 s")),
        record("e", Status.CANCELLED, error=Failure("cancelled", "the run was cancelled")),
        name="nightly",
        notes=("one note",),
    )
    [suite] = report(result)
    assert (suite.name, suite.time) == ("nightly", 2.0)
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (5, 1, 2, 1)
    assert [(case.name, case.classname, case.time) for case in suite][:2] == [
        ("a", "s:a", 1.235),
        ("b", "s:b", 0.25),
    ]
    assert {one.name: one.value for one in suite.properties()} == {
        "run_id": "r_1",
        "status": "partial",
    }
    found = cases_of(suite)
    assert found["a"] is None
    assert isinstance(found["b"], junitparser.Failure)
    assert (found["b"].type, found["b"].message) == (
        "tool_error",
        "tool_error: EACCES: /x second line",
    )
    assert found["b"].text == "tool_error: EACCES: /x\nsecond line\nChange the mode."
    assert found["c"].message == "skipped: b failed"
    assert isinstance(found["d"], junitparser.Error)
    assert isinstance(found["e"], junitparser.Error)
    assert "one note" in junit_report(result, str).decode()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (RunStatus.WAITING, junitparser.Skipped),
        (RunStatus.RUNNING, junitparser.Skipped),
        (RunStatus.INTERRUPTED, junitparser.Error),
        (RunStatus.CANCELLED, junitparser.Error),
    ],
)
def test_a_task_that_had_not_ended_is_no_success(status: RunStatus, kind: type):
    [suite] = report(ended(status, record("a", Status.RUNNING), record("b", Status.PENDING)))
    assert [type(found) for found in cases_of(suite).values()] == [kind, kind]


def items(status: Status) -> TaskRecord:
    statuses = (Status.SUCCESS, Status.FAILED, Status.PENDING)
    return record("each", status, error=EACCES, items=ItemsRecord(statuses, ((1, EACCES),)))


def test_the_items_of_a_task_are_cases_in_a_suite_of_their_own():
    tasks, of_items = report(ended(RunStatus.FAILED, items(Status.FAILED), name="n"))
    assert [*cases_of(tasks)] == ["each"]
    assert of_items.name == "n.each"
    found = cases_of(of_items)
    assert [*found] == ["each[0]", "each[1]", "each[2]"]
    assert found["each[0]"] is None
    assert found["each[1]"].type == "tool_error"
    assert isinstance(found["each[2]"], junitparser.Error)


def test_failed_items_that_their_task_allows_are_no_failures():
    result = ended(RunStatus.SUCCESS, replace(items(Status.SUCCESS), error=None))
    _, of_items = report(result)
    assert of_items.failures == 0
    assert cases_of(of_items)["each[1]"].message.startswith("failed, and its task allows it: ")


def test_the_tasks_of_a_group_are_cases_with_their_places():
    inner = InnerRecord(
        "close.comment",
        "s:comment",
        ("close",),
        {Status.SUCCESS: 1, Status.FAILED: 1},
        errors=(("close[1].comment", EACCES),),
        place="close[{}].comment",
        passages={"": "sf"},
    )
    result = ended(RunStatus.FAILED, record("close", Status.FAILED, error=EACCES))
    _, group = report(replace(result, record=replace(result.record, inner=(inner,))))
    found = cases_of(group)
    assert [*found] == ["close[0].comment", "close[1].comment"]
    assert found["close[0].comment"] is None
    assert found["close[1].comment"].type == "tool_error"


def test_hostile_texts_are_texts():
    error = Failure(HOSTILE, HOSTILE, hint=HOSTILE)
    tasks = (
        TaskRecord(HOSTILE, HOSTILE, 0, status=Status.FAILED, error=error),
        TaskRecord("", "", 0, status=Status.SKIPPED, error=replace(error, message="")),
    )
    dag = Dag.model_construct(tasks=(), name=HOSTILE)
    [suite] = report(ended(RunStatus.FAILED, *tasks, dag=dag, notes=(HOSTILE,)))
    hostile, empty = suite
    assert hostile.name == "\\x00\\x1b[31m]]><script>&amp;\"'\\ud800\ufffd\\u202e宽🙂 |`"
    assert hostile.result[0].text.endswith("\n]]><script>&amp;\"'\ufffd宽🙂\n|`")
    assert empty.name == "-"


def test_secrets_are_taken_out():
    error = Failure("tool_error", "denied for swordfish-42", hint="Change swordfish-42.")
    task = TaskRecord("swordfish-42", "s:swordfish-42", 0, status=Status.FAILED, error=error)
    result = ended(RunStatus.FAILED, task, name="swordfish-42", notes=("swordfish-42",))
    assert b"swordfish" not in junit_report(result, Secrets(["swordfish-42"]).redact)


def test_a_run_whose_start_is_unknown_or_empty_has_a_report():
    assert [suite.timestamp for suite in report(ended(RunStatus.SUCCESS))] == [
        "1970-01-01T00:00:00"
    ]


def test_a_very_large_run_is_made_in_a_moment():
    tasks = [record(f"t{n}", items=ItemsRecord((Status.SUCCESS,) * 2)) for n in range(2_000)]
    assert len(report(ended(RunStatus.SUCCESS, *tasks))) == 2_001
