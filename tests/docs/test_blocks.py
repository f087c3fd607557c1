"""Every block of every page is what it says it is, and what can be run is run as it stands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from plait.cli.commands import program
from plait.cli.exits import Exit
from plait.config import load_config
from plait.core.language.reader import read_dag
from plait.core.values.strict import loads

from ..warm import warm
from .blocks import BLOCKS, PAGES, ROOT, Block, blocks_in, blocks_of

LANGUAGES = {"json", "toml", "python", "sh", "mermaid", "text"}
"""A block is in one of these, as it is spelled here, so that the tests of its language find it."""
QUICKSTART = ROOT / "docs" / "quickstart.md"


def of_the_quickstart(language: str) -> Block:
    [block] = [block for block in blocks_in(language) if block.page == QUICKSTART]
    return block


def by_place(block: Block) -> str:
    return block.place


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of somebody who follows the quickstart: its settings, with the workspace of the
    other pages, a README, and npx and uvx that find their packages without a network."""
    folder, programs = tmp_path / "project", tmp_path / "programs"
    folder.mkdir()
    (folder / "README.md").write_text("# A project\n")
    workspace = '\n[servers.workspace]\nbuiltin = "workspace"\nroot = "."\n'
    (folder / "servers.toml").write_text(of_the_quickstart("toml").text + workspace)
    programs.mkdir()
    for name in ("npx", "uvx"):
        program = programs / name
        program.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name("stand_in.py")}" "$@"\n'
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return folder


def ran(folder: Path, *command: str) -> str:
    """Run Python with *command* in *folder*, which must succeed, and return what it prints."""
    said = subprocess.run(warm(*command), cwd=folder, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return said.stdout


def test_every_block_says_in_which_language_it_is():
    assert [(block.place, block.label) for block in BLOCKS if block.language not in LANGUAGES] == []


def test_every_page_is_looked_at_and_every_fence_belongs_to_a_block():
    assert {ROOT / "README.md", QUICKSTART, ROOT / "docs" / "contract.md"} <= set(PAGES)
    found = Counter(block.page for block in BLOCKS)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text.count("```") + text.count("~~~") == 2 * found[page], page


def test_blocks_are_found_wherever_they_stand(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(
        "a\n```python\n1\n```\n- b\n\n  ~~~json x\n  {}\n  ~~~\n> ````toml\n> ```\n> ````\n"
    )
    found = [(block.line, block.label, block.text) for block in blocks_of(page)]
    assert found == [(2, "python", "1\n"), (7, "json x", "{}\n"), (10, "toml", "```\n")]
    page.write_text("```python\n1\n")
    with pytest.raises(AssertionError, match=r"page\.md:1: this block has no end"):
        list(blocks_of(page))


@pytest.mark.parametrize("block", blocks_in("python"), ids=by_place)
def test_a_python_block_runs_as_it_stands(block: Block, project: Path):
    (project / "block.py").write_text(block.text)
    assert "print(" in block.text
    assert ran(project, "block.py")


def test_the_quickstart_and_the_contract_show_python():
    pages = [block.page.name for block in blocks_in("python")]
    assert {"quickstart.md", "contract.md"} <= set(pages)


def test_the_dag_of_the_quickstart_runs_on_its_settings(project: Path):
    (project / "first.json").write_text(of_the_quickstart("json").text)
    assert "plait run first.json" in QUICKSTART.read_text()
    assert "plait trust servers.toml" in QUICKSTART.read_text()
    ran(project, "-m", "plait", "trust", "servers.toml")
    ran(project, "-m", "plait", "run", "--json", "first.json")
    written = (project / "state.txt").read_text()
    assert written.startswith("Commit history: the last 3 of project\n\n")
    assert "README.md\n" in written


COMMANDS = [
    line
    for block in blocks_in("sh")
    if block.page.name == "cli.md"
    for line in block.text.splitlines()
]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_on_the_command_line_runs(line: str, project: Path):
    (project / "first.json").write_text(of_the_quickstart("json").text)
    (project / "note.json").write_text('{"path": "note.txt", "content": "x"}')
    name, *words = shlex.split(line)
    assert name == "plait"
    ran(project, "-m", "plait", *words, "--config", "servers.toml")
    if "-o" in words:
        assert (project / "copy.txt").read_text() == "12"
        assert "Successfully wrote" in (project / "said.txt").read_text()


def test_the_page_on_the_command_line_names_every_command_and_exit_code():
    page = (ROOT / "docs" / "cli.md").read_text()
    for command in program.registered_commands:
        assert command.callback is not None
        assert f"| `plait {command.name or command.callback.__name__}" in page
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert codes == set(Exit)


@pytest.mark.parametrize("block", blocks_in("json"), ids=by_place)
def test_a_json_block_is_json_and_its_tasks_are_well_formed(block: Block):
    value: Any = loads(block.text)
    assert isinstance(value, dict)
    if "tasks" in value and "status" not in value:
        reading = read_dag(value)
        assert (reading.problems, reading.notes) == ((), ())


@pytest.mark.parametrize("block", blocks_in("toml"), ids=by_place)
def test_a_toml_block_is_a_file_of_settings(block: Block, tmp_path: Path):
    (tmp_path / "servers.toml").write_text(block.text)
    config = load_config(
        tmp_path / "servers.toml", {"HOME": "/home/ada", "GITHUB_TOKEN": "a-token"}
    )
    written = tomllib.loads(block.text)
    servers = written.get("servers", written.get("mcp_servers", {}))
    assert config.servers.keys() == servers.keys() - {"plait"}  # which is in a client's own file
