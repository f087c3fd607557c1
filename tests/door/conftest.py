from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from .clients import Machine, ScriptedMachine


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path is short enough for a socket's."""
    with tempfile.TemporaryDirectory(prefix="pd", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
async def machine(short_path: Path) -> AsyncIterator[Machine]:
    """A machine with the real gateway."""
    machine = Machine(short_path)
    yield machine
    await machine.end()


@pytest.fixture
async def scripted(short_path: Path) -> AsyncIterator[ScriptedMachine]:
    """A machine with a scripted gateway."""
    machine = ScriptedMachine(short_path)
    yield machine
    await machine.end()


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a person whose state folder is empty. It is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("PLAIT_ISOLATED")
    return tmp_path
