"""`plait skill`: printed, and put where clients read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plait.install.skill import FILE, skill_text, with_digest

from .conftest import Plait
from .test_trusting import on_a_terminal, read_to_the_end, read_until


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def claude(home: Path) -> Path:
    """The file of Claude Code, whose folder is there."""
    folder = home / ".claude" / "skills" / "plait"
    folder.mkdir(parents=True)
    return folder / FILE


def test_it_is_printed_as_it_is(plait: Plait):
    result = plait("skill")
    assert (result.exit_code, result.stdout) == (0, skill_text())


def test_with_yes_it_is_written_for_each_client_and_again_changes_nothing(plait: Plait, home: Path):
    words = ("skill", "--install", "claude-code", "--install", "codex", "--yes")
    result = plait(*words)
    files = [home / ".claude", home / ".agents"]
    assert result.exit_code == 0
    for folder in files:
        file = folder / "skills" / "plait" / FILE
        assert file.read_text() == skill_text()
        assert f"+ {file} (new, " in result.stdout
    again = plait(*words)
    assert (again.exit_code, again.stdout.count("is there already")) == (0, 2)
    assert "is written" not in again.stdout


def test_without_a_terminal_or_yes_nothing_is_written(plait: Plait, home: Path):
    result = plait("skill", "--install", "claude-code")
    assert result.exit_code == 2
    assert "say --yes: it can ask at a terminal alone." in result.stderr
    assert [*home.iterdir()] == []


def test_a_file_of_somebody_else_stays_and_is_named_and_others_are_written(
    plait: Plait, home: Path, claude: Path
):
    claude.write_text("# Mine\n")
    result = plait("skill", "--install", "claude-code", "--install", "codex", "--yes")
    assert result.exit_code == 1
    assert claude.read_text() == "# Mine\n"
    assert f"{claude} is not a file that plait wrote" in result.stderr
    assert (home / ".agents" / "skills" / "plait" / FILE).read_text() == skill_text()


def test_what_changes_in_an_earlier_one_is_shown(plait: Plait, claude: Path):
    claude.write_text(with_digest("# An earlier skill\n"))
    result = plait("skill", "--install", "claude-code", "--yes")
    assert result.exit_code == 0
    assert "    -# An earlier skill" in result.stdout
    assert "    +name: plait" in result.stdout
    assert claude.read_text() == skill_text()


def test_an_unknown_client_is_a_wrong_command_line(plait: Plait):
    result = plait("skill", "--install", "emacs")
    assert result.exit_code == 2
    assert "claude-code" in result.stderr


@pytest.mark.parametrize(("key", "code"), [(b"y\n", 0), (b"\n", 1)])
def test_on_a_terminal_it_asks(home: Path, claude: Path, key: bytes, code: int):
    with on_a_terminal("skill", "--install", "claude-code", cwd=home) as (process, terminal):
        read_until(terminal, "Write 1 file? [y/N]")
        os.write(terminal, key)
        read_to_the_end(terminal)
        process.communicate()
    assert process.returncode == code
    assert claude.exists() is (code == 0)
