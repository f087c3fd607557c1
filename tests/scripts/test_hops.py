"""The count of files that a request passes still counts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "hops.py"


@pytest.mark.timeout(120)
def test_a_call_by_name_and_a_dag_pass_files_that_the_list_names():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--list"], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (.+) \| (\d+) \| (\d+) \| (\d+) \|$", done.stdout, re.MULTILINE)
    assert [name for name, *_ in rows] == ["a call by name", "execute_dag with two tasks"]
    listed = done.stdout.count("\n  ")
    assert listed == sum(int(files) for *_, files in rows)
    for file in ("upstream/transports/stdio.py", "downstream/transports/lines.py"):
        assert done.stdout.count(f"\n  {file}: ") == 2
