"""Standard streams that are closed, full or no longer read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plait.cli.streams import Lasting

DAG = {"tasks": [{"id": "a", "tool": "workspace:list_dir"}]}
COMMANDS = {
    "--version": 0,
    "--help": 0,
    "run --help": 0,
    "completion bash": 0,
    "run": 2,
    "nosuch": 2,
    "tools --config nowhere": 4,
    "trust servers.toml": 0,
}
"""Commands that start no server, with the code that each ends with otherwise."""
LOST = "error: standard output cannot be written: No space left on device\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dag.json").write_text(json.dumps(DAG))
    (tmp_path / "servers.toml").write_text('[servers.workspace]\nbuiltin = "workspace"\n')
    return tmp_path


def shell(
    folder: Path, command: str, streams: str, stdin: int | None = None
) -> subprocess.CompletedProcess[str]:
    words = f"PLAIT_STATE_DIR=state {sys.executable} -m plait {command} {streams}"
    return subprocess.run(
        ["sh", "-c", words], cwd=folder, capture_output=True, text=True, stdin=stdin
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_standard_output_is_an_error_in_words(folder: Path, command: str):
    ended = shell(folder, command, ">/dev/full")
    assert ended.returncode == (COMMANDS[command] or 1)
    assert ended.stderr.endswith(LOST) is (COMMANDS[command] == 0)
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr


@pytest.mark.parametrize("streams", ["2>/dev/full", "2>&-"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_standard_error_that_takes_nothing_costs_no_result(
    folder: Path, command: str, streams: str
):
    ended = shell(folder, command, streams)
    assert ended.returncode == COMMANDS[command]
    assert bool(ended.stdout) is (COMMANDS[command] == 0)


@pytest.mark.parametrize("streams", [">&-", ">&- 2>&-", ">/dev/full 2>/dev/full"])
@pytest.mark.parametrize("command", ["--help", "--version", "nosuch"])
def test_nowhere_to_write_changes_no_code_but_that_of_a_lost_result(
    folder: Path, command: str, streams: str
):
    is_lost = "full" in streams and COMMANDS[command] == 0
    assert shell(folder, command, streams).returncode == (1 if is_lost else COMMANDS[command])


def test_a_run_that_cannot_say_anything_gives_its_result(folder: Path):
    ended = shell(folder, "run dag.json --json --config servers.toml", "2>/dev/full")
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["status"] == "success"


def test_a_result_that_cannot_be_written_is_an_error_after_the_run(folder: Path):
    ended = shell(folder, "run dag.json --config servers.toml", ">/dev/full")
    assert ended.returncode == 1
    assert ended.stderr.endswith(LOST)


def test_a_gateway_that_cannot_answer_says_so_and_ends_with_1(folder: Path):
    """Also while its client keeps its own end open."""
    reading, writing = os.pipe()
    os.write(writing, b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
    try:
        ended = shell(folder, "serve --config servers.toml", ">/dev/full", stdin=reading)
    finally:
        os.close(reading)
        os.close(writing)
    assert ended.returncode == 1
    assert ended.stderr.endswith(LOST)


def test_a_reader_that_has_gone_has_seen_enough(folder: Path):
    process = subprocess.Popen(
        [sys.executable, "-m", "plait", "--help"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as stderr:
        assert stderr.read() == ""
    assert process.wait() == 0


def test_nothing_more_is_written_after_a_fault():
    stream = Lasting("/dev/full", "w")
    assert stream.write(b"one") == 3
    fault = stream.fault
    assert fault is not None
    assert stream.write(b"more") == 4
    assert stream.fault is fault
    stream.close()
