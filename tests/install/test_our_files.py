"""servers.toml and secrets.env with what is moved."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from plait.config import load_config
from plait.install.plan import Plan

from .homes import MOVED, carry_out, machine, planned, targets, with_clients, write


def settings_of(plan: Plan) -> dict[str, Any]:
    return tomllib.loads(plan.settings.decode())


def test_the_settings_that_are_made_can_be_used_and_mean_what_clients_had(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here)
    carry_out(planned(here))
    for file in (targets(here).settings, targets(here).secrets):
        file.chmod(0o600)
    config = load_config(None, {**here.environ, "PATH": "/bin"}, tmp_path)
    assert config.needs == {}
    servers = config.servers
    assert servers["github"].env["GITHUB_TOKEN"] == "ghp_0123456789abcdef"
    assert servers["db"].args == ("--password", "hunter22")
    assert servers["calendar"].env["CAL_KEY"] == "k: 1"
    assert servers["web"].headers == {"X-Key": "wk-1"}
    assert (servers["search"].exclude, servers["maps"].exclude) == (("index",), ("drive",))
    assert servers["files-2"].args == ("/home/me/work",)
    for name in MOVED:
        assert [*config.in_profile(name).servers]
    text = targets(here).settings.read_text()
    for secret in ("ghp_0123456789abcdef", "hunter22", "k: 1", "wk-1", "mk-1"):
        assert secret not in text
        assert secret in targets(here).secrets.read_text()


def test_settings_that_are_there_are_added_to(tmp_path: Path):
    here = machine(tmp_path)
    with_clients(here, "cursor", "zed")
    mine = """# mine
[gateway]
path = ["/x"]
[policy]
deny = ["a:b"] # never
[servers.github]
command = "gh-server"
args = ["-y"]
env = { GITHUB_TOKEN = "ghp_0123456789abcdef" }
[servers.files]
command = "else"
[profiles.cursor]
servers = ["files"]
"""
    write(targets(here).settings, mine)
    plan = planned(here)
    made = settings_of(plan)
    assert [*made["servers"]] == ["github", "files", "files-2", "notes"]
    assert made["profiles"]["cursor"]["servers"] == ["files", "github", "files-2"]
    assert made["policy"] == {"deny": ["a:b", "notes:wipe"]}
    text = plan.settings.decode()
    assert text.startswith("# mine\n[gateway]\n")
    assert "# never" in text


def test_folders_of_commands_that_no_desktop_has_are_written(tmp_path: Path):
    folder = tmp_path / "tools"
    write(folder / "gh-server", "").chmod(0o755)
    write(folder / "node", "").chmod(0o755)
    script = write(tmp_path / "script", "#!/usr/bin/env node\n")
    here = machine(tmp_path, environ={"PATH": f"/usr/bin:{folder}"})
    servers = {"a": {"command": "gh-server"}, "b": {"command": str(script)}}
    write(tmp_path / ".cursor/mcp.json", {"mcpServers": servers})
    assert settings_of(planned(here))["gateway"] == {"path": [str(folder)]}
