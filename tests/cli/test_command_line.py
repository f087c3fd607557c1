"""What all command lines share."""

from __future__ import annotations

import re

import pytest
import typer

from plait.cli.command_line import EXITS, end
from plait.cli.exits import Exit, Misused


def test_the_help_names_every_exit_code():
    assert {int(code) for code in re.findall(r"(?:: |; )(\d+) ", EXITS)} == set(Exit)


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
