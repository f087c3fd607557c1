"""Results and refusals as lines."""

from __future__ import annotations

from typing import Any

import pytest

from plait.cli.report import (
    AT_ONCE,
    MAX_ERRORS,
    MAX_LINE,
    MAX_OUTPUT_LINES,
    MAX_ROWS,
    Startup,
    abandoned,
    errors_report,
    invalid_document,
    refusal_report,
    run_report,
    settled_line,
)
from plait.cli.style import TIMES
from plait.core.language.dag import Dag
from plait.core.results.record import RunStatus, TaskRecord
from plait.core.results.result import RunResult, TaskError, TaskResult
from plait.core.scheduling.events import Failure, Status, Wait
from plait.core.tools.output import Output
from plait.core.values.problems import Problem, Way
from plait.errors import InvalidDag

from .records import ended, record, shown


def report(result: RunResult, *, is_whole: bool = False) -> list[str]:
    return shown(run_report(result, 100, is_whole=is_whole))


def rows(lines: list[str]) -> list[str]:
    """The rows of tasks, between the heading and the totals."""
    return [line for line in lines if "  s:" in line]


def test_a_run_that_was_not_waited_for_is_cancelled_and_names_what_still_ran():
    open_ = abandoned(ended(RunStatus.RUNNING, record("a"), record("b", status=Status.RUNNING)))
    assert open_.status is RunStatus.CANCELLED
    assert open_.notes == ("the program ended without waiting for b",)
    over = ended(RunStatus.SUCCESS, record("a"))
    assert abandoned(over) is over


def two(**second: Any) -> RunResult:
    """A run of `a`, and then of `b`."""
    a = record("a", end_s=0.5, busy_s=0.5)
    b = record("b", layer=1, needs=("a",), due_s=0.5, start_s=0.5, end_s=2.0, busy_s=1.5, **second)
    return ended(RunStatus.SUCCESS, a, b, name="two steps", outputs={"b": Output({"n": 1})})


def test_a_result_shows_outputs_then_the_course_of_the_run():
    assert report(two()) == [
        "── b",
        '{"n": 1}',
        "",
        "● success  two steps",
        "  0 ✓ a  s:a  " + "━━━━━━━━━━" + " " * 32 + "500 ms",
        "  1 ✓ b  s:b  " + " " * 10 + "━" * 30 + "  1.50 s",
        "2 succeeded · 2 layers · 1 at once",
        "2.00 s wall",
        "critical path: a → b (2.00 s)",
    ]


@pytest.mark.parametrize(
    ("status", "heading"),
    [
        (RunStatus.PARTIAL, "◐ partial"),
        (RunStatus.FAILED, "✗ failed"),
        (RunStatus.TIMEOUT, "✗ timeout"),
        (RunStatus.CANCELLED, "✗ cancelled"),
    ],
)
def test_the_heading_says_how_the_run_ended(status: RunStatus, heading: str):
    assert report(ended(status, record("a")))[0] == heading


@pytest.mark.parametrize(
    ("number", "left"), [(MAX_OUTPUT_LINES, None), (MAX_OUTPUT_LINES + 1, "1 more line")]
)
def test_a_long_output_is_cut_with_a_word_on_how_to_see_all(number: int, left: str | None):
    outputs = {"a": Output("line\n" * number)}
    result = ended(RunStatus.SUCCESS, record("a"), outputs=outputs)
    assert report(result).count("line") == MAX_OUTPUT_LINES
    cut = f"… {left}: plait history {result.run_id} --detail full"
    assert (cut in report(result)) is (left is not None)
    assert report(result, is_whole=True).count("line") == number


def test_a_long_line_is_cut():
    outputs = {"a": Output("x" * (MAX_LINE + 1))}
    result = ended(RunStatus.SUCCESS, record("a"), outputs=outputs)
    assert report(result)[1] == "x" * (MAX_LINE - 1) + "…"
    assert report(result, is_whole=True)[1] == "x" * (MAX_LINE + 1)


def test_what_is_not_text_is_named():
    image: Any = {"type": "image", "data": "aGk=" * 1_000, "mimeType": "image/png"}
    outputs = {"a": Output("x", attachments=(image,))}
    lines = report(ended(RunStatus.SUCCESS, record("a"), outputs=outputs))
    assert lines[:3] == ["── a", "x", "and image/png, 2,999 bytes: not shown"]


@pytest.mark.parametrize(
    ("members", "outcome"),
    [
        ({"cached": True}, "1.50 s  cache"),
        ({"attempts": 3}, "1.50 s  3 calls"),
    ],
)
def test_a_row_says_what_was_special(members: dict[str, Any], outcome: str):
    assert rows(report(two(**members)))[1].endswith(f"━  {outcome}")


def test_a_task_of_an_earlier_run_is_said_to_be_one():
    taken = record("a", attempts=0, due_s=None, start_s=None, end_s=None, busy_s=0.0)
    assert rows(report(ended(RunStatus.SUCCESS, taken)))[0].endswith("taken from the earlier run")


def times(*tasks: TaskRecord, startup: Startup = AT_ONCE) -> str:
    """The line on the time of a run of *tasks*."""
    result = ended(RunStatus.SUCCESS, *tasks, most_in_flight=len(tasks))
    lines = shown(run_report(result, 100, is_whole=False, startup=startup))
    return next(line for line in lines if " wall" in line)


def test_time_that_was_saved_is_shown_unless_it_is_noise():
    a = record("a", end_s=2.0, busy_s=2.0, alone_s=2.0)
    b = record("b", end_s=1.5, busy_s=1.5, alone_s=2.0)
    saved = f"2.00 s wall · 3.50 s one at a time · saved 1.50 s (1.8{TIMES})"
    assert times(a, b) == saved
    assert times(a, record("b", end_s=0.1, busy_s=0.1)) == "2.00 s wall"
    assert times(a) == "2.00 s wall"


def test_time_that_may_have_been_saved_is_not_claimed():
    a, b = (record(id, end_s=2.0, busy_s=2.0) for id in "ab")
    assert times(a, b) == "2.00 s wall for 4.00 s of calls"
    b = record("b", end_s=2.0, busy_s=2.0, alone_s=1.0)
    assert times(a, b) == "2.00 s wall for 3.00 s of calls"
    both = [record(id, end_s=2.0, busy_s=2.0, alone_s=1.0) for id in "ab"]
    assert times(*both) == "2.00 s wall"  # they only took turns


def test_the_start_of_servers_is_shown_by_itself():
    wait = Wait("server", "s", 0.6)
    members: dict[str, Any] = {"start_s": 0.6, "end_s": 2.0, "busy_s": 1.4, "alone_s": 1.4}
    tasks = [record(id, **members, waits=(wait,)) for id in ("a", "b")]
    saved = f"1.40 s wall · 2.80 s one at a time · saved 1.40 s (2.0{TIMES})"
    assert times(*tasks) == f"{saved} · +600 ms starting s"
    before = Startup(1_500, ("git", "s"))
    assert times(*tasks, startup=before) == f"{saved} · +2.10 s starting git, s"
    assert times(record("a"), startup=Startup(20, ("git",))) == "2.00 s wall"


def test_a_run_of_one_task_at_a_time_is_not_advised_to_run_more():
    b = record("b", start_s=1.0, end_s=2.0, waits=(Wait("limit", "run r_1", 1.0),))
    for most, count in ((2, 1), (1, 0)):
        result = ended(RunStatus.SUCCESS, record("a"), b, dag=Dag(tasks=(), max_concurrency=most))
        faster = [line for line in report(result, is_whole=True) if line.startswith("faster")]
        assert sum("max_concurrency of the DAG" in line for line in faster) == count


def failed(*tasks: TaskRecord) -> RunResult:
    return ended(RunStatus.PARTIAL, record("w"), *tasks)


def test_a_failed_task_has_its_reason_and_its_hint_once_below_the_rows():
    error = Failure("tool_error", "EACCES: /x\nsecond line", hint="Try another.")
    lines = report(failed(record("f", Status.FAILED, error=error)))
    assert rows(lines)[1] == "    ✗ f  s:f"
    assert lines[-4:] == [
        "errors",
        "  ✗ f  tool_error: EACCES: /x",
        "      second line",
        "      Try another.",
    ]
    assert "1 succeeded · 1 failed · 1 layer · 1 at once" in lines


def test_a_skipped_task_says_why_in_words():
    error = Failure("dependency_failed", "skipped: f failed", caused_by="f")
    lines = report(failed(record("s", Status.SKIPPED, error=error)))
    assert lines[-1] == "  ↷ s  skipped: f failed"
    assert "skipped" not in rows(lines)[1]


def test_a_task_that_fail_fast_cancelled_has_one_mark():
    error = Failure("fail_fast", "f failed, and fail_fast is on", caused_by="f")
    lines = report(failed(record("c", Status.CANCELLED, error=error)))
    assert rows(lines)[1] == "    ✗ c  s:c"
    assert lines[-1] == "  ✗ c  f failed, and fail_fast is on"


def test_a_task_that_a_condition_skipped_says_why_in_its_row_and_is_no_error():
    error = Failure("condition", "skipped: when (a.ok) is not true")
    lines = report(ended(RunStatus.SUCCESS, record("s", Status.SKIPPED, error=error)))
    assert rows(lines)[0].endswith("skipped: when (a.ok) is not true")
    assert "errors" not in lines


def test_an_error_of_an_item_names_the_item():
    error = TaskError("f", "tool_error", "x", index=3)
    for status in ("failed", "success"):  # a task may succeed although items of it failed
        assert shown(errors_report([error], {"f": status})) == ["  ✗ f[3]  tool_error: x"]


@pytest.mark.parametrize("is_whole", [False, True])
def test_of_a_large_run_those_that_went_well_are_counted(is_whole: bool):
    error = Failure("tool_error", "x")
    well = [record(f"w{number}") for number in range(MAX_ROWS)]
    lines = report(
        ended(RunStatus.PARTIAL, *well, record("f", Status.FAILED, error=error)), is_whole=is_whole
    )
    assert len(rows(lines)) == (MAX_ROWS + 1 if is_whole else 1)
    left = f"    … {MAX_ROWS} more tasks: see all with --detail full"
    assert (left in lines) is not is_whole


@pytest.mark.parametrize("is_whole", [False, True])
def test_many_errors_are_cut(is_whole: bool):
    error = Failure("tool_error", "x")
    tasks = [record(f"f{n}", Status.FAILED, error=error) for n in range(MAX_ERRORS + 2)]
    lines = report(ended(RunStatus.FAILED, *tasks), is_whole=is_whole)
    assert lines.count("  … 2 more: see all with --detail full") == (0 if is_whole else 1)
    assert sum(line.startswith("  ✗ f") for line in lines) == MAX_ERRORS + (2 if is_whole else 0)


def test_notes_are_shown_and_ways_to_be_faster_only_in_full():
    result = ended(RunStatus.SUCCESS, record("a"), notes=("a note",))
    assert "note  a note" in report(result)
    assert not any(line.startswith("faster") for line in report(two()))
    faster = two().metrics.faster
    assert [line for line in report(two(), is_whole=True) if line.startswith("faster")] == [
        f"faster  {sentence}" for sentence in faster
    ]
    assert faster


@pytest.mark.parametrize(("status", "mark"), [("success", "✓"), ("failed", "✗"), ("timeout", "✗")])
def test_a_task_that_has_ended_gets_a_line(status: str, mark: str):
    task = TaskResult("a", "s:t", status, 0, 0.0, 3.0, 1)
    assert shown([settled_line(task)]) == [f"{mark} a  s:t  3.0 ms"]


@pytest.mark.parametrize(
    ("width", "row"),
    [
        (100, "  0 ✓ a  s:a  " + "━" * 10 + " " * 32 + "500 ms"),
        (44, "  0 ✓ a  s:a  " + "━" * 6 + " " * 18 + "500 ms"),
        (28, "  0 ✓ a  s:a  500 ms"),
        (17, "  0 ✓ a  500 ms"),
    ],
)
def test_bars_then_tools_are_left_out_where_they_do_not_fit(width: int, row: str):
    lines = shown(run_report(two(), width, is_whole=False))
    assert lines[4] == row
    assert all(len(line) <= width for line in lines[4:6])


def test_binary_content_is_counted_and_never_shown():
    image: Any = {"type": "image", "data": "aGk=" * 1_000, "mimeType": "image/png"}
    outputs = {"a": Output([{"type": "text", "text": "x"}, image], attachments=(image,))}
    lines = report(ended(RunStatus.SUCCESS, record("a"), outputs=outputs), is_whole=True)
    assert any("(image/png, 2,999 bytes: not shown)" in line for line in lines)
    assert not any("aGk=" in line or "and image" in line for line in lines)


REFUSED = InvalidDag(
    [
        Problem("tasks[0].tool", "unknown_tool", "Unknown tool.\nReally.", "Did you mean?", "a"),
        Problem("tasks", "cycle", "A cycle."),
    ],
    ["a note"],
)


def test_a_refusal_names_its_file_and_numbers_every_problem():
    assert shown(refusal_report(REFUSED))[0] == "refused: 2 problems, nothing has run"
    assert shown(refusal_report(REFUSED, "syn.json")) == [
        "refused: 2 problems in syn.json, nothing has run",
        '  1. tasks[0].tool "a"  Unknown tool.',
        "     Really.",
        "     Did you mean?",
        "  2. tasks  A cycle.",
        "note  a note",
    ]


def test_the_ways_of_a_refused_flow_are_drawn_each_once_with_its_labels():
    ways = (
        Way("private", "out", ("list.text", "sum", "post.text")),
        Way("secret", "out", ("list.text", "sum", "post.text")),
        Way("untrusted", "out", ("page", "post.url")),
    )
    message = "s:post may not be given it: list.text → sum → post.text and page → post.url."
    problem = Problem("tasks[2]", "flow_denied", message, "Leave it out.", "post", ways=ways)
    assert shown(refusal_report(InvalidDag([problem])))[1:] == [
        '  1. tasks[2] "post"  s:post may not be given it',
        "       list.text            private, secret",
        "         └─ sum",
        "              └─ post.text  out",
        "       page                 untrusted",
        "         └─ post.url        out",
        "     Leave it out.",
    ]


def test_a_refusal_as_json_is_that_of_the_contract():
    document = invalid_document(REFUSED)
    assert list(document) == ["status", "errors", "notes"]
    assert document["status"] == "invalid"
    assert document["errors"] == [problem.document() for problem in REFUSED.problems]
