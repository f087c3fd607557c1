"""`plait install`: what it shows, writes, leaves and takes back."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from plait.cli import installing
from plait.cli.exits import Exit
from plait.install.applying import alone

from ..install.homes import write
from .conftest import Plait
from .homes import entry, environment, installed, servers

Install = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    (home / "work").mkdir(parents=True)
    installed(home)
    monkeypatch.chdir(home / "work")
    for name in list(os.environ):
        if name.startswith(("XDG_", "PLAIT_", "CLAUDE_", "CODEX_")):
            monkeypatch.delenv(name)
    for name, value in environment(home).items():
        monkeypatch.setenv(name, value)
    return home


@pytest.fixture
def install(plait: Plait, home: Path) -> Install:
    def install(*words: str) -> Result:
        return plait("install", *words)

    return install


def contents(home: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and ".local" not in path.relative_to(home).parts
    }


def settings(home: Path) -> dict[str, Any]:
    return tomllib.loads((home / ".config/plait/servers.toml").read_text())


def test_servers_move_are_shown_by_name_and_come_back(install: Install, home: Path):
    cursor = servers(home / ".cursor/mcp.json", adder=entry(API_KEY="sk-very-secret-1"))
    servers(home / ".claude.json", adder=entry(API_KEY="sk-very-secret-1"))
    deny = {"permissions": {"deny": ["mcp__adder__drop"]}}
    write(home / ".claude/settings.json", deny)
    before = contents(home)
    result = install("--yes")
    assert result.exit_code == Exit.SUCCESS, result.stderr
    said = " ".join(result.stdout.split())
    assert "Found 2 clients with 2 servers." in said
    assert "+ [servers.adder] from Claude Code, Cursor (the same) API_KEY → secrets.env" in said
    assert "policy deny adder:drop (from Claude Code's rules), ask write" in said
    assert "~/.cursor/mcp.json - 1 server + plait (profile cursor)" in said
    assert "plait install --undo" in said
    assert "sk-very-secret-1" not in result.stdout + result.stderr
    assert settings(home)["servers"]["adder"]["env"] == {"API_KEY": "${API_KEY}"}
    assert settings(home)["profiles"]["cursor"] == {"servers": ["adder"]}
    ours = json.loads(cursor.read_text())["mcpServers"]
    assert [*ours] == ["plait"]
    assert ours["plait"]["command"] == str(home / ".local/bin/plait")
    again = install("--yes")
    assert (again.exit_code, "Nothing to change." in again.stdout) == (Exit.SUCCESS, True)
    undone = install("--undo", "--yes")
    assert (undone.exit_code, "byte for byte" in undone.stdout) == (Exit.SUCCESS, True)
    assert contents(home) == before
    nothing = install("--undo", "--yes")
    assert (nothing.exit_code, "nothing to undo" in nothing.stderr) == (Exit.SUCCESS, True)


def test_a_server_that_does_not_start_stays_and_the_rest_moves(install: Install, home: Path):
    servers(
        home / ".cursor/mcp.json",
        adder=entry(),
        gone={"command": "no-such-command-at-all"},
        mute={"command": "/bin/true"},
    )
    result = install("--yes")
    assert result.exit_code == Exit.SUCCESS
    assert re.search(r"= gone +stays with Cursor: does not start for Plait", result.stdout)
    assert re.search(r"= mute +stays with Cursor: does not start for Plait", result.stdout)
    left = json.loads((home / ".cursor/mcp.json").read_text())["mcpServers"]
    assert [*left] == ["gone", "mute", "plait"]


def test_a_variable_that_a_server_is_seen_to_miss_goes_on_to_it(
    install: Install, home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ADDER_HOME", "/adder")
    servers(home / ".claude.json", adder=entry("--needs", "ADDER_HOME"))
    result = install("--yes")
    assert result.exit_code == Exit.SUCCESS
    assert "with ADDER_HOME of its client" in result.stdout
    assert settings(home)["servers"]["adder"]["env_pass"] == ["ADDER_HOME"]


def test_print_writes_nothing_and_says_what_to_write(install: Install, home: Path):
    servers(home / ".cursor/mcp.json", adder=entry(API_KEY="sk-very-secret-1"))
    before = contents(home)
    result = install("--print")
    assert result.exit_code == Exit.SUCCESS
    assert 'put into mcpServers: {"plait": ' in result.stdout
    assert "remove adder from mcpServers" in result.stdout
    assert "sk-very-secret-1" not in result.stdout
    assert contents(home) == before


def test_json_is_one_document(install: Install, home: Path):
    servers(home / ".cursor/mcp.json", adder=entry(API_KEY="sk-very-secret-1"))
    planned = json.loads(install("--print", "--json").stdout)
    assert [file["title"] for file in planned["files"]] == [
        "secrets.env",
        "servers.toml",
        "Cursor",
    ]
    assert planned["servers"][0]["secrets"] == ["API_KEY"]
    done = json.loads(install("--yes", "--json").stdout)
    assert done["written"] == [file["path"] for file in planned["files"]]
    assert Path(done["backup"]).is_dir()
    again = json.loads(install("--yes", "--json").stdout)
    assert again["files"] == []
    undone = json.loads(install("--undo", "--yes", "--json").stdout)
    assert undone["written"] == done["written"][::-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say --yes or --print: it can ask at a terminal alone."),
        (("cursr", "--yes"), 'unknown client "cursr". Did you mean "cursor"?'),
        (("--yes", "--only", "ader"), 'no client has the server "ader". Did you mean "adder"?'),
        (("--yes", "--project"), "name the servers with --only"),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_is_written(
    words: tuple[str, ...], said: str, install: Install, home: Path
):
    servers(home / ".cursor/mcp.json", adder=entry())
    before = contents(home)
    result = install(*words)
    assert result.exit_code == Exit.USAGE
    assert said in " ".join(result.stderr.split())
    assert contents(home) == before


def test_undo_asks_at_a_terminal_too(install: Install, home: Path):
    servers(home / ".cursor/mcp.json", adder=entry())
    install("--yes")
    before = contents(home)
    result = install("--undo")
    assert (result.exit_code, contents(home)) == (Exit.USAGE, before)
    assert install("--undo", "--print").exit_code == Exit.SUCCESS
    assert contents(home) == before


def test_a_home_without_clients_is_said(install: Install, home: Path):
    result = install("--yes")
    assert result.exit_code == Exit.TASK_FAILED
    assert "no client was found" in result.stderr
    assert "Claude Code, Claude Desktop, Cursor" in result.stderr


def test_a_broken_file_is_left_alone_and_the_exit_code_says_so(install: Install, home: Path):
    servers(home / ".cursor/mcp.json", adder=entry())
    write(home / ".gemini/settings.json", "{broken")
    result = install("--yes")
    assert result.exit_code == Exit.TASK_FAILED
    assert re.search(r"! Gemini CLI \(~/.gemini/settings.json\): it is not JSON", result.stdout)
    assert "put into mcpServers" in result.stdout
    assert (home / ".gemini/settings.json").read_text() == "{broken"
    assert settings(home)["servers"]["adder"]


def test_our_own_broken_settings_end_it(install: Install, home: Path):
    servers(home / ".cursor/mcp.json", adder=entry())
    write(home / ".config/plait/servers.toml", "[servers")
    result = install("--yes")
    assert result.exit_code == Exit.CONFIG
    assert "servers.toml: it is not TOML" in result.stderr


def test_settings_that_would_not_be_understood_end_it(install: Install, home: Path):
    servers(home / ".cursor/mcp.json", adder=entry())
    write(home / ".config/plait/servers.toml", "[gateway]\nmax_concurency = 1\n")
    before = contents(home)
    result = install("--yes")
    assert result.exit_code == Exit.CONFIG
    assert "max_concurrency" in result.stderr
    assert contents(home) == before


def test_secrets_that_would_not_be_used_end_it(install: Install, home: Path):
    servers(home / ".cursor/mcp.json", adder=entry(API_KEY="sk-very-secret-1"))
    write(home / ".config/plait/secrets.env", "A='1'\n").chmod(0o644)
    before = contents(home)
    result = install("--yes")
    assert result.exit_code == Exit.CONFIG
    assert "chmod 600" in result.stderr
    assert contents(home) == before


def test_a_folder_of_settings_that_clients_may_not_know_is_said(
    install: Install, home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "settings"))
    servers(home / ".cursor/mcp.json", adder=entry())
    result = install("--yes")
    assert result.exit_code == Exit.SUCCESS
    assert "only by clients that have XDG_CONFIG_HOME" in result.stdout
    assert (home / "settings/plait/servers.toml").exists()


def test_the_servers_of_a_project_move_to_its_own_settings(install: Install, home: Path):
    file = servers(home / "work/.mcp.json", team=entry())
    result = install("--project", "--yes", "--only", "team")
    assert result.exit_code == Exit.SUCCESS
    assert "all who work on this project need Plait" in result.stdout
    assert json.loads(file.read_text())["mcpServers"]["plait-project"] == {
        "type": "stdio",
        "command": "plait",
        "args": ["serve"],
    }
    assert "team" in (home / "work/servers.toml").read_text()
    assert not (home / ".config/plait").exists()


def test_two_at_once_are_one_after_the_other(install: Install, home: Path):
    servers(home / ".cursor/mcp.json", adder=entry())
    before = contents(home)
    with alone(home / ".local/state/plait"):
        result = install("--yes")
    assert result.exit_code == Exit.TASK_FAILED
    assert "another plait install is at work" in result.stderr
    assert contents(home) == before


def test_a_file_that_is_written_meanwhile_is_planned_anew(
    install: Install, home: Path, monkeypatch: pytest.MonkeyPatch
):
    file = servers(home / ".cursor/mcp.json", adder=entry())
    real = installing._Installation._applied
    written: list[Path] = []

    def write_first(self: Any, plan: Any, shown: Any) -> Any:
        if not written:
            written.append(servers(file, adder=entry(), theirs=entry("--two")))
            return real(self, self._plan(), shown)
        return real(self, plan, shown)

    monkeypatch.setattr(installing._Installation, "_applied", write_first)
    result = install("--yes")
    assert result.exit_code == Exit.SUCCESS
    assert "the plan is made anew" in result.stderr
    assert [*settings(home)["servers"]] == ["adder", "theirs"]
    assert [*json.loads(file.read_text())["mcpServers"]] == ["plait"]


def test_files_that_are_written_again_and_again_are_left(
    install: Install, home: Path, monkeypatch: pytest.MonkeyPatch
):
    file = servers(home / ".cursor/mcp.json", adder=entry())
    real = installing._Installation._applied

    def write_first(self: Any, plan: Any, shown: Any) -> Any:
        write(file, file.read_text() + "\n")
        return real(self, self._plan(), shown)

    monkeypatch.setattr(installing._Installation, "_applied", write_first)
    result = install("--yes")
    assert result.exit_code == Exit.TASK_FAILED
    assert "again and again" in result.stderr
    assert "adder" in file.read_text()


def test_without_room_for_backups_nothing_is_changed(install: Install, home: Path):
    servers(home / ".cursor/mcp.json", adder=entry())
    write(home / ".local/state/plait/backups", "no folder")
    before = contents(home)
    result = install("--yes")
    assert result.exit_code == Exit.CONFIG
    assert "a backup cannot be made, so nothing was changed" in result.stderr
    assert contents(home) == before


def test_what_others_wrote_since_stays_and_is_shown(install: Install, home: Path):
    file = servers(home / ".claude.json", adder=entry())
    install("--yes")
    values = json.loads(file.read_text())
    write(file, json.dumps({**values, "numStartups": 7}, indent=2))
    result = install("--undo", "--yes")
    assert result.exit_code == Exit.SUCCESS
    assert "our change alone is taken back (- plait, + adder)" in result.stdout
    after = json.loads(file.read_text())
    assert (after["numStartups"], [*after["mcpServers"]]) == (7, ["adder"])
