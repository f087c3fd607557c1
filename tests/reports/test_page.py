"""A run as one HTML page, read back by a parser of HTML."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from plait.core.language.dag import Dag
from plait.core.results.record import RunStatus, TaskRecord
from plait.core.results.result import RunResult
from plait.core.scheduling.events import Failure, Status
from plait.redaction import Secrets
from plait.reports.page import MAX_ERRORS, MAX_NOTES, MAX_ROWS, html_report

from ..cli.records import ended, record
from .test_markdown import HOSTILE, PARTIAL

TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "table", "tr", "th", "td"}
TAGS |= {"bdi", "span", "div", "svg", "rect", "ul", "li", "p"}
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "scope", "role", "dir"}
ATTRIBUTES |= {"aria-label", "x", "y", "width", "height"}
VOID = {"meta"}


class Page(HTMLParser):
    """A page: its elements, each with its attributes, and the text within each, in order."""

    def __init__(self, result: RunResult) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[list[str]] = []
        self._open: list[int] = []
        self.source = html_report(result, str).decode()
        self.feed(self.source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append([])
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for at in self._open:
            self.texts[at].append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def all(self, tag: str) -> list[str]:
        pairs = zip(self.elements, self.texts, strict=True)
        return ["".join(text) for (name, _), text in pairs if name == tag]

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_a_run_has_its_summary_waterfall_tasks_errors_and_notes():
    page = Page(PARTIAL)
    assert page.all("h1") == ["nightly: partial"]
    assert page.all("h2") == ["Tasks", "Errors", "Notes"]
    rows = page.all("tr")
    assert "Critical patha → b (1.50 s)" in rows
    assert "as:asuccess, cached, critical path1.20 s1" in rows
    assert "bs:bfailed, critical path300 ms2" in rows
    assert "cs:cskipped0" in rows
    assert "btool_errorEACCES: /xChange the mode." in rows
    assert page.all("li") == ["one note"]
    bars = page.attributes("rect")
    assert [(bar["x"], bar["width"]) for bar in bars] == [("0.00%", "60.00%"), ("60.00%", "15.00%")]
    assert [one["aria-label"] for one in page.attributes("svg")] == [
        "1.20 s from 0.0 ms",
        "300 ms from 1.20 s",
    ]


def test_the_page_loads_nothing_and_its_policy_allows_its_style_alone():
    page = Page(PARTIAL)
    assert {tag for tag, _ in page.elements} <= TAGS
    assert {name for _, attributes in page.elements for name in attributes} <= ATTRIBUTES
    [style] = page.all("style")
    assert "url(" not in style
    assert "@import" not in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [policy] = [one for one in page.attributes("meta") if "http-equiv" in one]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


@pytest.mark.parametrize("hostile", [*HOSTILE, '"><img src=x onerror="alert(1)">', "' onload='x"])
def test_hostile_texts_are_shown_as_they_are(hostile: str):
    error = Failure(hostile, hostile, hint=hostile)
    task = TaskRecord(hostile, hostile, 0, status=Status.FAILED, error=error, start_s=0.0)
    dag = Dag.model_construct(tasks=(), name=hostile)
    page = Page(ended(RunStatus.FAILED, task, dag=dag, notes=(hostile,)))
    assert {tag for tag, _ in page.elements} <= TAGS
    assert {name for _, attributes in page.elements for name in attributes} <= ATTRIBUTES
    assert page.all("title") == page.all("h1") == [f"{hostile}: failed"]
    assert page.all("bdi").count(hostile) == 5
    assert page.all("li")[-1] == hostile
    assert f"{hostile}{hostile}{hostile}{hostile}" in page.all("tr")


def test_control_characters_are_neutralised_and_wide_ones_stay():
    task = TaskRecord("\x1b[31m宽\u202e", "", 0, status=Status.FAILED, error=Failure("c", "\x00宽"))
    page = Page(ended(RunStatus.FAILED, task))
    assert "\\x1b[31m宽\\u202e-failed0" in page.all("tr")
    assert "宽" in page.all("div")
    assert page.source.replace("\n", "").isprintable()


def test_secrets_are_taken_out():
    error = Failure("tool_error", "denied for swordfish-42", hint="Change swordfish-42.")
    task = TaskRecord("swordfish-42", "s:swordfish-42", 0, status=Status.FAILED, error=error)
    result = ended(RunStatus.FAILED, task, name="swordfish-42", notes=("swordfish-42",))
    assert b"swordfish" not in html_report(result, Secrets(["swordfish-42"]).redact)


def test_a_bar_is_seen_and_stays_on_the_axis():
    short = record("a", start_s=1.9999, end_s=2.0)
    late = record("b", start_s=3.0, end_s=9.0)
    for bar in Page(ended(RunStatus.SUCCESS, short, late)).attributes("rect"):
        start, width = (float(str(bar[name]).rstrip("%")) for name in ("x", "width"))
        assert width >= 0.3
        assert start + width <= 100.01


def test_what_is_left_out_of_a_large_run_is_counted():
    failed = [
        record(f"t{n}", Status.FAILED, error=Failure("c", "m")) for n in range(MAX_ERRORS + 2)
    ]
    well = [record(f"well{n}") for n in range(MAX_ROWS)]
    notes = ("note",) * (MAX_NOTES + 1)
    page = Page(ended(RunStatus.PARTIAL, *failed, *well, notes=notes))
    assert page.all("p") == [
        f"… and {MAX_ROWS:,} more tasks",
        "… and 2 more errors",
        "… and 1 more line",
    ]


def test_the_start_of_a_run_is_in_utc_and_may_be_unknown():
    result = ended(RunStatus.SUCCESS, record("a"))
    assert "Began" not in Page(result).source
    began = replace(result, record=replace(result.record, began=1_700_000_000.0))
    assert "Began2023-11-14 22:13:20 UTC" in Page(began).all("tr")
