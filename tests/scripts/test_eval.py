"""The jobs of `scripts/eval`: their reference plans keep what is promised, and any program that
speaks MCP can do them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from evals.__main__ import main
from evals.desk import Desk
from evals.doing import Model, Outcome, desk, do_by_model, do_by_plan, do_in_shell
from evals.jobs import days, jobs
from evals.reference import PLANS, connected, read_plan
from evals.report import (
    MOST_ANSWER,
    MOST_DAGS,
    MOST_IN_SHELL,
    dear,
    missed,
    row,
    summary_line,
)

from ..warm import warm

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)
JOBS = jobs(NOW)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which gateways remember the tools of the services from test to test."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(autouse=True)
def warm_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gateways and services start as copies."""
    monkeypatch.setattr("evals.desk.PYTHON", tuple(warm()))


def nothing(_: Outcome) -> None:
    """Take an outcome, which is in the list as well."""


def tools_of(tasks: list[dict[str, Any]]) -> Iterator[str]:
    for task in tasks:
        if "tool" in task:
            yield task["tool"]
        yield from tools_of(task.get("tasks", []))


async def test_one_dag_a_job_does_all_jobs_with_short_answers(state: Path):
    done = await do_by_plan(JOBS.values(), state, NOW, nothing)
    assert {each.job: each.faults for each in done if not each.is_right} == {}
    assert [each.job for each in done] == list(JOBS)
    assert {(each.requests, each.dags) for each in done} == {(2, 1)}
    assert missed(done) == []


async def test_the_search_of_a_plan_finds_its_tools(state: Path):
    missing = {}
    async with desk("reference", state, NOW) as own, connected(own.mcp_config) as client:
        for name in JOBS:
            plan = read_plan(name, days(NOW))
            found = await client.call_tool("search_tools", {"query": plan["search"]})
            assert found.structured_content is not None
            names = {tool["name"] for tool in found.structured_content["tools"]}
            if lacks := set(tools_of(plan["dag"]["tasks"])) - names:
                missing[name] = lacks
    assert missing == {}


def test_every_job_has_a_plan_and_a_row_in_the_documentation():
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z-]+) \| (.+?) \|(?: +[\d,]+ \|){3}$", page, re.MULTILINE)
    assert len(JOBS) == 20
    assert {file.stem for file in PLANS.glob("*.json")} == JOBS.keys()
    assert rows == [(job.name, job.takes) for job in JOBS.values()]


def test_a_wrong_job_too_many_dags_and_long_answers_miss_the_promise():
    def done(dags: int, answer: int, *wrong: str) -> Outcome:
        return Outcome("a", "reference", list(wrong), 1, dags, 1, 1, answer, 1, 1.0)

    assert missed([done(1, MOST_ANSWER)] * 9 + [done(2, 10**6)]) == []
    assert missed([done(1, 10, "missing: x")]) == ["a is wrong"]
    assert missed([done(1, 10), done(2, 10)]) == [f"1.5 DAGs a job, promised are {MOST_DAGS}"]
    [sentence] = missed([done(1, MOST_ANSWER + 1)])
    assert sentence == f"{MOST_ANSWER + 1} characters of answer, promised are {MOST_ANSWER}"


async def test_a_job_from_a_shell_takes_at_most_1_3_of_its_characters(state: Path):
    dearest = [JOBS[name] for name in ("close-duplicates", "weekly-report", "book-room")]
    by_mcp = await do_by_plan(dearest, state, NOW, nothing)
    in_shell = await do_in_shell(dearest, state, NOW, nothing)
    assert dear(in_shell, by_mcp) == []
    for one, other in zip(in_shell, by_mcp, strict=True):
        assert (one.requests, one.dags) == (2, 1)
        assert dear([one], [other]) == []
    assert 0 < in_shell[0].definitions < by_mcp[0].definitions / 3


def test_a_wrong_job_and_more_characters_from_a_shell_miss_the_promise():
    def done(characters: int, *wrong: str) -> Outcome:
        return Outcome("a", "shell", list(wrong), 2, 1, 1, characters, 1, 1, 1.0)

    assert dear([done(1_300)], [done(1_000)]) == []
    assert dear([done(1_000, "missing: x")], [done(1_000)]) == ["a is wrong"]
    assert dear([done(1_310)], [done(1_000)]) == [
        f"1.31 of the characters from a shell, promised are {MOST_IN_SHELL}"
    ]


PROGRAM = f"{sys.executable} {Path(__file__).with_name('book_a_room.py')}"
TOMORROW = days(NOW)["<tomorrow>"]


@pytest.mark.parametrize(
    ("way", "requests", "dags"), [("dag", 2, 1), ("tools", 2, 0)], ids=["dag", "tools"]
)
async def test_a_program_with_the_config_does_a_job(
    way: Any, requests: int, dags: int, state: Path
):
    model = Model(f"{PROGRAM} {{mcp_config}} {TOMORROW}")
    [done] = await do_by_model([JOBS["book-room"]], way, model, state, NOW, nothing)
    assert done.faults == []
    assert (done.requests, done.dags, done.service_calls) == (requests, dags, 2)
    assert done.definitions > done.characters > done.answer


async def test_the_job_is_a_word_of_the_command_or_its_input(state: Path, tmp_path: Path):
    sentence = JOBS["book-room"].sentence
    for command, asked in (("cat", f"{sentence}"), ("echo {job}", f"{sentence}\n")):
        await Model(command).do(sentence, Desk(tmp_path, state, NOW))
        assert (tmp_path / "said.txt").read_text() == asked


@pytest.mark.parametrize(
    ("command", "longest_s", "why"),
    [
        ("echo Done! {mcp_config}", 60, None),
        ("sh -c 'echo no key >&2; exit 3' {mcp_config}", 60, "the program ended with 3: no key"),
        ("no-such-program {mcp_config}", 60, "the program did not start: "),
        ("tail -f /dev/null {mcp_config}", 0.2, "the program took more than 0.2 s"),
    ],
    ids=["claims", "fails", "missing", "hangs"],
)
async def test_what_a_program_says_does_not_do_a_job(
    command: str, longest_s: float, why: str | None, state: Path
):
    model = Model(command, longest_s)
    [done] = await do_by_model([JOBS["book-room"]], "dag", model, state, NOW, nothing)
    assert not done.is_right
    assert [fault for fault in done.faults if fault.startswith("missing: calendar:create_event(")]
    explained = [fault for fault in done.faults if not fault.startswith("missing: ")]
    assert [fault[: len(why or "")] for fault in explained] == ([] if why is None else [why])


Run = Callable[..., tuple[int | str | None, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process: its exit code, and what it prints."""

    def run(*words: str) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr("sys.argv", ["scripts/eval", *words])
        try:
            code: int | str | None = main()
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return run


def test_help_says_how_a_program_finds_the_gateway_and_the_job(run: Run):
    code, out, _ = run("--help")
    assert code == 0
    for word in ("{mcp_config}", "{job}", "mcpServers", "standard input", "--way", "--json"):
        assert word in out


def test_the_list_has_the_sentence_of_every_job(run: Run):
    lines = run("--list")[1].splitlines()
    assert [line.partition(":")[0] for line in lines] == list(JOBS)
    assert all(len(line) > 60 for line in lines)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["no-such-job"], "unknown job: no-such-job"),
        (["--way", "dag"], "--way is for a --model"),
        (["--model", "claude -p"], "needs {mcp_config}"),
        (["--model", "x {mcp_config}", "--shell"], "--shell plays the reference plans"),
    ],
    ids=["job", "way", "model", "shell"],
)
def test_a_wrong_command_line_is_refused(words: list[str], problem: str, run: Run):
    code, _, err = run(*words)
    assert code == 2
    assert problem in err


def test_the_command_prints_json_with_every_figure():
    words = [str(ROOT / "scripts" / "eval"), "book-room", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    [job] = printed["jobs"]
    assert (job["job"], job["way"], job["right"], job["faults"]) == (
        "book-room", "reference", True, [],
    )  # fmt: skip
    assert printed["ways"]["reference"]["characters"] == job["characters"] > job["answer"] > 0
    assert printed["missed"] == []


def test_a_row_has_the_reason_of_a_wrong_job():
    why = ["missing: calendar:create_event(title='Postmortem')"]
    wrong_one = Outcome("book-room", "tools", why, 0, 0, 0, 0, 0, 0, 0.0)
    assert re.search(r"^book-room +WRONG +0 +0 +0 +0 +0 ", row(wrong_one))
    assert row(wrong_one).endswith(f"\n    {why[0]}")
    assert summary_line([wrong_one]).startswith("0 of 1 right")
