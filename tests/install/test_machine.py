"""Where programs keep their settings, by system."""

from __future__ import annotations

from pathlib import Path

import pytest

from plait.install.machine import Machine, System

HOME = Path("/home/me")


@pytest.mark.parametrize(
    ("system", "environ", "config", "data", "local"),
    [
        (System.LINUX, {}, ".config", ".config", "AppData/Local"),
        (System.LINUX, {"XDG_CONFIG_HOME": "/x"}, "/x", "/x", "AppData/Local"),
        (System.LINUX, {"XDG_CONFIG_HOME": "relative"}, ".config", ".config", "AppData/Local"),
        (System.MACOS, {}, ".config", "Library/Application Support", "AppData/Local"),
        (System.WINDOWS, {}, ".config", "AppData/Roaming", "AppData/Local"),
        (System.WINDOWS, {"APPDATA": "/r", "LOCALAPPDATA": "/l"}, ".config", "/r", "/l"),
    ],
)
def test_each_system_has_its_folders(
    system: System, environ: dict[str, str], config: str, data: str, local: str
):
    machine = Machine(system, HOME, Path("/work"), environ)
    folders = (machine.config, machine.application_data, machine.local_data)
    assert folders == (HOME / config, HOME / data, HOME / local)


def test_this_machine_is_described_by_its_environment(tmp_path: Path):
    machine = Machine.here({"HOME": str(tmp_path), "CODEX_HOME": "/codex"}, Path("/work"))
    assert (machine.home, machine.folder) == (tmp_path, Path("/work"))
    assert machine.named("CODEX_HOME", ".codex") == Path("/codex")


def test_it_shows_no_value_of_a_variable():
    machine = Machine(System.LINUX, HOME, HOME, {"TOKEN": "s3cret"})
    assert "s3cret" not in repr(machine)
