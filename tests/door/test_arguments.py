"""A door takes the plain command lines alone; the ordinary one explains all others."""

from __future__ import annotations

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from plait.cli.commands import program
from plait.cli.options import DebugOption, LogLevel
from plait.door.arguments import FLAGS, LEVELS, NO, WITH_VALUE, YES, is_for_door

ORDINARY = {"--http", "--allow-host", "--allow-origin", "--no-auth", "--isolated", "--help"}
"""The options of `plait serve` with which there is no door."""


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--config servers.toml",
        "--config=servers.toml",
        "--config -",
        "--watch --debug --log-level info",
        "--log-level=WARNING --config a=b",
        "--profile reading",
    ],
)
def test_a_plain_command_line_is_for_a_door(line: str):
    assert is_for_door(line.split(), {}, "linux")
    assert is_for_door(line.split(), {}, "darwin")
    assert not is_for_door(line.split(), {}, "win32")


@pytest.mark.parametrize(
    "line",
    [
        "--isolated",
        "--http 8420",
        "--http=8420",
        "--allow-host a",
        "--no-auth",
        "--help",
        "-h",
        "--config",
        "--config=",
        "--log-level loud",
        "--log-level",
        "--watch=yes",
        "--unknown",
        "file",
        "--",
        "--config servers.toml --isolated",
    ],
)
def test_any_other_is_for_the_ordinary_command_line(line: str):
    assert not is_for_door(line.split(), {}, "linux")


@pytest.mark.parametrize(
    ("variables", "is_taken"),
    [
        ({"PLAIT_ISOLATED": "1"}, False),
        ({"PLAIT_ISOLATED": "maybe"}, False),
        ({"PLAIT_ISOLATED": ""}, True),
        ({"PLAIT_ISOLATED": "0"}, True),
        ({"PLAIT_ISOLATED": " False "}, True),
        ({"PLAIT_LOG_LEVEL": "loud"}, False),
        ({"PLAIT_LOG_LEVEL": "Info"}, True),
        ({"PLAIT_DEBUG": "maybe"}, False),
        ({"PLAIT_DEBUG": "on"}, True),
        ({"PLAIT_MAX_CONCURRENCY": "no number"}, True),
    ],
)
def test_variables_of_the_command_line_count(variables: dict[str, str], is_taken: bool):
    assert is_for_door([], variables, "linux") is is_taken


def test_each_option_of_serve_is_for_a_door_or_not():
    options = get_command(program).commands["serve"].params  # type: ignore[attr-defined]
    names = {name for option in options for name in option.opts}
    assert names | {"--help"} == FLAGS | WITH_VALUE | ORDINARY


@pytest.mark.parametrize("word", [*sorted(YES | NO), "maybe"])
def test_switches_are_read_as_the_command_line_reads_them(word: str):
    ordinary = typer.Typer()
    shown: list[bool] = []

    @ordinary.command()
    def show(debug: DebugOption = False) -> None:
        shown.append(debug)

    code = CliRunner().invoke(ordinary, env={"PLAIT_DEBUG": word}).exit_code
    assert code == (0 if word in YES | NO else 2)
    assert shown == ([word in YES] if code == 0 else [])


def test_levels_are_those_of_the_command_line():
    assert {level.value for level in LogLevel} == LEVELS
