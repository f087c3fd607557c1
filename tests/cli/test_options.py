"""The options that several commands have."""

from __future__ import annotations

import pytest

from .conftest import Plait
from .test_commands import COMMANDS

READS_ALONE = {"history", "doctor"}
"""They start no gateway, so they have no log."""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_takes_settings_and_a_level_of_the_log(
    plait: Plait, command: str
):
    result = plait(command, "--help")
    assert result.exit_code == 0
    for option in ("--config", "--profile", "--debug"):
        assert option in result.stdout
    for option in ("--isolated", "--log-level"):
        assert (option in result.stdout) is (command not in READS_ALONE)


@pytest.mark.parametrize(
    ("words", "said"), [("--log-level loud", "'loud'"), ("--profile", "requires")]
)
def test_a_wrong_option_is_a_wrong_command_line(plait: Plait, words: str, said: str):
    result = plait("tools", *words.split())
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_level_of_the_log_is_known_in_any_case(plait: Plait):
    assert plait("tools", "--log-level", "WARNING").exit_code == 0
