"""The health of a history, which is read and not changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from plait.stores.history.database import Database
from plait.stores.history.health import health_of

SOON = 30.0


def test_without_a_file_there_is_nothing_to_say(tmp_path: Path):
    assert health_of(tmp_path, SOON).runs is None


def test_a_history_that_is_whole_is_counted(tmp_path: Path):
    Database(tmp_path / "history.db").close()
    before = (tmp_path / "history.db").read_bytes()
    health = health_of(tmp_path, SOON)
    assert (health.runs, health.is_whole, health.trouble) == (0, True, "")
    assert health.size_bytes == len(before)
    assert (tmp_path / "history.db").read_bytes() == before


def test_a_check_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("plait.stores.history.health.STEPS", 1)
    Database(tmp_path / "history.db").close()
    health = health_of(tmp_path, -1.0)
    assert not health.is_whole
    assert health.trouble == ""


@pytest.mark.parametrize("at", [0, 8192])
def test_damage_is_found_wherever_it_is(tmp_path: Path, at: int):
    Database(tmp_path / "history.db").close()
    data = bytearray((tmp_path / "history.db").read_bytes())
    data[at : at + 3000] = b"\x77" * 3000
    (tmp_path / "history.db").write_bytes(data)
    health = health_of(tmp_path, SOON)
    assert "history.db" in health.trouble
    assert "plait stop" in health.fix


def test_what_a_gateway_suspects_is_named(tmp_path: Path):
    Database(tmp_path / "history.db").close()
    (tmp_path / "history.suspect").touch()
    assert "was found to be damaged" in health_of(tmp_path, SOON).trouble
