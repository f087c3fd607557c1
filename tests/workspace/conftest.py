"""What the tests of the workspace share: a root with something beside it, and a way to see that a
process has ended."""

from __future__ import annotations

import os
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
def lifeline(tmp_path: Path) -> Iterator[Lifeline]:
    path = tmp_path / "lifeline"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield Lifeline(path, descriptor)
    os.close(descriptor)
