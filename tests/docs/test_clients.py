"""docs/clients.md: each entry starts the gateway, from any folder."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from plait.cli.commands import program

from .blocks import BLOCKS, Block

PAGE = "clients.md"
SETTINGS, PLAIT = "/path/to/servers.toml", "/path/to/plait"
ROOTS = ("mcpServers", "servers", "mcp_servers", "context_servers", "extensions", "mcp")
CLIENTS = (
    "Claude Code",
    "Claude Desktop",
    "VS Code",
    "Cursor",
    "Codex",
    "Gemini CLI",
    "Zed",
    "Windsurf",
    "Cline",
    "Goose",
    "OpenCode",
)
TEXT = next(block.page for block in BLOCKS if block.page.name == PAGE).read_text()


def entries(block: Block) -> Iterator[dict[str, Any]]:
    """Yield the entries for a process in *block*, a client's own file."""
    file = tomllib.loads(block.text) if block.language == "toml" else json.loads(block.text)
    for root in ROOTS:
        for name, entry in file.get(root, {}).items():
            assert name == "plait"
            if "url" not in entry:
                yield entry


def command_of(entry: dict[str, Any]) -> list[str]:
    command = entry["cmd"] if "cmd" in entry else entry["command"]
    return command if isinstance(command, list) else [command, *entry["args"]]


ENTRIES = [
    pytest.param(entry, id=block.place)
    for block in BLOCKS
    if block.page.name == PAGE and block.language in {"json", "toml"}
    for entry in entries(block)
]


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_starts_the_gateway_by_absolute_paths(entry: dict[str, Any]):
    path, *words = command_of(entry)
    assert (path, words) == (PLAIT, ["serve", "--config", SETTINGS])


def test_each_client_has_an_entry_and_a_row():
    assert len(ENTRIES) == len(CLIENTS)
    for client in CLIENTS:
        assert f"\n## {client}\n" in TEXT
        assert f"\n| {client} |" in TEXT


def test_commands_that_register_it_name_the_same(tmp_path: Path):
    registering = re.findall(
        r"(?:claude|codex|gemini) mcp add plait (?:-- )?(\S+) (.*?)[`.\n]", TEXT
    )
    assert len(registering) == 3
    assert {path for path, _ in registering} == {PLAIT}
    settings = tmp_path / "servers.toml"
    settings.write_text("")
    for _, words in registering:
        given = [word.replace(SETTINGS, str(settings)) for word in words.split()]
        assert "--config" in given
        assert CliRunner().invoke(program, [*given, "--help"]).exit_code == 0
