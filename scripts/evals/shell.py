"""A job as an agent with a shell does it: `plait tools` and `plait run -`, as its skill says."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from typing import Any

from .desk import SKILL, Desk, Passed

TOOLS, RUN = "plait tools", "plait run"


def play_in_shell(plan: Mapping[str, Any], desk: Desk) -> None:
    """Search and run as *plan* says, each with a command line. Written is the command line, read is
    what it prints, on both streams."""
    dag = json.dumps(plan["dag"], ensure_ascii=False, separators=(",", ":"))
    _type(desk, TOOLS, f"plait tools {shlex.quote(plan['search'])}")
    _type(desk, RUN, f"plait run - <<'DAG'\n{dag}\nDAG\n")


def read_skill(desk: Desk) -> None:
    """Note the characters of the skill, which an agent reads once."""
    desk.note(Passed(SKILL, None, 0, len(_said(desk, SKILL))))


def _type(desk: Desk, name: str, line: str) -> None:
    desk.note(Passed("tools/call", name, len(line), len(_said(desk, line))))


def _said(desk: Desk, line: str) -> str:
    """Return what a shell prints for *line*. How it ends is judged from the logs of services."""
    ran = subprocess.run(
        ["sh", "-c", line],
        cwd=desk.folder,
        env={**os.environ, **desk.shell_environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return ran.stdout
