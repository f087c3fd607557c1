"""Files that are named lead nowhere without an end."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from plait.config import named_files
from plait.config.named_files import Unreadable, read_named


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_file_is_read_whole(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"0123456789")
    data, status = read_named(tmp_path / "file", 10)
    assert (data, status.st_size) == (b"0123456789", 10)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/dev/zero", "it has more than 1,000 bytes"),
        ("large", "it has more than 1,000 bytes"),
        ("missing", "No such file or directory"),
        (".", "Is a directory"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, name: str, said: str):
    (tmp_path / "large").write_bytes(bytes(1_001))
    with pytest.raises(Unreadable, match=said):
        read_named(tmp_path / name, 1_000)


def test_a_pipe_without_a_writer_is_not_waited_for(pipe: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(named_files, "WRITER_S", 0.01)
    with pytest.raises(Unreadable, match="nothing wrote to it"):
        read_named(pipe, 1_000)


def test_a_pipe_with_a_writer_is_read_to_its_end_however_long_it_takes(
    pipe: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(named_files, "WRITER_S", 0.0)
    looked = threading.Event()

    def first_byte(descriptor: int) -> bytes:
        first = look(descriptor)
        looked.set()
        return first

    look = named_files._first_byte
    monkeypatch.setattr(named_files, "_first_byte", first_byte)
    other_reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # so that it opens for writing
    writer = os.open(pipe, os.O_WRONLY)
    read: list[bytes] = []
    reading = threading.Thread(target=lambda: read.append(read_named(pipe, 1_000)[0]))
    reading.start()
    assert looked.wait(timeout=30)
    os.close(other_reader)
    os.write(writer, b"late, ")
    os.write(writer, b"and whole")
    os.close(writer)
    reading.join(timeout=30)
    assert read == [b"late, and whole"]


def test_a_pipe_may_get_its_writer_a_little_later(pipe: Path):
    writing = threading.Thread(target=pipe.write_bytes, args=(b"said",))
    writing.start()
    assert read_named(pipe, 1_000)[0] == b"said"
    writing.join(timeout=30)
