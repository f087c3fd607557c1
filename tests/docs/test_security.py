"""The page on security names what exists, and says of each threat what is done and what is not."""

from __future__ import annotations

import re
import shlex

import pytest

from plait.cli.commands import program
from plait.config.models import ServerSettings
from plait.config.policy import PolicySettings

from .blocks import ROOT, blocks_in

PAGE = ROOT / "docs" / "security.md"
TEXT = PAGE.read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TEXT.partition("## What is done")[2].partition("## What you can do")[0].splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| threat"))
]
SETTINGS = {
    **dict.fromkeys(ServerSettings.model_fields, "servers"),
    **dict.fromkeys(PolicySettings.model_fields, "policy"),
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_each_threat_says_what_is_done_and_has_a_place_for_what_is_not(row: list[str]):
    assert len(row) == 3
    assert row[0]
    assert row[1]


def test_the_options_commands_and_settings_that_it_names_exist():
    options = set(re.findall(r"--[a-z][a-z-]+", TEXT))
    assert len(options) > 2
    cli = ROOT / "src" / "plait" / "cli"
    source = "".join((cli / file).read_text() for file in ("commands.py", "options.py"))
    assert options == {name for name in options if f'"{name}"' in source}
    for name in ("read_only", "tools", "include", "exclude", "deny"):
        assert name in SETTINGS
        assert name in TEXT


def test_its_commands_are_commands_of_ours():
    [block] = [block for block in blocks_in("sh") if block.page == PAGE]
    known = {one.callback.__name__ for one in program.registered_commands if one.callback}
    words = [shlex.split(line, comments=True) for line in block.text.splitlines()]
    assert [line[0] for line in words] == ["plait"] * len(words)
    assert {line[1] for line in words} <= known


def test_readers_find_it():
    assert "docs/security.md" in (ROOT / "README.md").read_text()
    assert "security.md" in (ROOT / "docs" / "workspace.md").read_text()
