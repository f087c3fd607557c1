"""Servers are started once, as they will be, before anybody is asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from plait.cli import probing
from plait.cli.probing import check_settings, probe
from plait.errors import ConfigError
from plait.install.plan import Plan

from ..install.homes import machine, planned, targets, write
from .homes import entry, servers


def plan_of(home: Path, file: str = ".cursor/mcp.json", **entries: Any) -> Plan:
    servers(home / file, **entries)
    return planned(machine(home))


def test_a_server_that_starts_is_no_finding(tmp_path: Path):
    plan = plan_of(tmp_path, a=entry(), b=entry("--needs", "B_KEY", B_KEY="sk-secret-9"))
    findings = probe(plan, os.environ, tmp_path)
    assert (findings.failing, findings.missing) == ({}, {})


def test_one_that_does_not_says_why_without_secrets(tmp_path: Path):
    complaint = "import os, sys; sys.exit('wrong key ' + os.environ['A_KEY'])"
    command = {"command": "python3", "args": ["-c", complaint], "env": {"A_KEY": "sk-secret-9"}}
    plan = plan_of(tmp_path, a=command, gone={"command": "no-such-command"})
    findings = probe(plan, os.environ, tmp_path)
    reasons = {key[2]: reason for key, reason in findings.failing.items()}
    assert "wrong key ***" in reasons["a"]
    assert "no-such-command" in reasons["gone"]


def test_a_client_with_a_desktop_hands_on_no_path_of_a_shell(tmp_path: Path):
    folder = tmp_path / "tools"
    inner = write(folder / "inner-tool", "#!/bin/sh\n")
    inner.chmod(0o755)
    script = write(tmp_path / "s", f"#!/bin/sh\ninner-tool && exec {' '.join(entry()['args'])}\n")
    script.chmod(0o755)
    python, server = entry()["command"], entry()["args"][0]
    script.write_text(f'#!/bin/sh\ninner-tool && exec "{python}" "{server}"\n')
    environ = {**os.environ, "PATH": f"{folder}:/usr/bin:/bin"}
    by_desktop = plan_of(tmp_path, a={"command": str(script)})
    assert [key[0] for key in probe(by_desktop, environ, tmp_path).failing] == ["cursor"]
    (tmp_path / ".cursor/mcp.json").unlink()
    by_shell = plan_of(tmp_path, ".claude.json", a={"command": str(script)})
    assert probe(by_shell, environ, tmp_path).failing == {}


def test_a_variable_that_a_complaint_names_is_found(tmp_path: Path):
    plan = plan_of(tmp_path, a=entry("--needs", "SOME_HOME"))
    findings = probe(plan, {**os.environ, "SOME_HOME": "/x"}, tmp_path)
    assert [*findings.missing.values()] == [("SOME_HOME",)]
    assert probe(plan, os.environ, tmp_path).missing == {}


def test_a_server_that_says_nothing_is_waited_for_in_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(probing, "LONGEST_S", 0.2)
    plan = plan_of(tmp_path, a={"command": "sleep", "args": ["60"]})
    reason = next(iter(probe(plan, os.environ, tmp_path).failing.values()))
    assert "did not answer within" in reason


def test_nothing_new_starts_nothing(tmp_path: Path):
    assert probe(planned(machine(tmp_path)), {}, tmp_path).failing == {}


def test_settings_that_would_be_refused_are_found_first(tmp_path: Path):
    write(targets(machine(tmp_path)).settings, "[history]\nkeep_day = 1\n")
    plan = plan_of(tmp_path, a=entry())
    with pytest.raises(ConfigError, match=r"keep_days.*\.config/plait/servers\.toml"):
        check_settings(plan)
