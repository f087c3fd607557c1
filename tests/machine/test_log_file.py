"""The log goes on in a new file before it is too long."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.machine import log_file
from plait.machine.log_file import limit_log


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, int]]:
    monkeypatch.setattr(log_file, "MAX_BYTES", 10)
    path = tmp_path / "gateway.log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    yield path, fd
    os.close(fd)


def test_a_long_log_is_kept_aside_and_goes_on_in_a_new_file(log: tuple[Path, int]):
    path, fd = log
    for text in (b"first, and long\n", b"second, and long\n"):
        os.write(fd, text)
        limit_log(str(path), fd)
    os.write(fd, b"third\n")
    limit_log(str(path), fd)
    assert path.read_bytes() == b"third\n"
    assert Path(f"{path}.1").read_bytes() == b"second, and long\n"
    assert path.stat().st_mode & 0o077 == 0
    assert not os.get_inheritable(fd)


def test_another_file_at_its_path_is_left_alone(log: tuple[Path, int]):
    path, fd = log
    os.write(fd, b"long enough for a new file\n")
    path.unlink()
    path.write_text("of another")
    limit_log(str(path), fd)
    assert path.read_text() == "of another"
    assert not Path(f"{path}.1").exists()
