"""The skill for coding agents: what it says, and how it is put where clients read it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from plait import __version__
from plait.cli.commands import program
from plait.cli.exits import Exit
from plait.cli.options import SkillClient
from plait.core.language.reader import read_dag
from plait.install.machine import Machine, System
from plait.install.skill import (
    CLIENTS,
    FILE,
    Found,
    Place,
    look,
    place_of,
    skill_text,
    with_digest,
)

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "extras" / "claude-code"
TEXT = skill_text()
EARLIER = with_digest("# An earlier skill\n")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "skills" / "plait" / FILE


def test_it_has_at_most_60_lines_of_at_most_100_characters_and_a_name():
    first, name, description, *rest = TEXT.splitlines()
    assert len(rest) + 3 <= 60
    assert (first, name) == ("---", "name: plait")
    assert re.fullmatch(r"description: .{100,1024}", description)
    assert [line for line in rest if len(line) > 100] == []


def test_each_command_in_it_is_a_command():
    commands = {
        command.name or getattr(command.callback, "__name__", "")
        for command in program.registered_commands
    }
    named = set(re.findall(r"\bplait (\w+)", TEXT.partition("\n# ")[2]))
    assert named >= {"tools", "call", "run", "plan", "approve", "servers"}
    groups = {group.name for group in program.registered_groups}
    assert named - commands - groups - {"skill"} == set()


def test_its_dag_is_one():
    dag = TEXT.partition("<<'DAG'\n")[2].partition("\nDAG\n")[0]
    reading = read_dag(json.loads(dag))
    assert (reading.problems, reading.notes) == ((), ())


def test_each_exit_code_in_it_is_one():
    codes = {int(code) for code in re.findall(r"(?:^- |Code |\. )(\d)(?=:)", TEXT, re.MULTILINE)}
    assert codes == {0, 1, 3, 4, 5, 6}
    assert codes <= {int(code) for code in Exit}


def test_the_plugin_has_the_same_skill_and_starts_this_server():
    assert (PLUGIN / "skills" / "plait" / FILE).read_text(encoding="utf-8") == TEXT, (
        "write it again: .venv/bin/plait skill > extras/claude-code/skills/plait/SKILL.md"
    )
    manifest = json.loads((PLUGIN / ".claude-plugin" / "plugin.json").read_text())
    assert (manifest["name"], manifest["version"]) == ("plait", __version__)
    servers = json.loads((PLUGIN / ".mcp.json").read_text())["mcpServers"]
    assert servers == {"plait": {"command": "uvx", "args": ["plait", "serve"]}}


def test_the_command_line_offers_each_client():
    assert [*SkillClient] == [*CLIENTS]


def test_each_client_has_a_folder_of_its_own(tmp_path: Path):
    machine = Machine(System.LINUX, tmp_path, tmp_path, {"CLAUDE_CONFIG_DIR": str(tmp_path / "c")})
    found = {client: place_of(client, machine).path for client in CLIENTS}
    assert found["claude-code"] == tmp_path / "c" / "skills" / "plait" / FILE
    assert found["codex"] == tmp_path / ".agents" / "skills" / "plait" / FILE
    assert found["opencode"] == tmp_path / ".config" / "opencode" / "skills" / "plait" / FILE
    assert len(set(found.values())) == len(CLIENTS)


def test_it_is_written_where_nothing_is(place: Path):
    assert look(place) == Place(place, Found.NOTHING)
    look(place).write()
    assert place.read_text() == TEXT
    assert look(place).found is Found.SAME


def test_an_earlier_one_of_ours_is_replaced(place: Path):
    place.parent.mkdir(parents=True)
    place.write_text(EARLIER)
    assert look(place).found is Found.EARLIER
    look(place).write()
    assert place.read_text() == TEXT
    assert [*place.parent.iterdir()] == [place]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"# Mine\n",
        EARLIER.replace("earlier", "own").encode(),
        f"{EARLIER}more\n".encode(),
        TEXT.replace("shell", "terminal").encode(),
        b"\xff\xfe",
    ],
)
def test_a_file_of_somebody_else_is_foreign(place: Path, data: bytes):
    place.parent.mkdir(parents=True)
    place.write_bytes(data)
    assert look(place).found is Found.FOREIGN


def test_a_link_and_a_folder_are_foreign(place: Path, tmp_path: Path):
    place.parent.mkdir(parents=True)
    (tmp_path / "skill").write_text(TEXT)
    place.symlink_to(tmp_path / "skill")
    assert look(place).found is Found.FOREIGN
    (tmp_path / "skill").unlink()
    assert look(place).found is Found.FOREIGN
    place.unlink()
    place.mkdir()
    assert look(place).found is Found.FOREIGN


@pytest.mark.parametrize("before", [None, EARLIER])
def test_a_file_that_appears_or_changes_meanwhile_stays(place: Path, before: str | None):
    place.parent.mkdir(parents=True)
    if before is not None:
        place.write_text(before)
    found = look(place)
    place.write_text("# Mine\n")
    with pytest.raises(FileExistsError):
        found.write()
    assert place.read_text() == "# Mine\n"


def test_where_the_file_cannot_be_replaced_the_earlier_one_stays(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise PermissionError

    place.parent.mkdir(parents=True)
    place.write_text(EARLIER)
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        look(place).write()
    assert place.read_text() == EARLIER
    assert [*place.parent.iterdir()] == [place]
