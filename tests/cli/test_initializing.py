"""plait init: what it shows, asks and writes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from plait.config import load_config

from .conftest import Plait


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


def test_what_it_would_write_is_shown_line_by_line_and_written(plait: Plait, folder: Path):
    result = plait("init", "--yes")
    written = (folder / "servers.toml").read_text()
    assert result.exit_code == 0
    title, *lines = result.stdout.splitlines()
    assert title == f"{folder / 'servers.toml'} (new)"
    assert lines == [f"+ {line}".rstrip() for line in written.splitlines()]
    assert "workspace: this folder" in result.stderr
    assert "Next: plait doctor, then plait install." in result.stderr
    assert (folder / "servers.toml").stat().st_mode & 0o022 == 0


def test_what_was_written_is_trusted_as_it_is(plait: Plait, folder: Path):
    plait("init", "--yes")
    environ = dict(os.environ)
    assert load_config(None, environ, folder).is_found
    assert plait("servers").exit_code == 0


@pytest.mark.parametrize("what", ["file", "link", "folder"])
def test_it_writes_over_nothing(plait: Plait, folder: Path, what: str):
    file = folder / "servers.toml"
    match what:
        case "file":
            file.write_text("mine")
        case "link":
            file.symlink_to(folder / "nowhere")
        case "folder":
            file.mkdir()
    result = plait("init", "--yes")
    assert result.exit_code == 1
    assert "is there, and stays as it is" in result.stderr
    assert result.stdout == ""
    assert what != "file" or file.read_text() == "mine"


def test_without_a_terminal_it_writes_nothing_unasked(plait: Plait, folder: Path):
    result = plait("init")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert result.stdout.startswith(f"{folder / 'servers.toml'} (new)\n+ # The MCP servers")
    assert not (folder / "servers.toml").exists()


@pytest.mark.parametrize(("answer", "code"), [(True, 0), (False, 1)])
def test_a_person_is_asked(
    plait: Plait, folder: Path, monkeypatch: pytest.MonkeyPatch, answer: bool, code: int
):
    asked: list[str] = []

    def say(console: object, question: str) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr("plait.cli.initializing.answer_at_terminal", say)
    assert plait("init").exit_code == code
    assert asked == ["Write servers.toml? [y/N]"]
    assert (folder / "servers.toml").exists() is answer


def test_a_file_that_was_made_meanwhile_is_kept(
    plait: Plait, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def say(console: object, question: str) -> bool:
        (folder / "servers.toml").write_text("theirs")
        return True

    monkeypatch.setattr("plait.cli.initializing.answer_at_terminal", say)
    result = plait("init")
    assert result.exit_code == 1
    assert "cannot be written: File exists" in result.stderr
    assert (folder / "servers.toml").read_text() == "theirs"


def test_as_json_it_is_one_document(plait: Plait, folder: Path):
    document = json.loads(plait("init", "--yes", "--json").stdout)
    assert document["text"] == (folder / "servers.toml").read_text()
    assert document["file"] == str(folder / "servers.toml")
