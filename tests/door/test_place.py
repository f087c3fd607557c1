"""One gateway a state folder: the lock, the socket's path in it, and what its process starts with.

Where a gateway is started, `sys.executable` is a script that writes down what it was started with.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from plait.config.environment import state_folder_of
from plait.door.place import (
    MAX_LOG_BYTES,
    NoPlace,
    NotOurs,
    Place,
    check_folder,
    peer,
    start_gateway,
    start_isolated,
    state_folder,
)
from plait.door.variables import is_safe
from plait.workspace.processes import PR_SET_CHILD_SUBREAPER


@pytest.fixture
def folder(short_path: Path) -> Path:
    return short_path


@pytest.fixture
def place(folder: Path) -> Place:
    return Place(str(folder / "state"))


def announce(place: Place, path: Path) -> int:
    """Take the lock as a gateway, and write the socket's *path* into it."""
    lock = place.take_lock()
    assert lock is not None
    os.pwrite(lock, f"{path}\n".encode(), 0)
    return lock


@pytest.fixture
def listening(folder: Path) -> Iterator[socket.socket]:
    (folder / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / "run" / "g"))
        sock.listen()
        yield sock


@pytest.fixture
def gateway_lock(place: Place, folder: Path, listening: socket.socket) -> Iterator[int]:
    lock = announce(place, folder / "run" / "g")
    yield lock
    os.close(lock)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"PLAIT_STATE_DIR": "kept/here"},
        {"PLAIT_STATE_DIR": "~/kept"},
        {"PLAIT_STATE_DIR": "/kept"},
        {"XDG_STATE_HOME": "/base"},
        {"XDG_STATE_HOME": "relative"},
        {"HOME": ""},
        {"HOME": "relative"},
        {"HOME": "relative", "PLAIT_STATE_DIR": "~/kept"},
        {"HOME": "/", "PLAIT_STATE_DIR": "~"},
    ],
)
def test_a_door_finds_the_state_folder_that_the_settings_reader_finds(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    for name in ("PLAIT_STATE_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Path(state_folder(os.environ, str(tmp_path))) == state_folder_of(os.environ, tmp_path)


def test_one_door_gets_the_lock_and_it_is_free_when_its_holder_ends(place: Place):
    lock = place.take_lock()
    assert lock is not None
    assert place.take_lock() is None
    os.close(lock)
    again = place.take_lock()
    assert again is not None
    os.close(again)


def test_a_lock_file_that_was_deleted_before_it_was_locked_is_not_the_lock(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    flock = fcntl.flock

    def delete_first(fd: int, operation: int) -> None:
        os.unlink(place.lock_path)
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", delete_first)
    assert place.take_lock() is None


def test_the_state_folder_is_made_for_its_user_alone(place: Place):
    os.close(place.open_lock())
    assert os.stat(place.state).st_mode & 0o777 == 0o700
    assert os.stat(place.lock_path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o722])
def test_a_state_folder_that_others_may_write_is_refused_with_the_fix(place: Place, mode: int):
    os.mkdir(place.state)
    os.chmod(place.state, mode)
    with pytest.raises(NotOurs, match=r"others may write there; .* chmod go-w"):
        place.take_lock()


def test_a_state_folder_of_another_user_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch):
    os.mkdir(place.state, 0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    with pytest.raises(NotOurs, match="belongs to another user"):
        place.take_lock()


def test_a_state_folder_that_cannot_be_made_is_named(folder: Path):
    (folder / "file").write_text("")
    with pytest.raises(NoPlace, match=r"file/state: Not a directory"):
        Place(str(folder / "file" / "state")).take_lock()


def test_a_link_in_place_of_the_lock_is_not_followed(place: Place, folder: Path):
    os.mkdir(place.state, 0o700)
    os.symlink(folder / "elsewhere", place.lock_path)
    with pytest.raises(NoPlace, match=r"gateway-.*\.lock"):
        place.take_lock()
    assert place.connect() is None
    assert not (folder / "elsewhere").exists()


def test_a_client_finds_the_socket_whose_path_is_in_the_lock_file(
    place: Place, gateway_lock: int, listening: socket.socket
):
    sock = place.connect()
    assert sock is not None
    assert peer(sock) == (os.getpid(), os.geteuid())
    sock.close()


@pytest.mark.parametrize("written", [b"", b"/half/a/pa", b"/nowhere/g\n", b"\0\n", b"\xff\n"])
def test_a_lock_file_without_a_gateway_leads_nowhere(place: Place, written: bytes):
    lock = place.open_lock()
    os.pwrite(lock, written, 0)
    assert place.connect() is None
    os.close(lock)


def test_a_socket_that_none_listens_on_any_more_is_not_a_gateway(
    place: Place, gateway_lock: int, listening: socket.socket
):
    listening.close()
    assert place.connect() is None


@pytest.mark.parametrize("fault", ["link", "mode", "file"])
def test_a_folder_of_the_socket_that_is_not_ours_alone_is_refused(
    place: Place, folder: Path, gateway_lock: int, fault: str
):
    run = folder / "run"
    match fault:
        case "link":
            run.rename(folder / "elsewhere")
            run.symlink_to(folder / "elsewhere")
        case "mode":
            run.chmod(0o755)
        case "file":
            pass
    if fault == "file":
        with pytest.raises(NotOurs, match="a link or a file"):
            check_folder(str(run / "g"))
    else:
        with pytest.raises(NotOurs, match="a link or a file" if fault == "link" else "chmod go-"):
            place.connect()


def test_a_folder_that_is_missing_is_refused(folder: Path):
    with pytest.raises(NotOurs, match="No such file"):
        check_folder(str(folder / "nowhere"))


def test_a_socket_that_another_user_serves_is_refused(
    place: Place, gateway_lock: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("plait.door.place.peer", lambda sock: (1, 4_000_000))
    with pytest.raises(NotOurs, match="is served by another user"):
        place.connect()


def test_the_tail_of_the_log_is_its_last_lines(place: Place):
    assert place.log_tail() == ""
    os.mkdir(place.state, 0o700)
    Path(place.log_path).write_text("".join(f"line {number}\n" for number in range(1000)))
    assert place.log_tail(2) == "line 998\nline 999"


@pytest.mark.parametrize(
    ("free", "said"), [(0, "the disk of {} is full; "), (1, "its log ends:\nlast words\n")]
)
def test_a_full_disk_is_the_trouble_or_what_the_log_says(
    place: Place, monkeypatch: pytest.MonkeyPatch, free: int, said: str
):
    assert place.trouble() == ""  # there is no folder yet
    os.mkdir(place.state, 0o700)
    Path(place.log_path).write_text("last words\n")
    monkeypatch.setattr(os, "statvfs", lambda folder: SimpleNamespace(f_bavail=free))
    assert place.trouble() == said.format(place.state)


@pytest.fixture
def recorder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of the interpreter, which writes down what it was started with."""
    report, program = folder / "report", folder / "interpreter"
    code = f"""
import os, sys
fds = [fd for fd in range(3, 64) if os.path.exists(f"/dev/fd/{{fd}}")]
lines = [*sys.argv[1:], f"umask={{os.umask(0)}}", f"cwd={{os.getcwd()}}", f"ppid={{os.getppid()}}"]
session = os.getsid(0)
lines += [f"own session={{session != {os.getsid(0)}}}", f"leads={{session == os.getpid()}}"]
lines += [f"env {{name}}" for name in os.environ] + [f"fd {{fd}}" for fd in fds]
with open({str(report)!r}, "w") as file:
    print(*lines, sep="\\n", file=file)
print("written", flush=True)
print("to the log", file=sys.stderr, flush=True)
"""
    (folder / "code.py").write_text(code)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {folder}/code.py "$@"\n')
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv("A_SECRET", "s")
    monkeypatch.setenv("PLAIT_MAX_CONCURRENCY", "3")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    return report


def wait_for(lock_path: str) -> None:
    """Wait until the holder of a lock has ended."""
    with open(lock_path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def test_a_gateway_starts_with_the_lock_and_nothing_else_of_its_starter(
    place: Place, recorder: Path, folder: Path
):
    if sys.platform == "linux":  # tests of the workspace server let this process adopt orphans
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    with open(folder / "other", "w") as other:
        os.set_inheritable(other.fileno(), True)
        lock = place.take_lock()
        assert lock is not None
        start_gateway(place, lock, "/runtime")
        wait_for(place.lock_path)
    seen = recorder.read_text().splitlines()
    assert seen[:5] == ["-P", "-m", "plait.machine", "--state", place.state]
    assert seen[5:9] == ["--lock-fd", str(lock), "--runtime", "/runtime"]
    assert {"umask=63", "cwd=/", "own session=True", "leads=False"} <= set(seen)
    assert f"ppid={os.getpid()}" not in seen
    assert {"env PATH", "env LC_ALL", "env XDG_DATA_HOME"} <= set(seen)
    variables = [line.removeprefix("env ") for line in seen if line.startswith("env ")]
    assert [name for name in variables if not is_safe(name) and name not in {"PWD", "_"}] == []
    assert [line for line in seen if line.startswith("fd ")] == [f"fd {lock}"]
    assert Path(place.log_path).read_text() == "to the log\n"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(lock)


def test_the_lock_is_held_without_a_gap_from_the_door_to_the_gateway(place: Place, recorder: Path):
    lock = place.take_lock()
    assert lock is not None
    start_gateway(place, lock, "")
    assert recorder.exists() or place.take_lock() is None
    wait_for(place.lock_path)


def test_a_long_log_is_put_aside_at_a_start(place: Place, recorder: Path):
    lock = place.take_lock()
    assert lock is not None
    Path(place.log_path).write_text("x" * (MAX_LOG_BYTES + 1))
    start_gateway(place, lock, "")
    wait_for(place.lock_path)
    assert Path(place.log_path).read_text() == "to the log\n"
    assert Path(f"{place.log_path}.1").stat().st_size == MAX_LOG_BYTES + 1


def test_an_isolated_gateway_gets_its_socket_and_writes_to_our_standard_error(
    place: Place, recorder: Path, capfd: pytest.CaptureFixture[str]
):
    ours, theirs = socket.socketpair()
    process = start_isolated(place, theirs)
    assert os.waitpid(process, 0)[1] == 0
    seen = recorder.read_text().splitlines()
    assert seen[5:7] == ["--serve-fd", str(theirs.fileno())]
    assert {f"ppid={os.getpid()}", "leads=True", "cwd=/"} <= set(seen)
    assert [line for line in seen if line.startswith("fd ")] == [f"fd {theirs.fileno()}"]
    assert capfd.readouterr().err == "written\nto the log\n"
    ours.close()
    theirs.close()


def test_a_log_that_cannot_be_written_is_named_and_the_lock_is_free_again(place: Place):
    lock = place.take_lock()
    assert lock is not None
    os.mkdir(place.log_path)
    with pytest.raises(NoPlace, match=r"gateway\.log: Is a directory"):
        start_gateway(place, lock, "")
    again = place.take_lock()
    assert again is not None
    os.close(again)


def test_another_process_sees_the_lock(place: Place):
    lock = place.take_lock()
    assert lock is not None
    code = "import sys; from plait.door.place import Place; print(Place(sys.argv[1]).take_lock())"
    command = [sys.executable, "-c", code, place.state]
    seen = subprocess.run(command, capture_output=True, text=True, check=True)
    assert seen.stdout == "None\n"
    os.close(lock)
