"""plait history and plait resume, over the history of real runs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from plait.cli.commands import program
from plait.config import Config
from plait.engine.gateway import Gateway
from plait.stores.history.opening import open_history, runtime_folder
from plait.stores.in_memory import InMemoryRuns

from ..fakes import FakeServers
from .conftest import Plait, task
from .past import CUT, Past


def ids(plait: Plait, *words: str) -> list[str]:
    return [run["run_id"] for run in json.loads(plait("history", "--json", *words).stdout)["runs"]]


def typed(servers: FakeServers, *words: str, input: str | None = None) -> tuple[int, str]:
    """Type a command whose gateway keeps its runs in the history; returns the exit code and the
    result."""

    @asynccontextmanager
    async def opened(config: Config) -> AsyncIterator[Gateway]:
        folder = config.state_folder
        history = await open_history(folder, runtime_folder(folder))
        async with Gateway(servers, servers, InMemoryRuns(), history=history) as gateway:
            yield gateway
        await history.close()

    result = CliRunner().invoke(program, list(words), obj=opened, input=input, prog_name="plait")
    return result.exit_code, result.stdout


def test_past_runs_are_listed_the_latest_first(plait: Plait, past: Past):
    result = plait("history")
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert [row[1] for row in rows] == [past.cut, past.broken, past.well]
    assert [row[4] for row in rows] == ["interrupted", "partial", "success"]
    assert rows[1][-4:] == ["2", "calls,", "1", "failed"]
    assert rows[2][-3:] == ["1", "call", "nightly"]


def test_runs_are_chosen_by_options(plait: Plait, past: Past):
    assert ids(plait) == [past.cut, past.broken, past.well]
    assert ids(plait, "--calls") == [past.cut, past.call, past.broken, past.well]
    assert ids(plait, "--failed") == [past.cut, past.broken]
    assert ids(plait, "--tool", "s:fa*") == [past.broken]
    assert ids(plait, "--since", "2d") == [past.cut, past.broken, past.well]
    assert ids(plait, "--since", "2100-01-01") == []
    limited = plait("history", "--limit", "1")
    assert past.cut in limited.stdout
    assert limited.stderr == "These are the last 1; --limit N shows more.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["history", "--since", "soon"], "write 2d, 3h, 30m, or a date"),
        (["history", "--limit", "0"], "--limit"),
        (["history", "r_"], 'more than one id begins with "r_"'),
        (["history", "nothing"], 'no run has an id that begins with "nothing"'),
        (["history", "--failed", "stats"], "are for the list of runs"),
        (["history", "clear"], "say --yes"),
        (["history", "import", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
        (["history", "export", "-o", "no/folder/x"], "No such file"),
        (["resume", "nothing"], 'no run has an id that begins with "nothing"'),
        (["resume", "r_", "--in-doubt", "a=maybe"], "write TASK=retry"),
        (["resume", "r_", "--in-doubt", "=done"], "write TASK=retry"),
        (["resume", "r_", "--in-doubt", "a=done:{"], "write JSON"),
    ],
)
def test_a_wrong_word_is_a_wrong_command_line(
    plait: Plait, past: Past, words: list[str], said: str
):
    result = plait(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_without_a_history_nothing_is_listed_and_nothing_made(
    plait: Plait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))
    assert ids(plait) == []
    assert plait("history").stderr == "No such runs.\n"
    assert json.loads(plait("history", "stats", "--json").stdout) == {"tools": [], "servers": []}
    assert not (tmp_path / "state" / "history.db").exists()


def test_a_run_is_shown_as_plait_run_shows_it_and_then_its_calls(plait: Plait, past: Past):
    lines = plait("history", past.broken[:12]).stdout.splitlines()
    assert "◐ partial" in lines
    assert "1 succeeded · 1 failed · 1 layer · 2 at once" in lines
    assert any(line.startswith("  ✗ bad  tool_error: EACCES: /x") for line in lines)
    calls = lines[lines.index("calls") :]
    assert calls[1].split()[1:3] == ["a", "s:echo"]
    assert calls[1].endswith('{"token": "swordfish-42"}')
    assert calls[3] == "      tool_error: EACCES: /x"
    assert any(line.startswith(f"run  {past.broken} · began ") for line in lines)


def test_a_run_is_one_document(plait: Plait, past: Past):
    document = json.loads(plait("history", past.broken, "--json").stdout)
    assert document["run_id"] == past.broken
    assert document["result"]["status"] == "partial"
    assert document["result"]["outputs"]["a"] == {"token": "swordfish-42"}
    assert [(call["task"], call["code"]) for call in document["calls_made"]] == [
        ("a", "success"),
        ("bad", "tool_error"),
    ]
    assert json.loads(plait("history", "--json", past.broken).stdout) == document


def test_a_call_by_name_is_shown_with_its_answer(plait: Plait, past: Past):
    result = plait("history", past.call)
    assert result.stdout.startswith("✓ success  s:echo\n")
    assert '"by": "name"' in result.stdout


def test_detail_full_shows_arguments_whole(plait: Plait, past: Past, servers: FakeServers):
    text = "word " * 40
    run = {"tasks": [{"id": "a", "tool": "s:say", "arguments": {"text": text}}]}
    assert typed(servers, "run", "-", input=json.dumps(run))[0] == 0
    [latest, *_] = ids(plait, "--tool", "s:say")
    whole = json.dumps({"text": text})
    assert whole not in plait("history", latest).stdout
    assert whole in plait("history", latest, "--detail", "full").stdout


def test_an_interrupted_run_shows_what_is_in_doubt_and_how_to_go_on(plait: Plait, past: Past):
    lines = plait("history", past.cut).stdout.splitlines()
    assert "in doubt  write: it was sent; look whether it took effect" in lines
    assert lines[-1] == (
        f"go on  plait resume {past.cut} --in-doubt write=retry  (or done, or skip)"
    )
    document = json.loads(plait("history", past.cut, "--json").stdout)
    assert document["in_doubt"] == ["write"]
    assert document["resume"] == f"plait resume {past.cut} --in-doubt write=retry"


def test_statistics_are_shown_by_tool_and_server(plait: Plait, past: Past):
    lines = plait("history", "stats").stdout.splitlines()
    assert lines[0].split() == ["tool", "calls", "failed", "mean", "p50", "p95", "min", "max"]
    rows = {line.split()[0]: line.split() for line in lines}
    assert rows["s:echo"][1:3] == ["4", "0"]
    assert rows["s:fail"][1:3] == ["1", "1"]
    assert rows["s:fail"][-2:] == ["tool_error", "1"]
    assert rows["s"][1:3] == ["5", "1"]
    document = json.loads(plait("history", "--json", "stats").stdout)
    [fail] = [one for one in document["tools"] if one["name"] == "s:fail"]
    assert (fail["count"], fail["failures"]) == (1, {"tool_error": 1})
    assert fail["min_ms"] <= fail["p50_ms"] <= fail["p95_ms"] <= fail["max_ms"]


def test_runs_are_exported_and_imported_elsewhere(
    plait: Plait, past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    saved = plait("history", "export", "-o", "runs.jsonl")
    assert (saved.exit_code, saved.stderr) == (0, "4 runs saved in runs.jsonl\n")
    assert (tmp_path / "runs.jsonl").stat().st_mode & 0o777 == 0o600
    assert plait("history", "export").stdout == (tmp_path / "runs.jsonl").read_text()
    lines = plait("history", "export", past.well[:10]).stdout.splitlines()
    assert json.loads(lines[0])["run"]["id"] == past.well
    shown = json.loads(plait("history", past.well, "--json").stdout)
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "elsewhere"))
    one = "\n".join(lines)
    assert plait("history", "import", "-", input=one).stdout == "1 run taken in\n"
    assert json.loads(plait("history", past.well, "--json").stdout)["result"] == shown["result"]
    taken = json.loads(plait("history", "import", "runs.jsonl", "--json").stdout)["runs"]
    assert taken == [past.broken, past.call, past.cut]
    assert plait("history", past.cut).stdout.splitlines()[-1].startswith("final  ")
    wrong = plait("history", "import", "-", input="{}")
    assert (wrong.exit_code, "line 1 is not a line of a run" in wrong.stderr) == (2, True)


def test_the_history_is_cleared_if_that_is_confirmed(plait: Plait, past: Past):
    assert plait("history", "clear", "--yes").stdout == "4 runs deleted\n"
    assert ids(plait, "--calls") == []
    assert json.loads(plait("history", "clear", "--yes", "--json").stdout) == {"deleted": 0}


def test_a_history_that_cannot_be_read_is_said(
    plait: Plait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "state" / "history.db").mkdir(parents=True)
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))
    result = plait("history")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the history cannot be opened" in result.stderr
    assert plait("resume", "r_1").exit_code == 2


def test_settings_that_are_named_must_be_right(plait: Plait, past: Past):
    assert plait("history", "--config", "nowhere.toml").exit_code == 4
    assert plait("history", past.well, "--config", "nowhere.toml").exit_code == 4


def test_secrets_of_the_settings_are_not_shown(plait: Plait, past: Past, tmp_path: Path):
    (tmp_path / "own.toml").write_text(
        '[servers.s]\ncommand = "true"\nenv = { TOKEN = "${THE_TOKEN}" }\n'
    )
    words = ("--config", "own.toml")
    for form in ((), ("--json",)):
        result = plait("history", past.broken, *form, *words, THE_TOKEN="swordfish-42")
        assert result.exit_code == 0
        assert "swordfish" not in result.stdout
        assert "***" in result.stdout


@pytest.mark.parametrize(
    ("word", "output", "calls"),
    [
        ("write=retry", 7, 2),
        ("*=retry", 7, 2),
        ('write=done:{"id": 5}', 5, 1),
    ],
)
def test_an_interrupted_run_goes_on_with_what_is_said(
    plait: Plait, past: Past, servers: FakeServers, word: str, output: int, calls: int
):
    definition, _ = servers.tools["s:hang"]
    servers.add(definition, lambda: {"id": 7})
    code, stdout = typed(servers, "resume", past.cut[:14], "--in-doubt", word, "--json")
    document = json.loads(stdout)
    assert (code, document["status"]) == (0, "success")
    assert document["outputs"] == {"after": {"of": output}}
    assert [name for name, _ in servers.calls].count("s:hang") == calls
    went_on = json.loads(plait("history", past.cut, "--json").stdout)
    assert went_on["went_on_as"] == document["run_id"]
    assert f"went on  as {document['run_id']}" in plait("history", past.cut).stdout


def test_a_document_that_was_interrupted_is_shown_as_it_is_and_how_to_go_on(
    plait: Plait, past: Past, servers: FakeServers
):
    calls = len(servers.calls)
    code, stdout = typed(servers, "run", "-", input=json.dumps(CUT))
    assert code == 1
    assert stdout.splitlines()[-2:] == [
        f"look   plait history {past.cut}",
        f"go on  plait resume {past.cut}",
    ]
    assert len(servers.calls) == calls


def test_a_run_that_goes_on_without_a_word_keeps_its_doubt(
    plait: Plait, past: Past, servers: FakeServers
):
    code, stdout = typed(servers, "resume", past.cut)
    assert code == 1
    assert "write  in_doubt" in stdout
    assert "1 succeeded" in stdout
    assert [name for name, _ in servers.calls].count("s:hang") == 1


@pytest.mark.parametrize("word", ["write=skip", "write=done"])
def test_a_task_in_doubt_is_left_out_or_taken_as_done(
    plait: Plait, past: Past, servers: FakeServers, word: str
):
    code, stdout = typed(servers, "resume", past.cut, "--in-doubt", word, "--json")
    statuses = {task["id"]: task["status"] for task in json.loads(stdout)["tasks"]}
    assert code == 1  # `after` needs the output
    assert statuses["a"] == "success"
    assert statuses["write"] == ("failed" if word == "write=skip" else "success")


def test_a_run_that_has_ended_is_shown(plait: Plait, past: Past, servers: FakeServers):
    code, stdout = typed(servers, "resume", past.well, "--detail", "full")
    assert code == 0
    assert "● success  nightly" in stdout
    assert [name for name, _ in servers.calls].count("s:echo") == 4


def test_a_corrected_document_goes_on_from_a_run(plait: Plait, past: Past, servers: FakeServers):
    tasks = [task("a", arguments={"token": "swordfish-42"}), task("bad", "s:say")]
    document = json.dumps({"tasks": tasks})
    words = ("run", "-", "--resume", past.broken[:12], "--set", "bad.text=well", "--json")
    code, stdout = typed(servers, *words, input=document)
    assert (code, json.loads(stdout)["outputs"]["bad"]) == (0, "well")
    [latest, *_] = ids(plait)
    assert json.loads(plait("history", latest, "--json").stdout)["resumed_from"] == past.broken
    assert [name for name, _ in servers.calls].count("s:echo") == 4
    wrong = plait("run", "-", "--resume", "nothing", input=document)
    assert (wrong.exit_code, "--resume" in wrong.stderr) == (2, True)


@pytest.mark.parametrize("durable", ["off", "process", "power"])
def test_a_run_says_what_it_survives(plait: Plait, past: Past, servers: FakeServers, durable: str):
    document = json.dumps({"tasks": [task("a")], "durable": "process"})
    assert typed(servers, "run", "-", "--durable", durable, input=document)[0] == 0
    [latest, *_] = json.loads(plait("history", "--json").stdout)["runs"]
    assert latest["durable"] == durable


def test_an_unknown_run_is_refused(plait: Plait, past: Past, servers: FakeServers):
    code, _ = typed(servers, "resume", f"r_{'a' * 26}")
    assert code == 3
