"""Clients that run now and keep their file in memory."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from plait.install.machine import System
from plait.install.running import running

from .homes import client, machine, write

DESKTOP, CURSOR = client("claude-desktop"), client("cursor")


def process(folder: Path, number: int, program: str) -> None:
    (folder / str(number)).mkdir()
    (folder / str(number) / "exe").symlink_to(program)


@pytest.mark.parametrize(
    ("program", "runs"),
    [
        ("/usr/lib/claude-desktop/claude-desktop", True),
        ("/opt/claude-desktop (deleted)", True),
        ("/usr/local/bin/claude", False),
        ("/usr/bin/claude-desktop-helper", False),
    ],
)
def test_a_program_of_linux_is_known_by_its_file(program: str, runs: bool, tmp_path: Path):
    process(tmp_path, 7, "/bin/sh")
    process(tmp_path, 8, program)
    (tmp_path / "9").mkdir()
    assert running(machine(tmp_path / "home"), tmp_path)(DESKTOP) is runs


def test_a_client_that_reads_its_file_each_time_is_not_looked_for(tmp_path: Path):
    assert not running(machine(tmp_path), tmp_path / "missing")(CURSOR)


@pytest.mark.parametrize(
    ("system", "command", "said"),
    [
        (System.MACOS, "ps", "/Applications/Claude.app/Contents/MacOS/Claude"),
        (System.WINDOWS, "tasklist", '"Claude.exe","41","Console","1","100 K"'),
    ],
)
def test_other_systems_list_their_programs(
    system: System, command: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    script = write(tmp_path / command, f"#!{sys.executable}\nprint({said!r})\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert running(machine(tmp_path / "home", system))(DESKTOP)
    script.unlink()
    assert not running(machine(tmp_path / "home", system))(DESKTOP)
    assert os.environ["PATH"] == str(tmp_path)
