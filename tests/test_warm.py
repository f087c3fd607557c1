from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .warm import warm

SCRIPT = """
import os, sys
print(os.getcwd(), os.environ["MINE"], __name__, *sys.argv[1:], sys.stdin.read())
print("wrong", file=sys.stderr)
sys.exit(3)
"""
WAITING = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: os._exit(5))
print(os.getpid(), flush=True)
signal.pause()
"""


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A script that waits, as a command and as the process that it is."""
    (tmp_path / "wait.py").write_text(WAITING)
    words = warm(str(tmp_path / "wait.py"))
    with subprocess.Popen(words, stdout=subprocess.PIPE) as command:
        assert command.stdout is not None
        yield command, int(command.stdout.readline())


def test_a_script_has_the_streams_the_folder_and_the_environment_of_its_command(tmp_path: Path):
    (tmp_path / "script.py").write_text(SCRIPT)
    ended = subprocess.run(
        [*warm("script.py", "one", "two words")],
        input="typed",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"MINE": "\u00e9=1"},
        check=False,
    )
    assert ended.stdout == f"{tmp_path} \u00e9=1 __main__ one two words typed\n"
    assert (ended.returncode, ended.stderr) == (3, "wrong\n")


def test_a_module_is_run_by_its_name():
    ended = subprocess.run(warm("-m", "plait", "--version"), capture_output=True, check=True)
    assert ended.stdout.startswith(b"plait ")


def test_an_error_is_shown(tmp_path: Path):
    (tmp_path / "script.py").write_text("1 / 0")
    command = warm(str(tmp_path / "script.py"))
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_a_signal_reaches_the_script(waiting: tuple[subprocess.Popen[bytes], int]):
    command, _ = waiting
    command.terminate()
    assert command.wait() == 5


def test_a_script_ends_by_its_signal(waiting: tuple[subprocess.Popen[bytes], int]):
    command, process = waiting
    os.kill(process, signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL


def test_a_script_ends_with_its_command(waiting: tuple[subprocess.Popen[bytes], int]):
    command, _ = waiting
    command.kill()
    command.wait()
    assert command.stdout is not None
    assert command.stdout.read() == b""  # the script had it open
