"""How clients start Plait, beyond what `test_examination.py` plants."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from plait.config import load_config
from plait.doctor.clients import LIMITS, check
from plait.doctor.findings import Finding, Mark
from plait.install import backups
from plait.install.changes import Put
from plait.install.clients import CLIENTS, Format
from plait.install.plan import FileChange

from .homes import Home


async def rows(home: Home) -> list[Finding]:
    return await check(home.case, load_config(None, home.environ, home.folder))


async def test_a_client_that_starts_plait_well_is_shown_with_its_command(home: Home):
    [row] = await rows(home)
    assert (row.mark, row.about, row.says) == (Mark.WELL, "Cursor", f"starts {home.plait} serve")


async def test_a_client_with_a_shell_finds_plait_on_its_path_and_another_does_not(home: Home):
    entry = {"mcpServers": {"plait": {"command": "plait", "args": ["serve"]}}}
    home.cursor(entry["mcpServers"])
    (home.home / ".gemini").mkdir()
    (home.home / ".gemini" / "settings.json").write_text(json.dumps(entry))
    marks = {one.about: (one.mark, one.says) for one in await rows(home)}
    assert marks["Gemini CLI"] == (Mark.WELL, "starts plait serve")
    mark, says = marks["Cursor"]
    assert (mark, says.partition(" (")[0]) == (
        Mark.WRONG,
        "starts plait, which is not on its PATH",
    )


async def test_an_entry_that_is_turned_off_is_named(home: Home):
    home.cursor({"plait": {"command": str(home.plait), "args": ["serve"], "disabled": True}})
    [row] = await rows(home)
    assert (row.mark, row.says.partition(" in ")[0]) == (Mark.LOOK, "plait is turned off")


async def test_a_runner_needs_time_to_start(home: Home):
    home.cursor({})
    home.script("uvx", "exit 1")
    home.codex('[mcp_servers.plait]\ncommand = "uvx"\nargs = ["plait@1.0", "serve"]\n')
    [row] = await rows(home)
    assert (row.about, row.says) == (
        "Codex",
        "waits 10 s for the start, and a runner may need 60 s",
    )
    assert row.fix.startswith("startup_timeout_sec = 60 in ")


async def test_a_program_in_the_folder_for_passing_files_will_not_last(home: Home):
    home.environ["TMPDIR"] = str(home.root)
    [row] = await rows(home)
    assert "which will not last: it is in a cache" in row.says


async def test_a_program_that_prints_no_version_is_named(home: Home):
    home.script("plait", "echo oops; exit 1")
    home.case = replace(home.case, program=home.root / "another")
    [row] = await rows(home)
    assert "it does not say its version" in row.says


async def test_servers_that_are_turned_off_beside_plait_do_not_run_twice(home: Home):
    ours = {"command": str(home.plait), "args": ["serve"]}
    home.cursor({"plait": ours, "files": {"command": "x", "disabled": True}, "other": {}})
    assert [one.mark for one in await rows(home)] == [Mark.WELL]


@pytest.mark.parametrize("is_in_file", [True, False])
async def test_a_limit_in_the_environment_of_claude_code_counts(home: Home, is_in_file: bool):
    home.cursor({})
    entry = {"plait": {"command": str(home.plait), "args": ["serve"]}}
    (home.home / ".claude.json").write_text(json.dumps({"mcpServers": entry}))
    assert [one.mark for one in await rows(home)] == [Mark.WELL]
    if is_in_file:
        (home.home / ".claude").mkdir()
        settings = json.dumps({"env": {"MCP_TOOL_TIMEOUT": "20000"}})
        (home.home / ".claude" / "settings.json").write_text(settings)
    else:
        home.environ["MCP_TOOL_TIMEOUT"] = "20000"
    [row] = await rows(home)
    assert (row.about, row.says) == (
        "Claude Code",
        "waits 20 s for an answer, which may take 50 s",
    )
    assert row.fix.startswith("MCP_TOOL_TIMEOUT = 600000 in env of ")


async def test_a_wait_of_the_settings_is_compared_with_that_of_clients(home: Home):
    home.set("[gateway]\nwait_s = 120\n")
    home.codex(f'[mcp_servers.plait]\ncommand = "{home.plait}"\nargs = ["serve"]\n')
    says = [one.says for one in await rows(home) if one.about == "Codex"]
    assert says == ["waits 60 s for an answer, which may take 120 s"]


def installed(home: Home) -> None:
    """Let an installation have registered Plait in Cursor."""
    file = home.home / ".cursor" / "mcp.json"
    change = FileChange(
        file,
        "Cursor",
        b"{}",
        file.read_bytes(),
        Format.JSON,
        changes=(Put(("mcpServers",), "plait", {}),),
    )
    backups.make(home.state, [change], datetime(2026, 1, 1, tzinfo=UTC))


async def test_an_entry_that_another_program_took_away_is_put_back(home: Home):
    installed(home)
    home.set('[profiles.cursor]\nservers = ["files"]\n')
    assert [one.mark for one in await rows(home)] == [Mark.WELL]
    home.cursor({})
    [row] = await rows(home)
    assert (row.mark, row.about) == (Mark.WRONG, "Cursor")
    assert row.says.endswith("mcp.json and is gone: another program wrote it")
    assert row.fix == "plait install cursor, or --fix"
    assert row.mend is not None
    title, *lines = row.mend.difference()
    assert title.endswith("mcp.json")
    assert all(line.startswith("+") for line in lines)
    row.mend.make()
    [row] = await rows(home)
    assert (row.mark, row.says) == (
        Mark.WELL,
        f"starts {home.plait} serve --config {home.file} --profile cursor",
    )


async def test_an_entry_is_not_put_back_under_a_program_that_would_take_it_away_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    installed(home)
    home.cursor({})
    monkeypatch.setattr("plait.doctor.clients.running", lambda machine: lambda client: True)
    [row] = await rows(home)
    assert (row.mend, row.fix) == (None, "end that program, then plait install")


async def test_a_manifest_that_cannot_be_read_is_looked_at(home: Home):
    installed(home)
    [manifest] = home.state.glob("backups/*/manifest.json")
    manifest.write_text("{}")
    assert [one.says for one in await rows(home) if one.mark is Mark.LOOK] == [
        "what plait install changed cannot be read: 'files'"
    ]


async def test_where_there_is_no_client_nothing_is_to_do(home: Home):
    (home.home / ".cursor" / "mcp.json").unlink()
    (home.home / ".cursor").rmdir()
    [row] = await rows(home)
    assert (row.mark, row.says) == (Mark.WELL, "none was found on this machine")


async def test_without_settings_clients_are_checked_all_the_same(home: Home):
    home.plait.unlink()
    [row] = await check(home.case, None)
    assert row.mark is Mark.WRONG


@pytest.mark.parametrize("name", LIMITS)
def test_each_client_with_limits_is_known(name: str):
    assert name in {client.name for client in CLIENTS}
