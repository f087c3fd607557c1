"""The names that other programs have for our commands."""

from __future__ import annotations

import re

import pytest

from plait.cli.commands import program
from plait.cli.instead import INSTEAD

from .conftest import Plait


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_a_command_of_other_programs_is_answered_with_ours(plait: Plait, name: str):
    result = plait(name, "x")
    assert (result.exit_code, result.stdout) == (2, "")
    said = " ".join(result.stderr.split())
    assert f'Unknown command "{name}"' in said
    assert INSTEAD[name] in said
    commands = {one.callback.__name__ for one in program.registered_commands if one.callback}
    groups = {str(one.name) for one in program.registered_groups}
    assert set(re.findall(r"plait ([a-z]+)", INSTEAD[name])) <= commands | groups
