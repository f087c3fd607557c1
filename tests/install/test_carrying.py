"""One server of a client in our settings, or the reason why it stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plait.install.carrying import Stays, carried, folder_of_command

from .homes import client, machine, write


def ours(name: str, settings: Any, home: Path, *, in_project: bool = False) -> dict[str, Any]:
    here = machine(home, environ={"TOKEN": "t"})
    return carried(client(name), here, "x", settings, in_project=in_project)


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        (
            "cursor",
            {"command": "a", "args": ["${env:TOKEN}", "${userHome}/x"]},
            {"command": "a", "args": ["${TOKEN}", "${HOME}/x"]},
        ),
        (
            "claude-code",
            {"type": "http", "url": "https://x/${TOKEN}", "headers": {"A": "${B:-c}"}},
            {"url": "https://x/${TOKEN}", "headers": {"A": "${B:-c}"}},
        ),
        (
            "claude-desktop",
            {"command": "a", "args": ["${TOKEN}", "$${x}", "$y"]},
            {"command": "a", "args": ["$${TOKEN}", "$$${x}", "$y"]},
        ),
        (
            "gemini",
            {"command": "a", "env": {"A": "$TOKEN", "B": "x"}, "trust": True},
            {"command": "a", "env": {"A": "${TOKEN}", "B": "x"}},
        ),
        (
            "gemini",
            {"httpUrl": "https://x/mcp", "includeTools": ["a"]},
            {"url": "https://x/mcp", "include": ["a"]},
        ),
        (
            "opencode",
            {
                "type": "local",
                "command": ["a", "{env:Q}"],
                "environment": {"K": "1"},
                "enabled": True,
            },
            {"command": "a", "args": ["${Q:-}"], "env": {"K": "1"}},
        ),
        (
            "opencode",
            {"type": "remote", "url": "https://x", "headers": {"A": "{file:~/t}"}},
            {"url": "https://x", "headers": {"A": "${file:~/t}"}},
        ),
        (
            "codex",
            {
                "command": "a",
                "env_vars": ["TOKEN"],
                "enabled_tools": ["b"],
                "tools": {"b": {"approval_mode": "approve"}},
                "startup_timeout_sec": 20,
            },
            {
                "command": "a",
                "env": {"TOKEN": "${TOKEN}"},
                "include": ["b"],
                "startup_timeout_s": 20,
            },
        ),
        (
            "windsurf",
            {"serverUrl": "https://x/mcp", "disabledTools": ["b"]},
            {"url": "https://x/mcp", "exclude": ["b"]},
        ),
        (
            "cline",
            {"command": "a", "disabled": False, "autoApprove": ["b"], "timeout": 60},
            {"command": "a", "timeout_s": 60},
        ),
        (
            "goose",
            {
                "type": "stdio",
                "cmd": "a",
                "args": [],
                "envs": {"K": "1"},
                "enabled": True,
                "name": "x",
                "description": "d",
                "bundled": None,
                "available_tools": [],
            },
            {"command": "a", "env": {"K": "1"}},
        ),
        (
            "zed",
            {"source": "custom", "command": {"path": "a", "args": ["b"], "env": {"K": "1"}}},
            {"command": "a", "args": ["b"], "env": {"K": "1"}},
        ),
        (
            "continue",
            {"name": "x", "command": "a", "env": {"K": "${{ secrets.TOKEN }}"}},
            {"command": "a", "env": {"K": "${TOKEN}"}},
        ),
        (
            "vscode",
            {"type": "stdio", "command": "a", "gallery": True, "version": "1"},
            {"command": "a"},
        ),
    ],
)
def test_each_client_says_the_same_in_its_own_words(
    name: str, settings: Any, expected: dict[str, Any], tmp_path: Path
):
    made = ours(name, settings, tmp_path)
    assert {key: value for key, value in made.items() if key != "env_pass"} == expected


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("cursor", "npx x", "not an object"),
        ("cursor", {"command": "a", "disabled": True}, "switched off"),
        ("opencode", {"command": ["a"], "enabled": False}, "switched off"),
        ("claude-code", {"url": "https://x", "oauth": {"clientId": "i"}}, "logs in to it"),
        ("cursor", {"url": "https://x", "auth": {"CLIENT_ID": "i"}}, "logs in to it"),
        ("cursor", {"command": "a", "envFile": ".env"}, "in reach (envFile)"),
        ("claude-code", {"url": "https://x", "headersHelper": "h"}, "in reach (headersHelper)"),
        ("codex", {"url": "https://x", "env_http_headers": {"A": "B"}}, "(env_http_headers)"),
        ("goose", {"type": "stdio", "cmd": "a", "env_keys": ["K"]}, "in reach (env_keys)"),
        ("vscode", {"command": "a", "env": {"K": "${input:key}"}}, "in reach (${input:key})"),
        ("vscode", {"command": "a", "args": ["${workspaceFolder}"]}, "belongs to a project"),
        ("cursor", {"command": "a", "env": {"K": "${env:NOPE}"}}, "NOPE is not set here"),
        ("gemini", {"command": "a", "env": {"K": "$NOPE"}}, "NOPE is not set here"),
        ("continue", {"command": "a", "env": {"K": "${{ secrets.NOPE }}"}}, "NOPE is not set"),
        ("cursor", {"command": "./server"}, "command is in a folder of a project"),
        ("cursor", {"command": "a", "cwd": "sub"}, "runs in a folder of a project"),
        ("cursor", {"command": "a", "sandbox": {"x": 1}}, "it has sandbox, which Plait"),
        ("cursor", {"type": "carrier-pigeon", "command": "a"}, "must be one of"),
        ("cursor", {"args": ["a"]}, "neither a command nor a url"),
        ("codex", {"command": "a", "enabled_tools": []}, "has no tools for its client"),
        ("lm-studio", {"command": "a", "tools": ["b"]}, "chooses its tools"),
    ],
)
def test_a_server_that_might_not_work_stays_with_the_reason(
    name: str, settings: Any, reason: str, tmp_path: Path
):
    with pytest.raises(Stays) as stays:
        ours(name, settings, tmp_path)
    assert reason in str(stays.value)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("goose", 3600, {"timeout_s": 3600}),
        ("cline", 60, {"timeout_s": 60}),
        ("gemini", 5000, {"timeout_s": 5}),
        ("opencode", 5000, {}),
    ],
)
def test_a_time_limit_is_read_in_the_unit_of_its_client(
    name: str, given: int, expected: dict[str, Any], tmp_path: Path
):
    made = ours(name, {"command": "a", "timeout": given}, tmp_path)
    assert made == {"command": "a", **expected}


def test_in_a_project_variables_need_not_be_set_here(tmp_path: Path):
    settings = {"command": "./server", "env": {"K": "${env:NOPE}"}}
    assert ours("cursor", settings, tmp_path, in_project=True)["env"] == {"K": "${NOPE}"}


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        (["uvx", "awslabs.aws-api-mcp-server"], ["AWS_*"]),
        (["npx", "mcp-server-kubernetes"], ["KUBECONFIG"]),
        (["docker", "run", "-i", "x"], ["DOCKER_*"]),
        (["uvx", "mcp-server-git"], ["SSH_AUTH_SOCK", "GIT_*"]),
        (["npx", "gcloud-mcp"], ["GOOGLE_*", "CLOUDSDK_*"]),
        (["npx", "weather"], None),
    ],
)
def test_servers_of_known_kinds_keep_the_variables_that_they_need(
    words: list[str], passed: list[str] | None, tmp_path: Path
):
    made = ours("claude-code", {"command": words[0], "args": words[1:]}, tmp_path)
    assert made.get("env_pass") == passed


def test_a_command_is_found_where_the_shell_finds_it_but_shims_come_first(tmp_path: Path):
    for folder in ("v20/bin", "shims"):
        write(tmp_path / folder / "npx", "")
    path = f"relative:{tmp_path}/empty:{tmp_path}/v20/bin:{tmp_path}/shims"
    assert folder_of_command("npx", path) == tmp_path / "shims"
    assert folder_of_command("npx", f"{tmp_path}/v20/bin") == tmp_path / "v20/bin"
    assert folder_of_command("missing", path) is None
    assert folder_of_command("/bin/npx", path) is None
