"""The shared gateway as it is judged, beyond what `test_examination.py` plants."""

from __future__ import annotations

import os
from typing import Any

import pytest

from plait import __version__
from plait.doctor.findings import Mark
from plait.doctor.gateway import check

from .homes import Home


async def test_without_a_gateway_all_is_well_and_its_lock_stays_free(home: Home):
    lock = home.state / f"gateway-{os.uname().nodename}.lock"
    for _ in range(2):
        [row] = await check(home.case)
        assert (row.mark, row.says) == (Mark.WELL, "none runs; a client starts it")
        lock.touch()


async def test_what_a_gateway_serves_is_counted(home: Home):
    desks: list[Any] = [{"servers": [{}, {}]}, {"servers": [{}]}]
    home.answers(clients=[{}], desks=desks, pid=os.getpid())
    [row] = await check(home.case)
    assert row.mark is Mark.WELL
    assert row.says.startswith(f"{__version__}, 1 client, 3 servers")


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ({"version": "0.0.9"}, "0.0.9 runs, and this is"),
        ({"version": "99.1.0"}, "99.1.0 runs, and this is"),
        ({"is_retiring": True}, "ends once it is unused"),
    ],
)
async def test_another_version_is_looked_at(home: Home, status: dict[str, object], says: str):
    home.answers(**status)
    [row] = await check(home.case)
    assert row.mark is Mark.LOOK
    assert says in row.says
