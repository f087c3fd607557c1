"""What the tests of the workspace share: a root with something beside it, and a way to see that a
process has ended."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .lifeline import Lifeline


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The root's folder. Beside it lie a secret and a folder with a name that begins alike."""
    (tmp_path / "secret.txt").write_text("the secret\n")
    (tmp_path / "ws-evil").mkdir()
    (tmp_path / "ws-evil" / "secret.txt").write_text("the secret\n")
    (tmp_path / "ws").mkdir()
    return tmp_path / "ws"


@pytest.fixture
def ripgrep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts ripgrep on PATH, from where scripts/test has installed it, if it is not there."""
    if shutil.which("rg") is None:
        modules = Path(__file__).parent / "node_modules" / "@vscode"
        found = next(iter(sorted(modules.glob("ripgrep-*/bin/rg"))), None)
        assert found is not None, "ripgrep is missing: scripts/test installs it"
        monkeypatch.setenv("PATH", str(found.parent), prepend=os.pathsep)


@pytest.fixture
def lifeline(tmp_path: Path) -> Iterator[Lifeline]:
    path = tmp_path / "lifeline"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield Lifeline(path, descriptor)
    os.close(descriptor)
