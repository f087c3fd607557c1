"""The soak of servers that flap, for a moment."""

from __future__ import annotations

from pathlib import Path

from .flapping import flap


async def test_some_runs_over_servers_that_flap_leave_nothing_behind(tmp_path: Path):
    found = await flap(tmp_path, 20, {"a": 4, "b": 50, "c": 50}, settle_s=0.2)
    early, late = found.held
    assert early.all_else == late.all_else
    assert found.statuses.total() == 20
    assert found.statuses["success"] == 8  # a retry makes up for each death
