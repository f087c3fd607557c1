"""A run as Markdown, read back by a parser of CommonMark with the tables of GitHub."""

from __future__ import annotations

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from plait.core.language.dag import Dag
from plait.core.results.record import ItemsRecord, RunStatus, TaskRecord
from plait.core.results.result import RunResult
from plait.core.scheduling.events import Failure, Status
from plait.redaction import Secrets
from plait.reports.markdown import MAX_ERRORS, MAX_ROWS, markdown_report

from ..cli.records import ended, record

READER = MarkdownIt("commonmark").enable("table")
IN_A_CELL = 4
OURS = {"text", "code_inline", "html_inline"}
HOSTILE = [
    "|",
    "`|`",
    "``` ~~~",
    "a\\|b\\",
    "# <script>alert(1)</script> <!-- -->",
    "[x](javascript:alert(1)) ![x](http://x/y.png) <http://x>",
    "@team #1 https://x.example *a* _b_ ~~c~~ $x$ &lt; &#96; :tada:",
    "| --- | --- |",
    "]]>`</code><b>|",
]


def text_of(result: RunResult) -> str:
    return markdown_report(result, str).decode()


def inline(text: str) -> list[Token]:
    return [child for token in READER.parse(text) for child in token.children or ()]


def rows_of(text: str) -> list[list[str]]:
    """The texts of the cells of each row of each table."""
    rows: list[list[str]] = []
    for token in READER.parse(text):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in {"th_open", "td_open"}:
            rows[-1].append("")
        elif token.type == "inline" and token.level == IN_A_CELL:
            kept = [one for one in token.children or () if one.type != "html_inline"]
            rows[-1][-1] = "".join(one.content for one in kept)
    return rows


PARTIAL = ended(
    RunStatus.PARTIAL,
    record("a", end_s=1.2, cached=True),
    record(
        "b",
        Status.FAILED,
        1,
        needs=("a",),
        error=Failure("tool_error", "EACCES: /x", hint="Change the mode."),
        attempts=2,
        start_s=1.2,
        end_s=1.5,
        busy_s=0.3,
    ),
    record("c", Status.SKIPPED, 2, error=Failure("dependency_failed", "skipped: b failed")),
    name="nightly",
    notes=("one note",),
)


def test_a_run_has_its_summary_critical_path_errors_tasks_and_notes():
    assert (
        text_of(PARTIAL)
        == """\
## ⚠️ `nightly`: partial

1 success · 1 failed · 1 skipped · 3 layers · 1 at once

Run `r_1` · 2.00 s

Critical path (1.50 s): `a` → `b`

### Errors

| Task | Code | Message |
| --- | --- | --- |
| `b` | `tool_error` | `EACCES: /x Change the mode.` |
| `c` | `dependency_failed` | `skipped: b failed` |

### Tasks

| Task | Tool | Status | Start | Duration | Calls | Critical |
| --- | --- | --- | --- | --- | --- | --- |
| `a` | `s:a` | success, cached | 0.0 ms | 1.20 s | 1 | yes |
| `b` | `s:b` | failed | 1.20 s | 300 ms | 2 | yes |
| `c` | `s:c` | skipped |  |  | 0 |  |

### Notes

- `one note`
"""
    )


def test_time_that_was_saved_is_said_unless_it_is_unproven():
    tasks = [record(name, end_s=2.0, busy_s=2.0, alone_s=2.0) for name in "ab"]
    result = ended(RunStatus.SUCCESS, *tasks, most_in_flight=2)
    assert (
        "Run `r_1` · 2.00 s instead of 4.00 s one at a time (2.0\N{MULTIPLICATION SIGN})\n"
        in text_of(result)
    )
    unproven = [replace(task, alone_s=None) for task in tasks]
    result = ended(RunStatus.SUCCESS, *unproven, most_in_flight=2)
    assert "Run `r_1` · 2.00 s for 4.00 s of calls\n" in text_of(result)


@pytest.mark.parametrize("hostile", [*HOSTILE, "\n\n# x\n" + "\n".join(HOSTILE)])
def test_hostile_texts_are_shown_as_they_are(hostile: str):
    error = Failure(hostile, hostile, hint=None)
    task = TaskRecord(hostile, hostile, 0, status=Status.FAILED, error=error)
    dag = Dag.model_construct(tasks=(), name=hostile)
    result = ended(RunStatus.FAILED, task, dag=dag, notes=(hostile,))
    text = text_of(result)
    assert {token.type for token in inline(text)} <= OURS
    tags = {token.content for token in inline(text) if token.type == "html_inline"}
    assert tags <= {"<code>", "</code>"}
    said = " ".join(hostile.split())
    name = said if len(said) <= 80 else f"{said[:79]}…"
    rows = rows_of(text)
    assert rows[1] == [name, name, said]
    assert rows[3][:2] == [name, name]
    assert len(rows) == 4
    heading = [token.tag for token in READER.parse(text) if token.type == "heading_open"]
    assert heading == ["h2", "h3", "h3", "h3"]


def test_control_characters_are_neutralised_and_wide_ones_stay():
    task = TaskRecord("\x1b[31m宽\u202e", "", 0, status=Status.FAILED, error=Failure("c", "\x00宽"))
    rows = rows_of(text_of(ended(RunStatus.FAILED, task)))
    assert rows[1] == ["\\x1b[31m宽\\u202e", "c", "宽"]
    assert rows[3][1] == "-"


def test_secrets_are_taken_out():
    error = Failure("tool_error", "denied for swordfish-42", hint="Change swordfish-42.")
    task = TaskRecord("swordfish-42", "s:swordfish-42", 0, status=Status.FAILED, error=error)
    result = ended(RunStatus.FAILED, task, name="swordfish-42", notes=("swordfish-42",))
    assert b"swordfish" not in markdown_report(result, Secrets(["swordfish-42"]).redact)


def test_a_failed_item_has_its_place():
    items = ItemsRecord((Status.SUCCESS, Status.FAILED), ((1, Failure("c", "m")),))
    result = ended(RunStatus.SUCCESS, record("each", items=items))
    assert rows_of(text_of(result))[1] == ["each[1]", "c", "m"]


def test_the_longest_report_fits_into_what_github_takes_of_a_step():
    hostile = "|" * 1_000
    tasks = [
        TaskRecord(
            f"{n}{hostile}", hostile, n, status=Status.FAILED, error=Failure(hostile, hostile)
        )
        for n in range(2_000)
    ]
    well = [record(f"well{n}") for n in range(10)]
    result = ended(RunStatus.PARTIAL, *tasks, *well, notes=(hostile,) * 100)
    data = markdown_report(result, str)
    assert len(data) < 2**20
    text = data.decode()
    assert f"… and {2_000 - MAX_ERRORS:,} more errors" in text
    assert f"… and {2_010 - MAX_ROWS:,} more tasks" in text
    assert "well" not in text.partition("### Tasks")[2]
    assert "… and 50 more notes" in text
