"""No other process of the user reads the memory of the programs."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

PR_GET_DUMPABLE = 3
IS_READABLE = (
    f"import ctypes, sys; print('dumpable', ctypes.CDLL(None).prctl({PR_GET_DUMPABLE}), "
    "file=sys.stderr)"
)
PROGRAMS = {
    "plait": "import sys; sys.argv = ['plait', '--help']; from plait.__main__ import main; main()",
    "plait.workspace": "from plait.workspace.__main__ import main; main(['--root', '.'])",
    "nothing": "",
}
EXPECTED = "dumpable 0"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_ours_hides_its_memory_and_others_do_not(program: str, tmp_path: Path):
    script = f"try:\n    {PROGRAMS[program] or 'pass'}\nexcept SystemExit:\n    pass\n{IS_READABLE}"
    said = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert (EXPECTED in said.splitlines()) is (program != "nothing")


def test_our_own_lists_of_processes_and_sockets_stay_readable_and_children_are_not_hidden():
    """What Plait reads of `/proc` itself, in a process that has hidden its memory."""
    script = (
        "import os, subprocess, sys; from plait.privacy import hide_memory; hide_memory();"
        "open('/proc/net/tcp').read(); os.listdir('/proc/self/fd'); open('/proc/self/stat').read();"
        f"subprocess.run([sys.executable, '-c', {IS_READABLE!r}], check=True)"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stderr
    assert said == "dumpable 1\n"


def test_importing_the_package_hides_nothing():
    """A program that embeds the gateway stays as it is."""
    assert ctypes.CDLL(None).prctl(PR_GET_DUMPABLE) == 1
