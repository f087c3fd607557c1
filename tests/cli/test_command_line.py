"""What all command lines share."""

from __future__ import annotations

import re

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from plait.cli.command_line import EXITS, asked_for, end
from plait.cli.commands import program
from plait.cli.exits import Exit, Misused


def test_the_help_names_every_exit_code():
    assert {int(code) for code in re.findall(r"(?:: |; )(\d+) ", EXITS)} == set(Exit)


def shown(words: list[str], given: typer.Typer) -> tuple[int, str]:
    """Return the exit code and the output of the command line *words*, read by *given*."""
    ended = CliRunner().invoke(given, words, prog_name="plait")
    return ended.exit_code, ended.output


NAMES = [*get_command(program).commands]  # type: ignore[attr-defined]  # it is a group


@pytest.mark.parametrize("name", NAMES)
def test_a_command_alone_is_read_as_among_all_others(name: str):
    alone = asked_for(program, [name, "--help"])
    assert [*get_command(alone).commands] == [name]  # type: ignore[attr-defined]
    for words in ([name, "--help"], [name, "--unknown"]):
        assert shown(words, alone) == shown(words, program)


@pytest.mark.parametrize("words", [[], ["--help"], ["doctr"], ["--unknown", "serve"]])
def test_a_command_line_without_a_known_command_sees_them_all(words: list[str]):
    assert asked_for(program, words) is program


def test_a_command_ends_with_its_code():
    with pytest.raises(typer.Exit) as ended:
        end(lambda: Exit.TIMED_OUT)
    assert ended.value.exit_code == 124


def test_a_wrong_value_is_shown_with_its_parameter():
    def misused() -> int:
        raise Misused("write it otherwise", hint="--set")

    with pytest.raises(typer.BadParameter) as shown:
        end(misused)
    assert (shown.value.exit_code, shown.value.param_hint) == (2, "--set")
