"""plait plan, tools and servers."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from plait.core.tools.catalog import ServerInfo, ServerState
from plait.core.tools.policy import Policy
from plait.core.tools.rules import Rules

from ..fakes import FakeServers
from .conftest import Plait, task


@pytest.fixture(params=["alone", "shared"])
def way(request: pytest.FixtureRequest) -> str:
    """Carried out in this process, and by a gateway that runs."""
    return str(request.param)


TASKS = [task("a"), task("b", "s:say", arguments={"text": "$OUTPUT[a].x"})]


def test_a_plan_shows_layers_the_critical_path_and_what_it_changes(
    plait: Plait, servers: FakeServers
):
    result = plait("plan", "-", input=json.dumps({"tasks": TASKS}))
    assert result.exit_code == 0
    assert "2 tasks, 2 layers, at most 1 at once" in result.stdout
    assert "critical path  a → b" in result.stdout
    assert "changes  b s:say" in result.stdout
    assert "estimate  none: these tools were never called" in result.stdout
    assert servers.calls == []


def test_a_plan_as_json_is_the_answer_to_a_dry_run(plait: Plait):
    document = json.loads(plait("plan", "-", "--json", input=json.dumps({"tasks": TASKS})).stdout)
    assert document["status"] == "planned"
    assert document["layers"] == [["a"], ["b"]]


WORDS = [
    "2 tasks that call tools.",
    "1. a: call s:echo.",
    "2. b: once a has succeeded, call s:say with text: a.x (changes something).",
    "b changes something; all else only reads.",
    "The answer holds the output of b.",
]


def test_a_dag_is_explained_in_sentences_and_nothing_runs(plait: Plait, servers: FakeServers):
    document = json.dumps({"tasks": TASKS})
    assert plait("explain", "-", input=document).stdout.splitlines() == WORDS
    answer = json.loads(plait("explain", "-", "--json", input=document).stdout)
    assert answer == {"status": "planned", "explanation": WORDS, "notes": []}
    planned = plait("plan", "-", input=document).stdout.splitlines()
    assert planned[-6:] == ["in words", *[f"  {line}" for line in WORDS]]
    assert servers.calls == []


def test_an_explained_dag_has_the_notes_on_how_it_was_understood(plait: Plait):
    document = {"tasks": [{"id": "a", "tool": "s__echo"}]}
    result = plait("explain", "-", input=json.dumps(document))
    assert "1. a: call s:echo" in result.stdout
    assert "s__echo" in result.stdout
    assert plait("explain", "-", input='{"tasks": []}').exit_code == 3


def test_a_plan_of_a_wrong_dag_is_refused(plait: Plait):
    assert plait("plan", "-", input='{"tasks": []}').exit_code == 3


def test_tools_lists_all_and_marks_what_is_not_read_only(plait: Plait):
    lines = plait("tools").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "s:echo",
        "s:say",
        "s:fail",
        "s:hang",
        "far:look",
    ]
    assert "[w]" not in lines[0]
    assert "Give the arguments back." in lines[0]
    assert "All." not in lines[0]
    assert "[w]" in lines[1]


def test_tools_finds_by_words_and_shows_signatures(plait: Plait):
    result = plait("tools", "say", "text")
    assert result.stdout.startswith("s:say [w]\n    (text: string)\n")


def test_tools_that_are_denied_are_not_shown(plait: Plait):
    plait.policy = Policy(tables=(Rules(deny=("*:fail", "s:hang")),))
    assert [line.split()[0] for line in plait("tools").stdout.splitlines()] == [
        "s:echo",
        "s:say",
        "far:look",
    ]
    found = plait("tools", "fail")
    assert "s:fail" not in found.stdout
    assert found.stderr.startswith("0 tools of 3")
    assert json.loads(plait("tools", "--json").stdout)["total"] == 3


def test_tools_as_json_holds_the_definitions(plait: Plait):
    document = json.loads(plait("tools", "--server", "far", "--json").stdout)
    assert document["total"] == 5
    assert [tool["name"] for tool in document["tools"]] == ["far:look"]
    assert document["tools"][0]["definition"]["description"] == "Look far"


def test_tools_of_a_server_that_there_is_not_is_a_wrong_command_line(plait: Plait):
    result = plait("tools", "--server", "fra")
    assert result.exit_code == 2
    assert 'Did you mean "far"?' in result.stderr


def test_servers_reports_what_does_not_start_and_exits_well(plait: Plait, servers: FakeServers):
    servers.add_server(ServerInfo("down", ServerState.RETRYING, "http", error="connection refused"))
    servers.add_server(ServerInfo("held", ServerState.NOT_STARTED))
    result = plait("servers")
    assert result.exit_code == 0
    assert "✗ down" in result.stdout
    assert "○ held              not started" in result.stdout
    assert "connection refused" in result.stdout
    assert "down: retrying: connection refused" in plait("tools").stderr
    document = json.loads(plait("servers", "--json").stdout)
    assert [(server["name"], server["state"]) for server in document["servers"]] == [
        ("s", "ready"),
        ("far", "ready"),
        ("down", "retrying"),
        ("held", "not started"),
    ]


def test_servers_shows_which_circuits_are_not_closed(plait: Plait, servers: FakeServers):
    later = time.monotonic() + 1_000
    servers.add_server(ServerInfo("sick", ServerState.READY, open_until=later))
    servers.add_server(ServerInfo("tried", ServerState.READY, open_until=0.0))
    shown = plait("servers").stdout
    assert "circuit open: its last calls failed, the next may go in " in shown
    assert "circuit half open: its last calls failed, the next one is a probe" in shown
    listed = {s["name"]: s for s in json.loads(plait("servers", "--json").stdout)["servers"]}
    assert listed["sick"]["circuit"] == "open"
    assert 0 < listed["sick"]["retry_after_s"] <= 1_000
    assert listed["tried"]["circuit"] == "half_open"
    assert "circuit" not in listed["s"]


def test_servers_notes_what_in_the_file_was_ignored(plait: Plait, tmp_path: Path):
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"My Files": {"command": "x", "trust": True}}}))
    notes = [
        'mcpServers."My Files": is called my-files here',
        'mcpServers."My Files".trust: means nothing here, and was ignored',
    ]
    shown = plait("servers", "--config", str(file))
    assert [line for line in shown.stderr.splitlines() if line.startswith("note: ")] == [
        f"note: {n}" for n in notes
    ]
    assert json.loads(plait("servers", "--config", str(file), "--json").stdout)["notes"] == notes


def test_a_file_without_a_server_that_can_be_used_says_so(
    plait: Plait, servers: FakeServers, tmp_path: Path
):
    servers.tools.clear()
    servers.infos.clear()
    (tmp_path / "mcp.json").write_text('{"mcpServers": {"a": "npx x"}}')
    for command in ("tools", "servers"):
        shown = plait(command, "--config", "mcp.json")
        assert "no servers in " in shown.stderr, command
        assert "mcpServers.a: must be a table of keys and values" in shown.stderr


def test_servers_notes_rules_that_match_no_tool(plait: Plait, tmp_path: Path):
    file = tmp_path / "servers.toml"
    file.write_text('[servers.s]\ncommand = "x"\n[policy]\ndeny = ["s:ecko", "s:echo"]\n')
    result = plait("servers", "--config", str(file))
    assert 'note: policy.deny[0]: "s:ecko" matches no tool' in result.stderr
    assert "s:echo" not in result.stderr


def test_a_state_folder_that_cannot_be_written_is_noted_once(plait: Plait, tmp_path: Path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "state"
    result = plait("servers", PLAIT_STATE_DIR=str(folder))
    assert result.exit_code == 0
    said = f"note: {folder} cannot be written (Not a directory)"
    assert result.stderr.count(said) == 1
    assert "note" not in plait("servers", PLAIT_STATE_DIR=str(tmp_path / "state")).stderr


def test_servers_names_what_a_server_needs_and_where_to_set_it(plait: Plait, servers: FakeServers):
    servers.add_server(ServerInfo("db", ServerState.NEEDY, error="not set", needs=("A", "B")))
    shown = plait("servers").stdout
    assert "✗ db                needs A, B" in shown
    assert "not set" in shown
    [listed] = [
        s for s in json.loads(plait("servers", "--json").stdout)["servers"] if s["name"] == "db"
    ]
    assert (listed["state"], listed["needs"]) == ("needs a variable", ["A", "B"])
    assert "db: needs A, B: not set" in plait("tools").stderr


def test_servers_notes_which_of_the_file_are_off(plait: Plait, tmp_path: Path):
    file = tmp_path / "servers.toml"
    file.write_text('[servers.s]\ncommand = "x"\nenv = { T = "${NO_TOKEN}" }\n')
    where = f"the environment or in {tmp_path / 'plait' / 'secrets.env'}"
    said = f"note: servers.s: is off: the variable NO_TOKEN is not set; set it in {where}"
    assert said in plait("servers", "--config", str(file)).stderr
