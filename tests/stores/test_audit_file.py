"""The file of the audit: private, appended to, rotated by others, and never waited for."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plait.core.audit import AuditRow, What
from plait.stores import audit_file
from plait.stores.audit_file import AuditFile

NOW = 1_767_225_600.0


def row(number: int) -> AuditRow:
    return AuditRow(NOW, What.SENT, "user", run=f"r_{number}", arguments={"secret": "no value"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "audit.jsonl"


@pytest.fixture
def file(path: Path) -> Iterator[AuditFile]:
    file = AuditFile(path, now=lambda: NOW)
    yield file
    file.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def runs(path: Path) -> list[str | None]:
    return [line.get("run") for line in lines(path)]


class Steps:
    """Lets each batch be written when the test says so."""

    def __init__(self, file: AuditFile) -> None:
        self._write = file._append
        self._may_write, self._was_written = threading.Semaphore(0), threading.Semaphore(0)
        file._append = self._append  # type: ignore[method-assign]

    def _append(self, text: str) -> None:
        assert self._may_write.acquire(timeout=30)
        try:
            self._write(text)
        finally:
            self._was_written.release()

    def step(self) -> None:
        self._may_write.release()
        assert self._was_written.acquire(timeout=30)


@pytest.fixture
def steps(file: AuditFile) -> Iterator[Steps]:
    steps = Steps(file)
    yield steps
    steps._may_write.release(100)


def test_each_row_is_a_line_in_a_file_of_the_user_alone(file: AuditFile, path: Path):
    for number in range(3):
        file.audit(row(number))
    file.close()
    assert runs(path) == ["r_0", "r_1", "r_2"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "no value" not in path.read_text()
    assert lines(path)[0]["at"] == "2026-01-01T00:00:00.000Z"


def test_a_file_that_is_there_is_appended_to(file: AuditFile, path: Path):
    path.parent.mkdir()
    path.write_text('{"run":"old"}\n{"run":"to')  # its writer died
    file.audit(row(1))
    file.close()
    first, torn, last = path.read_text().splitlines()
    assert (first, torn) == ('{"run":"old"}', '{"run":"to')
    assert json.loads(last)["run"] == "r_1"


def test_a_file_that_was_rotated_is_opened_anew(file: AuditFile, path: Path, steps: Steps):
    file.audit(row(1))
    steps.step()
    path.rename(path.with_suffix(".1"))
    file.audit(row(2))
    steps.step()
    path.rename(path.with_suffix(".2"))
    path.touch()
    file.audit(row(3))
    steps.step()
    assert [runs(path.with_suffix(suffix)) for suffix in (".1", ".2", ".jsonl")] == [
        ["r_1"],
        ["r_2"],
        ["r_3"],
    ]


def test_rows_that_find_no_room_are_counted_in_a_row(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(audit_file, "MOST_WAITING", 3)
    file = AuditFile(path, now=lambda: NOW)
    steps = Steps(file)
    file.audit(row(0))
    while file._rows.qsize():  # until the thread has taken it
        pass
    for number in range(1, 9):
        file.audit(row(number))
    steps.step()
    steps.step()
    steps._may_write.release(100)
    file.close()
    assert runs(path) == ["r_0", "r_1", "r_2", "r_3", None]
    assert lines(path)[-1] == {"at": "2026-01-01T00:00:00.000Z", "what": "missing", "rows": 5}


def test_a_file_that_cannot_be_written_loses_rows_and_says_how_many(
    file: AuditFile, path: Path, steps: Steps, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    path.mkdir(parents=True)
    for number in range(2):
        file.audit(row(number))
        steps.step()
    path.rmdir()
    file.audit(row(2))
    steps.step()
    file.audit(row(3))
    steps.step()
    assert [line.get("run", line.get("rows")) for line in lines(path)] == ["r_2", 2, "r_3"]
    assert caplog.messages == ["audit.file_not_written", "audit.file_written_again"]


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_only_a_regular_file_is_written(
    file: AuditFile, path: Path, steps: Steps, caplog: pytest.LogCaptureFixture, kind: str
):
    path.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
    file.audit(row(1))
    steps.step()
    path.unlink()
    file.audit(row(2))
    steps.step()
    assert [line.get("run", line.get("rows")) for line in lines(path)] == ["r_2", 1]


def test_what_a_full_disk_tore_does_not_spoil_the_next_line(
    file: AuditFile, path: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch
):
    file.audit(row(1))
    steps.step()
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if b"r_2" in data:
            write(descriptor, data[:10])
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    file.audit(row(2))
    steps.step()
    file.audit(row(3))
    steps.step()
    first, torn, third, missing = path.read_text().splitlines()
    assert len(torn) == 10
    assert [json.loads(first)["run"], json.loads(third)["run"]] == ["r_1", "r_3"]
    assert json.loads(missing)["rows"] == 1


def test_two_processes_append_to_one_file(path: Path):
    files = [AuditFile(path) for _ in range(2)]
    for number in range(400):
        files[number % 2].audit(row(number))
    for file in files:
        file.close()
    assert sorted(runs(path), key=str) == sorted((f"r_{number}" for number in range(400)), key=str)


def test_a_disk_that_hangs_holds_nobody_up(file: AuditFile, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(audit_file, "CLOSING_S", 0.01)
    hanging, hangs = threading.Event(), threading.Event()

    def hang(text: str) -> None:
        hangs.set()
        hanging.wait(30)

    file._append = hang  # type: ignore[method-assign]
    file.audit(row(1))
    assert hangs.wait(30)
    file.audit(row(2))
    file.close()
    hanging.set()
