"""The rules of clients about servers' tools."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.install.clients import Format
from plait.install.entries import Unreadable, values_of
from plait.install.rules import Rules, rules_of
from tests.core.strategies import json_values
from tests.profiles import share_of_examples

from .homes import client, machine, write


def rules(name: str, home: Path, values: Mapping[str, Any] | None = None, *servers: str) -> Rules:
    held = {server: (values or {}).get(server, {}) for server in servers or ("github", "db x")}

    def read(path: Path, kind: Format) -> Mapping[str, Any]:
        return values_of(path.read_bytes() if path.exists() else b"", kind)

    path = home / ".config/goose/config.yaml"
    return rules_of(client(name), machine(home), path, values or {}, held, read)


def told(found: Rules) -> list[tuple[str, str, str]]:
    return [(rule.answer, rule.server, rule.tool) for rule in found.rules]


def test_permissions_of_claude_code_are_read(tmp_path: Path):
    deny = ["mcp__github__delete_repo", "mcp__db_x", "mcp__other__x", "Bash(rm:*)", "mcp__*"]
    permissions = {"deny": deny, "ask": ["mcp__github__get_*"], "allow": ["mcp__github__x"]}
    write(tmp_path / ".claude/settings.json", {"permissions": permissions})
    local = {"permissions": {"deny": ["mcp__github"]}}
    write(tmp_path / ".claude/settings.local.json", local)
    found = rules("claude-code", tmp_path)
    assert told(found) == [
        ("deny", "github", "delete_repo"),
        ("deny", "db x", "*"),
        ("ask", "github", "get_*"),
        ("deny", "github", "*"),
    ]
    assert found.obstacles == {}


def test_the_longer_name_of_two_servers_is_meant(tmp_path: Path):
    write(tmp_path / ".claude/settings.json", {"permissions": {"deny": ["mcp__a__b__c"]}})
    found = rules("claude-code", tmp_path, {}, "a", "a__b")
    assert told(found) == [("deny", "a__b", "c")]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"hooks": {"PreToolUse": [{"matcher": "mcp__github__.*"}]}}, "a hook of Claude Code"),
        ({"hooks": {"PreToolUse": [{"matcher": "mcp__git.*"}]}}, "a hook of Claude Code"),
        ({"permissions": {"deny": ["mcp__github__x(a:b)"]}}, "about arguments"),
    ],
)
def test_what_cannot_be_carried_over_is_an_obstacle(
    settings: dict[str, Any], reason: str, tmp_path: Path
):
    write(tmp_path / ".claude/settings.json", settings)
    found = rules("claude-code", tmp_path)
    assert [*found.obstacles] == ["github"]
    assert reason in found.obstacles["github"]


@pytest.mark.parametrize("matcher", ["*", "", ".*", "mcp__.*", "Bash", "["])
def test_a_hook_that_watches_ours_as_well_is_none(matcher: str, tmp_path: Path):
    write(tmp_path / ".claude/settings.json", {"hooks": {"PostToolUse": [{"matcher": matcher}]}})
    assert rules("claude-code", tmp_path).obstacles == {}


def test_an_agent_that_names_the_tools_is_an_obstacle(tmp_path: Path):
    text = "---\nname: r\ntools: Read, mcp__github__get\n---\nmcp__db_x__y is not its tool\n"
    write(tmp_path / ".claude/agents/review.md", text)
    found = rules("claude-code", tmp_path).obstacles
    assert found == {"github": "the agent review of Claude Code names its tools"}


def test_an_agent_that_cannot_be_read_keeps_every_server(tmp_path: Path):
    (tmp_path / ".claude/agents/gone.md").parent.mkdir(parents=True)
    (tmp_path / ".claude/agents/gone.md").symlink_to("nowhere")
    assert rules("claude-code", tmp_path).obstacles == {}
    (tmp_path / ".claude/agents/folder.md").mkdir()
    assert [*rules("claude-code", tmp_path).obstacles] == ["github", "db x"]


def test_rules_that_cannot_be_read_keep_every_server(tmp_path: Path):
    write(tmp_path / ".claude/settings.json", "{")
    found = rules("claude-code", tmp_path).obstacles
    assert [*found] == ["github", "db x"]
    assert "cannot be read" in found["github"]
    with pytest.raises(Unreadable):
        values_of(b"{", Format.JSON)


CASES: list[tuple[str, dict[str, Any], list[tuple[str, str, str]], list[str]]] = [
    (
        "codex",
        {
            "github": {
                "default_tools_approval_mode": "prompt",
                "tools": {"a": {"approval_mode": "approve"}, "b": {"enabled": False}},
            },
            "db x": {"default_tools_approval_mode": "approve"},
        },
        [("ask", "github", "*"), ("deny", "github", "b")],
        [],
    ),
    (
        "zed",
        {
            "agent": {
                "profiles": {"write": {"context_servers": {"db x": {"tools": {"q": False}}}}},
                "tool_permissions": {
                    "tools": {
                        "mcp:github:a": {"default": "deny"},
                        "mcp:github:b": {"default": "confirm"},
                        "mcp:github:c": {"default": "allow"},
                        "terminal": {"default": "deny"},
                    }
                },
            }
        },
        [("deny", "github", "a"), ("ask", "github", "b")],
        ["db x"],
    ),
    (
        "zed",
        {"agent": {"tool_permissions": {"tools": {"mcp:github:a": {"always_deny": [{}]}}}}},
        [],
        ["github"],
    ),
    (
        "opencode",
        {
            "tools": {"github_delete": False, "db_x_get": True},
            "permission": {"github_*": "ask", "*": "ask", "d*": "deny", "bash": "deny"},
            "agent": {"plan": {"tools": {"github_a": False}}},
        },
        [("deny", "github", "delete"), ("ask", "github", "*"), ("deny", "db x", "*")],
        ["github"],
    ),
    ("opencode", {"permission": {"github_a": {"x": "deny"}}}, [], ["github"]),
    (
        "gemini",
        {"tools": {"exclude": ["github__a"]}, "mcp": {"excluded": ["db x"]}},
        [("deny", "github", "a")],
        ["db x"],
    ),
    ("gemini", {"mcp": {"allowed": ["github", "db x"]}}, [], ["github", "db x"]),
    ("gemini", {"mcp": {"allowed": ["github", "db x", "plait"]}}, [], []),
    ("windsurf", {}, [], []),
]


@pytest.mark.parametrize(("name", "values", "expected", "obstacles"), CASES)
def test_rules_in_the_file_of_the_client_are_read(
    name: str,
    values: dict[str, Any],
    expected: list[tuple[str, str, str]],
    obstacles: list[str],
    tmp_path: Path,
):
    found = rules(name, tmp_path, values)
    assert told(found) == expected
    assert [*found.obstacles] == obstacles


def test_rules_in_files_of_their_own_are_read(tmp_path: Path):
    text = "user:\n  never_allow: [github__delete, shell]\n  ask_before:\n  - github__add\n"
    write(tmp_path / ".config/goose/permission.yaml", text)
    assert told(rules("goose", tmp_path)) == [
        ("deny", "github", "delete"),
        ("ask", "github", "add"),
    ]
    deny = ["Mcp(github:delete_*)", "Mcp(*:x)", "Shell(rm)"]
    write(tmp_path / ".cursor/cli-config.json", {"permissions": {"deny": deny}})
    assert told(rules("cursor", tmp_path)) == [("deny", "github", "delete_*")]


@share_of_examples(10)
@given(
    st.sampled_from(["claude-code", "cursor", "codex", "gemini", "zed", "goose", "opencode"]),
    st.dictionaries(
        st.sampled_from(["permissions", "hooks", "agent", "tools", "mcp", "permission", "user"]),
        json_values()
        | st.dictionaries(
            st.sampled_from(["deny", "profiles", "tool_permissions", "PreToolUse", "github"]),
            json_values(),
        ),
    ),
    st.dictionaries(st.sampled_from(["github", "x"]), json_values()),
)
def test_whatever_stands_where_rules_belong_is_read(
    name: str, values: dict[str, Any], servers: dict[str, Any]
):
    with TemporaryDirectory() as folder:
        home = Path(folder)
        found = rules_of(
            client(name),
            machine(home),
            home / "config.yaml",
            values,
            servers,
            lambda path, kind: values,
        )
    assert {rule.server for rule in found.rules} <= servers.keys()
