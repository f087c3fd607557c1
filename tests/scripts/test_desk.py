"""The script that counts what clients cost on one machine, with fewer of them than by default."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from desk import Desk, table

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "desk"
ROW = re.compile(r"^\| (?P<name>[^|]+) \| (?P<before>[^|]+) \| (?P<after>[^|]+) \|$", re.MULTILINE)

pytestmark = pytest.mark.timeout(300)


def run(*words: str) -> str:
    done = subprocess.run([SCRIPT, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_further_clients_of_a_shared_gateway_add_a_process_each_and_writers_take_turns():
    counted = json.loads(run("--clients", "2", "--servers", "1", "--json").splitlines()[-1])
    isolated, shared = counted["isolated"], counted["shared"]
    # of each gateway its servers and their guard; of a shared one the doors besides
    assert isolated["processes"] == 2 * (1 + 1 + 1)
    assert shared["processes"] == 2 + (1 + 1 + 1)
    assert 0 < shared["memory_mb"] < isolated["memory_mb"]
    assert shared["two_writers_s"] >= 1.4
    assert isolated["first_answer_ms"] > 0 < shared["first_answer_ms"]


def test_the_page_has_the_rows_that_the_script_prints():
    printed = ROW.findall(table(Desk(80, 1_305.0, 2_971.0, 0.72), Desk(18, 173.0, 60.0, 1.42), 10))
    page = (ROOT / "docs" / "shared.md").read_text(encoding="utf-8")
    names = [name for name, *_ in ROW.findall(page)]
    assert names[-len(printed) :] == [name for name, *_ in printed]
