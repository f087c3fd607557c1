"""The command with which clients start Plait."""

from __future__ import annotations

from pathlib import Path

import pytest

from plait.install.launcher import lasts, launcher, origin_of

from .homes import machine, write


def program(path: Path) -> Path:
    write(path, "#!/bin/sh\necho plait 1.2\n").chmod(0o755)
    return path


ENVIRON = {"TMPDIR": "/nowhere"}


def linked(home: Path, target: str) -> Path:
    """Make a link in `~/.local/bin` to the program at *target* below the home."""
    link = home / ".local/bin/plait"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(program(home / target))
    return link


@pytest.mark.parametrize(
    "target",
    [
        ".local/share/uv/tools/plait/bin/plait",
        ".local/share/pipx/venvs/plait/bin/plait",
        "homebrew/Cellar/plait/1.0/bin/plait",
    ],
)
def test_the_link_of_a_tool_is_registered_not_its_target(target: str, tmp_path: Path):
    link = linked(tmp_path, target)
    write((tmp_path / target).parents[1] / "pyvenv.cfg", "")
    cached = program(tmp_path / ".cache/uv/archive-v0/abc/bin/plait")
    path = f"{cached.parent}:{link.parent}"
    here = machine(tmp_path, environ={**ENVIRON, "PATH": path})
    found = launcher(here, cached, "1.2")
    assert (found.start.command, found.start.args, found.note) == (str(link), ("serve",), "")


def test_without_one_that_lasts_uvx_starts_this_version_in_time(tmp_path: Path):
    cached = program(tmp_path / ".cache/uv/archive-v0/abc/bin/plait")
    uvx = program(tmp_path / "bin/uvx")
    here = machine(tmp_path, environ={**ENVIRON, "PATH": f"{cached.parent}:{uvx.parent}"})
    found = launcher(here, cached, "1.2")
    assert (found.start.command, found.start.args) == (str(uvx), ("plait@1.2", "serve"))
    assert found.start.limit_s == 60
    assert "uv tool install plait==1.2" in found.note


def test_what_was_installed_from_a_folder_is_started_from_there(tmp_path: Path):
    cached = program(tmp_path / ".cache/uv/archive-v0/abc/bin/plait")
    uvx = program(tmp_path / "bin/uvx")
    here = machine(tmp_path, environ={**ENVIRON, "PATH": str(uvx.parent)})
    found = launcher(here, cached, "1.2", "/clone")
    assert found.start.args == ("--from", "/clone", "plait", "serve")
    assert "uv tool install /clone" in found.note


@pytest.mark.parametrize(
    ("document", "origin"),
    [
        (None, ""),
        ("{", ""),
        ("[]", ""),
        ('{"url": "file:///a%20b/plait", "dir_info": {}}', "/a b/plait"),
        ('{"url": "https://x.example/plait.whl", "archive_info": {}}', ""),
        ('{"url": "file:///x/plait.whl", "archive_info": {}}', ""),
    ],
)
def test_the_origin_is_a_folder_or_unknown(document: str | None, origin: str):
    assert origin_of(document) == origin


def test_a_command_of_another_version_is_not_registered(tmp_path: Path):
    link = linked(tmp_path, ".local/share/uv/tools/plait/bin/plait")
    cached = program(tmp_path / ".cache/uv/archive-v0/abc/bin/plait")
    here = machine(tmp_path, environ={**ENVIRON, "PATH": str(link.parent)})
    assert launcher(here, cached, "2.0").start.command == str(cached)


def test_without_uv_it_is_registered_as_it_is_with_a_warning(tmp_path: Path):
    command = program(tmp_path / "project/.venv/bin/plait")
    write(tmp_path / "project/.venv/pyvenv.cfg", "")
    found = launcher(machine(tmp_path, environ={**ENVIRON, "PATH": ""}), command, "1.2")
    assert found.start.command == str(command)
    assert "may not last" in found.note


@pytest.mark.parametrize(
    ("path", "environ", "expected"),
    [
        ("usr/bin/plait", {}, True),
        (".cache/uv/archive-v0/x/bin/plait", {}, False),
        (".cache/uv/environments-v2/x/bin/plait", {}, False),
        ("Library/Caches/uv/plait", {}, False),
        ("venv/bin/plait", {"VIRTUAL_ENV": "venv"}, False),
        ("t/x/plait", {"TMPDIR": "t"}, False),
    ],
)
def test_a_command_lasts_where_a_tool_or_the_system_keeps_it(
    path: str, environ: dict[str, str], expected: bool, tmp_path: Path
):
    given = {name: str(tmp_path / folder) for name, folder in environ.items()}
    assert lasts(program(tmp_path / path), {**ENVIRON, **given}) is expected
