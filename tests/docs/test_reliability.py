"""The page on runs that survive: its two minutes, as a stranger follows them."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .blocks import BLOCKS, ROOT, Block

PAGE = ROOT / "docs" / "reliability.md"
SLEEP = """#!/bin/sh
[ -e slept ] && exit
touch slept
exec /bin/sleep 60
"""
"""Sleeps until it is killed, and then has slept enough."""
LONGEST_S = 60


def of_the_page(language: str) -> Block:
    [block] = [one for one in BLOCKS if one.page == PAGE and one.language == language]
    return block


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder := tmp_path / "demo").mkdir()
    (folder / "servers.toml").write_text(of_the_page("toml").text)
    (folder / "nightly.json").write_text(of_the_page("json").text)
    (programs := tmp_path / "programs").mkdir()
    (programs / "sleep").write_text(SLEEP)
    (programs / "sleep").chmod(0o755)
    monkeypatch.setenv("PLAIT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("COLUMNS", "160")
    return folder


def plait(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "plait", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def same_each_time(text: str) -> str:
    """Return *text* without ids, folders and durations."""
    text = re.sub(r"r_[a-z2-7]{26}", "RUN", text)
    text = re.sub(r"/\S+/servers.toml", "servers.toml", text)
    return re.sub(r"[\d.]+ (ms|s)\b", "TIME", text)


def test_its_two_minutes_lead_from_a_start_over_a_kill_to_the_end(folder: Path):
    line = of_the_page("sh").text.strip()
    started, how = line.split(" & ")
    assert how == "sleep 5; kill -9 $!"
    program, *words = shlex.split(started)
    assert program == "plait"
    with subprocess.Popen([sys.executable, "-m", "plait", *words], cwd=folder) as process:
        until = time.monotonic() + LONGEST_S
        while not (folder / "slept").exists():
            assert time.monotonic() < until, "the command was not started"
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    [run] = json.loads(plait(folder, "history", "--json").stdout)["runs"]
    assert run["status"] == "interrupted"
    shown = plait(folder, "history", run["run_id"]).stdout
    assert same_each_time(of_the_page("text").text.strip()) in same_each_time(shown)
    again = plait(folder, "run", "nightly.json", "--config", "servers.toml", "--isolated")
    assert f"go on  plait resume {run['run_id']}" in again.stdout
    [way] = [one for one in shown.splitlines() if one.startswith("go on")]
    _, _, program, *words = shlex.split(way.partition("  (")[0])
    resumed = plait(folder, *words, "--isolated")
    assert (program, resumed.returncode) == ("plait", 0), resumed.stderr
    assert (folder / "log.txt").read_text() == "begun\ndone\n"
    verified = plait(folder, "history", run["run_id"], "--verify")
    assert (verified.returncode, verified.stdout.count("verified")) == (0, 2)
