"""The commands, their options and their help."""

from __future__ import annotations

import re

import pytest

from plait import __version__

from .conftest import Plait, task

LOOKING = ("serve", "run", "plan", "explain", "graph", "tools", "call", "servers", "history")
COMMANDS = (*LOOKING, "resume", "apply", "approve", "deny", "doctor")
BEFORE = ("try", "install")
WITHOUT_SETTINGS = ("init", "ps", "stop", "restart", "trust", "skill", "completion")


def test_help_names_every_command(plait: Plait):
    result = plait("--help")
    assert result.exit_code == 0
    assert re.findall(r"^  ([a-z]+)  ", result.stdout, re.MULTILINE) == [
        *BEFORE,
        *COMMANDS,
        *WITHOUT_SETTINGS,
    ]
    assert plait("-h").stdout == result.stdout
    assert result.stdout in plait().output


def test_the_version_is_shown(plait: Plait):
    result = plait("--version")
    assert (result.exit_code, result.stdout) == (0, f"plait {__version__}\n")


@pytest.mark.parametrize(
    "words",
    [
        ("frob",),
        ("run",),
        ("run", "--nope"),
        ("run", "-", "--jobs", "0"),
        ("run", "-", "--timeout", "0"),
        ("run", "-", "--detail", "some"),
        ("run", "-", "--log-level", "loud"),
        ("call",),
        ("tools", "--server"),
    ],
)
def test_a_wrong_command_line_is_2(plait: Plait, words: tuple[str, ...]):
    result = plait(*words)
    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "environ", "is_logged"),
    [
        ((), {}, False),
        (("--log-level", "INFO"), {}, True),
        ((), {"PLAIT_LOG_LEVEL": "info"}, True),
        (("--log-level", "error"), {"PLAIT_LOG_LEVEL": "info"}, False),
    ],
)
def test_runs_are_logged_at_the_level_that_is_asked_for(
    plait: Plait, words: tuple[str, ...], environ: dict[str, str], is_logged: bool
):
    result = plait.run([task("a")], "--json", *words, **environ)
    assert ("run.started" in result.stderr) is is_logged


def test_the_first_lines_of_help_are_whole_at_80_columns(plait: Plait):
    lines = plait("--help").stdout.splitlines()
    rows = [line for line in lines if re.match(r"  [a-z]+  ", line)]
    assert len(rows) == len(BEFORE + COMMANDS + WITHOUT_SETTINGS)
    assert not any(row.endswith("...") for row in rows)
    assert max(map(len, rows)) <= 76  # outside of tests there is a margin of four columns
