"""plait run: exit codes, the two streams, and what is printed."""

from __future__ import annotations

import json
import signal

import anyio
import pytest

from ..fakes import FakeServers, tool
from .conftest import Plait, task

WELL = [task("a", arguments={"n": 1}), task("b", arguments={"from": "$OUTPUT[a].n"})]
BROKEN = [task("a"), task("bad", "s:fail"), task("after", depends_on=["bad"])]


@pytest.mark.parametrize(
    ("document", "words", "code"),
    [
        (WELL, (), 0),
        (BROKEN, (), 1),
        (WELL, ("--jobs", "0"), 2),
        (WELL, ("--set", "a.n"), 2),
        ([task("a", "s:nothing")], (), 3),
        (WELL, ("--config", "nowhere.toml"), 4),
        ([task("a", "far:look"), task("b")], (), 5),
        ([task("a", "s:hang")], ("--timeout", "0.05"), 124),
        ({"tasks": [task("a", "s:hang")], "timeout_s": 0.05}, ("--json",), 124),
    ],
)
def test_the_exit_code_says_how_it_ended(
    plait: Plait, document: object, words: tuple[str, ...], code: int
):
    assert plait.run(document, *words).exit_code == code


def test_json_is_one_document_and_nothing_else_is_printed(plait: Plait):
    result = plait.run(WELL, "--json")
    document = json.loads(result.stdout)
    assert list(document) == [
        "status",
        "run_id",
        "errors",
        "outputs",
        "truncated",
        "notes",
        "tasks",
        "layers",
        "metrics",
    ]
    assert document["outputs"] == {"b": {"from": 1}}
    assert result.stderr == ""


def test_json_holds_outputs_uncut(plait: Plait):
    long = "line\n" * 20_000
    result = plait.run([task("a", "s:say", arguments={"text": long})], "--json")
    assert json.loads(result.stdout)["outputs"] == {"a": long}


def test_a_refused_dag_is_one_document_too(plait: Plait):
    result = plait.run([task("a", "s:ekko")], "--json")
    assert (result.exit_code, result.stderr) == (3, "")
    document = json.loads(result.stdout)
    assert document["status"] == "invalid"
    assert document["errors"][0]["path"] == "tasks[0].tool"
    assert document["errors"][0]["code"] == "unknown_tool"
    assert "s:echo" in document["errors"][0]["hint"]


def test_a_refused_dag_is_explained_on_standard_error(plait: Plait):
    result = plait.run([task("a", "s:ekko"), task("b", depends_on=["c"])])
    assert result.stdout == ""
    assert "refused: 2 problems, nothing has run" in result.stderr
    assert '1. tasks[0].tool "a"' in result.stderr
    assert "2. tasks[1].depends_on" in result.stderr


def test_progress_goes_to_standard_error_and_results_to_standard_output(plait: Plait):
    result = plait.run(BROKEN)
    assert {line.split()[1] for line in result.stderr.splitlines()} == {"a", "bad", "after"}
    assert "── a" in result.stdout
    assert "1 succeeded · 1 failed · 1 skipped" in result.stdout
    assert "tool_error: EACCES: /x" in result.stdout
    assert "after  skipped: bad failed" in result.stdout


def test_the_summary_shows_layers_times_and_the_critical_path(plait: Plait):
    result = plait.run({"name": "two steps", "tasks": WELL})
    assert "● success  two steps" in result.stdout
    assert "2 layers" in result.stdout
    assert "speedup" in result.stdout
    assert "critical path: a → b" in result.stdout


def test_long_outputs_are_cut_with_a_word_on_how_to_see_all(plait: Plait):
    tasks = [task("a", arguments={"items": list(range(500))})]
    short, whole = plait.run(tasks).stdout, plait.run(tasks, "--detail", "full").stdout
    assert "see all with --detail full" in short
    assert "\n    499\n" not in short
    assert "\n    499\n" in whole


def test_a_large_run_is_counted_and_not_listed(plait: Plait):
    result = plait.run([task(f"t{index}") for index in range(1_000)])
    assert 2 <= len(result.stderr.splitlines()) <= 25
    assert result.stderr.splitlines()[-1] == "1000/1000 done"
    assert "see all with --detail full" in result.stdout


def test_fail_fast_ends_the_run_at_the_first_failure(plait: Plait):
    result = plait.run([task("bad", "s:fail"), task("slow", "s:hang")], "--fail-fast", "--json")
    assert result.exit_code == 1
    assert [one["status"] for one in json.loads(result.stdout)["tasks"]] == ["failed", "cancelled"]


def test_set_changes_arguments_before_the_check(plait: Plait, servers: FakeServers):
    tasks = [task("a", arguments={"n": 1}), task("a.b", args={"deep": {"x": 1}})]
    words = (
        "--set",
        "a.n=[2]",
        "--set",
        "a.text=as it is",
        "--set",
        "a.b.deep.y=3",
        "--set",
        'a.b.s="4"',
    )
    assert plait.run(tasks, *words).exit_code == 0
    assert ("s:echo", {"n": [2], "text": "as it is"}) in servers.calls
    assert ("s:echo", {"deep": {"x": 1, "y": 3}, "s": "4"}) in servers.calls


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("aa.n=1", 'Did you mean "a"?'),
        ("n=1", "id.argument=value"),
        ("a.n.x=1", "which is not an object"),
    ],
)
def test_a_setting_that_cannot_be_made_is_explained(plait: Plait, setting: str, said: str):
    result = plait.run([task("a", arguments={"n": 1})], "--set", setting)
    assert result.exit_code == 2
    assert said in result.stderr


def test_what_was_understood_in_a_document_is_told_when_options_change_it(plait: Plait):
    document = {"tasks": {"a": {"tool": "s:echo", "args": {}}}, "failFast": False}
    notes = json.loads(plait.run(document, "--json", "--fail-fast", "--set", "a.n=1").stdout)[
        "notes"
    ]
    assert any("failFast" in note for note in notes)
    assert any("args" in note for note in notes)


def test_a_dry_run_is_planned_and_not_run(plait: Plait, servers: FakeServers):
    result = plait.run({"tasks": WELL, "dryRun": True}, "--json")
    assert json.loads(result.stdout)["status"] == "planned"
    assert servers.calls == []


def test_ctrl_c_cancels_the_calls_and_prints_what_there_is(plait: Plait, servers: FakeServers):
    async def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        await anyio.sleep_forever()

    servers.add(tool("s:interrupted", {}), interrupted)
    result = plait.run([task("a"), task("b", "s:interrupted", depends_on=["a"])], "--json")
    assert result.exit_code == 130
    assert servers.aborted == ["s:interrupted"]
    document = json.loads(result.stdout)
    assert document["status"] == "cancelled"
    assert [one["status"] for one in document["tasks"]] == ["success", "cancelled"]
    assert "Interrupted" in result.stderr


def test_ctrl_c_before_anything_runs_leaves_nothing_to_print(
    plait: Plait, monkeypatch: pytest.MonkeyPatch
):
    async def never(self: FakeServers, names: object = None) -> None:
        signal.raise_signal(signal.SIGTERM)
        await anyio.sleep_forever()

    monkeypatch.setattr(FakeServers, "settled", never)
    result = plait.run([task("a", "s:not_listed")])
    assert (result.exit_code, result.stdout) == (130, "")


def test_a_fault_of_the_program_is_one_line_unless_debug_is_on(
    plait: Plait, monkeypatch: pytest.MonkeyPatch
):
    def broken(self: FakeServers) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(FakeServers, "catalog", broken)
    quiet, loud = plait.run(WELL), plait.run(WELL, "--debug")
    assert quiet.exit_code == loud.exit_code == 1
    assert "error: RuntimeError: a bug" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr
    assert "Traceback" in plait.run(WELL, PLAIT_DEBUG="1").stderr


@pytest.mark.parametrize(
    ("environ", "is_json"), [({}, True), ({"PLAIT_LOG_FORMAT": "text"}, False)]
)
def test_the_log_is_json_unless_a_person_reads_it(
    plait: Plait, environ: dict[str, str], is_json: bool
):
    lines = plait.run(WELL, "--json", "--log-level", "info", **environ).stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("{") for line in lines) is is_json
    assert all("run.started" in line or "finished" in line for line in lines)
