"""Which file the settings are in, and the lines of its rules."""

from __future__ import annotations

from pathlib import Path

from plait.config.settings_file import lines_of_rules, settings_file
from plait.config.trust import SettingsFile


def test_the_users_own_file_is_the_last_one_looked_for(tmp_path: Path):
    own, here = tmp_path / "config" / "plait", tmp_path / "here"
    own.mkdir(parents=True)
    here.mkdir()
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert settings_file(None, environ, here) == (None, False)
    (own / "servers.toml").write_text("")
    file, is_found = settings_file(None, environ, here)
    assert file is not None
    assert (file.path, is_found) == (own / "servers.toml", False)


def test_rules_of_a_policy_have_lines(tmp_path: Path):
    file = tmp_path / "servers.toml"
    file.write_text('[policy]\ndeny = ["a:b"]\n[profiles.p.policy]\nask = ["write"]\n')
    assert lines_of_rules(SettingsFile.read(file)) == {
        ("policy", "deny", 0): 2,
        ("profiles", "p", "policy", "ask", 0): 4,
    }


def test_a_file_of_a_client_has_no_rules(tmp_path: Path):
    file = tmp_path / "mcp.json"
    file.write_text('{"policy": {"deny": ["a:b"]}}')
    assert lines_of_rules(SettingsFile.read(file)) == {}
