"""Places in a settings file, as its reader would write them."""

from __future__ import annotations

import pytest

from plait.config.places import Steps, place


@pytest.mark.parametrize(
    ("steps", "start", "written"),
    [
        (("servers", "files", "args", 0), "", "servers.files.args[0]"),
        (("tools", "files:*", "weight"), "", 'tools."files:*".weight'),
        (("servers", ""), "", 'servers.""'),
        (("env", "A"), "mcpServers.x", "mcpServers.x.env.A"),
        ((), "mcpServers.x", "mcpServers.x"),
        ((), "", "the file"),
    ],
)
def test_a_place_reads_as_in_the_file(steps: Steps, start: str, written: str):
    assert place(steps, start) == written
