"""The table of clients: their files on each system, and the entry that registers Plait."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from plait.install.clients import CLIENTS, READING_TOOLS, Client, Format, Scope, Start, found
from plait.install.entries import is_plait
from plait.install.machine import System

from .homes import client, machine, user_place, write

CLINE = "User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"
USER_FILES = {
    "claude-code": (".claude.json",) * 3,
    "claude-desktop": (
        ".config/Claude/claude_desktop_config.json",
        "Library/Application Support/Claude/claude_desktop_config.json",
        "AppData/Roaming/Claude/claude_desktop_config.json",
    ),
    "cursor": (".cursor/mcp.json",) * 3,
    "vscode": (
        ".config/Code/User/mcp.json",
        "Library/Application Support/Code/User/mcp.json",
        "AppData/Roaming/Code/User/mcp.json",
    ),
    "codex": (".codex/config.toml",) * 3,
    "gemini": (".gemini/settings.json",) * 3,
    "zed": (
        ".config/zed/settings.json",
        ".config/zed/settings.json",
        "AppData/Roaming/Zed/settings.json",
    ),
    "windsurf": (".codeium/windsurf/mcp_config.json",) * 3,
    "cline": (
        f".config/Code/{CLINE}",
        f"Library/Application Support/Code/{CLINE}",
        f"AppData/Roaming/Code/{CLINE}",
    ),
    "goose": (
        ".config/goose/config.yaml",
        ".config/goose/config.yaml",
        "AppData/Roaming/Block/goose/config/config.yaml",
    ),
    "opencode": (".config/opencode/opencode.json",) * 3,
    "continue": (".continue/config.yaml",) * 3,
    "lm-studio": (".lmstudio/mcp.json",) * 3,
}


def test_the_table_has_thirteen_clients():
    assert [one.name for one in CLIENTS] == [*USER_FILES]


@pytest.mark.parametrize("name", USER_FILES)
@pytest.mark.parametrize("system", list(System))
def test_each_client_has_its_file_on_each_system(name: str, system: System, tmp_path: Path):
    expected = tmp_path / USER_FILES[name][[*System].index(system)]
    assert user_place(name, machine(tmp_path, system)).path == expected


def test_the_store_of_windows_keeps_the_file_elsewhere(tmp_path: Path):
    package = tmp_path / "AppData/Local/Packages/Claude_pzs8sxrjxfjjc"
    file = package / "LocalCache/Roaming/Claude/claude_desktop_config.json"
    write(file, "{}")
    pairs = found(machine(tmp_path, System.WINDOWS))
    assert [(one.name, [place.path for place in places]) for one, places in pairs] == [
        ("claude-desktop", [file])
    ]


@pytest.mark.parametrize(
    ("name", "variable", "file"),
    [("claude-code", "CLAUDE_CONFIG_DIR", ".claude.json"), ("codex", "CODEX_HOME", "config.toml")],
)
def test_a_variable_moves_the_folder_of_a_client(
    name: str, variable: str, file: str, tmp_path: Path
):
    moved = machine(tmp_path, environ={variable: str(tmp_path / "elsewhere")})
    assert user_place(name, moved).path == tmp_path / "elsewhere" / file


def test_a_home_without_clients_has_none(tmp_path: Path):
    assert found(machine(tmp_path)) == []


def test_a_client_is_there_if_its_folder_is(tmp_path: Path):
    for folder in (".cursor", ".claude", ".codex", ".config/Code/User"):
        (tmp_path / folder).mkdir(parents=True)
    names = [one.name for one, _ in found(machine(tmp_path))]
    assert names == ["claude-code", "cursor", "vscode", "codex"]


def test_the_files_of_projects_are_told_from_those_of_the_user(tmp_path: Path):
    here = machine(tmp_path)
    files = (
        ".mcp.json",
        ".cursor/mcp.json",
        ".vscode/mcp.json",
        ".codex/config.toml",
        ".gemini/settings.json",
        ".zed/settings.json",
        "opencode.jsonc",
        ".continue/mcpServers/a.yaml",
        ".continue/mcpServers/b.json",
    )
    for file in files:
        write(here.folder / file, "")
    write(tmp_path / ".claude.json", "{}")
    places = [place for _, places in found(here) for place in places]
    of_project = [place for place in places if place.scope is Scope.PROJECT]
    assert {place.path for place in of_project} == {here.folder / file for file in files}
    assert not any(place.registers for place in of_project)
    local = [place for place in places if place.scope is Scope.LOCAL]
    assert [place.root for place in local] == [("projects", str(here.folder), "mcpServers")]


def test_folders_that_lead_round_in_a_circle_hold_no_client(tmp_path: Path):
    (tmp_path / ".cursor").symlink_to(".cursor")
    (tmp_path / ".claude.json").symlink_to(".claude.json")
    assert found(machine(tmp_path)) == []


def test_in_the_home_itself_the_files_of_the_user_are_not_those_of_a_project(tmp_path: Path):
    write(tmp_path / ".cursor/mcp.json", "{}")
    here = replace(machine(tmp_path), folder=tmp_path)
    assert [place.scope for _, places in found(here) for place in places] == [Scope.USER]


def test_opencode_is_registered_in_the_file_that_it_has(tmp_path: Path):
    file = write(tmp_path / ".config/opencode/opencode.jsonc", "{}")
    assert user_place("opencode", machine(tmp_path)).path == file


@pytest.mark.parametrize("one", CLIENTS, ids=lambda one: one.name)
def test_each_entry_starts_plait_and_approves_reading_alone(one: Client, tmp_path: Path):
    entry = one.entry(Start("/bin/plait", ("serve", "--config", "/x/servers.toml")))
    assert is_plait(entry)
    approved = [text for each in one.approvals(machine(tmp_path)) for text in each.items]
    assert "execute_dag" not in f"{entry} {approved}"
    assert all(text.endswith(READING_TOOLS) for text in approved)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("codex", "startup_timeout_sec", 60),
        ("codex", "tool_timeout_sec", 600),
        ("gemini", "timeout", 600_000),
        ("cline", "timeout", 600),
        ("goose", "timeout", 600),
        ("opencode", "timeout", 60_000),
    ],
)
def test_time_limits_are_in_the_unit_of_the_client(name: str, key: str, value: int):
    assert client(name).entry(Start("uvx", ("plait", "serve"), 60))[key] == value


def test_lists_and_formats_are_as_documented(tmp_path: Path):
    here = machine(tmp_path)
    formats = {one.name: user_place(one.name, here).format for one in CLIENTS}
    others = {name: kind for name, kind in formats.items() if kind is not Format.JSON}
    assert others == {"codex": Format.TOML, "goose": Format.YAML, "continue": Format.YAML}
    assert [one.name for one in CLIENTS if user_place(one.name, here).is_list] == ["continue"]
