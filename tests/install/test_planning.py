"""The plan of an installation: what moves, what stays and why, and the text of each file."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.config import load_config
from plait.install.clients import CLIENTS, Format, Start
from plait.install.entries import Unreadable, servers_in, values_of, words_of
from plait.install.machine import System
from plait.install.plan import Options, Plan
from plait.install.planning import plan_of
from tests.core.strategies import json_values
from tests.profiles import CHARACTERS, share_of_examples

from .homes import (
    FILES,
    MOVED,
    START,
    carry_out,
    machine,
    planned,
    targets,
    user_place,
    with_clients,
    write,
)


def settings_of(plan: Plan) -> dict[str, Any]:
    return tomllib.loads(plan.settings.decode())


def reasons(plan: Plan) -> dict[str, str]:
    return {stay.name: stay.reason for stay in plan.stays}


def entry_of(plan: Plan, name: str, home: Path, system: System = System.LINUX) -> list[str]:
    """The words of the command that registers Plait in the client *name*, by *plan*."""
    place = user_place(name, machine(home, system))
    change = next(one for one in plan.changes if one.path == place.path)
    return words_of(servers_in(place, values_of(change.after, place.format))["plait"])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("system", list(System))
def test_the_servers_of_each_client_move_on_each_system(name: str, system: System, tmp_path: Path):
    here = machine(tmp_path, system)
    place = user_place(name, here)
    before = values_of(write(place.path, FILES[name]).read_bytes(), place.format)
    plan = planned(here)
    assert {server.name for server in plan.servers} == {*MOVED[name]}
    file = next(change for change in plan.changes if change.path == place.path)
    after = values_of(file.after, place.format)
    left = servers_in(place, before).keys() - {*MOVED[name]}
    assert servers_in(place, after).keys() == {*left, "plait"}
    root = place.root[0]
    others = {key: value for key, value in before.items() if key not in {root, "agent"}}
    assert {key: value for key, value in after.items() if key not in {root, "agent"}} == others
    settings = str(targets(here).settings)
    words = [START.command, "serve", "--config", settings, "--profile", name]
    assert entry_of(plan, name, tmp_path, system) == words
    assert settings_of(plan)["profiles"] == {name: {"servers": [*MOVED[name]]}}


def test_all_clients_at_once_keep_what_they_had(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here)
    plan = planned(here)
    assert plan.clients == 13
    profiles = {name: one["servers"] for name, one in settings_of(plan)["profiles"].items()}
    had = {**{name: [*names] for name, names in MOVED.items()}, "cursor": ["github", "files-2"]}
    assert profiles == had
    assert [(one.name, len(one.held)) for one in plan.servers if len(one.held) > 1] == [
        ("github", 2)
    ]
    assert reasons(plan) == {
        "linear": "the client logs in to it",
        "asks": "not every value of it is in reach (${input:key})",
        "old": "it is switched off",
    }
    assert [(answer, rule) for answer, rule, _ in plan.policy] == [
        ("ask", "db:*"),
        ("deny", "notes:wipe"),
        ("deny", "pages:drop"),
    ]
    policy = settings_of(plan)["policy"]
    assert policy == {"deny": ["notes:wipe", "pages:drop"], "ask": ["write", "db:*"]}


@pytest.mark.parametrize("names", [(), ("cursor", "codex")], ids=["all clients", "two of them"])
def test_again_changes_nothing(tmp_path: Path, names: tuple[str, ...]):
    here = machine(tmp_path)
    with_clients(here, *names)
    for client in CLIENTS:  # those without a file are found by their folders
        user_place(client.name, here).path.parent.mkdir(parents=True, exist_ok=True)
    start = lasting(tmp_path)
    carry_out(planned(here, start=start))
    again = planned(here, start=start)
    assert (again.servers, again.changes, again.policy) == ([], [], [])


def lasting(home: Path) -> Start:
    """Return the start of a command that is there."""
    file = write(home / "bin" / "plait", "")
    file.chmod(0o755)
    return replace(START, command=str(file))


def test_half_an_installation_is_gone_on_with(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "cursor", "codex")
    start = lasting(tmp_path)
    plan = planned(here, start=start)
    for change in plan.changes[:3]:
        write(change.path, change.after)
    again = planned(here, start=start)
    assert [change.title for change in again.changes] == [
        change.title for change in plan.changes[3:]
    ]
    assert not any(server.is_new for server in again.servers)
    carry_out(again)
    assert settings_of(again) == settings_of(plan)


def test_what_belongs_to_a_project_or_a_folder_stays(tmp_path: Path):
    here = machine(tmp_path)
    write(here.folder / ".mcp.json", {"mcpServers": {"team": {"command": "team"}}})
    local = {"projects": {str(here.folder): {"mcpServers": {"mine": {"command": "mine"}}}}}
    write(tmp_path / ".claude.json", {**local, "mcpServers": {"a": {"command": "a"}}})
    plan = planned(here)
    assert [server.name for server in plan.servers] == ["a"]
    assert reasons(plan) == {
        "mine": "of this folder (--project)",
        "team": "of this project (--project)",
    }


def test_the_servers_of_a_project_move_to_its_own_settings_without_a_path(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "cursor")
    file = here.folder / ".mcp.json"
    write(file, {"mcpServers": {"team": {"command": "./team", "env": {"K": "${NOPE}"}}}})
    own = replace(targets(here), settings=here.folder / "servers.toml")
    plan = plan_of(here, START, own, Options(in_project=True))
    assert [change.path.name for change in plan.changes] == ["servers.toml", ".mcp.json"]
    values = values_of(plan.changes[1].after, Format.JSON)
    assert words_of(values["mcpServers"]["plait-project"]) == ["plait", "serve"]
    assert settings_of(plan)["servers"]["team"] == {"command": "./team", "env": {"K": "${NOPE}"}}
    assert str(tmp_path) not in plan.changes[1].after.decode() + plan.settings.decode()


def test_a_server_that_does_not_start_stays_and_the_others_move(tmp_path: Path):
    here = machine(tmp_path)
    path = with_clients(here, "codex")["codex"]
    plan = planned(here, failing={("codex", str(path), "db"): "does not start: no such file"})
    assert [server.name for server in plan.servers] == ["dotted"]
    assert reasons(plan) == {"db": "does not start: no such file"}
    assert plan.policy == []


def test_a_rule_that_cannot_be_carried_over_keeps_its_server_unless_it_is_named(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "cursor", "claude-code")
    hooks = {"hooks": {"PreToolUse": [{"matcher": "mcp__github__.*", "hooks": []}]}}
    write(tmp_path / ".claude/settings.json", hooks)
    plan = planned(here)
    assert "a hook of Claude Code" in reasons(plan)["github"]
    assert [held.client.name for one in plan.servers for held in one.held] == ["cursor", "cursor"]
    named = planned(here, Options(only=frozenset({"github"})))
    assert [(one.name, len(one.held)) for one in named.servers] == [("github", 2)]
    assert any("moves without a rule" in note for note in named.notes)


def test_a_client_that_runs_and_writes_back_is_left_alone(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "claude-desktop", "lm-studio")
    plan = planned(here, running=("claude-desktop",))
    assert [server.name for server in plan.servers] == ["paint"]
    assert [(left.title, "end it first" in left.reason) for left in plan.left] == [
        ("Claude Desktop", True)
    ]
    anyway = planned(here, Options(anyway=True), running=("claude-desktop",))
    assert [server.name for server in anyway.servers] == ["files", "paint"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"mcpServers": {', "it is not JSON"),
        ('{"mcpServers": {}}'.encode("utf-16"), "UTF-16"),
        (b'{"mcpServers": {"a": {}, "a": {}}}', "twice"),
        (b'{"mcpServers": []}', "must map names to servers"),
    ],
)
def test_a_file_that_is_broken_is_left_alone_and_the_rest_goes_on(
    content: bytes, said: str, tmp_path: Path
):
    here = machine(tmp_path)
    with_clients(here, "lm-studio")
    file = write(tmp_path / ".cursor/mcp.json", content)
    plan = planned(here)
    assert [(left.path, said in left.reason) for left in plan.left] == [(file, True)]
    assert "put into mcpServers" in plan.left[0].lines[0]
    assert [change.title for change in plan.changes] == ["servers.toml", "LM Studio"]


def test_a_file_that_cannot_be_changed_keeps_its_servers(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "lm-studio")
    text = "extensions:\n  a: &a\n    type: stdio\n    cmd: a\nmine: *a\n"
    file = write(tmp_path / ".config/goose/config.yaml", text)
    plan = planned(here)
    assert [server.name for server in plan.servers] == ["paint"]
    assert [left.path for left in plan.left] == [file]
    assert "without touching more" in plan.left[0].reason


def test_our_own_broken_settings_are_an_error(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here)
    write(targets(here).settings, "[servers")
    with pytest.raises(Unreadable, match=r"servers\.toml: it is not TOML"):
        planned(here)


def test_shared_servers_need_no_profiles(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "cursor", "zed")
    plan = planned(here, Options(shares=True))
    assert "profiles" not in settings_of(plan)
    assert "--profile" not in entry_of(plan, "zed", tmp_path)


def test_clients_can_be_chosen(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here)
    plan = planned(here, Options(clients=frozenset({"zed"})))
    assert [server.name for server in plan.servers] == ["notes"]


def test_where_nothing_moves_clients_get_the_gateway_as_it_is(tmp_path: Path):
    here = machine(tmp_path)
    for name in (".cursor", ".codex"):
        (tmp_path / name).mkdir()
    plan = planned(here)
    assert [change.title for change in plan.changes] == ["Cursor", "Codex"]
    assert entry_of(plan, "cursor", tmp_path) == [START.command, "serve"]
    write(targets(here).settings, "[servers.a]\ncommand = 'a'\n")
    settings = str(targets(here).settings)
    words = entry_of(planned(here), "cursor", tmp_path)
    assert words == [START.command, "serve", "--config", settings]


def test_a_client_without_servers_gets_none_of_others_without_being_named(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "zed")
    (tmp_path / ".cursor").mkdir()
    plan = planned(here)
    assert [change.title for change in plan.changes] == ["servers.toml", "Zed"]
    assert any("Cursor has no servers" in note for note in plan.notes)


def test_a_client_whose_servers_all_stay_is_left_unless_it_is_named(tmp_path: Path):
    here = machine(tmp_path)
    servers = {"l": {"url": "https://l.example", "auth": {"CLIENT_ID": "x"}}}
    write(tmp_path / ".cursor/mcp.json", {"mcpServers": servers})
    plan = planned(here)
    assert plan.changes == []
    assert ["plait install cursor registers" in note for note in plan.notes] == [True]
    named = planned(here, Options(clients=frozenset({"cursor"})))
    assert [change.title for change in named.changes] == ["Cursor"]


def test_from_the_linux_in_windows_only_its_own_clients_are_changed(tmp_path: Path):
    here = machine(tmp_path, environ={"WSL_DISTRO_NAME": "Debian"})
    assert any("programs of Windows" in note for note in planned(here).notes)


def test_an_entry_whose_command_is_gone_is_made_anew_with_its_arguments(tmp_path: Path):
    here = machine(tmp_path)
    entry = {"command": "/gone/plait", "args": ["serve", "--config", "/my.toml"]}
    write(tmp_path / ".cursor/mcp.json", {"mcpServers": {"plait": entry}})
    words = entry_of(planned(here), "cursor", tmp_path)
    assert words == [START.command, "serve", "--config", "/my.toml"]


def test_servers_stay_beside_an_entry_with_settings_of_its_own(tmp_path: Path):
    here = machine(tmp_path)
    entry = {"command": "/bin/sh", "args": ["plait", "serve", "--config", "/my.toml"]}
    servers = {"plait": entry, "a": {"command": "a"}}
    write(tmp_path / ".cursor/mcp.json", {"mcpServers": servers})
    plan = planned(here)
    assert reasons(plan) == {"a": "Plait is registered there with other settings (/my.toml)"}
    assert plan.changes == []


def test_plait_is_never_moved_into_plait(tmp_path: Path):
    here = machine(tmp_path)
    entry = {"command": "uvx", "args": ["plait@1.0", "serve"]}
    servers = {"gateway": entry, "a": {"command": "a"}}
    write(tmp_path / ".cursor/mcp.json", {"mcpServers": servers})
    plan = planned(here)
    assert [server.name for server in plan.servers] == ["a"]
    values = values_of(plan.changes[-1].after, Format.JSON)
    assert values["mcpServers"] == {"gateway": entry}


SETTINGS = st.dictionaries(
    st.sampled_from(
        ["command", "args", "env", "url", "headers", "type", "cwd", "timeout", "disabled", "tools"]
    ),
    json_values() | st.sampled_from(["npx", "https://x.example/mcp", ["-y", "${env:HOME}"], "~/x"]),
    max_size=5,
)


@share_of_examples(10)
@given(st.dictionaries(st.text(CHARACTERS, max_size=8), SETTINGS | json_values(), max_size=4))
def test_whatever_a_file_holds_there_is_a_plan_that_can_be_used(entries: dict[str, Any]):
    with TemporaryDirectory() as name:
        here = machine(Path(name))
        write(here.home / ".cursor/mcp.json", {"mcpServers": entries, "other": entries})
        plan = planned(here)
        if plan.servers:
            carry_out(plan)
            for file in (targets(here).settings, targets(here).secrets):
                if file.exists():
                    file.chmod(0o600)
            config = load_config(targets(here).settings, here.environ, here.folder)
            assert config.servers.keys() == {server.name for server in plan.servers}
            values = values_of((here.home / ".cursor/mcp.json").read_bytes(), Format.JSON)
            assert values["other"] == entries


def test_names_that_are_taken_or_odd_are_changed(tmp_path: Path):
    here = machine(tmp_path)
    servers = {"dag": {"command": "a"}, "My Server!": {"command": "b"}, "日本": {"command": "c"}}
    write(tmp_path / ".cursor/mcp.json", {"mcpServers": servers})
    assert [one.name for one in planned(here).servers] == ["dag-2", "my-server", "server"]


def test_reading_tools_are_approved_and_no_others(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "claude-code", "goose", "zed")
    permission = ".config/goose/permission.yaml"
    write(tmp_path / permission, "user:\n  always_allow: [x]\n  ask_before: []\n")
    texts = {change.path.name: change.after.decode() for change in planned(here).changes}
    allowed = values_of(texts["settings.json"].encode(), Format.JSON)
    assert "execute_dag" not in "".join(texts.values())
    assert "plait__query_dag" in texts["permission.yaml"]
    assert allowed["agent"]["tool_permissions"]["tools"]["mcp:plait:query_dag"]
    plans = planned(here, Options(clients=frozenset({"claude-code"}))).changes
    settings = next(one for one in plans if one.path == tmp_path / ".claude/settings.json")
    assert values_of(settings.after, Format.JSON)["permissions"]["allow"] == [
        f"mcp__plait__{name}" for name in ("search_tools", "describe_tools", "get_run", "query_dag")
    ]


def test_nothing_that_is_shown_has_the_value_of_a_secret(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here)
    shown = repr(planned(here))
    for secret in ("ghp_0123456789abcdef", "hunter22", "wk-1", "mk-1", "me@example.com"):
        assert secret not in shown


def test_the_fixtures_cover_the_table():
    assert [one.name for one in CLIENTS] == [*FILES]
